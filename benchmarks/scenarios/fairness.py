"""What waits while the loop is busy: sockets, signals, answers of an executor.

Every case runs a task that does nothing but `sleep(0)`, and measures how long
something else waits beside it.
"""

import asyncio
import os
import random
import signal
import socket
import statistics
import time

from scenarios._case import Env, NotAvailable, case, check, nothing

LONGEST_S = 3


def _on_loop(env: Env, main):
    loop = env.new_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


async def _ready_socket(n: int, streak) -> tuple[list[int], list[float]]:
    """Make a watched socket readable n times, each after a busy streak.

    streak() gives the number of iterations to stay busy before the socket becomes
    readable. Returns what each waited: iterations, and seconds.
    """
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    arrived: list[float] = []

    def readable():
        arrived.append(time.perf_counter())
        ours.recv(1)

    iterations, waited = [], []
    with ours, theirs:
        loop.add_reader(ours.fileno(), readable)
        try:
            for _ in range(n):
                for _ in range(streak()):
                    await asyncio.sleep(0)
                arrived.clear()
                theirs.send(b"x")
                sent = time.perf_counter()
                count = 0
                while not arrived:
                    await asyncio.sleep(0)
                    count += 1
                    check(count < 1_000_000, "the socket was never served")
                iterations.append(count)
                waited.append(arrived[0] - sent)
        finally:
            loop.remove_reader(ours.fileno())
    return iterations, waited


def _long_streak():
    rng = random.Random(3)
    return lambda: rng.randrange(500, 3_000)


@case(n=50, unit="", clock="iterations")
def io_fairness(env: Env, n: int) -> float:
    """Iterations a ready socket waits in a long busy streak, the worst of n."""
    return max(_on_loop(env, _ready_socket(n, _long_streak()))[0])


@case(n=50, clock="wall")
def io_fairness_time(env: Env, n: int) -> float:
    """The time it waits there, the 9th decile of n."""
    waited = _on_loop(env, _ready_socket(n, _long_streak()))[1]
    return statistics.quantiles(waited, n=10)[-1]


@case(n=50, unit="", clock="iterations")
def io_fairness_first(env: Env, n: int) -> float:
    """Iterations it waits right after other I/O was served, the worst of n."""
    return max(_on_loop(env, _ready_socket(n, lambda: 0))[0])


async def _beside_busy(main, watched: bool):
    """Run `main()` beside a task that only sleeps 0, perhaps with an idle socket."""
    loop = asyncio.get_running_loop()
    done = False

    async def busy():
        while not done:
            await asyncio.sleep(0)

    ours, theirs = socket.socketpair()
    with ours, theirs:
        if watched:
            loop.add_reader(ours.fileno(), nothing)
        task = loop.create_task(busy())
        try:
            return await main()
        finally:
            done = True
            await task
            if watched:
                loop.remove_reader(ours.fileno())


def _signal_latency(env: Env, n: int, watched: bool) -> float:
    async def main():
        loop = asyncio.get_running_loop()
        rng = random.Random(11)
        arrived = None
        waited = []

        def handler():
            arrived.set_result(time.perf_counter())

        try:
            loop.add_signal_handler(signal.SIGUSR1, handler)
        except NotImplementedError:
            raise NotAvailable("no signal handlers") from None
        try:
            stop = time.perf_counter() + LONGEST_S
            while len(waited) < n and time.perf_counter() < stop:
                for _ in range(rng.randrange(50, 500)):
                    await asyncio.sleep(0)
                arrived = loop.create_future()
                sent = time.perf_counter()
                os.kill(os.getpid(), signal.SIGUSR1)
                waited.append(await asyncio.wait_for(arrived, 5) - sent)
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)
        return statistics.fmean(waited)

    return _on_loop(env, _beside_busy(main, watched))


@case(n=200, clock="wall")
def signal_busy(env: Env, n: int) -> float:
    """From the signal to its handler beside a `sleep(0)` task, the mean of n."""
    return _signal_latency(env, n, watched=False)


@case(n=200, clock="wall")
def signal_busy_watched(env: Env, n: int) -> float:
    """The same with an idle socket watched."""
    return _signal_latency(env, n, watched=True)


def _executor_latency(env: Env, n: int, watched: bool) -> float:
    async def main():
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, nothing)
        waited = []
        stop = time.perf_counter() + LONGEST_S
        while len(waited) < n and (began := time.perf_counter()) < stop:
            await loop.run_in_executor(None, nothing)
            waited.append(time.perf_counter() - began)
        return statistics.fmean(waited)

    return _on_loop(env, _beside_busy(main, watched))


@case(n=200, clock="wall")
def executor_busy(env: Env, n: int) -> float:
    """`run_in_executor` round trip beside a `sleep(0)` task, the mean of n."""
    return _executor_latency(env, n, watched=False)


@case(n=200, clock="wall")
def executor_busy_watched(env: Env, n: int) -> float:
    """The same with an idle socket watched."""
    return _executor_latency(env, n, watched=True)
