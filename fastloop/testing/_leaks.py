"""What a piece of a program leaves behind."""

import asyncio
import concurrent.futures
import contextlib
import dataclasses
import gc
import io
import os
import socket
import sys
import threading
import warnings
from asyncio import base_events
from collections.abc import Iterable, Iterator
from typing import Any, Self

from ._places import Places, here

KINDS = (
    "loop",
    "task",
    "timer",
    "callback",
    "transport",
    "server",
    "executor",
    "file descriptor",
    "exception",
    "coroutine",
)
_TURNS = 5  # for what is on its way out
_MAX_LINES = 100
_Things = dict[int, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Leak:
    """One thing that was left behind.

    kind: "task", "timer", "transport" and so on. what: its repr, or its text. born:
    "file:line in function", or "" if that is not known.
    """

    kind: str
    what: str
    born: str = ""

    def __str__(self) -> str:
        text = f"{self.kind}: {self.what}"
        return f"{text}\n    made at {self.born}" if self.born else text


class LeakError(AssertionError):
    """Something was left behind: the message tells of each, and so does leaks."""

    def __init__(self, leaks: "list[Leak]") -> None:
        lines = [str(one) for one in leaks[:_MAX_LINES]]
        if len(leaks) > _MAX_LINES:
            lines.append(f"and {len(leaks) - _MAX_LINES} more")
        super().__init__("\n".join(["left behind:", *lines]))
        self.leaks = leaks


class leaks:
    """leaks(*, ignore=()): raise LeakError if what is in `with` leaves things behind.

    In a coroutine, `async with` gives what is on its way out a few turns of the loop.
    Looked for are tasks that are not done, timers, transports, servers and file
    descriptors, executors that were not shut down and jobs of the loop's own, loops
    that were not closed, exceptions that nobody saw and coroutines that were never
    awaited; each only if it was not there before. If the block raises, that is it.

    ignore: kinds not to look for, names of KINDS; ValueError if it is none. found: the
    leaks, once the block has ended.
    """

    def __init__(self, *, ignore: Iterable[str] = ()) -> None:
        self._ignored = set(ignore)
        if unknown := self._ignored.difference(KINDS):
            raise ValueError(f"no kinds of leaks: {', '.join(sorted(unknown))}")
        self.found: list[Leak] = []
        self._loop: Any = None
        self._places = Places()
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.found = []
        self._loop = asyncio._get_running_loop()
        gc.collect()
        self._before = _look(self._loop)
        self._fds_before = _open_fds()
        self._places = Places()
        self._ends.callback(self._places.stop)
        self._ends.enter_context(self._unseen())
        self._places.start(self._loop)
        return self

    def __exit__(self, kind: Any, exc: Any, traceback: Any) -> None:
        try:
            if exc is None:
                gc.collect()
        finally:
            self._ends.close()
        if exc is None:
            self.found += self._compare()
            self.found = [x for x in self.found if x.kind not in self._ignored]
            if self.found:
                raise LeakError(self.found)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: Any, exc: Any, traceback: Any) -> None:
        for _ in range(_TURNS if exc is None else 0):
            await asyncio.sleep(0)
        self.__exit__(kind, exc, traceback)

    # --- what is there ---

    def _compare(self) -> list[Leak]:
        found = []
        after = _look(self._loop)
        for kind, things in after.items():
            before = self._before[kind]
            for key, thing in things.items():
                if before.get(key) is not thing and (
                    kind != "task" or thing is not _current(self._loop)
                ):
                    found.append(Leak(kind, _shown(thing), self._places.of(thing)))
        self._before = {}
        fds = _open_fds().items() - self._fds_before.items()
        return found + [
            _lone_fd(fd, target) for fd, target in sorted(fds - _named(after))
        ]

    # --- what nobody saw ---

    def _unseen(self) -> contextlib.ExitStack:
        """Note what the interpreter and the loop tell of, until it is closed."""
        ends = contextlib.ExitStack()
        depth = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(max(depth, 10))
        ends.callback(sys.set_coroutine_origin_tracking_depth, depth)
        for where, name, wrap in (
            (sys, "unraisablehook", self._on_unraisable),
            (threading, "excepthook", self._on_thread),
            (warnings, "_warn_unawaited_coroutine", self._on_unawaited),
            (warnings, "_showwarnmsg", self._on_warning),
            (self._loop, "call_exception_handler", self._on_report),
        ):
            before = getattr(where, name, None)
            if before is not None:
                ends.enter_context(_replaced(where, name, wrap(before)))
        return ends

    def _on_report(self, before: Any) -> Any:
        loop = self._loop

        def call_exception_handler(context: dict[str, Any]) -> None:
            if loop.get_exception_handler() is None:
                about = context.get("task") or context.get("future")
                born = "" if about is None else self._places.of(about)
                exc = context.get("exception")
                what = "" if exc is None else f": {exc!r}"
                text = f"{context.get('message', 'unhandled exception')}{what}"
                self.found.append(Leak("exception", text, born))
            before(context)

        return call_exception_handler

    def _on_unraisable(self, before: Any) -> Any:
        def hook(args: Any) -> None:
            text = f"{args.exc_value!r} in {args.object!r}"
            self.found.append(Leak("exception", text))
            before(args)

        return hook

    def _on_thread(self, before: Any) -> Any:
        def hook(args: Any) -> None:
            name = getattr(args.thread, "name", "?")
            text = f"{args.exc_value!r} in thread {name}"
            self.found.append(Leak("exception", text))
            before(args)

        return hook

    def _on_unawaited(self, before: Any) -> Any:
        def warn(coro: Any) -> None:
            name = getattr(coro, "__qualname__", type(coro).__name__)
            origin = getattr(coro, "cr_origin", None) or ()
            born = f"{origin[0][0]}:{origin[0][1]} in {origin[0][2]}" if origin else ""
            self.found.append(Leak("coroutine", f"{name} was never awaited", born))
            self._warns = True
            try:
                before(coro)
            finally:
                self._warns = False

        return warn

    _warns = False

    def _on_warning(self, before: Any) -> Any:
        """Those of fastloop's own in C."""

        def show(message: Any) -> None:
            text = str(message.message)
            if not self._warns and text.endswith("was never awaited"):
                self.found.append(Leak("coroutine", text, here()))
            before(message)

        return show


class CheckLeaks:
    """A mixin for unittest's IsolatedAsyncioTestCase, to be named before it: each test
    is within leaks(), from before asyncSetUp() to after the last clean-up."""

    ignored_leaks: Iterable[str] = ()

    async def asyncSetUp(self: Any) -> None:
        check = leaks(ignore=self.ignored_leaks)
        await check.__aenter__()
        self.addAsyncCleanup(check.__aexit__, None, None, None)
        await super().asyncSetUp()  # type: ignore[misc]


@contextlib.contextmanager
def _replaced(where: Any, name: str, ours: Any) -> Iterator[None]:
    """Like mock.patch.object, but what others have put there meanwhile stays."""
    own = name in vars(where)
    before = getattr(where, name)
    setattr(where, name, ours)
    try:
        yield
    finally:
        if vars(where).get(name) is ours:
            if own:
                setattr(where, name, before)
            else:
                delattr(where, name)


# ---- looking ----


def _current(loop: Any) -> Any:
    return None if loop is None else asyncio.current_task(loop)


def _by_id(things: Iterable[Any]) -> _Things:
    return {id(one): one for one in things}


def _look(loop: Any) -> dict[str, _Things]:
    """Return what there is, by kind; of this loop, or of all if it is None."""
    loops, servers, executors = [], [], []
    for one in gc.get_objects():
        kind = type(one)  # of a proxy this is no lie
        if issubclass(kind, base_events.BaseEventLoop):
            if not one.is_closed():
                loops.append(one)
        elif issubclass(kind, base_events.Server):
            if one.sockets:
                servers.append(one)
        elif issubclass(kind, concurrent.futures.Executor):
            executors.append(one)
    looked_at = loops if loop is None else [loop]
    own = [getattr(one, "_default_executor", None) for one in loops]
    found: dict[str, _Things] = {
        "loop": _by_id(loops),
        "task": {},
        "timer": {},
        "callback": {},
        "transport": {},
        "server": _by_id(servers),
        "executor": _by_id(x for x in executors if _is_open(x) and x not in own),
    }
    for one in looked_at:
        found["task"].update(_by_id(asyncio.all_tasks(one)))
        timers = [x for x in getattr(one, "_scheduled", ()) if not x.cancelled()]
        found["timer"].update(_by_id(timers))
        if not one.is_running():
            found["callback"].update(_ready(one))
        transports = getattr(one, "_transports", {}).values()
        found["transport"].update(_by_id(x for x in transports if not x.is_closing()))
        jobs = _jobs(getattr(one, "_default_executor", None))
        if jobs:
            text = f"{jobs} running in the executor of {one!r}"
            found["executor"][id(one)] = text
    return found


def _ready(loop: Any) -> _Things:
    stats = getattr(loop, "stats", None)
    if stats is not None:
        count = stats()["ready"]
        return {id(loop): f"{count} queued in {loop!r}"} if count else {}
    return _by_id(x for x in getattr(loop, "_ready", ()) if not x.cancelled())


def _is_open(executor: Any) -> bool:
    """Tell whether an executor has workers and was not shut down."""
    if getattr(executor, "_shutdown", False):
        return False
    if getattr(executor, "_shutdown_thread", False):
        return False
    return bool(getattr(executor, "_threads", None)) or bool(
        getattr(executor, "_processes", None)
    )


def _jobs(executor: Any) -> str:
    """Return "2 jobs" of a thread pool; "" if there are none, or it is another pool."""
    idle = getattr(getattr(executor, "_idle_semaphore", None), "_value", None)
    queue = getattr(executor, "_work_queue", None)
    if idle is None or queue is None:
        return ""
    count = len(executor._threads) - idle + queue.qsize()
    return f"{count} jobs" if count > 1 else "1 job" if count == 1 else ""


def _open_fds() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def _named(found: dict[str, _Things]) -> set[tuple[int, str]]:
    """Return the fds of transports and servers, as _open_fds() has them."""
    fds = set()
    for one in [*found["transport"].values(), *found["server"].values()]:
        ask = getattr(one, "get_extra_info", None)
        for sock in one.sockets if ask is None else [ask("socket"), ask("pipe")]:
            with contextlib.suppress(OSError, AttributeError):
                fd = sock.fileno()
                fds.add((fd, os.readlink(f"/proc/self/fd/{fd}")))
    return fds


def _lone_fd(fd: int, target: str) -> Leak:
    """Name whose it is, and where that was made if tracemalloc traces."""
    for one in gc.get_objects():
        if issubclass(type(one), socket.socket | io.FileIO):
            with contextlib.suppress(Exception):
                if one.fileno() == fd:
                    return Leak(
                        "file descriptor", f"{fd}, {target}, {one!r}", _traced(one)
                    )
    return Leak("file descriptor", f"{fd}, {target}")


def _traced(one: Any) -> str:
    import tracemalloc

    for frame in reversed(tracemalloc.get_object_traceback(one) or ()):
        if not frame.filename.startswith(os.path.dirname(socket.__file__) + "/"):
            return f"{frame.filename}:{frame.lineno}"
    return ""


def _shown(thing: Any) -> str:
    if isinstance(thing, str):
        return thing
    try:
        return repr(thing)
    except Exception:  # the program's
        return object.__repr__(thing)
