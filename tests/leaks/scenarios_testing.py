"""Scenarios of virtual time; scenarios.py imports them."""

import asyncio
import contextlib
import sys

from tests.leaks.scenarios import scenario


async def sleeps():
    loop = asyncio.get_running_loop()
    with loop.frozen():
        loop.call_later(1, object)
        await loop.advance(2)
    await loop.settle()
    with loop.hold():
        loop.call_soon_threadsafe(object)
        await asyncio.sleep(0)
    await asyncio.gather(*(asyncio.sleep(delay) for delay in range(5)))
    with contextlib.suppress(AttributeError):
        del loop._virtual_now
    with contextlib.suppress(TypeError):
        loop._virtual_wait = None


@scenario
def virtual_time():
    from fastloop.testing import run

    run(sleeps())


@scenario
def stuck_in_virtual_time():
    from fastloop.testing import EndReachedError, StuckError, run

    for error, main, options in (
        (StuckError, asyncio.Event().wait(), {}),
        (EndReachedError, asyncio.sleep(5), {"end": 3}),
    ):
        with contextlib.suppress(error):
            run(main, **options)


@scenario
def child_in_virtual_time():
    from fastloop.testing import run

    async def main():
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
        await child.wait()

    run(main())


@scenario
def virtual_time_by_hand():
    import fastloop

    loop = fastloop.new_event_loop()
    loop._begin_virtual(0.0)
    with contextlib.suppress(RuntimeError):
        loop._begin_virtual(0.0)
    with contextlib.suppress(TypeError):
        loop._begin_virtual("a")
    loop._virtual_time()
    loop.close()
