"""coverage: the lines of a coroutine that ran, and those that did not."""

import asyncio

import coverage

from .where import here


async def covered(number):
    await asyncio.sleep(0.001)
    if number:
        return here()
    return None  # this line does not run


async def main():
    measuring = coverage.Coverage(data_file=None, include=[__file__])
    with measuring.collect():
        classes = await asyncio.create_task(covered(1))
    lines = set(measuring.get_data().lines(__file__))
    first = covered.__code__.co_firstlineno
    return classes, [first + n in lines for n in range(1, 5)]
