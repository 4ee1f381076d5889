"""Timers: made and cancelled, many at once, fired, and how late they fire."""

import asyncio
import random
import statistics
import time

from scenarios._case import Env, best_of, case, check, nothing, per_operation

BATCH = 64


@case(n=20_000)
def timer_churn(env: Env, n: int) -> float:
    """64 `call_later(30+j).cancel()`, then `sleep(0)`, 10,000 others pending; each."""
    rounds = max(1, n // BATCH)

    async def main(rounds):
        loop = asyncio.get_running_loop()
        for _ in range(rounds):
            for j in range(BATCH):
                loop.call_later(30 + j, nothing).cancel()
            await asyncio.sleep(0)

    loop = env.new_loop()
    try:
        others = [loop.call_later(5_000 + i, nothing) for i in range(10_000)]
        loop.run_until_complete(main(max(1, rounds // 10)))
        best = best_of(lambda: loop.run_until_complete(main(rounds)))
        for handle in others:
            handle.cancel()
    finally:
        loop.close()
    return best / (rounds * BATCH)


@case(n=100_000)
def timer_100k_cancel(env: Env, n: int) -> float:
    """100,000 `call_later` of 1,000-2,000 s, all cancelled, one iteration; each."""
    delays = [random.Random(5).uniform(1_000, 2_000) for _ in range(n)]
    loop = env.new_loop()

    def run():
        call_later = loop.call_later
        handles = [call_later(delay, nothing) for delay in delays]
        for handle in handles:
            handle.cancel()
        loop.call_soon(loop.stop)
        loop.run_forever()

    try:
        run()
        return best_of(run) / n
    finally:
        loop.close()


@case(n=20_000)
def timer_fire(env: Env, n: int) -> float:
    """n timers with random delays up to 5 ms, until all have fired; per timer."""
    rng = random.Random(7)
    delays = [rng.uniform(0, 0.005) for _ in range(n)]
    loop = env.new_loop()

    def run():
        left = n

        def fire():
            nonlocal left
            left -= 1
            if not left:
                loop.stop()

        call_later = loop.call_later
        for delay in delays:
            call_later(delay, fire)
        loop.run_forever()
        check(left == 0, "timers were lost")

    try:
        run()
        return best_of(run) / n
    finally:
        loop.close()


@case(n=200, clock="wall")
def sleep_1ms_late(env: Env, n: int) -> float:
    """How late `sleep(0.001)` returns, the median of n."""
    late = []

    async def main(count):
        for _ in range(count):
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append(time.perf_counter() - began - 0.001)

    per_operation(env, main, n)
    return statistics.median(late)
