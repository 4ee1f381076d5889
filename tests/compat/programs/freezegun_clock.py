"""freezegun's frozen time, moved by hand, while the loop sleeps in real time."""

import asyncio
import datetime

import freezegun

from .where import here


async def main():
    with freezegun.freeze_time("2030-01-01", real_asyncio=True) as frozen:
        await asyncio.sleep(0.05)
        first = datetime.datetime.now().isoformat()
        frozen.tick(60)
        async with asyncio.timeout(30):
            await asyncio.sleep(0.05)
        second = datetime.datetime.now().isoformat()
    with freezegun.freeze_time("2030-01-01") as frozen:
        loop = asyncio.get_running_loop()
        before = loop.time()
        later = loop.create_future()
        loop.call_later(60, later.set_result, "moved")
        loop.call_soon(frozen.tick, 61)
        moved = await later
        passed = loop.time() - before
    return here(), [first, second, moved, passed]
