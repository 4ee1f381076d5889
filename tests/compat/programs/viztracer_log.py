"""viztracer: the functions of two tasks, told apart."""

import asyncio
import json
import tempfile

from viztracer import VizTracer

from .where import here


async def traced():
    for _ in range(3):
        await asyncio.sleep(0)
    return here()


async def main():
    tracer = VizTracer(log_async=True, verbose=0)
    tracer.start()
    tasks = [asyncio.create_task(traced(), name=f"task {n}") for n in range(2)]
    classes, _ = await asyncio.gather(*tasks)
    tracer.stop()
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        tracer.save(file.name)
        with open(file.name) as saved:
            events = json.load(saved)["traceEvents"]
    steps = [event for event in events if event["name"].startswith("traced (")]
    return classes, [len(steps) >= 2, len({event["tid"] for event in steps})]
