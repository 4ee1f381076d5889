"""Scenarios of the watch; scenarios.py imports them."""

import time

import fastloop
from tests.leaks.scenarios import with_coroutine


@with_coroutine
async def watch():
    """With a step that it tells of, and its end."""
    told = []
    with fastloop.watch(0.001, told.append):
        fastloop._core._watch_gc("start", {})
        fastloop._core._watch_gc("stop", {})
        time.sleep(0.004)


@with_coroutine
async def watch_and_wait():
    """The same, until it was told."""
    import asyncio
    import logging

    logging.getLogger("fastloop.watch").propagate = False
    told = []
    limit = time.monotonic() + 2
    with fastloop.watch(0.001, told.append):
        time.sleep(0.01)
        while not told and time.monotonic() < limit:
            await asyncio.sleep(0.001)
        fastloop._core._watch_take()


@with_coroutine
async def hooks_and_task_figures():
    """Of a task that ends, and of one that is counted half-way."""
    import asyncio

    def fails(task):
        raise ValueError

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, report: None)
    task = asyncio.create_task(asyncio.sleep(0))
    with (
        fastloop.hooks(task_created=fails, step=lambda *args: None),
        fastloop.hooks(task_done=fails),
        fastloop.task_figures(),
    ):
        await asyncio.create_task(asyncio.sleep(0))
        await task
        await asyncio.sleep(0)  # the main task's step is counted when it is over
        assert loop.task_figures()
    fastloop._core._observe(None, None, None)
    loop.set_exception_handler(None)


@with_coroutine
async def timeline():
    """Of everything that is told, by each way, and one that is dropped."""
    import asyncio
    import gc
    import sys
    import types
    from functools import partial

    from fastloop import _timeline, aio

    async def numbers():
        yield 1
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)

    async def waits(lock, queue):
        async with lock:
            await aio.wait_for(queue.get(), 10)
        async for _ in numbers():
            pass

    class Callback:
        def __call__(self):
            pass

    loop = asyncio.get_running_loop()
    page = types.ModuleType("fastloop._timeline_page")
    page.page = lambda recording: b""
    before = sys.modules.get(page.__name__)
    sys.modules[page.__name__] = page
    try:
        for module in asyncio, aio:
            with fastloop.timeline("/dev/null", events=10_000):
                lock, queue = module.Lock(), module.Queue()
                many = [waits(lock, queue) for _ in range(3)]
                for item in "abc":
                    loop.call_later(0.001, queue.put_nowait, item)
                for callback in Callback(), gc.isenabled, partial(partial(len), ""):
                    loop.call_soon(callback)
                many.append(asyncio.Task(asyncio.sleep(0), loop=loop))
                await module.gather(*many)
                await asyncio.to_thread(str)
    finally:
        if before is None:
            del sys.modules[page.__name__]
        else:
            sys.modules[page.__name__] = before
    _timeline.begin(3)
    await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
    assert fastloop._core._timeline_stop()["lost"]
    try:
        fastloop._core._timeline_start()
    except TypeError:
        pass


@with_coroutine
async def answers():
    """What other processes are told."""
    from fastloop import _outside

    with fastloop.watch(10):
        for question in b"bst":
            _outside.answer(question)
        fastloop._core._watch_loops()
        since = fastloop._core._watch_since(__import__("asyncio").current_task())
        assert since is None or since[0] >= 0.0
        fastloop._core._watch_check_in(60.0)
        assert fastloop._core._watch_stuck() == []
