"""What is recorded of known programs: tasks, steps, waits, wake-ups, callbacks."""

import asyncio
import contextlib
import functools
import gc
import os
import socket
import sys
import threading
import time
import weakref

import pytest

import fastloop
from fastloop import _core
from tests.timeline.recorded import SHORT_S, named, needs_own_tasks, recorded

pytestmark = needs_own_tasks


# ---- tasks and what they wait for ----


def test_sequential_sleeps(story_of):
    async def main():
        named("main")
        await asyncio.sleep(SHORT_S)
        await asyncio.sleep(SHORT_S)

    story = story_of(main)
    assert story.of(who="main") == [
        ("made", "main", ""),
        ("begin", "main", 0),
        ("end", "main", "sleep"),
        ("woken", "main", "timer"),
        ("begin", "main", 0),
        ("end", "main", "sleep"),
        ("woken", "main", "timer"),
        ("begin", "main", 0),
        ("end", "main", ""),
        ("done", "main", "result"),
    ]
    assert story.place("made", "main")[0].endswith("story_of.<locals>.run")
    begins = [row[1] for row in story.rows if row[0] == 2 and story.name(row[2])]
    assert begins[1] - begins[0] >= SHORT_S * 0.9e9


def test_gather(story_of):
    async def child():
        await asyncio.sleep(SHORT_S)

    async def main():
        named("main")
        await asyncio.gather(
            asyncio.create_task(child(), name="a"),
            asyncio.create_task(child(), name="b"),
        )

    story = story_of(main)
    assert story.of("made", who="a") == [("made", "a", "main")]
    assert story.of("end", who="main") == [
        ("end", "main", "gather"),
        ("end", "main", ""),
    ]
    ends = [story.events.index(("end", name, "sleep")) for name in "ab"]
    assert max(ends) < story.events.index(("woken", "a", "timer"))
    row = next(row for row in story.header["tasks"] if row[1] == "a")
    assert row[2].endswith("test_gather.<locals>.child")
    assert story.name(row[4]) == "main"


def test_the_line_is_the_programs(story_of):
    async def inner():
        await asyncio.sleep(SHORT_S)  # here

    async def main():
        named("main")
        await inner()

    function, line = story_of(main).place("end", "main")
    assert function.endswith("test_the_line_is_the_programs.<locals>.inner")
    assert line == "await asyncio.sleep(SHORT_S)  # here"


def test_lock_and_who_released_it(story_of):
    async def holder(lock):
        async with lock:
            await asyncio.sleep(SHORT_S)

    async def main():
        lock = asyncio.Lock()
        async with asyncio.TaskGroup() as group:
            group.create_task(holder(lock), name="first")
            group.create_task(holder(lock), name="second")

    story = story_of(main)
    assert story.of("end", who="second")[0] == ("end", "second", "Lock.acquire")
    assert story.of("woken", who="second")[0] == ("woken", "second", "first")


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "aio"])
def test_names_of_waits(story_of, fast):
    if fast:
        from fastloop import aio
    else:
        aio = asyncio

    async def waits_for(what):
        await what

    async def enters(what):
        async with what:
            pass

    async def main():
        named("main")
        lock = aio.Lock()
        semaphore = aio.Semaphore(0)
        await lock.acquire()
        future = asyncio.get_running_loop().create_future()
        waits = {
            "sleep": waits_for(aio.sleep(60)),
            "get": waits_for(aio.Queue().get()),
            "acquire": waits_for(lock.acquire()),
            "enter": enters(lock),
            "semaphore": enters(semaphore),
            "event": waits_for(aio.Event().wait()),
            "task": waits_for(asyncio.create_task(aio.sleep(60), name="other")),
            "future": waits_for(future),
            "wait_for": waits_for(aio.wait_for(future, 60)),
            "gather": waits_for(aio.gather(aio.sleep(60))),
            "wait": waits_for(aio.wait([asyncio.create_task(aio.sleep(60))])),
            "shield": waits_for(aio.shield(future)),
            "deeper": waits_for(waits_for(aio.Event().wait())),
        }
        tasks = [asyncio.create_task(coro, name=name) for name, coro in waits.items()]
        await asyncio.sleep(SHORT_S)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    story = story_of(main)
    waits = {event[1]: event[2] for event in reversed(story.of("end")) if event[2]}
    assert {name: waits[name] for name in waits if not name.startswith("Task-")} == {
        "main": "sleep",
        "sleep": "sleep",
        "get": "Queue.get",
        "acquire": "Lock.acquire",
        "enter": "Lock.acquire",
        "semaphore": "Semaphore.acquire",
        "event": "Event.wait",
        "task": "other",
        "other": "sleep",
        "future": "Future",
        "wait_for": "wait_for",
        "gather": "gather",
        "wait": "wait",
        "shield": "Future",
        "deeper": "Event.wait",
    }


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "aio"])
def test_a_timeout(story_of, fast):
    if fast:
        from fastloop import aio
    else:
        aio = asyncio

    async def main():
        named("main")
        with contextlib.suppress(TimeoutError):
            async with aio.timeout(SHORT_S):
                await aio.Event().wait()

    story = story_of(main)
    assert story.of("end", "woken", who="main") == [
        ("end", "main", "Event.wait"),
        ("woken", "main", "timer"),
        ("end", "main", ""),
    ]
    expected = "timeout" if fast else "Timeout._on_timeout"
    assert [event[2] for event in story.of("timer")] == [expected]


def test_queue_and_event_tell_who_woke(story_of):
    async def consumer(queue):
        named("consumer")
        await queue.get()

    async def main():
        named("main")
        queue = asyncio.Queue()
        task = asyncio.create_task(consumer(queue))
        await asyncio.sleep(SHORT_S)
        queue.put_nowait(1)
        await task

    story = story_of(main)
    assert story.of("woken", who="consumer") == [("woken", "consumer", "main")]
    # the queue woke it before the task that did went to wait for it
    woken = story.events.index(("woken", "consumer", "main"))
    assert woken < story.events.index(("end", "main", "consumer"))
    assert story.of("woken", who="main")[-1] == ("woken", "main", "consumer")


def test_a_turn_that_comes_by_itself_is_no_wait(story_of):
    async def main():
        named("main")
        await asyncio.sleep(0)

    story = story_of(main)
    assert story.of("end", "woken", who="main") == [("end", "main", "")] * 2


def test_outcomes(story_of):
    async def fails():
        raise ValueError

    async def main():
        named("main")
        tasks = [
            asyncio.create_task(fails(), name="fails"),
            asyncio.create_task(asyncio.sleep(60), name="cancelled"),
            asyncio.create_task(asyncio.sleep(0), name="returns"),
        ]
        await asyncio.sleep(SHORT_S)
        tasks[1].cancel()
        await asyncio.wait(tasks)
        tasks[0].exception()

    story = story_of(main)
    expected = {
        "main": "result",
        "fails": "exception",
        "cancelled": "cancelled",
        "returns": "result",
    }
    assert expected.items() <= story.outcomes().items()
    assert ("done", "cancelled", "cancelled") in story.events
    assert ("woken", "cancelled", "main") in story.events


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks")
def test_an_eager_tasks_step_is_inside_its_makers(story_of):
    async def main():
        named("main")
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        await asyncio.create_task(asyncio.sleep(SHORT_S), name="child")

    events = story_of(main).of("made", "begin", "end")
    begin = events.index(("begin", "main", 0))
    assert events[begin : begin + 5] == [
        ("begin", "main", 0),
        ("made", "child", "main"),
        ("begin", "child", 0),
        ("end", "child", "sleep"),
        ("end", "main", "child"),
    ]


def test_a_nested_run_is_inside_its_step(story_of):
    async def inner():
        named("inner")
        await asyncio.sleep(SHORT_S)

    async def main():
        named("main")
        asyncio.get_running_loop().run_nested(inner())

    events = story_of(main).of("begin", "end")
    assert events[:6] == [
        ("begin", "main", 0),
        ("begin", "inner", 0),
        ("end", "inner", "sleep"),
        ("begin", "inner", 0),
        ("end", "inner", ""),
        ("end", "main", ""),
    ]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="ag_suspended")
def test_an_async_generator_is_looked_into(story_of):
    async def numbers():
        yield 1
        await asyncio.sleep(SHORT_S)
        yield 2

    async def main():
        named("main")
        async for _ in numbers():
            pass

    story = story_of(main)
    assert story.of("end", who="main")[0] == ("end", "main", "sleep")
    assert story.place("end", "main")[0].endswith("<locals>.numbers")


# ---- callbacks, timers, polls ----


def test_callbacks(story_of):
    def soon():
        pass

    def later():
        pass

    class Thing:
        def method(self):
            pass

        def __call__(self):
            pass

    async def main():
        loop = asyncio.get_running_loop()
        loop.call_soon(soon)
        loop.call_soon(functools.partial(functools.partial(soon)))
        loop.call_soon(Thing().method)
        loop.call_soon(Thing())
        loop.call_soon([].clear)
        loop.call_later(SHORT_S, later)
        loop.call_soon(soon).cancel()
        await asyncio.sleep(2 * SHORT_S)

    story = story_of(main)
    called = [event[2].rpartition("<locals>.")[2] for event in story.of("call")]
    assert called[:6] == [
        "soon",
        "soon",
        "Thing.method",
        "Thing",
        "list.clear",
        "later",
    ]
    assert called.count("soon") == 2
    timers = [event[2].rpartition("<locals>.")[2] for event in story.of("timer")]
    assert timers[0] == "later"
    function, line = story.place("call", 1)
    assert function.endswith("<locals>.soon")
    assert line == "def soon():"


def test_a_callback_that_wakes_is_named(story_of):
    async def main():
        named("main")
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def ring():
            future.set_result(None)

        loop.call_soon(ring)
        await future

    woken = story_of(main).of("woken", who="main")
    assert [event[2].rpartition(".")[2] for event in woken] == ["ring"]


def test_io(story_of):
    async def main():
        named("main")
        loop = asyncio.get_running_loop()
        a, b = socket.socketpair()
        with a, b:
            a.setblocking(False)
            loop.call_later(SHORT_S, b.send, b"x")
            numbers.append(a.fileno())
            await loop.sock_recv(a, 1)

    numbers = []
    story = story_of(main)
    assert [event[2] for event in story.of("io")] == numbers
    assert story.of("end", who="main")[0] == ("end", "main", "sock_recv")
    assert story.of("woken", who="main") == [("woken", "main", "io")]
    assert ("polled", 1, 1) in story.events


def test_another_thread(story_of):
    async def main():
        named("main")
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(event.set))
        loop.call_later(SHORT_S, thread.start)
        await event.wait()
        thread.join()

    story = story_of(main)
    assert story.of("woken", who="main") == [("woken", "main", "thread")]
    assert ("call", 1, "Event.set") in story.events


def test_polls_last_as_long_as_the_wait(story_of):
    async def main():
        await asyncio.sleep(SHORT_S)

    story = story_of(main)
    begins = [row[1] for row in story.rows if row[0] == 8]
    ends = [row[1] for row in story.rows if row[0] == 9]
    longest = max(end - begin for begin, end in zip(begins, ends, strict=True))
    assert longest >= SHORT_S * 0.9e9


def test_debug_mode_tells_the_same(story_of):
    async def main():
        named("main")
        asyncio.get_running_loop().set_debug(True)
        queue = asyncio.Queue()
        asyncio.get_running_loop().call_later(SHORT_S, queue.put_nowait, 1)
        await queue.get()

    story = story_of(main)
    assert story.of("begin", "end", "woken", "done", who="main") == [
        ("begin", "main", 0),
        ("end", "main", "Queue.get"),
        ("woken", "main", "Queue.put_nowait"),
        ("begin", "main", 0),
        ("end", "main", ""),
        ("done", "main", "result"),
    ]


# ---- beginning and end ----


def test_recording_within_a_running_loop(tmp_path, monkeypatch):
    async def main():
        named("main")
        with recorded(tmp_path, monkeypatch) as stories:
            task = asyncio.create_task(asyncio.sleep(SHORT_S), name="child")
            await task
        return stories[0]

    story = fastloop.run(main())
    assert story.of("made", "begin", "end", "done", who="main") == [
        ("begin", "main", 0),
        ("end", "main", "child"),
        ("begin", "main", 0),
        ("end", "main", ""),
    ]
    assert story.events[0] == ("begin", "main", 0)
    assert story.outcomes() == {"main": "pending", "child": "result"}


def test_a_step_that_began_before_and_ends_the_task(tmp_path, monkeypatch):
    with contextlib.ExitStack() as stack:

        async def main():
            named("main")
            stories.append(stack.enter_context(recorded(tmp_path, monkeypatch)))

        stories = []
        fastloop.run(main())
    (story,) = stories[0]
    assert story.of(who="main")[:2] == [("begin", "main", 0), ("end", "main", "")]


def test_one_at_a_time(tmp_path, monkeypatch):
    with recorded(tmp_path, monkeypatch) as stories:
        with (
            pytest.raises(RuntimeError, match="recorded already"),
            fastloop.timeline(tmp_path / "other.html"),
        ):
            pass
        assert not stories
    assert not (tmp_path / "other.html").exists()


def test_ended_in_another_thread(tmp_path, monkeypatch):
    async def main():
        await asyncio.sleep(SHORT_S)

    def end():
        stack.pop_all().close()

    with contextlib.ExitStack() as stack:
        stories = stack.enter_context(recorded(tmp_path, monkeypatch))
        fastloop.run(main())
        thread = threading.Thread(target=end)
        thread.start()
        thread.join()
        assert len(stories) == 1


def test_ended_while_another_threads_loop_runs(tmp_path, monkeypatch):
    async def main():
        while not ended.is_set():
            began.set()
            await asyncio.sleep(0.001)

    began, ended = threading.Event(), threading.Event()
    thread = threading.Thread(target=fastloop.run, args=[main()])
    thread.start()
    for _ in range(20):
        with recorded(tmp_path, monkeypatch) as stories:
            began.clear()
            assert began.wait(30)
            while not _core._loops_run():
                time.sleep(0.001)
            assert began.wait(30)
        assert len(stories) == 1
    ended.set()
    thread.join()


def test_two_loops_in_two_threads(tmp_path, monkeypatch):
    async def main(name):
        named(name)
        meeting.wait(30)
        await asyncio.sleep(SHORT_S)
        meeting.wait(30)

    meeting = threading.Barrier(2)
    with recorded(tmp_path, monkeypatch) as stories:
        threads = [
            threading.Thread(
                target=lambda name=name: fastloop.run(main(name)), name=f"of {name}"
            )
            for name in "ab"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    story = stories[0]
    assert sorted(name for _, name in story.header["loops"]) == ["of a", "of b"]
    names = dict(story.header["loops"])
    for row in story.header["tasks"]:
        if row[1] in ("a", "b"):
            assert names[row[3]] == f"of {row[1]}"


def test_what_does_not_fit_is_counted(story_of):
    async def main():
        for _ in range(100):
            await asyncio.sleep(0)

    story = story_of(main, events=50)
    assert story.header["lost"] > 100
    assert 0 < story.header["lost_from_ns"] < story.header["length_ns"]
    assert 50 <= len(story.rows) <= 53  # and the ends of what was under way


def test_numbers_that_are_no_use(tmp_path):
    for events in 0, -1, 10**12:
        with pytest.raises(ValueError, match="events"):
            fastloop.timeline(tmp_path / "out.html", events=events).__enter__()
    for limit_s in 0.0, -1.0, float("inf"), float("nan"):
        with pytest.raises(ValueError, match="limit_s"):
            fastloop.timeline(tmp_path / "out.html", limit_s=limit_s)
    assert _core._timeline_stop() is None


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError):
        fastloop.timeline(tmp_path / "no" / "out.html").__enter__()
    assert _core._timeline_stop() is None


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (ValueError, "failed: ValueError"),
        (KeyboardInterrupt, "interrupted"),
        (SystemExit, "exit"),
    ],
)
def test_an_exception_is_told_and_goes_on(tmp_path, monkeypatch, error, ended):
    async def main():
        raise error

    with pytest.raises(error), recorded(tmp_path, monkeypatch) as stories:
        fastloop.run(main())
    assert stories[0].header["ended"] == ended


def test_the_header(story_of):
    async def main():
        pass

    before = time.time()
    header = story_of(main, limit_s=0.25).header
    assert header["format"] == 1
    assert header["python"] == sys.version.split()[0]
    assert header["fastloop"] == fastloop.__version__
    assert before - 1 <= header["began"] <= time.time()
    assert (header["lost"], header["lost_from_ns"]) == (0, None)
    assert (header["ended"], header["limit_s"]) == ("finished", 0.25)
    assert header["loops"] == [[1, "MainThread"]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_does_not_write_the_file(tmp_path, monkeypatch):
    path = tmp_path / "out.html"
    with recorded(tmp_path, monkeypatch) as stories:
        pid = os.fork()
        if pid == 0:
            os._exit(_core._timeline_stop() is not None)
        _, status = os.waitpid(pid, 0)
        assert status == 0
        assert b"goes on still" in path.read_bytes()
        fastloop.run(asyncio.sleep(0))
    assert stories[0].header["tasks"]
    assert path.read_bytes() == b"a page"


# ---- what it leaves alone ----


def test_nothing_of_the_programs_is_kept(tmp_path, monkeypatch):
    class Kept:
        pass

    async def child(value):
        await asyncio.sleep(0)

    async def main():
        kept = Kept()
        alive.append(weakref.ref(kept))
        task = asyncio.create_task(child(kept))
        alive.append(weakref.ref(task))
        await task
        del task, kept
        gc.collect()
        assert [one() for one in alive] == [None, None]

    alive = []
    with recorded(tmp_path, monkeypatch):
        fastloop.run(main())


def test_no_code_of_the_programs_runs(tmp_path, monkeypatch):
    class Loud:
        def __getattribute__(self, name):
            if name != "__await__":
                heard.append(name)
            return object.__getattribute__(self, name)

        def __repr__(self):
            heard.append("repr")
            return ""

        def __hash__(self):
            heard.append("hash")
            return 1

        def __call__(self):
            pass

        def __await__(self):
            yield

    class LoudName(str):
        __slots__ = ()

        def __str__(self):
            heard.append("str")
            return self

    async def main():
        asyncio.get_running_loop().call_soon(Loud())
        name = LoudName("loud")
        task = asyncio.create_task(wait())
        task.set_name(name)
        heard.clear()
        await task

    async def wait():
        await Loud()

    heard = []
    with recorded(tmp_path, monkeypatch) as stories:
        fastloop.run(main())
    assert heard == []
    assert ("call", 1, "Loud") in stories[0].events


def test_hooks_still_work(tmp_path, monkeypatch):
    told = []
    with (
        recorded(tmp_path, monkeypatch) as stories,
        fastloop.hooks(task_created=lambda task: told.append("created")),
    ):
        fastloop.run(asyncio.sleep(0))
    assert told == ["created"] * len(stories[0].header["tasks"])
    told.clear()
    fastloop.run(asyncio.sleep(0))
    assert not told


def test_again_and_again(tmp_path, monkeypatch):
    async def main():
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))

    lengths = set()
    for _ in range(5):
        with recorded(tmp_path, monkeypatch) as stories:
            fastloop.run(main())
        lengths.add(len(stories[0].of("made", "begin", "end", "done")))
    assert len(lengths) == 1
