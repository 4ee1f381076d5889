"""newrelic without its service: a transaction follows its tasks."""

import asyncio
import os

os.environ.update(NEW_RELIC_DEVELOPER_MODE="true", NEW_RELIC_LICENSE_KEY="0" * 40)

import newrelic.agent
from newrelic.api.time_trace import current_trace

from .where import here


@newrelic.agent.function_trace(name="inner")
async def inner():
    await asyncio.sleep(0.001)
    return here(), current_trace().name


@newrelic.agent.background_task(name="outer")
async def outer():
    tasks = [asyncio.create_task(inner()) for _ in range(2)]
    (classes, first), (_, second) = await asyncio.gather(*tasks)
    transaction = newrelic.agent.current_transaction()
    return classes, [transaction.name, first, second]


def start(loop_factory):
    newrelic.agent.initialize()  # before there is a loop, as its makers ask
    newrelic.agent.register_application(timeout=10)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(outer())
