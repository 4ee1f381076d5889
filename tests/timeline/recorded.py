"""What a program's timeline has, in words."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import types

import pytest

import fastloop
from fastloop import _core

needs_own_tasks = pytest.mark.skipif(
    _core.Task is asyncio.Task, reason="tasks of asyncio's own types are not told"
)
SHORT_S = 0.05
KINDS = (
    "",
    "made",
    "begin",
    "end",
    "woken",
    "done",
    "call",
    "called",
    "poll",
    "polled",
    "timer",
    "io",
)
OUTCOMES = ["pending", "result", "exception", "cancelled"]


class Story:
    """A recording as tuples: (kind, of whom, what), in the order of events."""

    def __init__(self, header, *columns):
        self.header = header
        self.rows = list(zip(*columns, strict=True))
        self.events = [self._told(*row) for row in self.rows]

    def task(self, number):
        return self.header["tasks"][number - 1]

    def name(self, number):
        return self.task(number)[1] if number else ""

    def _told(self, kind, time, subject, other, place):
        names = self.header["names"]
        word = KINDS[kind]
        who = self.name(subject) if kind <= 5 else subject
        if word in ("end", "call", "timer"):
            return word, who, names[other]
        if word == "made":
            return word, who, self.name(other)
        if word == "woken":
            return word, who, self.name(other) or names[place]
        if word == "done":
            return word, who, OUTCOMES[other]
        return word, who, other

    def of(self, *kinds, who=None):
        """The events of these kinds, or of one task or loop."""
        return [
            event
            for event in self.events
            if (not kinds or event[0] in kinds) and (who is None or event[1] == who)
        ]

    def place(self, kind, who):
        """The function and the line of source of the first such event."""
        for event, row in zip(self.events, self.rows, strict=True):
            if event[:2] == (kind, who):
                return self.header["places"][row[4]][2:]
        raise LookupError(kind, who)

    def outcomes(self):
        """Every task's, by its name."""
        return {row[1]: OUTCOMES[row[6]] for row in self.header["tasks"]}

    def check(self):
        """Assert what every recording has."""
        header, times = self.header, [row[1] for row in self.rows]
        assert times == sorted(times)
        assert all(0 <= time <= header["length_ns"] for time in times)
        assert header["names"][0] == ""
        assert header["places"][0] == ["", 0, "", ""]
        assert [row[0] for row in header["tasks"]] == list(
            range(1, len(header["tasks"]) + 1)
        )
        open_of = {row[0]: [] for row in header["loops"]}
        for kind, _, subject, _, _ in self.rows:
            if KINDS[kind] in ("begin", "call", "poll"):
                loop = self.task(subject)[3] if kind == 2 else subject
                open_of[loop].append((kind + 1, subject))
            elif KINDS[kind] in ("end", "called", "polled"):
                loop = self.task(subject)[3] if kind == 3 else subject
                assert open_of[loop].pop() == (kind, subject)
        assert not any(open_of.values())


def named(name):
    """Name the current task, as main's is by chance."""
    asyncio.current_task().set_name(name)


@contextlib.contextmanager
def recorded(tmp_path, monkeypatch, **options):
    """Record what is done within. Yields a list that gets the Story."""
    taken = []

    def page(recording):
        taken.append(Story(*recording))
        return b"a page"

    fake = types.ModuleType("fastloop._timeline_page")
    fake.page = page
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    try:
        with fastloop.timeline(tmp_path / "out.html", **options):
            yield taken
    finally:
        for story in taken:
            story.check()


# ---- processes ----

# Puts all of a recording into a file.json.
_PLAIN_TRACE = """
import json, sys, types
fake = types.ModuleType("fastloop._timeline_trace")
fake.trace = lambda one: [json.dumps([one.header, *map(list, one[1:])])]
sys.modules[fake.__name__] = fake
"""


def environment(tmp_path, **more):
    """For a process that writes its timeline so that read() can read it."""
    folder = tmp_path / "site"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_PLAIN_TRACE)
    path = os.pathsep.join([str(folder), *sys.path])
    return {**os.environ, "PYTHONPATH": path, **more}


def read(path):
    """The Story of such a file."""
    story = Story(*json.loads(path.read_text()))
    story.check()
    return story


def run(tmp_path, *words, **more):
    """Run Python; what subprocess.run() returns."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        env=environment(tmp_path, **more),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
    )
