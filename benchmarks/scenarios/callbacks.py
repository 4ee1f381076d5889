"""Callbacks: from the loop's own thread, from another one, and from an executor."""

import asyncio
import contextvars
import queue
import threading
import time

from scenarios._case import Env, best_of, case, check, nothing, per_operation


@case(n=50_000)
def call_soon_chain(env: Env, n: int) -> float:
    """A callback schedules itself with `call_soon`, no I/O watched; per callback."""
    loop = env.new_loop()

    def run(count):
        left = count
        call_soon = loop.call_soon

        def step():
            nonlocal left
            left -= 1
            if left:
                call_soon(step)
            else:
                loop.stop()

        call_soon(step)
        loop.run_forever()
        check(left == 0, "callbacks were lost")

    try:
        run(n // 10 or 1)
        return best_of(lambda: run(n)) / n
    finally:
        loop.close()


def _burst(env: Env, n: int, schedule) -> float:
    """Queue n callbacks by `schedule(loop, n)`, run them all; per callback."""
    loop = env.new_loop()

    def run():
        schedule(loop, n)
        loop.call_soon(loop.stop)
        loop.run_forever()

    try:
        run()
        return best_of(run) / n
    finally:
        loop.close()


@case(n=100_000)
def call_soon_burst(env: Env, n: int) -> float:
    """100,000 `call_soon(nothing)` queued, then run: the time of both; per callback."""

    def schedule(loop, n):
        call_soon = loop.call_soon
        for _ in range(n):
            call_soon(nothing)

    return _burst(env, n, schedule)


@case(n=100_000)
def call_soon_args_ctx(env: Env, n: int) -> float:
    """The burst with three arguments and a context given; per callback."""
    variable = contextvars.ContextVar("variable")
    context = contextvars.copy_context()
    context.run(variable.set, 7)
    seen = []

    def schedule(loop, n):
        call_soon = loop.call_soon
        call_soon(lambda *args: seen.append((variable.get(), args)), 1, context=context)
        for _ in range(n - 1):
            call_soon(nothing, 1, 2, 3, context=context)

    cost = _burst(env, n, schedule)
    check(set(seen) == {(7, (1,))}, f"context or arguments lost: {seen[:3]}")
    return cost


@case(n=50_000, clock="wall")
def threadsafe_tput(env: Env, n: int) -> float:
    """Another thread makes n `call_soon_threadsafe` calls; until all ran; per call."""
    loop = env.new_loop()

    def run(count):
        left = count

        def step():
            nonlocal left
            left -= 1
            if not left:
                loop.stop()

        def produce():
            call = loop.call_soon_threadsafe
            for _ in range(count):
                call(step)

        thread = threading.Thread(target=produce)
        loop.call_soon(thread.start)
        loop.run_forever()
        thread.join()

    try:
        run(n // 10 or 1)
        return best_of(lambda: run(n), time.perf_counter) / n
    finally:
        loop.close()


@case(n=2_000, clock="wall")
def threadsafe_rtt(env: Env, n: int) -> float:
    """A task hands a future to a thread, which sets it threadsafe; per round trip."""
    requests: queue.SimpleQueue = queue.SimpleQueue()

    def answer():
        while (request := requests.get()) is not None:
            loop, future = request
            loop.call_soon_threadsafe(future.set_result, None)

    async def main(count):
        loop = asyncio.get_running_loop()
        for _ in range(count):
            future = loop.create_future()
            requests.put((loop, future))
            await future

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        return per_operation(env, main, n, clock=time.perf_counter)
    finally:
        requests.put(None)
        thread.join()


@case(n=1_000, clock="wall")
def executor_rtt(env: Env, n: int) -> float:
    """`await run_in_executor(None, nothing)`, one after the other; per round trip."""

    async def main(count):
        loop = asyncio.get_running_loop()
        for _ in range(count):
            await loop.run_in_executor(None, nothing)

    return per_operation(env, main, n, clock=time.perf_counter)
