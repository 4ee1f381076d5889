"""cProfile: how often a coroutine was entered, by the loop."""

import asyncio
import cProfile
import pstats

from .where import here


async def profiled():
    for _ in range(3):
        await asyncio.sleep(0)
    return here()


async def main():
    profile = cProfile.Profile()
    profile.enable()
    classes = await asyncio.create_task(profiled())
    profile.disable()
    entries = pstats.Stats(profile).get_stats_profile().func_profiles
    return classes, entries["profiled"].ncalls
