"""A span of OpenTelemetry for each task: python examples/telemetry.py

spans(tracer) is all that there is to take over. Needs `pip install opentelemetry-sdk`.
"""

import asyncio
import weakref

import fastloop


def spans(tracer):
    """Begin a span when a task is made and end it when it is done, with its steps and
    its seconds, until stop() of what is returned."""
    running = weakref.WeakKeyDictionary()

    def created(task):
        name = getattr(task.get_coro(), "__qualname__", "task")
        running[task] = [tracer.start_span(name), 0, 0.0, 0.0]

    def step(task, wall_s, cpu_s):
        found = running.get(task)
        if found is not None:
            found[1:] = found[1] + 1, found[2] + wall_s, found[3] + cpu_s

    def done(task):
        found = running.pop(task, None)
        if found is None:
            return
        span, steps, wall_s, cpu_s = found
        span.set_attribute("task.name", task.get_name())
        span.set_attribute("task.steps", steps)
        span.set_attribute("task.wall_s", wall_s)
        span.set_attribute("task.cpu_s", cpu_s)
        if not task.cancelled():
            # read here, or the exception would count as retrieved
            exc = getattr(task, "_exception", None)
            if exc is not None:
                span.record_exception(exc)
        span.end()

    return fastloop.hooks(task_created=created, step=step, task_done=done)


async def child() -> None:
    """A task to be traced."""
    await asyncio.sleep(0.01)


async def main() -> None:
    """Two of them."""
    await asyncio.gather(child(), child())


if __name__ == "__main__":
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    with spans(provider.get_tracer("fastloop")):
        fastloop.run(main())
