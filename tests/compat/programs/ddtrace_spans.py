"""ddtrace: a span in a task is the child of its creator's; no agent is asked."""

import asyncio
import os

os.environ.update(
    DD_TRACE_ENABLED="false",
    DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
    DD_REMOTE_CONFIGURATION_ENABLED="false",
)

from ddtrace import patch
from ddtrace.trace import tracer

from .where import here


async def inner():
    with tracer.trace("inner") as span:
        await asyncio.sleep(0.001)
        return here(), span.parent_id, span.trace_id


async def main():
    patch(asyncio=True)
    with tracer.trace("outer") as outer:
        results = await asyncio.gather(inner(), asyncio.create_task(inner()))
    parents = [parent == outer.span_id for _, parent, _ in results]
    return results[0][0], [
        *parents,
        {trace for _, _, trace in results} == {outer.trace_id},
    ]
