"""Scenarios of what is measured; scenarios.py imports them."""

import asyncio
import time

from tests.leaks.scenarios import run_once, with_loop


@with_loop
def metrics(loop):
    """With slow steps, each of another name."""

    class Slow:
        def __call__(self):
            time.sleep(0.0011)

        __del__ = method = __call__

    async def slow():
        time.sleep(0.0011)

    thing = Slow()
    for callback in (thing, thing.method, thing.__call__, lambda: time.sleep(0.0011)):
        loop.call_soon(callback)
    loop.call_later(0, thing)
    tasks = [loop.create_task(slow()), loop.create_task(slow(), name="slow")]
    loop.call_soon(Slow().__init__)
    run_once(loop)
    loop.run_until_complete(asyncio.wait(tasks))
    loop.metrics()
    loop.reset_metrics()
    loop._read_metrics()
    loop.metrics()
