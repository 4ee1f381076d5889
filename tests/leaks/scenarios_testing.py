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


@scenario
def seeded_order():
    from fastloop.testing import run

    async def main():
        event = asyncio.Event()
        tasks = [asyncio.create_task(event.wait()) for _ in range(5)]
        await asyncio.sleep(0)
        event.set()
        await asyncio.gather(*tasks, *(asyncio.sleep(1) for _ in range(5)))

    for seed in range(3):
        run(main(), order=seed)


@scenario
def explored():
    from fastloop.testing import explore, run

    async def main():
        assert asyncio.get_running_loop().order < 2

    with contextlib.suppress(AssertionError):
        explore(main)

    async def cut():
        from fastloop.testing import every_await

        for cancel in every_await():
            await cancel(asyncio.sleep(1))

    run(cut())


@scenario
def looked_for_leaks():
    from fastloop.testing import LeakError, leaks, run

    async def main():
        try:
            async with leaks():
                task = asyncio.create_task(asyncio.sleep(1))
        except LeakError:
            await task

    run(main())


@scenario
def replaced_select():
    import fastloop

    async def main():
        loop = asyncio.get_running_loop()
        select = loop._selector.select
        loop._selector.select = lambda timeout: select(0)
        with contextlib.suppress(TypeError):
            loop._poll_for("a")
        loop._poll_timeout()
        loop._poll_for(0)
        await asyncio.sleep(0.001)
        loop.call_soon_threadsafe(object)
        await asyncio.sleep(0)

    fastloop.run(main())


@scenario
def replaced_clock_of_asyncio():
    import time
    from unittest import mock

    import fastloop

    async def main():
        loop = asyncio.get_running_loop()
        true_time = time.monotonic
        with (
            mock.patch("time.monotonic", lambda: 5.0),
            mock.patch.object(
                asyncio.SelectorEventLoop, "time", lambda self: true_time()
            ),
        ):
            loop.time()

    fastloop.run(main())
