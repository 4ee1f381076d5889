"""sys.monitoring: starts, yields, resumptions and returns of a coroutine."""

import asyncio
import sys

from .where import here

events = []


async def watched():
    for _ in range(2):
        await asyncio.sleep(0)
    return here()


async def main():
    monitoring = sys.monitoring
    kinds = ["PY_START", "PY_RESUME", "PY_YIELD", "PY_RETURN"]
    tool = monitoring.PROFILER_ID
    monitoring.use_tool_id(tool, "test")
    mask = 0
    for name in kinds:
        event = getattr(monitoring.events, name)
        monitoring.register_callback(
            tool, event, lambda *_, name=name: events.append(name)
        )
        mask |= event
    monitoring.set_local_events(tool, watched.__code__, mask)
    classes = await asyncio.create_task(watched())
    monitoring.free_tool_id(tool)
    return classes, events
