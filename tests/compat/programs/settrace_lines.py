"""sys.settrace: what happens in a coroutine, in order."""

import asyncio
import sys

from .where import here

events = []


async def traced():
    number = 1
    await asyncio.sleep(0)
    return here(), number


def trace(frame, event, argument):
    if frame.f_code is not traced.__code__:
        return None
    events.append((event, frame.f_lineno - traced.__code__.co_firstlineno))
    return trace


async def main():
    sys.settrace(trace)
    classes, _ = await asyncio.create_task(traced())
    sys.settrace(None)
    return classes, [f"{event} {line}" for event, line in events]
