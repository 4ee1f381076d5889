"""aiotools.VirtualClock, which replaces select() and time() of the loop that runs."""

import asyncio
import time

import aiotools

from .where import here

LONG_S = 86400


async def main():
    began = time.monotonic()
    with aiotools.VirtualClock().patch_loop():
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(LONG_S)
        slept = asyncio.get_running_loop().time() - before
    await asyncio.sleep(0.05)
    return here(), [round(slept), time.monotonic() - began < LONG_S / 100]
