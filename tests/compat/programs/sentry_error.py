"""Sentry hears of a task's exception through its task factory."""

import asyncio

import sentry_sdk
from sentry_sdk.integrations.asyncio import AsyncioIntegration

from .where import here

seen = []


async def divide():
    seen.append(here())
    return 1 / 0


def keep(event, hint):
    events.append(event)


events = []


async def main():
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",
        default_integrations=False,
        integrations=[AsyncioIntegration()],
        before_send=keep,
    )
    await asyncio.gather(asyncio.create_task(divide()), return_exceptions=True)
    return seen[0], events[0]["exception"]["values"][0]["type"]
