"""A loop whose time is virtual."""

import asyncio
import contextlib
import heapq
import itertools
import math
import os
import sys
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from .. import _core
from .._loop import Loop
from ._waiters import describe

_T = TypeVar("_T")

GRACE_S = 0.01


class StuckError(RuntimeError):
    """Nothing can ever wake the program: the message names each task that waits."""


class EndReachedError(RuntimeError):
    """The virtual time has come to its end: the message names each task that waits."""


class TestLoop(Loop):
    """TestLoop(start=0.0, *, end=None, grace=0.01, patience=None, order=None,
    shuffle_start=False)

    A fastloop.Loop whose time() jumps to the next timer when nothing is ready and no fd
    is. Executor jobs, child processes and hold() hold it; so does, for `grace` seconds
    of real time after each sign of I/O, any socket or pipe that is waited for. Other
    threads do not.

    start, end: seconds of time(); the clock goes no further than end, and then
    EndReachedError leaves the loop. patience: the seconds of real time to wait, once no
    timer is left, for what only an fd, a signal or another thread can bring; None: for
    ever. Then, or at once if there is none of these, StuckError leaves the loop.

    order: a seed, an int from 0 to 2**53, has wake-ups of tasks, fds that are ready at
    once and timers of one deadline run in an order of its own; "random" is a new one.
    FASTLOOP_SEED in the environment takes the place of either. shuffle_start: tasks
    begin in any order, too.
    """

    __test__ = False  # not for pytest to collect

    time = _core.EventLoop._virtual_time
    _has_failed = False  # what follows is cleaning up

    def __init__(
        self,
        start: float = 0.0,
        *,
        end: float | None = None,
        grace: float = GRACE_S,
        patience: float | None = None,
        order: int | str | None = None,
        shuffle_start: bool = False,
    ) -> None:
        super().__init__()
        try:
            seed = seed_of(order)
            if not math.isfinite(start):
                raise ValueError(f"start is no time: {start!r}")
            if not grace >= 0:
                raise ValueError(f"grace is no span of time: {grace!r}")
            self._begin_virtual(start)
            self._virtual_end = math.inf if end is None else end
            self._virtual_grace = min(grace, 1e6)
            self._virtual_seed = -1 if seed is None else seed
            self._virtual_starts = bool(shuffle_start)
        except BaseException:
            self.close()
            raise
        self._seed = seed
        self._patience = patience
        self._hold_lock = threading.Lock()
        # of a thread that runs a job: whether that has asked the loop for something
        self._asking: dict[int, bool] = {}
        # those who wait until all is settled: (time, number, future)
        self._settling: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    @property
    def order(self) -> int | None:
        """The seed of the order, or None."""
        return self._seed

    def run_until_complete(self, future: Any) -> Any:
        """As BaseEventLoop.run_until_complete; an exception is given a note that says
        the seed, if there is one."""
        try:
            return super().run_until_complete(future)
        except Exception as exc:
            self._has_failed = True
            if self._seed is not None:
                note = f"order={self._seed}; FASTLOOP_SEED={self._seed} is the same one"
                if note not in getattr(exc, "__notes__", ()):
                    exc.add_note(note)
            raise

    # --- what holds the clock ---

    def _add_holds(self, count: int) -> None:
        with self._hold_lock:
            self._virtual_holds += count

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Let the clock stand still meanwhile; from any thread."""
        self._add_holds(1)
        try:
            yield
        finally:
            self._add_holds(-1)
            # it may be asleep for as long as somebody holds it
            with contextlib.suppress(RuntimeError):  # it is closed
                self.call_soon_threadsafe(_nothing)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        """run_in_executor(executor, func, *args) -> future of what func(*args) returns.

        The clock stands still until the future is done.
        """
        if executor is None or isinstance(executor, ThreadPoolExecutor):
            if self.get_debug():
                self._check_callback(func, "run_in_executor")  # type: ignore[attr-defined]
            func, args = self._run_job, (func, *args)
        self._add_holds(1)
        try:
            future = super().run_in_executor(executor, func, *args)
        except BaseException:
            self._add_holds(-1)
            raise
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, future: Any) -> None:
        self._add_holds(-1)

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """As BaseEventLoop.call_soon_threadsafe. A job of an executor that calls it
        holds the clock no longer: it may wait for what the loop does."""
        if threading.get_ident() in self._asking:
            self._note_asker()
        return super().call_soon_threadsafe(callback, *args, context=context)

    def _run_job(self, func: Any, *args: Any) -> Any:
        """In the thread of an executor."""
        thread = threading.get_ident()
        self._asking[thread] = False
        try:
            return func(*args)
        finally:
            with self._hold_lock:
                if self._asking.pop(thread):
                    self._virtual_askers -= 1
                    self._virtual_holds += 1

    def _note_asker(self) -> None:
        with self._hold_lock:
            if self._asking.get(threading.get_ident()) is False:
                self._asking[threading.get_ident()] = True
                self._virtual_askers += 1
                self._virtual_holds -= 1

    async def shutdown_default_executor(self, *args: Any, **keywords: Any) -> None:
        """As BaseEventLoop.shutdown_default_executor; the clock stands still."""
        with self.hold():
            await super().shutdown_default_executor(*args, **keywords)

    def _watch_child(self, transport: Any) -> None:
        exited = transport._process_exited

        def process_exited(code: int) -> None:
            del transport._process_exited
            self._add_holds(-1)
            exited(code)

        transport._process_exited = process_exited
        self._add_holds(1)
        super()._watch_child(transport)  # type: ignore[misc]

    # --- moving it by hand ---

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the clock move by advance() only."""
        self._virtual_frozen += 1
        try:
            yield
        finally:
            self._virtual_frozen -= 1

    async def advance(self, seconds: float) -> None:
        """Move the clock, running all that is due on the way, in order.

        Returns once everything that is due by then has run, and what it caused.
        ValueError if seconds is negative.
        """
        if not seconds >= 0:
            raise ValueError(f"the clock cannot move by {seconds!r} seconds")
        await self._settled(self.time() + seconds)

    async def settle(self) -> None:
        """Return once nothing else is ready or due, nor held back: all others wait."""
        await self._settled(self.time())

    async def _settled(self, when: float) -> None:
        if asyncio._get_running_loop() is not self:
            raise RuntimeError("this loop does not run here")
        future = self.create_future()
        entry = when, next(self._numbers), future
        heapq.heappush(self._settling, entry)
        self._show_settling()
        try:
            await future
        finally:
            if entry in self._settling:
                self._settling.remove(entry)
                heapq.heapify(self._settling)
                self._show_settling()

    def _show_settling(self) -> None:
        self._virtual_wait = self._settling[0][0] if self._settling else math.inf

    def _wake_settled(self) -> None:
        """All that is due by now has run: called by the core."""
        now = self.time()
        while self._settling and self._settling[0][0] <= now:
            future = heapq.heappop(self._settling)[2]
            if not future.done():
                future.set_result(None)
        self._show_settling()

    # --- the end ---

    def _nothing_left(self, watched: int, waited_s: float) -> float:
        """Return how long to wait for what comes from outside, or -1: called by the
        core when there is no timer to jump to."""
        signals: Any = self._signal_handlers  # type: ignore[attr-defined]
        if watched or signals or self._others_live():
            if self._patience is None:
                return -1.0
            if waited_s < self._patience:
                return self._patience - waited_s
            why = f"nothing has woken it for {self._patience:g} s of real time"
        else:
            why = "nothing can ever wake it"
        if self._virtual_frozen:
            why += ", its clock is frozen"
        raise StuckError(f"{why}, at {self.time():g} s{describe(self)}")

    def _others_live(self) -> bool:
        """Tell whether a thread lives that may wake the loop."""
        executor: Any = self._default_executor  # type: ignore[attr-defined]
        idle = getattr(executor, "_threads", ())  # its jobs would hold the clock
        current = threading.current_thread()
        return any(
            thread is not current and thread not in idle
            for thread in threading.enumerate()
        )

    def _end_reached(self) -> None:
        raise EndReachedError(
            f"its time has come to the end, {self._virtual_end:g} s{describe(self)}"
        )


def _nothing() -> None:
    pass


def seed_of(order: int | str | None) -> int | None:
    """Return the seed that counts; ValueError for none, TypeError for no order."""
    if order is None:
        return None
    text = os.environ.get("FASTLOOP_SEED")
    if text:
        if not text.isdecimal():
            raise ValueError(f"FASTLOOP_SEED is no seed: {text!r}")
        seed = int(text)
    elif order == "random":
        seed = int.from_bytes(os.urandom(4), "little")
    elif isinstance(order, int):
        seed = order
    else:
        raise TypeError(f'order must be a seed, "random" or None, not {order!r}')
    if not 0 <= seed <= 2**53:
        raise ValueError(f"no seed: {seed}")
    return seed


def new_test_loop(
    start: float = 0.0,
    *,
    end: float | None = None,
    grace: float = GRACE_S,
    patience: float | None = None,
    order: int | str | None = None,
    shuffle_start: bool = False,
) -> TestLoop:
    """Return a new TestLoop: what `loop_factory=` wants in a test.

    The arguments are TestLoop's. It is not made the current loop. Raises OSError when
    out of file descriptors.
    """
    return TestLoop(
        start,
        end=end,
        grace=grace,
        patience=patience,
        order=order,
        shuffle_start=shuffle_start,
    )


def run(
    main: Coroutine[Any, Any, _T],
    *,
    debug: bool | None = None,
    start: float = 0.0,
    end: float | None = None,
    grace: float = GRACE_S,
    patience: float | None = None,
    order: int | str | None = None,
    shuffle_start: bool = False,
) -> _T:
    """Run a coroutine on a new TestLoop, then close it: fastloop.run in virtual time.

    debug: as for asyncio.run; the others are TestLoop's. Returns or raises what main
    does, or StuckError or EndReachedError.
    """

    def make_loop() -> TestLoop:
        return TestLoop(
            start,
            end=end,
            grace=grace,
            patience=patience,
            order=order,
            shuffle_start=shuffle_start,
        )

    if sys.version_info >= (3, 12):
        return asyncio.run(main, debug=debug, loop_factory=make_loop)
    with asyncio.Runner(debug=debug, loop_factory=make_loop) as runner:
        return runner.run(main)
