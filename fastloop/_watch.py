"""The watch: reports of a step that blocks the loop, made while it does.

A thread of the core's looks; another one calls _tell() here, with the GIL, when there
is something to report.
"""

import asyncio
import atexit
import contextlib
import dataclasses
import functools
import gc
import linecache
import logging
import os
import re
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from traceback import FrameSummary
from types import FrameType
from typing import Any, Self

from . import _core, _lints
from ._coroutines import clean, full_name

MIN_LIMIT_S = 0.001
_FIRST, _AGAIN, _END = range(3)
_SOON_S = 0.1
_logger = logging.getLogger("fastloop.watch")


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """A step that blocks its loop: what is known of it at one moment.

    name: of the task and its coroutine, or of the callback. stack: frames of the step,
    the innermost last; empty if they could not be read. elapsed_s: since it began, in
    seconds, up to now or, if ended, to its end. limit_s: what it is over.

    kind: what it is doing: "off CPU" (it sleeps or waits), "Python", "C with the GIL",
    or "off CPU with the GIL". awake_share: of the moments before the report, on a
    processor or waiting for one, 0 to 1, or None. gc_share: of elapsed_s, in the
    garbage collector. call: the system call that it waits in with the GIL, or "".

    again: it is ten times over. ended: it is over. n_untold: blocks before it that were
    passed over, since there were too many.
    """

    name: str
    stack: tuple[FrameSummary, ...]
    kind: str
    elapsed_s: float
    limit_s: float
    awake_share: float | None
    gc_share: float
    call: str
    again: bool
    ended: bool
    n_untold: int

    def __str__(self) -> str:
        """What is logged, some lines long."""
        name = clean(self.name)
        if self.ended:
            return f"{name} blocked the loop for {self.elapsed_s:.3f} s in all"
        notes = [self.kind]
        if self.call:
            notes.append(f"in {self.call}")
        if self.gc_share >= 0.01:
            notes.append(f"{self.gc_share:.0%} of it garbage collection")
        head = (
            f"{name} has blocked the loop for {self.elapsed_s:.3f} s"
            f" ({', '.join(notes)})"
        )
        if self.n_untold:
            head += f"; {self.n_untold} more were not reported"
        return "\n".join([head, *(_shown(frame) for frame in self.stack)])


def _shown(frame: FrameSummary) -> str:
    text = f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
    line = linecache.getline(frame.filename, frame.lineno or 0).strip()
    return f"{text}\n    {line}" if line else text


class Watch:
    """What watch() returns: a context manager that stops it, as stop() does."""

    def __init__(self, limit_s: float, on_block: Callable[[Block], object] | None):
        self._limit_s = limit_s
        self._on_block = on_block
        self._quiet = False  # for questions from outside alone
        self._signal = 0  # in use, or 0
        self._socket = ""  # its path, or ""

    @property
    def limit_s(self) -> float:
        """Seconds that a step may take unreported."""
        return self._limit_s

    def stop(self) -> None:
        """End it, if it has not been replaced by another one."""
        global _current
        with _alone():
            if _current is self:
                _current = None
                _stop(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


_current: Watch | None = None
_at_fork: Watch | None = None
# Of who begins or ends a watch, or forks.
_lock = threading.RLock()
_lock_at_fork = False
_teller = 0  # the thread in which _tell() runs, or 0
# Blocks under way, by the loop's run and the step's beginning.
_told: dict[tuple[int, int], Block] = {}
# The last that are over, by when that was seen.
_latest: deque[tuple[float, Block]] = deque(maxlen=8)


def watch(limit_s: float, on_block: Callable[[Block], object] | None = None) -> Watch:
    """Report each step of a loop of fastloop's that takes longer than limit_s seconds.

    While it lasts, once more at ten times the limit, and when it is over: to the logger
    "fastloop.watch" and to on_block(block), which is called in a thread of the watch. A
    second call replaces the first. ValueError if the limit is below a millisecond,
    RuntimeError in a subinterpreter that faulthandler is not for.
    """
    global _current
    try:
        import faulthandler  # noqa: F401
    except ImportError as error:
        raise RuntimeError("a subinterpreter cannot be watched") from error
    limit_s = float(limit_s)
    if not MIN_LIMIT_S <= limit_s < float("inf"):
        raise ValueError(f"a limit of a millisecond or more was expected: {limit_s!r}")
    if on_block is not None and not callable(on_block):
        raise TypeError(f"on_block must be callable, not {type(on_block).__name__}")
    with _alone():
        if _current is not None:
            _current.stop()
        _prepare()
        new = Watch(limit_s, on_block)
        _start(new)
        _current = new
    return new


def resume(watch: Watch | None) -> None:
    """Let one that was replaced go on, unless another one is on."""
    global _current
    with _alone():
        if watch is not None and _current is None:
            _start(watch)
            _current = watch


def watch_quietly() -> None:
    """Answer other processes from now on; report nothing, unless a watch is on."""
    global _current
    with _alone():
        if _current is None:
            _prepare()
            new = Watch(0.1, None)
            new._quiet = True
            _start(new)
            _current = new
        elif not os.path.exists(_current._socket):
            # that of one which is on was removed, or could not be had
            old, _current = _current, None
            _stop(old)
            _start(old)
            _current = old


def watch_as_environment_says(text: str) -> None:
    """Start a watch with the limit of FASTLOOP_WATCH; a warning if that is none."""
    try:
        watch(float(text))
    except RuntimeError:
        pass  # it is meant for the main interpreter
    except ValueError:
        import warnings

        warnings.warn(
            f"FASTLOOP_WATCH={text!r} is ignored: seconds were expected, 0.001 or more",
            RuntimeWarning,
            stacklevel=3,
        )


# ---- beginning and end ----


def _lock_or_not() -> bool:
    """Get the lock; not in the teller's thread, for which its owner may wait."""
    return _lock.acquire(blocking=threading.get_ident() != _teller)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    got = _lock_or_not()
    try:
        yield
    finally:
        if got:
            _lock.release()


def _start(watch: Watch) -> None:
    from . import _outside

    fds = list(_pipe())
    try:
        fds.append(-1 if watch._quiet else _standard_error())
        listen_fd, watch._socket = _outside.open_socket()
        fds.append(listen_fd)
        number = _free_signal()
        if number:
            import faulthandler

            faulthandler.register(number, fds[1], all_threads=False)
            watch._signal = number
        _core._watch_start(
            limit_s=watch.limit_s,
            dump_read_fd=fds[0],
            dump_write_fd=fds[1],
            dump_signal=number,
            tell_fd=fds[2],
            listen_fd=fds[3],
            teller=_tell,
            linter=_lint,
        )
    except BaseException:
        _release(watch)
        for fd in fds:
            if fd >= 0:
                os.close(fd)
        raise
    gc.callbacks.append(_core._watch_gc)


def _stop(watch: Watch) -> None:
    if _core._watch_gc in gc.callbacks:
        gc.callbacks.remove(_core._watch_gc)
    _core._watch_stop()  # meanwhile another one may begin
    _release(watch)
    _told.clear()


def _release(watch: Watch) -> None:
    """Give back what is this watch's alone."""
    from . import _outside

    number, watch._signal = watch._signal, 0
    # one that the program has found a use for stays with it
    if number and not callable(signal.getsignal(number)):
        import faulthandler

        faulthandler.unregister(number)
    path, watch._socket = watch._socket, ""
    _outside.close_socket(path)


def _pipe() -> tuple[int, int]:
    return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)


def _standard_error() -> int:
    """Return a descriptor of its own for standard error, or -1 if there is none."""
    try:
        return os.dup(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):
        return -1


def _free_signal() -> int:
    """Return a real-time signal that nobody has a handler for, or 0."""
    taken = 0
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith(("SigBlk:", "SigIgn:", "SigCgt:")):
                    taken |= int(line.split()[1], 16)
    except OSError:
        return 0
    for number in range(signal.SIGRTMAX - 1, signal.SIGRTMIN, -1):
        if not taken >> (number - 1) & 1:
            return number
    return 0


def _before_fork() -> None:
    global _at_fork, _lock_at_fork
    _lock_at_fork = _lock_or_not()
    _at_fork = _current
    if _current is not None:
        _stop(_current)


def _after_fork() -> None:
    if _at_fork is not None and _at_fork is _current:
        try:
            _start(_at_fork)
        except OSError as error:
            _logger.warning("the watch ended with a fork: %s", error)
    if _lock_at_fork:
        _lock.release()


def _after_fork_in_child() -> None:
    global _lock, _lock_at_fork
    _lock, _lock_at_fork = threading.RLock(), False  # whoever had it
    _after_fork()


def _at_exit() -> None:
    if _current is not None:
        _current.stop()


@functools.cache
def _prepare() -> None:
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork,
        after_in_child=_after_fork_in_child,
    )
    atexit.register(_at_exit)


# ---- reports ----


def _tell(question: int) -> bytes | None:
    """Report what has been seen; answer a question, or 0; in the teller's thread."""
    global _teller
    _teller = threading.get_ident()
    try:
        if question == ord("b"):
            # before reports: a handler of those that waits gives the GIL up
            from . import _outside

            return _outside.answer(question)
        while (sight := _core._watch_take()) is not None:
            watch = _current
            if watch is not None:
                block = _make_block(watch, sight)
                if block.ended:
                    _latest.append((time.monotonic(), block))
                if not watch._quiet:
                    _report(watch, block)
                    if block.again and not block.ended and sight[2]:
                        _lints.never_yields(sight[0], block.elapsed_s)
        if "fastloop._timeline_outside" in sys.modules:
            from . import _timeline_outside

            _timeline_outside.end_if_forgotten()
        if question:
            from . import _outside

            return _outside.answer(question)
        if _current is not None and not _current._quiet:
            n_own = 2 if _current._socket else 1
            _lints.check(10 * _current.limit_s, n_own)
        return None
    finally:
        _teller = 0
        _forget_this_thread()


def _forget_this_thread() -> None:
    """Take back what threading noted of a thread that Python did not make."""
    with threading._active_limbo_lock:  # type: ignore[attr-defined]
        active = threading._active  # type: ignore[attr-defined]
        ident = threading.get_ident()
        if isinstance(active.get(ident), threading._DummyThread):
            del active[ident]


def _lint(kind: str, op: Any) -> None:
    if _current is not None and not _current._quiet:
        _lints.lint(kind, op)


def _report(watch: Watch, block: Block) -> None:
    _logger.warning("%s", block)
    if watch._on_block is not None:
        try:
            watch._on_block(block)
        except Exception:
            _logger.exception("on_block failed")


def _make_block(watch: Watch, sight: tuple[Any, ...]) -> Block:
    loop, run, live, name, stamp, kind, elapsed_s, awake_share, gc_share = sight[:9]
    n_untold, blind, awake, late_s, call, dump = sight[9:]
    key = run, stamp
    if kind == _END:
        name = name or "a step"
        before = _told.pop(key, None) or Block(
            name, (), "", 0.0, watch.limit_s, None, gc_share, "", False, True, n_untold
        )
        return dataclasses.replace(
            before, elapsed_s=elapsed_s, gc_share=gc_share, ended=True
        )
    stack: tuple[FrameSummary, ...] = ()
    if live:
        name = _task_name(loop) or name
        stack = _stack_of(loop._thread_id)
    if dump and (blind or not stack):
        # what was seen then, not where it has come to since
        stack = _stack_in(dump.decode("ascii", "replace")) or stack
    if live and awake and late_s < _SOON_S:
        blind = False  # the same step gave the GIL up: it is Python's
    if not name:
        name = _told[key].name if key in _told else "a step that is over"
    block = Block(
        name=name,
        stack=stack,
        kind=_KINDS[awake, blind],
        elapsed_s=elapsed_s,
        limit_s=watch.limit_s,
        awake_share=None if awake_share < 0.0 else awake_share,
        gc_share=gc_share,
        call=call,
        again=kind == _AGAIN,
        ended=False,
        n_untold=n_untold,
    )
    _remember(key, block)
    return block


_KINDS = {
    (False, False): "off CPU",
    (False, True): "off CPU with the GIL",
    (True, False): "Python",
    (True, True): "C with the GIL",
}


def _remember(key: tuple[int, int], block: Block) -> None:
    _told[key] = block
    while len(_told) > 100:
        del _told[next(iter(_told))]


def _task_name(loop: Any) -> str | None:
    task: Any = asyncio.current_task(loop)
    return None if task is None else full_name(task)


# ---- stacks ----

# Where the loop itself begins, seen from a step.
_BELOW = re.compile(
    r"/(asyncio/(runners|base_events|unix_events)|fastloop/_(loop|run))\.py$"
)
_RUNS = {"run", "run_forever", "run_until_complete", "_run_once"}
_LINE = re.compile(r'\s*File "(.*)", line (\d+|\?+),? in (.*)')


def _is_below(filename: str, name: str) -> bool:
    return name.rpartition(".")[2] in _RUNS and bool(_BELOW.search(filename))


def _stack_of(ident: int) -> tuple[FrameSummary, ...]:
    frame: FrameType | None = sys._current_frames().get(ident)
    frames = []
    while frame is not None:
        code = frame.f_code
        if _is_below(code.co_filename, code.co_name):
            break
        frames.append(
            FrameSummary(
                code.co_filename, frame.f_lineno, code.co_qualname, lookup_line=False
            )
        )
        frame = frame.f_back
    return tuple(reversed(frames))


def _stack_in(dump: str) -> tuple[FrameSummary, ...]:
    """Read what faulthandler writes of one thread."""
    frames = []
    for line in dump.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        filename, number, name = match.groups()
        if _is_below(filename, name):
            break
        frames.append(
            FrameSummary(
                filename,
                int(number) if number.isdigit() else 0,
                name,
                lookup_line=False,
            )
        )
    return tuple(reversed(frames))
