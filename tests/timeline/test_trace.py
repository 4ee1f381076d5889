"""The timeline in Chrome's form."""

import asyncio
import json
import math

import pytest

import fastloop
from fastloop._timeline_trace import trace
from tests.timeline.recorded import needs_own_tasks
from tests.timeline.recordings import BEGIN, END, MS, Builder, locks, many


def loaded(recording):
    """The document that the pieces make."""
    return json.loads("".join(trace(recording)))


def named(events, phase, **wanted):
    """Those of a phase that have what is wanted."""
    return [
        event
        for event in events
        if event["ph"] == phase
        and all(event.get(key) == value for key, value in wanted.items())
    ]


def test_tracks_have_names():
    events = loaded(locks())["traceEvents"]
    names = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in named(events, "M")
        if event["name"].endswith("_name")
    }
    assert names == {
        (1, 0): "loop 1 in MainThread",
        (1, 1): "callbacks",
        (1, 2): "polls",
        (1, 11): "Task-1 (main)",
        (1, 12): "Task-2 (locking)",
        (1, 13): "Task-3 (locking)",
    }


def test_a_task_does_one_thing_after_the_other():
    events = loaded(locks())["traceEvents"]
    spans = [
        (event["name"], event["ts"] / 1e3, (event["ts"] + event["dur"]) / 1e3)
        for event in named(events, "X", tid=13)
    ]
    assert spans == [
        ("before its first step", 14, 220),
        ("runs", 220, 260),
        ("waits for Lock.acquire", 260, 680),
        ("ready", 680, 750),
        ("runs", 750, 880),
    ]
    first, last = named(events, "X", tid=13, name="runs")
    assert first["args"] == {
        "then": "waits for Lock.acquire",
        "file": "/srv/program.py",
        "line": 10,
        "function": "main",
        "source": "line 10 of it",
    }
    assert last["cname"] == "terrible"
    assert last["args"] == {"outcome": "cancelled", "block": True}
    (ready,) = named(events, "X", tid=13, name="ready")
    assert ready["args"] == {"woken by": "Task-2 (locking)"}


def test_arrows_marks_and_counters():
    events = loaded(locks())["traceEvents"]
    starts = [(e["tid"], e["ts"] / 1e3, e["id"]) for e in named(events, "s")]
    ends = [(e["tid"], e["ts"] / 1e3, e["id"]) for e in named(events, "f")]
    assert starts == [(11, 12, 1), (11, 14, 2), (12, 680, 3), (13, 860, 4)]
    assert ends == [(12, 120, 1), (13, 220, 2), (13, 750, 3), (11, 900, 4)]
    marks = [(e["tid"], e["name"]) for e in named(events, "i")]
    assert (
        (12, "woken by timer") in marks
        and (2, "timer on_timer") in marks
        and (2, "io 7") in marks
    )
    assert (13, "cancelled") in marks
    tasks = [e["args"]["tasks"] for e in named(events, "C")]
    assert tasks == [1, 2, 3, 2, 1, 0]
    (call,) = named(events, "X", tid=1)
    assert (call["name"], call["dur"]) == ("on_timer", 30 * 1e3)
    (poll,) = named(events, "X", tid=2)
    assert poll["args"] == {"ready": 1}


def test_what_had_not_ended_lasts_as_long_as_the_recording():
    made = Builder(lost=3, lost_from_ns=90 * MS)
    task = made.task(None, "one")
    made.add(END, 10, task, made.name("sleep"))
    other = made.task(20, "two")
    made.add(BEGIN, 30, other)
    made.woken(35, other, "io")
    events = loaded(made.recording(100))["traceEvents"]
    spans = [(e["tid"], e["name"], e["ts"], e["dur"]) for e in named(events, "X")]
    assert spans == [
        (11, "runs", 0, 10e3),
        (12, "before its first step", 20e3, 10e3),
        (11, "waits for sleep", 10e3, 80e3),
        (12, "runs", 30e3, 60e3),
    ]


def test_what_yields_is_ready_again():
    made = Builder()
    task = made.task(0, "one")
    made.step(task, 10, 20)
    made.add(BEGIN, 30, task)
    made.woken(35, task, "io")
    made.add(END, 40, task, made.name("sleep"))
    made.done(task, 50, 60)
    events = loaded(made.recording(100))["traceEvents"]
    assert [e["name"] for e in named(events, "X")] == [
        "before its first step",
        "runs",
        "ready",
        "runs",
        "ready",
        "runs",
    ]


def test_the_document_says_of_what_it_is():
    document = loaded(locks())
    assert document["otherData"]["title"] == "program.py --flag"
    assert document["otherData"]["ended"] == "finished"


def test_many_events_come_in_pieces():
    pieces = list(trace(many(100, 20_000)))
    assert len(pieces) > 20 and max(map(len, pieces)) < 1_000_000
    json.loads("".join(pieces))


def test_a_recording_of_nothing():
    made = Builder()
    made.loops.clear()
    assert loaded(made.recording(0))["traceEvents"] == []


# ---- the rules of the form ----

NEEDED = {
    "X": {"name", "cat", "ts", "dur", "pid", "tid", "args"},
    "M": {"name", "pid", "tid", "args"},
    "i": {"name", "cat", "ts", "pid", "tid", "s"},
    "C": {"name", "ts", "pid", "args"},
    "s": {"name", "cat", "ts", "pid", "tid", "id"},
    "f": {"name", "cat", "ts", "pid", "tid", "id", "bp"},
}


def check_rules(document):
    """Assert what a reader of trace events asks of them."""
    events = document["traceEvents"]
    end = max((e["ts"] + e.get("dur", 0) for e in events if "ts" in e), default=0)
    for event in events:
        phase = event["ph"]
        assert event.keys() - {"ph", "cname", "args"} == NEEDED[phase] - {"args"}
        assert isinstance(event["name"], str) and event["name"]
        assert isinstance(event["pid"], int) and isinstance(event.get("tid", 0), int)
        assert phase == "M" or (math.isfinite(event["ts"]) and 0 <= event["ts"] <= end)
        assert phase != "X" or (math.isfinite(event["dur"]) and event["dur"] >= 0)
        assert phase != "i" or event["s"] == "t"
    tracks = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    assert {(e["pid"], e["tid"]) for e in events if e.get("tid")} <= tracks
    check_slices(events)
    check_arrows(events)


def check_slices(events):
    """Those of a track follow each other or nest."""
    of_track = {}
    for event in named(events, "X"):
        span = event["ts"], event["ts"] + event["dur"]
        of_track.setdefault((event["pid"], event["tid"]), []).append(span)
    for spans in of_track.values():
        open_ends = []
        for begin, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            while open_ends and open_ends[-1] <= begin + 1e-3:
                open_ends.pop()
            assert all(end <= one + 1e-3 for one in open_ends)
            open_ends.append(end)


def check_arrows(events):
    """Each end has one beginning, of its name, no later; both lie in a slice."""
    starts = {event["id"]: event for event in named(events, "s")}
    assert len(starts) == len(named(events, "s"))
    ended = [event["id"] for event in named(events, "f")]
    assert len(set(ended)) == len(ended)
    for event in named(events, "f"):
        start = starts[event["id"]]
        assert (start["cat"], start["name"]) == (event["cat"], event["name"])
        assert start["ts"] <= event["ts"]
    slices = {}
    for n, event in enumerate(events):
        if event["ph"] == "X" and event["name"] == "runs":
            begin, end = event["ts"], event["ts"] + event["dur"]
            slices.setdefault((event["pid"], event["tid"]), []).append((begin, end, n))
    for n, event in enumerate(events):
        if event["ph"] in "sf":
            # what begins at one time is taken in the order of the file
            assert any(
                begin <= event["ts"] <= end + 1e-3 and (at < n or begin < event["ts"])
                for begin, end, at in slices[event["pid"], event["tid"]]
            )


def test_the_rules():
    check_rules(loaded(locks()))


@needs_own_tasks
@pytest.mark.parametrize("events", [1_000_000, 200])
def test_the_rules_of_a_real_recording(tmp_path, events):
    async def worker(queue, lock):
        while await queue.get() is not None:
            async with lock:
                await asyncio.sleep(0)

    async def main():
        queue, lock = asyncio.Queue(), asyncio.Lock()
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(worker(queue, lock))
            never = group.create_task(asyncio.sleep(60))
            for n in range(50):
                queue.put_nowait(n)
                loop.call_soon(len, "")
                if n % 10 == 0:
                    await asyncio.sleep(0.001)
            loop.run_nested(asyncio.sleep(0.001))
            never.cancel()
            for _ in range(5):
                queue.put_nowait(None)

    path = tmp_path / "out.json"
    with fastloop.timeline(path, events=events):
        fastloop.run(main())
    document = json.loads(path.read_text())
    check_rules(document)
    assert len(named(document["traceEvents"], "f")) > 10
