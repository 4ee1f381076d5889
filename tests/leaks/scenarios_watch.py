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
