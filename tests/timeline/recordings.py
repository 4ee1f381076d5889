"""Recordings made by hand, for what is done with one."""

from array import array
from typing import NamedTuple

MADE, BEGIN, END, WOKEN, DONE, CALL_BEGIN, CALL_END = range(1, 8)
POLL_BEGIN, POLL_END, TIMER, IO = range(8, 12)
RESULT, EXCEPTION, CANCELLED = 1, 2, 3
MS = 1_000_000


class Recording(NamedTuple):
    """As fastloop._timeline makes it."""

    header: dict
    kind: array
    time: array
    subject: array
    other: array
    place: array


class Builder:
    """Events one after the other; times in milliseconds, which read easily."""

    def __init__(self, **header):
        self.columns = [array(code) for code in "BdIII"]
        self.names = [""]
        self.places = [("", 0, "", "")]
        self.tasks = []
        self.loops = [[1, "MainThread"]]
        self.header = {
            "format": 1,
            "title": "program.py --flag",
            "python": "3.13.0",
            "fastloop": "0.2.0",
            "began": 1_700_000_000.0,
            "lost": 0,
            "lost_from_ns": None,
            "ended": "finished",
            "limit_s": 0.1,
            **header,
        }

    def name(self, text):
        """The index of a name."""
        if text not in self.names:
            self.names.append(text)
        return self.names.index(text)

    def place(self, line, function="main", text=None, file="/srv/program.py"):
        """The index of a place in the program."""
        row = (file, line, function, text or f"line {line} of it")
        if row not in self.places:
            self.places.append(row)
        return self.places.index(row)

    def add(self, kind, ms, subject, other=0, place=0):
        """One event."""
        row = (kind, ms * MS, subject, other, place)
        for column, value in zip(self.columns, row, strict=True):
            column.append(value)

    def task(self, ms, name, coroutine="main", maker=0, line=0, loop=1):
        """Make a task; its id."""
        place = self.place(line) if line else 0
        one = len(self.tasks) + 1
        self.tasks.append([one, name, coroutine, loop, maker, place, 0])
        if ms is not None:
            self.add(MADE, ms, one, maker, place)
        return one

    def step(self, task, begin, end, waits="", line=0):
        """One step, after which the task waits for something."""
        self.add(BEGIN, begin, task)
        place = self.place(line) if line else 0
        self.add(END, end, task, self.name(waits), place)

    def done(self, task, begin, end, outcome=RESULT):
        """The last step."""
        self.add(BEGIN, begin, task)
        self.add(END, end, task)
        self.add(DONE, end + 1e-4, task, outcome)
        self.tasks[task - 1][6] = outcome

    def woken(self, ms, task, by):
        """By a task's id, or by what a name says."""
        if isinstance(by, str):
            self.add(WOKEN, ms, task, 0, self.name(by))
        else:
            self.add(WOKEN, ms, task, by)

    def call(self, begin, end, name, loop=1):
        """One callback."""
        self.add(CALL_BEGIN, begin, loop, self.name(name), self.place(7, name))
        self.add(CALL_END, end, loop)

    def poll(self, begin, end, ready=0, loop=1):
        """One poll."""
        self.add(POLL_BEGIN, begin, loop)
        self.add(POLL_END, end, loop, ready)

    def recording(self, length_ms):
        """All of it, sorted by time."""
        rows = zip(*self.columns, strict=True)
        columns = zip(*sorted(rows, key=lambda row: row[1]), strict=True)
        columns = list(columns) or [()] * 5
        header = {
            **self.header,
            "length_ns": length_ms * MS,
            "names": self.names,
            "places": self.places,
            "loops": self.loops,
            "tasks": self.tasks,
        }
        arrays = [array(c, v) for c, v in zip("BdIII", columns, strict=True)]
        return Recording(header, *arrays)


def locks():
    """Two tasks of a third one; the second waits for the lock of the first."""
    made = Builder()
    main = made.task(0, "Task-1", "main")
    made.add(BEGIN, 10, main)
    one = made.task(12, "Task-2", "locking", main, 20)
    two = made.task(14, "Task-3", "locking", main, 21)
    made.add(END, 100, main, made.name("gather"), made.place(22))
    made.step(one, 120, 200, "sleep", 12)
    made.step(two, 220, 260, "Lock.acquire", 10)
    made.poll(270, 600, 1)
    made.add(TIMER, 600, 1, made.name("on_timer"))
    made.add(IO, 600, 1, 7)
    made.woken(600, one, "timer")
    made.call(610, 640, "on_timer")
    made.add(BEGIN, 650, one)
    made.woken(680, two, one)
    made.add(DONE, 700, one, RESULT)
    made.tasks[one - 1][6] = RESULT
    made.add(END, 700, one)
    made.add(BEGIN, 750, two)
    made.woken(860, main, two)
    made.add(DONE, 880, two, CANCELLED)
    made.tasks[two - 1][6] = CANCELLED
    made.add(END, 880, two)
    made.done(main, 900, 950)
    return made.recording(1000)


def many(tasks=10_000, events=1_000_000):
    """Many tasks that sleep again and again, each woken by the one before."""
    made = Builder(title="many.py")
    kind, time, subject, other, place = made.columns
    main = made.task(0, "Task-1", "main")
    made.step(main, 0.001, 1, "gather", 5)
    for at in range(2, tasks + 1):
        made.task(0.001 + at * 1e-6, f"worker {at}", "worker", main, 4)
    sleep, line = made.name("sleep"), made.place(9, "worker")
    now, task = 1.0 * MS, 2
    before = main
    while len(kind) + 3 <= events:
        for row in ((WOKEN, before, 0), (BEGIN, 0, 0), (END, sleep, line)):
            kind.append(row[0])
            time.append(now)
            subject.append(task)
            other.append(row[1])
            place.append(row[2])
            now += 1000.0 + (task * 7919) % 613
        before, task = task, task + 1 if task < tasks else 2
    header = {
        **made.header,
        "length_ns": int(now),
        "names": made.names,
        "places": made.places,
        "loops": made.loops,
        "tasks": made.tasks,
    }
    return Recording(header, kind, time, subject, other, place)
