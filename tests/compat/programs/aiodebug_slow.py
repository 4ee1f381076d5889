"""aiodebug's log of slow callbacks, which replaces asyncio's Handle._run."""

import asyncio
import time

import aiodebug.log_slow_callbacks

from .where import here

seen = []


async def main():
    loop = asyncio.get_running_loop()
    aiodebug.log_slow_callbacks.enable(0.01, on_slow_callback=lambda *a: seen.append(a))
    loop.call_soon(time.sleep, 0.02)
    await asyncio.sleep(0.001)
    return here(), bool(seen)
