"""What is recorded beside other things: virtual time, hooks, a watch, other loops."""

import asyncio
import time

import pytest

import fastloop
from fastloop import testing
from tests.timeline.recorded import SHORT_S, named, needs_own_tasks, recorded

pytestmark = needs_own_tasks


async def relay():
    """One task sets an event that another one waits for, after a sleep."""

    async def waiting():
        await event.wait()

    async def setting():
        await asyncio.sleep(SHORT_S)
        event.set()

    named("main")
    event = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(waiting(), name="waiting")
        group.create_task(setting(), name="setting")


RELAY = {
    "waiting": ["begin", "end Event.wait", "woken setting", "begin", "end"],
    "setting": ["begin", "end sleep", "woken timer", "begin", "end"],
}


def relayed(story):
    """What the relay's tasks did, as RELAY has it."""

    def told(kind, what):
        return f"{kind} {what}" if what else kind

    return {
        name: [
            told(kind, what)
            for kind, _, what in story.of("begin", "end", "woken", who=name)
        ]
        for name in RELAY
    }


def check_relay(story):
    """Assert that a relay was recorded."""
    assert relayed(story) == RELAY


# ---- virtual time ----


@pytest.mark.parametrize("order", [None, *range(20)])
def test_virtual_time_and_seeded_order(tmp_path, monkeypatch, order):
    with recorded(tmp_path, monkeypatch) as stories:
        testing.run(relay(), order=order)
    check_relay(stories[0])
    assert [event[0] for event in stories[0].of("timer")]


def test_the_axis_has_the_time_that_passes_for_us(tmp_path, monkeypatch):
    async def main():
        named("main")
        await asyncio.sleep(3600)
        time.sleep(SHORT_S)
        await asyncio.sleep(3600)

    with recorded(tmp_path, monkeypatch) as stories:
        testing.run(main())
    (story,) = stories
    assert story.of("end", "woken", who="main")[:2] == [
        ("end", "main", "sleep"),
        ("woken", "main", "timer"),
    ]
    assert 0.9 * SHORT_S < story.header["length_ns"] / 1e9 < 60


@pytest.mark.parametrize("order", range(20))
def test_each_of_one_steps_wake_ups_has_its_waker(tmp_path, monkeypatch, order):
    async def waiting(event):
        await event.wait()

    async def main():
        named("main")
        events = [asyncio.Event() for _ in range(4)]
        async with asyncio.TaskGroup() as group:
            for n, event in enumerate(events):
                group.create_task(waiting(event), name=str(n))
            await asyncio.sleep(1)
            asyncio.get_running_loop().call_soon(events[3].set)
            for event in events[:3]:
                event.set()
            await asyncio.sleep(0)

    with recorded(tmp_path, monkeypatch) as stories:
        testing.run(main(), order=order)
    wakers = [stories[0].of("woken", who=str(n)) for n in range(4)]
    assert wakers == [
        *([("woken", str(n), "main")] for n in range(3)),
        [("woken", "3", "Event.set")],
    ]


# ---- other things that look ----


def test_hooks_and_a_watch(tmp_path, monkeypatch):
    steps = []
    with (
        recorded(tmp_path, monkeypatch) as stories,
        fastloop.watch(60),
        fastloop.hooks(step=lambda task, wall, cpu: steps.append(task.get_name())),
    ):
        fastloop.run(relay())
    check_relay(stories[0])
    assert steps.count("waiting") == 2


def test_hooks_that_wake_tasks_are_none_of_the_steps(tmp_path, monkeypatch):
    async def main():
        nonlocal event
        named("main")
        event = asyncio.Event()
        task = asyncio.create_task(event.wait(), name="waiting")
        await asyncio.create_task(asyncio.sleep(0), name="other")
        await task

    def step(task, wall, cpu):
        if task.get_name() == "other":
            event.set()

    event = None
    with recorded(tmp_path, monkeypatch) as stories, fastloop.hooks(step=step):
        fastloop.run(main())
    assert stories[0].of("woken", who="waiting") in (
        [("woken", "waiting", "")],
        [("woken", "waiting", "other")],
    )


def test_helpers_in_c(tmp_path, monkeypatch):
    fastloop.accelerate()
    try:
        with recorded(tmp_path, monkeypatch) as stories:
            fastloop.run(relay())
    finally:
        fastloop.decelerate()
    check_relay(stories[0])


# ---- runs within runs ----


@pytest.mark.parametrize("others", ["run", "wait"])
def test_wake_ups_around_a_nested_run(tmp_path, monkeypatch, others):
    async def waiting(event):
        await event.wait()

    async def inner(event):
        named("inner")
        event.set()
        await asyncio.sleep(SHORT_S)

    async def main():
        named("main")
        first, second = asyncio.Event(), asyncio.Event()
        tasks = [
            asyncio.create_task(waiting(first), name="first"),
            asyncio.create_task(waiting(second), name="second"),
        ]
        await asyncio.sleep(0)
        first.set()
        asyncio.get_running_loop().run_nested(inner(second), others=others)
        await asyncio.wait(tasks)

    with recorded(tmp_path, monkeypatch) as stories:
        fastloop.run(main())
    (story,) = stories
    assert story.of("woken", who="first") == [("woken", "first", "main")]
    assert story.of("woken", who="second") == [("woken", "second", "inner")]
    main_ends = story.events.index(("end", "main", "wait"))
    for name in "first", "second":
        began = [
            i for i, event in enumerate(story.events) if event[:2] == ("begin", name)
        ]
        assert (began[1] < main_ends) == (others == "run")


# ---- other loops ----


def test_a_loop_of_asyncios_is_not_recorded(tmp_path, monkeypatch):
    with (
        recorded(tmp_path, monkeypatch) as stories,
        asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner,
    ):
        runner.run(relay())
    assert stories[0].rows == []


def test_a_loop_that_has_iterations_of_its_own(tmp_path, monkeypatch):
    class Counting(fastloop.Loop):
        n = 0

        def _run_once(self):
            self.n += 1
            super()._run_once()

    with (
        recorded(tmp_path, monkeypatch) as stories,
        asyncio.Runner(loop_factory=Counting) as runner,
    ):
        runner.run(relay())
        assert runner.get_loop().n > 3
    check_relay(stories[0])


def test_loops_that_were_there_before_and_are_there_after(tmp_path, monkeypatch):
    with asyncio.Runner(loop_factory=fastloop.new_event_loop) as runner:
        runner.run(relay())
        for _ in range(2):
            with recorded(tmp_path, monkeypatch) as stories:
                runner.run(relay())
            check_relay(stories[0])
            runner.run(relay())


def test_the_queue_grows_while_it_is_recorded(tmp_path, monkeypatch):
    async def waiting(event):
        await event.wait()

    async def main():
        named("main")
        event = asyncio.Event()
        tasks = [asyncio.create_task(waiting(event)) for _ in range(2000)]
        await asyncio.sleep(0)
        event.set()
        await asyncio.wait(tasks)

    with recorded(tmp_path, monkeypatch) as stories:
        fastloop.run(main())
    woken = stories[0].of("woken")
    assert len([event for event in woken if event[2] == "main"]) == 2000


def test_a_timeline_that_begins_and_ends_within_steps(tmp_path, monkeypatch):
    async def waiting(event):
        await event.wait()

    async def main():
        named("main")
        events = [asyncio.Event() for _ in range(3)]
        tasks = [
            asyncio.create_task(waiting(event), name=str(n))
            for n, event in enumerate(events)
        ]
        await asyncio.sleep(0)
        events[0].set()
        with recorded(tmp_path, monkeypatch) as stories:
            events[1].set()
        events[2].set()
        await asyncio.wait(tasks)
        return stories[0]

    story = fastloop.run(main())
    assert story.of("woken") == [("woken", "1", "main")]
