"""The timeline as Chrome's trace events, which Perfetto opens."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._timeline import Recording

_MADE, _BEGIN, _END, _WOKEN, _DONE, _CALL_BEGIN, _CALL_END = range(1, 8)
_POLL_BEGIN, _POLL_END, _TIMER, _IO = range(8, 12)
_OUTCOMES = ("pending", "result", "exception", "cancelled")
_CALLS, _POLLS, _FIRST_TASK = 1, 2, 10
_AT_ONCE = 1000

_Event = dict[str, Any]


def trace(recording: "Recording") -> Iterator[str]:
    """Yield the text of a JSON file, in pieces: a process a loop, a track a task."""
    header = recording.header
    kept = ("title", "python", "fastloop", "began", "ended", "lost", "lost_from_ns")
    other = json.dumps({key: header[key] for key in kept})
    yield f'{{"displayTimeUnit": "ms", "otherData": {other}, "traceEvents": [\n'
    pieces: list[str] = []
    first = True
    for event in _Trace(recording).events():
        pieces.append(json.dumps(event))
        if len(pieces) == _AT_ONCE:
            yield ("" if first else ",\n") + ",\n".join(pieces)
            pieces, first = [], False
    yield ("" if first or not pieces else ",\n") + ",\n".join(pieces) + "\n]}\n"


class _Trace:
    """What must be kept from one event to the next."""

    def __init__(self, recording: "Recording") -> None:
        self.recording = recording
        header = recording.header
        self.tasks = header["tasks"]
        self.names = header["names"]
        self.places = header["places"]
        lost = header["lost_from_ns"]
        self.end = header["length_ns"] if lost is None else lost
        self.limit = header["limit_s"] * 1e9
        # Since when a task does what it does, and what that is; None once it is done.
        self.state: dict[int, tuple[float, str, _Event] | None] = {}
        self.calls: dict[int, list[tuple[float, int, int]]] = {}
        self.polls: dict[int, float] = {}
        self.alive: dict[int, int] = {}
        self.flows = 0
        # The arrow that ends where the task's next step begins, or its step has begun.
        self.flow: dict[int, int] = {}
        self.ended_flow: dict[int, int] = {}

    def events(self) -> Iterator[_Event]:
        """Yield them: the names of the tracks, then what was recorded."""
        yield from self._tracks()
        takers = {
            _MADE: self._made,
            _BEGIN: self._begin,
            _END: self._end,
            _WOKEN: self._woken,
            _DONE: self._done,
            _CALL_BEGIN: self._call_begin,
            _CALL_END: self._call_end,
            _POLL_BEGIN: self._poll_begin,
            _POLL_END: self._poll_end,
            _TIMER: self._timer,
            _IO: self._io,
        }
        kind, *columns = self.recording[1:]
        row: list[Any]
        for one, *row in zip(kind, *columns, strict=True):
            yield from takers[one](*row)
        yield from self._rest()

    def _tracks(self) -> Iterator[_Event]:
        for loop, thread in self.recording.header["loops"]:
            yield _name("process_name", loop, 0, f"loop {loop} in {thread}")
            yield _name("thread_name", loop, _CALLS, "callbacks")
            yield _name("thread_name", loop, _POLLS, "polls")
        for task, name, coroutine, loop, *_ in self.tasks:
            text = f"{name} ({coroutine})" if coroutine else name
            yield _name("thread_name", loop, _FIRST_TASK + task, text)
            yield {
                **_name("thread_sort_index", loop, _FIRST_TASK + task, ""),
                "args": {"sort_index": _FIRST_TASK + task},
            }

    def _track(self, task: int) -> _Event:
        return {"pid": self.tasks[task - 1][3], "tid": _FIRST_TASK + task}

    def _title(self, task: int) -> str:
        _, name, coroutine, *_ = self.tasks[task - 1]
        return f"{name} ({coroutine})" if coroutine else str(name)

    def _where(self, place: int) -> _Event:
        file, line, function, source = self.places[place]
        if not file:
            return {}
        found = {"file": file, "line": line, "function": function}
        return {**found, "source": source.strip()} if source.strip() else found

    def _become(
        self, time: float, task: int, what: str, args: _Event
    ) -> Iterator[_Event]:
        """End what a task did, and begin another thing; "" for nothing more."""
        before = self.state.get(task)
        if before is not None:
            since, name, kept = before
            if name == "runs" and time - since > self.limit:
                kept = {**kept, "block": True, "cname": "terrible"}
            if time > since or name == "runs":
                yield _complete(since, time, name, self._track(task), kept)
            if name == "runs":
                yield from self._arrow_end(since, task)
        self.state[task] = (time, what, args) if what else None

    def _count(self, time: float, task: int, by: int) -> _Event:
        loop = self.tasks[task - 1][3]
        self.alive[loop] = self.alive.get(loop, 0) + by
        args = {"tasks": self.alive[loop]}
        return {"ph": "C", "name": "tasks", "ts": time / 1e3, "pid": loop, "args": args}

    def _made(self, time: float, task: int, maker: int, place: int) -> Iterator[_Event]:
        yield self._count(time, task, 1)
        args = self._where(place)
        if maker:
            args = {"made by": self._title(maker), **args}
            yield from self._arrow(time, maker, task)
        yield from self._become(time, task, "before its first step", args)

    def _arrow(self, time: float, source: int, task: int) -> Iterator[_Event]:
        if task in self.flow:
            return
        self.flows += 1
        self.flow[task] = self.flows
        start = {"ph": "s", "cat": "wake", "name": "wake", "id": self.flows}
        yield {**start, "ts": time / 1e3, **self._track(source)}

    def _arrow_end(self, time: float, task: int) -> Iterator[_Event]:
        """Behind the step that it belongs to: of one time, the first is the outer."""
        flow = self.ended_flow.pop(task, 0)
        if flow:
            end = {"ph": "f", "bp": "e", "cat": "wake", "name": "wake", "id": flow}
            yield {**end, "ts": time / 1e3, **self._track(task)}

    def _begin(self, time: float, task: int, _: int, __: int) -> Iterator[_Event]:
        yield from self._become(time, task, "runs", {})
        self.ended_flow[task] = self.flow.pop(task, 0)

    def _end(self, time: float, task: int, name: int, place: int) -> Iterator[_Event]:
        if task not in self.state:
            self.state[task] = (0.0, "runs", {})
        state = self.state[task]
        if state is None:
            return
        since, what, args = state
        done = args.get("outcome")
        where = self._where(place)
        waits = f"waits for {self.names[name]}" if name else "ready"
        if name:
            args = {**args, "then": waits}
        self.state[task] = (since, what, {**args, **where})
        woken = args.pop("woken", False)
        if woken:
            waits = "ready"
        yield from self._become(time, task, "" if done else waits, where)

    def _woken(
        self, time: float, task: int, waker: int, cause: int
    ) -> Iterator[_Event]:
        by = self._title(waker) if waker else self.names[cause] or "outside"
        mark = {"ph": "i", "s": "t", "cat": "wake", "name": f"woken by {by}"}
        yield {**mark, "ts": time / 1e3, **self._track(task)}
        if waker:
            yield from self._arrow(time, waker, task)
        state = self.state.get(task)
        if state is not None and state[1] == "runs":
            state[2]["woken"] = True
        elif state is None or state[1] not in ("ready", "before its first step"):
            yield from self._become(time, task, "ready", {"woken by": by})

    def _done(self, time: float, task: int, outcome: int, _: int) -> Iterator[_Event]:
        mark = {"ph": "i", "s": "t", "cat": "task", "name": _OUTCOMES[outcome]}
        yield {**mark, "ts": time / 1e3, **self._track(task)}
        yield self._count(time, task, -1)
        state = self.state.get(task)
        if state is not None and state[1] == "runs":
            state[2]["outcome"] = _OUTCOMES[outcome]
        elif state is not None and state[1] == "ready":
            self.state[task] = None  # its last step has just ended
        else:
            yield from self._become(time, task, "", {})

    def _call_begin(
        self, time: float, loop: int, name: int, place: int
    ) -> Iterator[_Event]:
        self.calls.setdefault(loop, []).append((time, name, place))
        yield from ()

    def _call_end(self, time: float, loop: int, _: int, __: int) -> Iterator[_Event]:
        calls = self.calls.get(loop)
        if calls:
            since, name, place = calls.pop()
            args = self._where(place)
            if time - since > self.limit:
                args = {**args, "block": True, "cname": "terrible"}
            track = {"pid": loop, "tid": _CALLS}
            yield _complete(since, time, self.names[name] or "callback", track, args)

    def _poll_begin(self, time: float, loop: int, _: int, __: int) -> Iterator[_Event]:
        self.polls[loop] = time
        yield from ()

    def _poll_end(self, time: float, loop: int, ready: int, _: int) -> Iterator[_Event]:
        since = self.polls.pop(loop, None)
        if since is not None:
            track = {"pid": loop, "tid": _POLLS}
            yield _complete(since, time, "poll", track, {"ready": ready})

    def _timer(self, time: float, loop: int, name: int, _: int) -> Iterator[_Event]:
        yield _mark(time, loop, f"timer {self.names[name]}".strip())

    def _io(self, time: float, loop: int, fd: int, _: int) -> Iterator[_Event]:
        yield _mark(time, loop, f"io {fd}")

    def _rest(self) -> Iterator[_Event]:
        """Yield what had not ended when the recording did."""
        for task in list(self.state):
            yield from self._become(self.end, task, "", {})
        for loop, calls in self.calls.items():
            for _ in range(len(calls)):
                yield from self._call_end(self.end, loop, 0, 0)
        for loop in list(self.polls):
            yield from self._poll_end(self.end, loop, 0, 0)


def _name(kind: str, pid: int, tid: int, text: str) -> _Event:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {"name": text}}


def _mark(time: float, loop: int, name: str) -> _Event:
    mark = {"ph": "i", "s": "t", "cat": "poll", "name": name}
    return {**mark, "ts": time / 1e3, "pid": loop, "tid": _POLLS}


def _complete(
    begin: float, end: float, name: str, track: _Event, args: _Event
) -> _Event:
    args = dict(args)
    event = {"ph": "X", "cat": "step" if name == "runs" else "state", "name": name}
    if "cname" in args:
        event["cname"] = args.pop("cname")
    times = {"ts": begin / 1e3, "dur": max(0.0, end - begin) / 1e3}
    return {**event, **times, **track, "args": args}
