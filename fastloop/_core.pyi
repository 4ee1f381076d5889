import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from selectors import BaseSelector
from socket import _Address, socket
from typing import (
    IO,
    Any,
    Literal,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeVar,
    TypeVarTuple,
    Unpack,
    final,
)

from typing_extensions import Buffer, disjoint_base

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

class _HasFileno(Protocol):
    def fileno(self) -> int: ...

class _Stats(TypedDict):
    iterations: int
    polls: int
    ready: int
    timers: int
    watches: int
    steps: int
    longest_step_s: float

if sys.version_info >= (3, 12):
    _AwaitableLike: TypeAlias = Awaitable[_T]
    _CoroutineLike: TypeAlias = Coroutine[Any, Any, _T]
else:
    _AwaitableLike: TypeAlias = Awaitable[_T] | Generator[Any, None, _T]
    _CoroutineLike: TypeAlias = Coroutine[Any, Any, _T] | Generator[Any, None, _T]

class _TaskFactory(Protocol):
    def __call__(
        self, loop: asyncio.AbstractEventLoop, coro: _CoroutineLike[_T], /
    ) -> asyncio.Future[_T]: ...

_FileDescriptorLike: TypeAlias = int | _HasFileno
_ExceptionHandler: TypeAlias = Callable[
    [asyncio.AbstractEventLoop, dict[str, Any]], object
]

@disjoint_base
class EventLoop:
    """The C part of fastloop.Loop."""

    slow_callback_duration: float
    """Seconds; in debug mode a callback that takes longer is logged."""
    def __init__(self, selector: BaseSelector | None = None) -> None: ...
    def call_soon(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Run callback(*args) in the next iteration; return its Handle.

        context: the contextvars.Context to run it in; a copy of the current one if
        None. Raises RuntimeError if the loop is closed.
        """
    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Like call_soon(), from any thread; wakes the loop if it sleeps."""
    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run callback(*args) after delay seconds; return its TimerHandle.

        Raises TypeError if delay is None, RuntimeError if the loop is closed.
        """
    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run callback(*args) when loop.time() has reached when, in seconds; return its
        TimerHandle. Equal times run in the order of the calls.
        """
    def time(self) -> float:
        """Return the loop's clock: seconds, as time.monotonic()."""
    # of fastloop.testing.TestLoop, AttributeError on others
    _virtual_askers: float
    _virtual_end: float
    _virtual_frozen: float
    _virtual_grace: float
    _virtual_holds: float
    _virtual_now: float
    _virtual_seed: float
    _virtual_starts: float
    _virtual_wait: float
    def _begin_virtual(self, start: float, /) -> None: ...
    def _run_once(self) -> None: ...
    def _poll_for(self, timeout: float | None, /) -> bool: ...
    def _poll_timeout(self) -> float | None: ...
    def _virtual_time(self) -> float:
        """Return the loop's clock: seconds, of virtual time if it has that."""
    def create_future(self) -> asyncio.Future[Any]:
        """Return a new Future of this loop."""
    if sys.version_info >= (3, 13):
        def create_task(
            self,
            coro: _CoroutineLike[_T],
            *,
            name: object = None,
            context: Context | None = None,
            eager_start: bool | None = None,
        ) -> asyncio.Task[_T]:
            """Schedule a coroutine; return its Task.

            Keywords are those of the running Python's asyncio: name, context and, from
            3.14, eager_start. A task factory is called as that asyncio calls it.
            """
    else:
        def create_task(
            self,
            coro: _CoroutineLike[_T],
            *,
            name: object = None,
            context: Context | None = None,
        ) -> asyncio.Task[_T]:
            """Schedule a coroutine; return its Task.

            Keywords are those of the running Python's asyncio: name, context and, from
            3.14, eager_start. A task factory is called as that asyncio calls it.
            """

    def set_task_factory(self, factory: _TaskFactory | None) -> None:
        """Make create_task() use factory(loop, coro, ...); None for the default."""
    def get_task_factory(self) -> _TaskFactory | None:
        """Return the task factory, or None for the default."""
    def set_exception_handler(self, handler: _ExceptionHandler | None) -> None:
        """
        Call handler(loop, context) for exceptions nobody took; None for the default.
        """
    def get_exception_handler(self) -> _ExceptionHandler | None:
        """Return the exception handler, or None for the default."""
    def run_forever(self) -> None:
        """Run until stop() is called."""
    def run_until_complete(self, future: _AwaitableLike[_T]) -> _T:
        """Run until future, or the coroutine given, is done; return its result.

        Raises its exception, or RuntimeError if the loop was stopped before.
        """
    def run_nested(
        self, awaitable: _AwaitableLike[_T], others: Literal["run", "wait"] = "run"
    ) -> _T:
        """Run until awaitable is done, also inside of a step of this very loop; return
        its result.

        others: 'run': all that the loop has to do goes on meanwhile, between two lines
        of the caller; or 'wait': tasks that were there before, what was scheduled with
        call_soon() before, and timers set before have their turns after the return, in
        order. Run then: the awaitable, tasks made meanwhile and what they schedule,
        callbacks of fds and transports, what other threads schedule. Whoever awaits one
        of those that wait, waits for ever.

        A turn in a Context that is entered waits, too. Without a running loop the same
        as run_until_complete(). Raises the awaitable's exception; RuntimeError if the
        loop runs in another thread, or was stopped before.
        """
    def stop(self) -> None:
        """Stop the loop at the end of the current iteration."""
    def close(self) -> None:
        """Close the loop: drop what is queued, shut down the default executor.

        Closing a closed loop does nothing. Raises RuntimeError if it is running.
        """
    def is_running(self) -> bool:
        """Return True if the loop runs."""
    def is_closed(self) -> bool:
        """Return True if the loop was closed."""
    def get_debug(self) -> bool:
        """Return True if the loop is in debug mode."""
    def set_debug(self, enabled: bool) -> None:
        """Switch debug mode on or off."""
    def add_reader(
        self,
        fd: _FileDescriptorLike,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
    ) -> None:
        """Call callback(*args) whenever fd, an int or an object with fileno(), can be
        read. Replaces the fd's reader. Raises OSError if fd can't be watched.
        """
    def add_writer(
        self,
        fd: _FileDescriptorLike,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
    ) -> None:
        """Call callback(*args) whenever fd, an int or an object with fileno(), can be
        written. Replaces the fd's writer. Raises OSError if fd can't be watched.
        """
    def remove_reader(self, fd: _FileDescriptorLike) -> bool:
        """Stop watching fd for reading; return whether it was watched."""
    def remove_writer(self, fd: _FileDescriptorLike) -> bool:
        """Stop watching fd for writing; return whether it was watched."""
    def sock_recv(self, sock: socket, n: int) -> Coroutine[Any, Any, bytes]:
        """Await up to n bytes from the socket; b'' at the end of the stream."""
    def sock_recv_into(self, sock: socket, buf: Buffer) -> Coroutine[Any, Any, int]:
        """Await bytes from the socket, put into a writable buffer; the
        result is their number.
        """
    def sock_recvfrom(
        self, sock: socket, bufsize: int
    ) -> Coroutine[Any, Any, tuple[bytes, Any]]:
        """Await a datagram of up to bufsize bytes: (bytes, address)."""
    def sock_recvfrom_into(
        self, sock: socket, buf: Buffer, nbytes: int = 0
    ) -> Coroutine[Any, Any, tuple[int, Any]]:
        """Await a datagram, put into a writable buffer: (number of bytes, address).

        nbytes: the most to take; 0 for what the buffer holds.
        """
    def sock_sendall(self, sock: socket, data: Buffer) -> Coroutine[Any, Any, None]:
        """Send all of a bytes-like object. After an error nobody knows how
        much of it was.
        """
    def sock_sendto(
        self, sock: socket, data: Buffer, address: _Address
    ) -> Coroutine[Any, Any, int]:
        """Send a datagram to address; the result is the number of bytes sent."""
    def sock_connect(
        self, sock: socket, address: _Address
    ) -> Coroutine[Any, Any, None]:
        """Connect the socket to address. A host name is resolved first."""
    def sock_accept(self, sock: socket) -> Coroutine[Any, Any, tuple[socket, Any]]:
        """Await a connection of a listening socket: (non-blocking socket, address)."""
    def sock_sendfile(
        self,
        sock: socket,
        file: IO[bytes],
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool | None = True,
    ) -> Coroutine[Any, Any, int]:
        """Send a file opened in binary mode, from offset on, count bytes or to its end;
        the result is the number of bytes sent, and the file stands behind them.

        fallback: read and send what sendfile(2) does not; else such a file raises
        asyncio.SendfileNotAvailableError.
        """
    def stats(self) -> _Stats:
        """Return what the loop has done and what waits, as a dict, from any thread:
        iterations, polls, steps (callbacks run) since it was made; ready (callbacks
        queued), timers and watches (fds) now; longest_step_s, the longest callback in
        seconds since the loop was made or reset_metrics() was called. metrics() has
        more.
        """
    def reset_metrics(self) -> None:
        """
        Begin anew with what metrics() shows of the past: the histograms, their maxima
        and the slowest steps. Totals go on.
        """
    def _read_metrics(self) -> tuple[Any, ...]: ...
    def _watched_events(self, fd: _FileDescriptorLike) -> int | None: ...

def _before_fork() -> None: ...
def _after_fork() -> None: ...
def _listen(
    loop: EventLoop,
    sock: socket,
    factory: Callable[[], asyncio.BaseProtocol],
    server: asyncio.AbstractServer | None,
    backlog: int,
    context: Context | None,
    tls: tuple[Any, ...] | None,
    /,
) -> bool:
    """Accept connections; False if asyncio's own must drive that kind of socket."""

def _make_read_pipe(
    loop: EventLoop,
    pipe: Any,
    protocol: asyncio.BaseProtocol,
    waiter: asyncio.Future[None] | None,
    extra: dict[str, Any] | None,
    /,
) -> asyncio.ReadTransport:
    """Return the transport of a pipe to read from; ValueError if it is none."""

def _make_write_pipe(
    loop: EventLoop,
    pipe: Any,
    protocol: asyncio.BaseProtocol,
    waiter: asyncio.Future[None] | None,
    extra: dict[str, Any] | None,
    /,
) -> asyncio.WriteTransport:
    """Return the transport of a pipe to write to; ValueError if it is none."""

def _make_datagram(
    loop: EventLoop,
    sock: socket,
    protocol: asyncio.BaseProtocol,
    address: Any,
    waiter: asyncio.Future[None] | None,
    extra: dict[str, Any] | None,
    /,
) -> asyncio.DatagramTransport | None:
    """Return a transport, or None if asyncio's own must drive that kind of socket."""

def _make_stream(
    loop: EventLoop,
    sock: socket,
    protocol: asyncio.BaseProtocol,
    waiter: asyncio.Future[None] | None,
    extra: dict[str, Any] | None,
    server: asyncio.AbstractServer | None,
    context: Context | None,
    /,
) -> asyncio.Transport | None:
    """Return a transport, or None if asyncio's own must drive that kind of socket."""

def _tls_set_up(sslproto: Any, socket_class: type, path: str, version: int, /) -> bool:
    """Return whether TLS can be driven from C, with the OpenSSL that the shared object
    at path has loaded.
    """

@disjoint_base
class _Protocol: ...

@disjoint_base
class _Tls(_Protocol):
    """The C half of asyncio.sslproto.SSLProtocol."""

    max_size: int
    def _adopt(self) -> bool: ...
    def _connection_lost(self, exc: BaseException | None, /) -> None: ...

class _TlsTransport:
    """The C half of asyncio.sslproto._SSLProtocolTransport."""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send data: bytes, bytearray or memoryview, as it is now, encrypted."""

class Future(asyncio.Future[_T]):
    """A result that is not there yet: asyncio.Future, which it derives from, in C.

    loop: the event loop that calls the callbacks; by default the current one.
    """

@disjoint_base
class Task(asyncio.Task[_T]):
    """A coroutine driven by an event loop: asyncio.Task, which it derives from, in C.

    loop: the event loop; by default the current one. name: str() of it is the name.
    context: the contextvars.Context to run in; by default a copy of the current one.
    eager_start (3.12+): run up to the first suspension at once, if the loop runs.
    Raises: TypeError if coro is no coroutine.
    """

def _loops_run() -> int:
    """Return how often a loop of ours has begun to run."""

def _pending_tasks() -> list[Any]: ...
def _observe(
    created: Callable[[Any], object] | None,
    step: Callable[[Any, float, float], object] | None,
    done: Callable[[Any], object] | None,
    /,
) -> None: ...
def _watch_check_in(seconds: float, /) -> None: ...
def _watch_stuck() -> list[Any]: ...
def _watch_gc(phase: str, info: dict[str, Any], /) -> None: ...
def _watch_loops() -> list[tuple[Any, int, float, str]]: ...
def _watch_since(task: object, /) -> tuple[float, bool] | None: ...
def _watch_start(
    *,
    limit_s: float,
    dump_read_fd: int,
    dump_write_fd: int,
    dump_signal: int,
    tell_fd: int,
    listen_fd: int,
    teller: Callable[[int], object],
    linter: Callable[[str, Any], object],
) -> None: ...
def _watch_stop() -> None: ...
def _watch_take() -> tuple[Any, ...] | None: ...
def _timeline_start(
    room: int,
    folders: tuple[str, ...],
    partial: type,
    probes: tuple[Any, Any],
    loop: object,
    task: object,
    name_of_thread: Callable[[], str],
    /,
) -> None: ...
def _timeline_stop() -> dict[str, Any] | None: ...
def _unlist_task(task: object, /) -> None: ...

# asyncio's, as functions go
as_completed = asyncio.as_completed
gather = asyncio.gather
shield = asyncio.shield
sleep = asyncio.sleep
timeout = asyncio.timeout
timeout_at = asyncio.timeout_at
wait = asyncio.wait
wait_for = asyncio.wait_for

@final
class Timeout(asyncio.Timeout):  # type: ignore[misc]
    """Cancels what is within `async with` when its time has come:
    asyncio.Timeout, which it derives from, in C. Made by timeout().

    when: seconds of loop.time(), or None: never.
    """

@disjoint_base
class Lock(asyncio.Lock):
    """A lock for tasks, who get it in the order in which they asked:
    asyncio.Lock, which it derives from, in C.
    """

@disjoint_base
class Event(asyncio.Event):
    """What tasks wait for until somebody sets it: asyncio.Event, which it
    derives from, in C.
    """

@disjoint_base
class Condition(asyncio.Condition):
    """Tasks who have a lock wait for others to notify them:
    asyncio.Condition, which it derives from, in C.

    lock: an asyncio.Lock, or the like; by default one of its own.
    """

@disjoint_base
class Semaphore(asyncio.Semaphore):
    """A number of permits for tasks: asyncio.Semaphore, which it derives
    from, in C.

    value: how many there are to begin with; ValueError below 0.
    """

class BoundedSemaphore(Semaphore, asyncio.BoundedSemaphore):
    """A semaphore that refuses more permits than it began with:
    asyncio.BoundedSemaphore, which it derives from, in C.

    value: how many there are to begin with; ValueError below 0.
    """

@disjoint_base
class TaskGroup(asyncio.TaskGroup):
    """Tasks that are waited for at the end of an `async with`, and cancelled
    if one fails: asyncio.TaskGroup, which it derives from, in C.
    """

@disjoint_base
class Queue(asyncio.Queue[_T]):
    """Items that tasks hand over, first in, first out: asyncio.Queue, which it
    derives from, in C.

    maxsize: how many there is room for; without a bound if it is 0 or less.
    """

class PriorityQueue(Queue[Any], asyncio.PriorityQueue[Any]):
    """A Queue that gives the least of its items first:
    asyncio.PriorityQueue, which it derives from, in C.

    maxsize: how many there is room for; without a bound if it is 0 or
    less.
    """

class LifoQueue(Queue[_T], asyncio.LifoQueue[_T]):
    """A Queue that gives what came last first: asyncio.LifoQueue, which it
    derives from, in C.

    maxsize: how many there is room for; without a bound if it is 0 or less.
    """

@disjoint_base
class StreamReader(asyncio.StreamReader):
    """What a stream has received, to be read by tasks: asyncio.StreamReader,
    which it derives from, in C.

    limit: bytes that a line may have; twice as many pause the transport.
    """

@disjoint_base
class StreamWriter(asyncio.StreamWriter):
    """A transport to write to, and to wait for room in:
    asyncio.StreamWriter, which it derives from, in C.

    reader: whose exception drain() raises; a StreamReader or None.
    """

@disjoint_base
class StreamReaderProtocol(asyncio.StreamReaderProtocol):
    """What gives a reader what a transport receives:
    asyncio.StreamReaderProtocol, which it derives from, in C.

    client_connected_cb: called with a reader and a writer; a coroutine that it
        returns is run as a task.
    """
