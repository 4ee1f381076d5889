"""Scenarios of loops that run inside themselves; scenarios.py imports them."""

import asyncio
import contextlib
import contextvars

from tests.leaks.scenarios import nothing, with_loop


@with_loop
def run_nested(loop):
    async def inside(depth):
        await asyncio.sleep(0)
        if depth:
            for others in "run", "wait":
                loop.run_nested(inside(depth - 1), others)
        raise ValueError("on purpose")

    async def fails(depth):
        with contextlib.suppress(ValueError):
            loop.run_nested(inside(depth))

    async def main():
        loop.call_soon(object)
        loop.call_soon_threadsafe(object)
        loop.call_later(0, object)
        waiting = [loop.create_task(fails(depth)) for depth in range(2)]
        context = contextvars.copy_context()
        await loop.create_task(entered(context), context=context)
        await asyncio.gather(*waiting)
        with contextlib.suppress(ValueError):
            loop.run_nested(nothing, others="walk")
        with contextlib.suppress(TypeError):
            loop.run_nested(nothing, others="wait")

    async def entered(context):
        loop.call_soon(object, context=context)
        task = loop.create_task(nothing_at_all(), context=context)
        loop.run_nested(asyncio.sleep(0))
        with contextlib.suppress(RuntimeError):
            loop.run_nested(task)
        await task

    loop.run_until_complete(main())


async def nothing_at_all():
    pass
