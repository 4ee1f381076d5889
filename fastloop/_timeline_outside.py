"""A timeline that another process asks for: fastloop.top PID --timeline FILE.

In a thread of the watch. The process that asks makes the file.
"""

import time
from array import array
from typing import Any

from . import _core, _timeline

LONGEST_S = 60.0
_GRACE_S = 10.0
_began = 0.0  # in seconds since the epoch, or 0: it is not on
_until = 0.0  # by the monotonic clock, when nobody will ask for it any more


def begin() -> dict[str, Any]:
    """Begin to record; the answer says why if that cannot be."""
    global _began, _until
    try:
        _began = _timeline.begin(_timeline.EVENTS)
    except (MemoryError, RuntimeError) as error:
        return _answer(str(error))
    _until = time.monotonic() + LONGEST_S + _GRACE_S
    _core._watch_check_in(LONGEST_S + _GRACE_S)
    return _answer("")


def end() -> tuple[dict[str, Any], bytes]:
    """End it. The answer has the recording's header, and its columns behind it."""
    found = _stop()
    if found is None:
        return _answer("nothing is recorded any more"), b""
    recording = _timeline.made_of(found, _began, "stopped", _timeline.LIMIT_S)
    columns = [getattr(recording, name) for name, _ in _timeline.COLUMNS]
    answer = {**_answer(""), "header": recording.header, "events": len(columns[0])}
    return answer, b"".join(column.tobytes() for column in columns)


def end_if_forgotten() -> None:
    """End what whoever asked for it has not come back for."""
    if _until:
        left_s = _until - time.monotonic()
        if left_s > 0.0:
            _core._watch_check_in(left_s)
        else:
            _stop()


def _stop() -> dict[str, Any] | None:
    global _until
    is_ours, _until = _until > 0.0, 0.0
    return _core._timeline_stop() if is_ours else None


def _answer(error: str) -> dict[str, Any]:
    return {"limit_s": 0.0, "loops": [], "error": error}


# ---- whoever asks ----


def recording_of(answer: dict[str, Any]) -> _timeline.Recording:
    """Return what end() answered as a recording; ValueError if a part is missing."""
    columns: list[Any] = []
    left, n_events = memoryview(answer.get("columns", b"")), answer["events"]
    for _, code in _timeline.COLUMNS:
        column: Any = array(code)
        size = n_events * column.itemsize
        column.frombytes(left[:size])
        left = left[size:]
        columns.append(column)
    if len(columns[-1]) != n_events:
        raise ValueError("it was cut short")
    return _timeline.with_lines(_timeline.Recording(answer["header"], *columns))
