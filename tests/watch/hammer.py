"""Everything at once, with the watch looking every millisecond:

    python tests/watch/hammer.py --seconds 600 [--seed N]

Deep recursion, exceptions, the collector, threads born and dying, eager tasks, forks,
loops made and closed, blocks of every kind, signals of the program's own. Asserts that
no callback is lost, that no system call is cut short, and that SIGUSR1 and faulthandler
stay the program's. Prints its seed and what it did; exits 1 and says what was wrong.
"""

import argparse
import asyncio
import collections
import ctypes
import faulthandler
import gc
import logging
import os
import random
import re
import select
import signal
import sys
import tempfile
import threading
import time

import fastloop

BLOCK_S = 0.004  # four times the limit
done = collections.Counter()


class Wrong(Exception):
    """What must not be."""


def deep(n, rng):
    if n == 0:
        if rng.random() < 0.5:
            raise ValueError("at the bottom")
        time.sleep(BLOCK_S)
        return 0
    return 1 + deep(n - 1, rng)


async def recursion(rng):
    try:
        deep(rng.choice([10, 200, 600]), rng)
    except ValueError:
        done["exceptions"] += 1
    try:
        deep(10 * sys.getrecursionlimit(), rng)
    except RecursionError:
        done["recursion errors"] += 1


async def collects(rng):
    for _ in range(200):
        cycle = []
        cycle.append(cycle)
    gc.collect(rng.randrange(3))


async def computes(rng):
    end = time.monotonic() + BLOCK_S
    while time.monotonic() < end:
        pass
    re.match(r"(a|aa)+$", "a" * rng.randrange(15, 20) + "b")
    await asyncio.sleep(0)


async def sleeps(rng):
    """The whole time, by every kind of call: none may be cut short."""
    kind = rng.randrange(4)
    began = time.monotonic()
    if kind == 0:
        left = ctypes.CDLL(None).usleep(int(BLOCK_S * 1e6))
    elif kind == 1:
        left = ctypes.PyDLL(None).usleep(int(BLOCK_S * 1e6))  # with the GIL
    elif kind == 2:
        left = ctypes.PyDLL(None).poll(None, 0, int(BLOCK_S * 1e3))
    else:
        left = len(select.select([], [], [], BLOCK_S)[0])
    if left or time.monotonic() - began < BLOCK_S * 0.99:
        raise Wrong(f"a call was cut short: kind {kind}, {left}")
    await asyncio.sleep(0)


async def threads(rng):
    loop = asyncio.get_running_loop()
    n = rng.randrange(1, 6)
    came, all_came = [], loop.create_future()

    def arrive(number):
        came.append(number)
        if len(came) == n:
            all_came.set_result(None)

    def work(number):
        if number % 2:
            time.sleep(0.001)
        loop.call_soon_threadsafe(arrive, number)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(n)]
    for worker in workers:
        worker.start()
    await asyncio.wait_for(all_came, 60)
    for worker in workers:
        worker.join()
    if sorted(came) != list(range(n)):
        raise Wrong(f"callbacks from threads: {came}")


async def eager(rng):
    loop = asyncio.get_running_loop()
    factory = getattr(asyncio, "eager_task_factory", None)
    loop.set_task_factory(factory if rng.random() < 0.7 else None)
    try:
        tasks = [loop.create_task(asyncio.sleep(i % 2 * 0.001, i)) for i in range(8)]
    finally:
        loop.set_task_factory(None)
    if await asyncio.gather(*tasks) != list(range(8)):
        raise Wrong("results of tasks")


async def loses(rng):
    """A task that is lost while it is pending, and an exception nobody asks for."""

    async def fails():
        raise ValueError

    async def waits():
        await asyncio.get_running_loop().create_future()

    tasks = [asyncio.create_task(waits()), asyncio.create_task(fails())]
    await asyncio.sleep(0)
    del tasks


async def forks(rng):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio._set_running_loop(None)
            loop = fastloop.new_event_loop()
            if loop.run_until_complete(asyncio.sleep(0.002, 7)) == 7:
                status = 0
        finally:
            os._exit(status)
    end = time.monotonic() + 60
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > end:
            raise Wrong("a forked child hangs")
        await asyncio.sleep(0.001)
    if status:
        raise Wrong(f"a forked child ended with {status}")


async def signals(rng):
    """A signal of the program's own reaches its handler."""
    before = done["handled"]
    os.kill(os.getpid(), signal.SIGUSR1)
    end = time.monotonic() + 30
    while done["handled"] == before:
        if time.monotonic() > end:
            raise Wrong("SIGUSR1 was not handled")
        await asyncio.sleep(0)


async def dumps(rng):
    """faulthandler writes to the file that it was given, and nothing else does."""
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=False)
        faulthandler.register(signal.SIGUSR2, file, all_threads=False)
        n_written = n_asked = 1
        # It leaves one out while it writes another, as the watch may have it do.
        while n_written == 1 and n_asked < 100:
            os.kill(os.getpid(), signal.SIGUSR2)
            n_asked += 1
            file.seek(0)
            n_written = file.read().count(b"in dumps")
        faulthandler.unregister(signal.SIGUSR2)
        if n_written != 2:
            raise Wrong("faulthandler wrote something else")


async def queues(rng):
    """Callbacks at once, later and from timers, in their order and each once."""
    loop = asyncio.get_running_loop()
    n, seen, end = rng.randrange(1, 200), [], loop.create_future()
    for i in range(n):
        loop.call_soon(seen.append, i)
    loop.call_later(0.001, end.set_result, None)
    await end
    if seen != list(range(n)):
        raise Wrong("callbacks were lost or out of order")


KINDS = [
    recursion, collects, computes, sleeps, threads, eager,
    loses, forks, signals, dumps, queues,
]  # fmt: skip
# A child waits for ever if another thread had the lock of the allocator of gcc 12's
# AddressSanitizer.
if "libasan" in os.environ.get("LD_PRELOAD", ""):
    KINDS.remove(forks)


async def strike(rng, seconds):
    """Several kinds at a time, on one loop, for a moment."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        chosen = [rng.choice(KINDS) for _ in range(rng.randrange(1, 5))]
        for kind in chosen:
            done[kind.__name__] += 1
        await asyncio.wait_for(asyncio.gather(*(kind(rng) for kind in chosen)), 120)


def beside(seed, stop, wrong):
    """Loops made and closed in another thread."""
    rng = random.Random(seed)
    kinds = [computes, collects, eager, queues, threads]
    while not stop.is_set():
        loop = fastloop.new_event_loop()
        try:
            loop.run_until_complete(rng.choice(kinds)(rng))
            done["loops beside"] += 1
        except BaseException as exc:
            wrong.append(exc)
            return
        finally:
            loop.close()


def hammer(seed, seconds):
    rng = random.Random(seed)
    blocks = []
    signal.signal(signal.SIGUSR1, lambda *args: done.update(handled=1))
    handler = signal.getsignal(signal.SIGUSR1)
    stop, wrong = threading.Event(), []
    end = time.monotonic() + seconds
    with (
        fastloop.watch(0.001, lambda block: blocks.append(block.kind)),
        fastloop.task_figures(),
        fastloop.hooks(step=lambda *args: None),
    ):
        other = threading.Thread(target=beside, args=(seed, stop, wrong))
        other.start()
        try:
            while time.monotonic() < end and not wrong:
                loop = fastloop.new_event_loop()
                loop.set_exception_handler(lambda loop, report: None)
                loop.set_debug(rng.random() < 0.2)
                try:
                    loop.run_until_complete(strike(rng, min(1.0, seconds / 4)))
                finally:
                    loop.close()
                done["loops"] += 1
        finally:
            stop.set()
            other.join()
    if wrong:
        raise wrong[0]
    if signal.getsignal(signal.SIGUSR1) is not handler:
        raise Wrong("SIGUSR1 is not the program's any more")
    if not blocks:
        raise Wrong("the watch told of nothing")
    done["blocks told"] = len(blocks)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    logging.disable()
    # a fork with threads about is what this is for
    import warnings

    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        hammer(arguments.seed, arguments.seconds)
    except BaseException:
        print(f"seed {arguments.seed}: WRONG after {dict(done)}")
        raise
    figures = ", ".join(f"{name} {n}" for name, n in sorted(done.items()))
    print(f"seed {arguments.seed}: {arguments.seconds:g} s: {figures}")


if __name__ == "__main__":
    main()
