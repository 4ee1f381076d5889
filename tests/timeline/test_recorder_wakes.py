"""When a task was woken, and by whom: at that moment, not when the step ended."""

import asyncio
import contextlib
import threading
import time

import pytest

import fastloop
from fastloop import aio
from tests.timeline.recorded import KINDS, SHORT_S, named, needs_own_tasks, recorded

pytestmark = needs_own_tasks


def times(story, kind, who):
    """When such events of a task were, in seconds."""
    number = KINDS.index(kind)
    return [
        row[1] / 1e9
        for row in story.rows
        if row[0] == number and story.name(row[2]) == who
    ]


def block():
    """Keep everybody waiting."""
    time.sleep(2 * SHORT_S)


def wakers():
    """Functions that wake a task, and what it waits for: in Python, and in C."""

    def event():
        it = asyncio.Event()
        return it.wait(), it.set

    def future():
        it = asyncio.futures._PyFuture(loop=asyncio.get_running_loop())
        return it, lambda: it.set_result(None)

    def bare_future():
        it = asyncio.get_running_loop().create_future()
        return it, lambda: it.set_result(None)

    def queue():
        it = aio.Queue()
        return it.get(), lambda: it.put_nowait(1)

    def cancelled():
        it = asyncio.create_task(asyncio.sleep(60), name="victim")
        return it, it.cancel

    return [event, future, bare_future, queue, cancelled]


@pytest.mark.parametrize("by", ["task", "callback"])
@pytest.mark.parametrize("waker", wakers(), ids=lambda waker: waker.__name__)
def test_a_wake_up_has_the_time_at_which_it_was_made(story_of, waker, by):
    async def waiting(what):
        with contextlib.suppress(asyncio.CancelledError):
            await what

    async def main():
        named("main")
        what, wake = waker()
        task = asyncio.create_task(waiting(what), name="waiting")
        await asyncio.sleep(SHORT_S)

        def wake_and_block():
            wake()
            block()

        if by == "task":
            wake_and_block()
        else:
            asyncio.get_running_loop().call_soon(wake_and_block)
        await task

    story = story_of(main)
    woken = "victim" if waker.__name__ == "cancelled" else "waiting"
    (at,) = times(story, "woken", woken)
    begins = times(story, "begin", woken)
    assert begins[1] - at >= 1.9 * SHORT_S
    if by == "task":
        assert times(story, "begin", "main")[1] <= at
        assert times(story, "end", "main")[1] - at >= 1.9 * SHORT_S
        assert story.of("woken", who=woken) == [("woken", woken, "main")]
    elif woken == "waiting":
        ((_, _, cause),) = story.of("woken", who=woken)
        assert cause.endswith("wake_and_block")


def test_wake_ups_of_one_step_have_each_their_time(story_of):
    async def waiting(event):
        await event.wait()

    async def main():
        named("main")
        events = [asyncio.Event() for _ in range(3)]
        tasks = [
            asyncio.create_task(waiting(event), name=name)
            for event, name in zip(events, "abc", strict=True)
        ]
        await asyncio.sleep(0)
        for event in events:
            event.set()
            asyncio.get_running_loop().call_soon(len, "")  # wakes nobody
            block()
        await asyncio.wait(tasks)

    story = story_of(main)
    (end,) = times(story, "end", "main")[1:2]
    for n, name in enumerate("abc"):
        (at,) = times(story, "woken", name)
        assert end - at >= (3 - n) * 1.9 * SHORT_S
    assert all(story.rows[i][0] for i in range(len(story.rows)))


def test_a_wake_up_beside_another_threads_loop(tmp_path, monkeypatch):
    async def other():
        while not over.is_set():
            began.set()
            await asyncio.sleep(0)

    async def waiting(event):
        await event.wait()

    async def main():
        named("main")
        event = asyncio.Event()
        task = asyncio.create_task(waiting(event), name="waiting")
        await asyncio.sleep(0)
        assert began.wait(30)
        event.set()
        asyncio.get_running_loop().call_soon(len, "")
        block()
        await task

    began, over = threading.Event(), threading.Event()
    with recorded(tmp_path, monkeypatch) as stories:
        thread = threading.Thread(target=fastloop.run, args=[other()])
        thread.start()
        fastloop.run(main())
        over.set()
        thread.join()
    (story,) = stories
    (at,) = times(story, "woken", "waiting")
    assert times(story, "end", "main")[1] - at >= 1.9 * SHORT_S
    assert story.of("woken", who="waiting") == [("woken", "waiting", "main")]


def test_a_wake_up_of_the_last_step_is_there(tmp_path, monkeypatch):
    async def main():
        named("main")
        event = asyncio.Event()
        with recorded(tmp_path, monkeypatch) as stories:
            task = asyncio.create_task(event.wait(), name="waiting")
            await asyncio.sleep(0)
            event.set()
        await task
        return stories[0]

    assert fastloop.run(main()).events[-2:] == [
        ("woken", "waiting", "main"),
        ("end", "main", ""),
    ]


def test_a_full_buffer_ends_with_what_was_first(story_of):
    async def waiting(event):
        await event.wait()

    async def main():
        for _ in range(10):
            event = asyncio.Event()
            task = asyncio.create_task(waiting(event))
            await asyncio.sleep(0)
            event.set()
            await task

    whole = story_of(main)
    for events in range(20, 50):
        story = story_of(main, events=events)
        n = len([row for row in story.rows if row[1] < story.header["lost_from_ns"]])
        assert [row[0] for row in story.rows[:n]] == [row[0] for row in whole.rows[:n]]
        assert story.header["lost"] >= 20
