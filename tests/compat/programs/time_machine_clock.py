"""time-machine's travels, which leave the loop's monotonic clock alone."""

import asyncio
import datetime

import time_machine

from .where import here


async def main():
    loop = asyncio.get_running_loop()
    before = loop.time()
    with time_machine.travel("2030-01-01 00:00 +0000", tick=False) as traveller:
        await asyncio.sleep(0.05)
        first = datetime.datetime.now(datetime.UTC).isoformat()
        traveller.shift(3600)
        await asyncio.wait_for(asyncio.sleep(0.05), 30)
        second = datetime.datetime.now(datetime.UTC).isoformat()
    return here(), [first, second, 0.09 < loop.time() - before < 30]
