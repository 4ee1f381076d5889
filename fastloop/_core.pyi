import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from selectors import BaseSelector
from socket import socket
from typing import (
    IO,
    Any,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeVar,
    TypeVarTuple,
    Unpack,
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
_Address: TypeAlias = tuple[Any, ...] | str | Buffer
_ExceptionHandler: TypeAlias = Callable[
    [asyncio.AbstractEventLoop, dict[str, Any]], object
]

@disjoint_base
class EventLoop:
    slow_callback_duration: float
    def __init__(self, selector: BaseSelector | None = None) -> None: ...
    def call_soon(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle: ...
    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.Handle: ...
    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle: ...
    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle: ...
    def time(self) -> float: ...
    def create_future(self) -> asyncio.Future[Any]: ...
    if sys.version_info >= (3, 13):
        def create_task(
            self,
            coro: _CoroutineLike[_T],
            *,
            name: object = None,
            context: Context | None = None,
            eager_start: bool | None = None,
        ) -> asyncio.Task[_T]: ...
    else:
        def create_task(
            self,
            coro: _CoroutineLike[_T],
            *,
            name: object = None,
            context: Context | None = None,
        ) -> asyncio.Task[_T]: ...

    def set_task_factory(self, factory: _TaskFactory | None) -> None: ...
    def get_task_factory(self) -> _TaskFactory | None: ...
    def set_exception_handler(self, handler: _ExceptionHandler | None) -> None: ...
    def get_exception_handler(self) -> _ExceptionHandler | None: ...
    def run_forever(self) -> None: ...
    def run_until_complete(self, future: _AwaitableLike[_T]) -> _T: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...
    def is_running(self) -> bool: ...
    def is_closed(self) -> bool: ...
    def get_debug(self) -> bool: ...
    def set_debug(self, enabled: bool) -> None: ...
    def add_reader(
        self,
        fd: _FileDescriptorLike,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
    ) -> None: ...
    def add_writer(
        self,
        fd: _FileDescriptorLike,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
    ) -> None: ...
    def remove_reader(self, fd: _FileDescriptorLike) -> bool: ...
    def remove_writer(self, fd: _FileDescriptorLike) -> bool: ...
    def sock_recv(self, sock: socket, n: int) -> Coroutine[Any, Any, bytes]: ...
    def sock_recv_into(self, sock: socket, buf: Buffer) -> Coroutine[Any, Any, int]: ...
    def sock_recvfrom(
        self, sock: socket, bufsize: int
    ) -> Coroutine[Any, Any, tuple[bytes, Any]]: ...
    def sock_recvfrom_into(
        self, sock: socket, buf: Buffer, nbytes: int = 0
    ) -> Coroutine[Any, Any, tuple[int, Any]]: ...
    def sock_sendall(self, sock: socket, data: Buffer) -> Coroutine[Any, Any, None]: ...
    def sock_sendto(
        self, sock: socket, data: Buffer, address: _Address
    ) -> Coroutine[Any, Any, int]: ...
    def sock_connect(
        self, sock: socket, address: _Address
    ) -> Coroutine[Any, Any, None]: ...
    def sock_accept(self, sock: socket) -> Coroutine[Any, Any, tuple[socket, Any]]: ...
    def sock_sendfile(
        self,
        sock: socket,
        file: IO[bytes],
        offset: int = 0,
        count: int | None = None,
        *,
        fallback: bool | None = True,
    ) -> Coroutine[Any, Any, int]: ...
    def stats(self) -> _Stats: ...
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
) -> bool: ...
def _make_read_pipe(
    loop: EventLoop,
    pipe: Any,
    protocol: asyncio.BaseProtocol,
    waiter: asyncio.Future[None] | None,
    extra: dict[str, Any] | None,
    /,
) -> asyncio.ReadTransport: ...
def _make_write_pipe(
    loop: EventLoop,
    pipe: Any,
    protocol: asyncio.BaseProtocol,
    waiter: asyncio.Future[None] | None,
    extra: dict[str, Any] | None,
    /,
) -> asyncio.WriteTransport: ...
def _make_datagram(
    loop: EventLoop,
    sock: socket,
    protocol: asyncio.BaseProtocol,
    address: Any,
    waiter: asyncio.Future[None] | None,
    extra: dict[str, Any] | None,
    /,
) -> asyncio.DatagramTransport | None: ...
def _make_stream(
    loop: EventLoop,
    sock: socket,
    protocol: asyncio.BaseProtocol,
    waiter: asyncio.Future[None] | None,
    extra: dict[str, Any] | None,
    server: asyncio.AbstractServer | None,
    context: Context | None,
    /,
) -> asyncio.Transport | None: ...

@disjoint_base
class Future(asyncio.Future[_T]): ...

@disjoint_base
class Task(asyncio.Task[_T]): ...

def _loops_run() -> int: ...
def _pending_tasks() -> list[Any]: ...
def _unlist_task(task: object, /) -> None: ...

@disjoint_base
class Lock(asyncio.Lock): ...

@disjoint_base
class Event(asyncio.Event): ...

@disjoint_base
class Condition(asyncio.Condition): ...

@disjoint_base
class Semaphore(asyncio.Semaphore): ...

class BoundedSemaphore(Semaphore, asyncio.BoundedSemaphore): ...
