"""The timeline: a recording of which task ran when, what it waited for, who woke it.

The core records; here the recording begins, ends, and becomes what a page shows.
"""

import asyncio
import functools
import linecache
import os
import sys
import threading
import time
import types
from array import array
from collections.abc import Generator
from typing import Any, NamedTuple, Self

from . import _core
from ._coroutines import LIBRARIES
from ._version import __version__

FORMAT = 1
EVENTS = 1_000_000
LIMIT_S = 0.1
# Of a recording, and what array calls their type.
COLUMNS = (
    ("kind", "B"),
    ("time", "d"),
    ("subject", "I"),
    ("other", "I"),
    ("place", "I"),
)


_NOT_YET_TEXT = "The recording goes on still, or its process was killed."
_NOT_YET = {
    False: f"<!doctype html><title>timeline</title><p>{_NOT_YET_TEXT}</p>\n",
    True: f'{{"traceEvents": [], "note": "{_NOT_YET_TEXT}"}}\n',
}


class Recording(NamedTuple):
    """What was recorded: a header for JSON, and a column for each field of an event.

    kind, of five columns of the same length: what happened. time: nanoseconds since the
    beginning. subject, other: whom it was about. place: index into the header's places.
    """

    header: dict[str, Any]
    kind: "array[int]"
    time: "array[float]"
    subject: "array[int]"
    other: "array[int]"
    place: "array[int]"


class Timeline:
    """What timeline() returns: a context manager that records, and writes a file."""

    def __init__(self, path: str | os.PathLike[str], events: int, limit_s: float):
        self._path = os.fspath(path)
        self._events = events
        self._limit_s = limit_s
        self._pid = 0
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = begin(self._events)
        self._pid = os.getpid()
        try:
            # now, or there would be something to lose; it stays if this is killed
            with open(self._path, "w", encoding="utf-8") as file:
                file.write(_NOT_YET[self._path.endswith(".json")])
        except BaseException:
            _core._timeline_stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        self.end(how_ended(kind))

    def end(self, ended: str) -> None:
        """Write the file, once, and in the process that began it."""
        if self._pid == os.getpid():
            self._pid = 0
            found = _core._timeline_stop()
            if found is not None:
                recording = made_of(found, self._began, ended, self._limit_s)
                write(with_lines(recording), self._path)


def timeline(
    path: str | os.PathLike[str], *, events: int = EVENTS, limit_s: float = LIMIT_S
) -> Timeline:
    """Return a context manager that records what the loops do, and writes it to path.

    A page to open in a browser or, if path ends in .json, Chrome's trace-event form.
    events: how many are kept, the first ones; the rest is counted. limit_s: steps that
    take more seconds are shown as blocks. Tasks of asyncio's own types are shown as
    callbacks. RuntimeError on entry if one is recorded already, OSError if the file
    cannot be written, ValueError for numbers that are no use.
    """
    if not 0.0 < limit_s < float("inf"):
        raise ValueError(f"limit_s must be seconds, more than 0, not {limit_s!r}")
    return Timeline(path, events, limit_s)


# ---- recording ----


def begin(events: int) -> float:
    """Begin to record. Returns when that was, in seconds since the epoch."""
    loop: Any = asyncio._get_running_loop()
    task = asyncio.current_task(loop) if loop is not None else None
    probes = _probe(1), _probe(2)
    for probe in probes:
        probe.send(None)
    try:
        _core._timeline_start(
            events, LIBRARIES, functools.partial, probes, loop, task, _name_of_thread
        )
    finally:
        for probe in probes:
            probe.close()
    return time.time()


def made_of(
    found: dict[str, Any], began: float, ended: str, limit_s: float
) -> Recording:
    """Return what the core has recorded as a recording, without lines of source."""
    columns = [array(code, found[name]) for name, code in COLUMNS]
    times = columns[1]
    length_ns = max(found["length_ns"], times[-1] if times else 0.0)
    header = {
        "format": FORMAT,
        "title": _title(),
        "python": sys.version.split()[0],
        "fastloop": __version__,
        "began": began,
        "length_ns": int(length_ns),
        "lost": found["lost"],
        "lost_from_ns": int(times[-1]) if found["lost"] and times else None,
        "ended": ended,
        "limit_s": limit_s,
        "names": ["", *found["names"]],
        "places": [["", 0, ""], *map(list, found["places"])],
        "loops": [_loop(row) for row in found["loops"]],
        "tasks": [list(row) for row in found["tasks"]],
    }
    return Recording(header, *columns)


def with_lines(recording: Recording) -> Recording:
    """Return a recording with the line of source of each place."""
    header = dict(recording.header)
    header["places"] = [
        [file, line, name, linecache.getline(file, line).strip() if line else ""]
        for file, line, name in header["places"]
    ]
    return recording._replace(header=header)


def write(recording: Recording, path: str) -> None:
    """Write a recording in the form that the path's name asks for."""
    if path.endswith(".json"):
        from ._timeline_trace import trace

        with open(path, "w", encoding="utf-8") as file:
            file.writelines(trace(recording))
    else:
        from ._timeline_page import page

        data = page(recording)
        with open(path, "wb") as file:
            file.write(data)


def how_ended(kind: type[BaseException] | None) -> str:
    """Return how a program has ended that such an exception has left, or none."""
    if kind is None:
        return "finished"
    if issubclass(kind, KeyboardInterrupt):
        return "interrupted"
    if issubclass(kind, SystemExit):
        return "exit"
    return f"failed: {kind.__name__}"


async def _probe(depth: int) -> None:
    """Wait at one of two places."""
    if depth == 1:
        await _pause()
    else:
        await _pause()


@types.coroutine
def _pause() -> Generator[None, None, None]:
    yield


def _name_of_thread() -> str:
    """Return the calling thread's name, as it is kept: no code of a subclass's."""
    thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]
    name = None if thread is None else vars(thread).get("_name")
    return name if type(name) is str else ""


def _title() -> str:
    title = " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]])[:200]
    if _core.Task is asyncio.Task:
        title += " (tasks are of asyncio's own type, and shown as callbacks)"
    return title


def _loop(row: tuple[int, int, str | None]) -> list[Any]:
    number, thread, name = row
    if not name:
        name = next(
            (one.name for one in threading.enumerate() if one.ident == thread),
            f"thread {thread}",
        )
    return [number, name]
