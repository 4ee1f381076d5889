"""taskiq's in-memory broker: a task is sent, and its result awaited."""

import asyncio

from taskiq import InMemoryBroker

from .where import here

seen = []
broker = InMemoryBroker()


@broker.task
async def doubled(number: int) -> int:
    await asyncio.sleep(0.001)
    seen.append(here())
    return number * 2


async def main():
    await broker.startup()
    sent = await doubled.kiq(21)
    result = await sent.wait_result(timeout=10)
    await broker.shutdown()
    return seen[0], result.return_value
