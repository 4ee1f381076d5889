"""yappi: a coroutine's calls are counted once, and its waiting counts."""

import asyncio

import yappi

from .where import here


async def profiled():
    for _ in range(3):
        await asyncio.sleep(0.02)
    return here()


async def main():
    yappi.set_clock_type("wall")
    with yappi.run():
        classes, _ = await asyncio.gather(profiled(), profiled())
    (found,) = yappi.get_func_stats(
        filter_callback=lambda entry: entry.name == "profiled"
    )
    return classes, [found.ncall, found.ttot >= 0.06]
