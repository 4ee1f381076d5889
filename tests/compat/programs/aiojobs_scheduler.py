"""aiojobs: a limited scheduler, one job waited for and one closed."""

import asyncio

import aiojobs

from .where import here


async def main():
    async def works(number):
        await asyncio.sleep(0.001)
        return here(), number

    async with aiojobs.Scheduler(limit=1) as scheduler:
        first = await scheduler.spawn(works(1))
        second = await scheduler.spawn(works(2))
        endless = await scheduler.spawn(asyncio.sleep(3600))
        classes, number = await first.wait()
        numbers = [number, (await second.wait())[1]]
        await endless.close()
        return classes, [*numbers, endless.closed]
