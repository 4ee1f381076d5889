"""Time virtual time: python benchmarks/virtual.py [--rounds N]

Prints microseconds a step of call_later with ten sleepers, and of asyncio.sleep, and
the seconds that asyncio.sleep(86400) takes in 10,000 tasks: the best of the rounds.
"""

import argparse
import asyncio
import time

import fastloop.testing

N_SLEEPERS = 10
N_STEPS = 100_000
N_TASKS = 10_000


async def call_later():
    """Seconds of a step, of timers that set themselves anew."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left = N_STEPS

    def tick(delay):
        nonlocal left
        left -= 1
        if left > 0:
            loop.call_later(delay, tick, delay)
        elif not done.done():
            done.set_result(None)

    begun = time.perf_counter()
    for i in range(N_SLEEPERS):
        tick(1 + i / 10)
    await done
    return (time.perf_counter() - begun) / N_STEPS


async def sleep():
    """Seconds of a step, of tasks that sleep again and again."""

    async def sleeper(delay):
        for _ in range(N_STEPS // N_SLEEPERS):
            await asyncio.sleep(delay)

    begun = time.perf_counter()
    await asyncio.gather(*(sleeper(1 + i / 10) for i in range(N_SLEEPERS)))
    return (time.perf_counter() - begun) / N_STEPS


async def day():
    """Seconds of a day in many tasks, their making included."""
    begun = time.perf_counter()
    await asyncio.gather(*(asyncio.sleep(86400) for _ in range(N_TASKS)))
    return time.perf_counter() - begun


def best(measure, rounds):
    return min(fastloop.testing.run(measure()) for _ in range(rounds))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for name, measure, factor, unit in (
        (f"a step of call_later, {N_SLEEPERS} sleepers", call_later, 1e6, "us"),
        (f"a step of sleep, {N_SLEEPERS} sleepers", sleep, 1e6, "us"),
        (f"sleep(86400) in {N_TASKS:,} tasks", day, 1, "s"),
    ):
        print(f"{name:<34}{best(measure, rounds) * factor:9.3f} {unit}")


if __name__ == "__main__":
    main()
