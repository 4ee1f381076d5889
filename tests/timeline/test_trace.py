"""The timeline in Chrome's form."""

import json

from fastloop._timeline_trace import trace
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
