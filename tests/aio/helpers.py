"""Coroutines to wait for."""

import asyncio


async def turns(number=3):
    for _ in range(number):
        await asyncio.sleep(0)


async def value(result, after=0):
    await turns(after)
    return result


async def fail(error, after=0):
    await turns(after)
    raise error
