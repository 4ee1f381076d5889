"""A janus queue between a thread and the loop."""

import asyncio

import janus

from .where import here


async def main():
    queue = janus.Queue()

    def produce():
        for number in range(3):
            queue.sync_q.put(number)

    producing = asyncio.get_running_loop().run_in_executor(None, produce)
    numbers = [await queue.async_q.get() for _ in range(3)]
    await producing
    await queue.aclose()
    return here(), numbers
