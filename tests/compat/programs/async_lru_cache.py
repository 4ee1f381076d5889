"""async_lru: callers at the same time share one call, failures included."""

import asyncio

from async_lru import alru_cache

from .where import here

calls = []


@alru_cache(maxsize=8)
async def doubled(number):
    calls.append(here())
    await asyncio.sleep(0.001)
    if number < 0:
        raise ValueError(number)
    return number * 2


async def main():
    answers = await asyncio.gather(doubled(2), doubled(2), doubled(3))
    failed = await asyncio.gather(doubled(-1), doubled(-1), return_exceptions=True)
    return calls[0], [*answers, len(calls), [type(e).__name__ for e in failed]]
