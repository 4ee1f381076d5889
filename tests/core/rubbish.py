"""Writes rubbish into every private attribute, then goes on: KIND [DOOR VALUE]

Every attribute of every class in an object's MRO that takes a value is set and deleted
by that class's own descriptor, so asyncio's slots and members too, and what lies in the
instance's dict; then the object is used, closed and collected. An exception is an
answer, a crash is none. Prints what it is about to do, so that the last line tells of a
crash, and how much it did.
"""

import asyncio
import contextlib
import faulthandler
import gc
import io
import logging
import os
import signal
import socket
import sys
import threading
import warnings
import weakref

import fastloop
from tests.support import SLOWER

DELETE = object()

elsewhere = asyncio.new_event_loop()


class Any:
    """Is whatever is asked of it, and nothing that anybody wants."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args, **kwargs):
        return self


def values():
    """Fresh values of every kind: name, value."""
    return {
        "deleted": DELETE,
        "None": None,
        "object": object(),
        "True": True,
        "-1": -1,
        "2**80": 2**80,
        "str": "rubbish",
        "()": (),
        "[]": [[]],
        "{}": {signal.SIGUSR1: object(), 3: 4},
        "a function": lambda *args: None,
        "a class": Any,
        "any": Any(),
        "a future": asyncio.Future(loop=elsewhere),
    }


class HangError(BaseException):
    """Raised where a use does not end."""


def on_alarm(signum, frame):
    raise HangError


async def nothing():
    pass


async def generate():
    try:
        yield 1
        yield 2
    finally:
        await asyncio.sleep(0)


async def use_generator():
    async for _ in generate():
        break


def attempt(function, *args, **kwargs):
    """The result, or None if it raises."""
    try:
        return function(*args, **kwargs)
    except (Exception, asyncio.CancelledError):
        return None


def raise_signal():
    if callable(signal.getsignal(signal.SIGUSR1)):
        os.kill(os.getpid(), signal.SIGUSR1)


def look(op):
    """Reads everything that the object has."""
    attempt(repr, op)
    for name in dir(op):
        attempt(getattr, op, name)


def spin(loop, n=3):
    """A few turns of the loop."""
    if loop.is_running():
        return
    with contextlib.suppress(Exception):
        loop.call_soon(loop.stop)
    for _ in range(n):
        attempt(loop._run_once)
    with contextlib.suppress(Exception):
        handle = loop.call_later(0.001, loop.stop)
        if handle is not None:
            loop.run_forever()


# ---- what is attacked: a context manager of (object, loop), and its use ----


@contextlib.contextmanager
def loops():
    loop = fastloop.new_event_loop()
    loop.call_soon(int)
    loop.call_later(60, int)
    loop.add_signal_handler(signal.SIGUSR1, int)
    yield loop, loop
    attempt(loop.close)


def use_loop(loop, _):
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    for _ in range(2):
        for call in (
            lambda: loop.call_soon(int),
            lambda: loop.call_soon_threadsafe(int),
            lambda: loop.call_later(0, int),
            lambda: loop.call_at(loop.time(), int),
            lambda: loop.create_future().set_result(1),
            lambda: loop.create_task(nothing()),
            raise_signal,
            lambda: loop.run_until_complete(asyncio.sleep(0)),
            lambda: loop.run_until_complete(use_generator()),
            lambda: loop.add_reader(ours, int),
            lambda: loop.call_exception_handler({"message": "x"}),
            lambda: loop.call_soon((1).__truediv__, 0),
            loop.stats,
            lambda: spin(loop),
            lambda: loop.set_debug(True),
            lambda: loop.run_until_complete(asyncio.sleep(0)),
            lambda: loop.call_soon((1).__truediv__, 0),
            lambda: spin(loop),
            lambda: loop.run_until_complete(loop.run_in_executor(None, int)),
            lambda: loop.run_until_complete(
                loop.create_connection(asyncio.Protocol, sock=ours)
            ),
            lambda: loop.remove_reader(ours),
            lambda: loop.run_until_complete(loop.shutdown_asyncgens()),
            lambda: loop.run_until_complete(loop.shutdown_default_executor()),
            lambda: loop.remove_signal_handler(signal.SIGUSR1),
            loop.close,
        ):
            attempt(call)
        look(loop)
    loop.close = None
    ours.close()
    theirs.close()


def handle_maker(make):
    @contextlib.contextmanager
    def handles():
        loop = fastloop.new_event_loop()
        yield make(loop), loop
        attempt(loop.close)

    return handles


def use_handle(handle, loop):
    look(handle)
    attempt(asyncio.Handle.__repr__, handle)
    spin(loop)
    attempt(handle._run)
    attempt(loop._add_callback, handle)
    spin(loop)
    attempt(handle.cancel)
    attempt(asyncio.Handle.cancel, handle)
    attempt(handle.get_context)
    attempt(handle._run)
    look(handle)


@contextlib.contextmanager
def futures():
    loop = fastloop.new_event_loop()
    future = loop.create_future()
    waiter = loop.create_task(wait_for(future))
    future.add_done_callback(print_nothing)
    spin(loop)
    yield future, loop
    waiter.cancel()
    spin(loop)
    attempt(loop.close)


def print_nothing(_):
    pass


async def wait_for(future):
    with contextlib.suppress(Exception):
        await future


def use_future(future, loop):
    look(future)
    for method in (
        lambda: future.add_done_callback(print_nothing),
        lambda: asyncio.Future.add_done_callback(future, print_nothing),
        lambda: future.set_result(1),
        lambda: asyncio.Future.set_result(future, 1),
        lambda: future.set_exception(ValueError()),
        lambda: future.cancel("why"),
        lambda: future.remove_done_callback(print_nothing),
        future.result,
        future.exception,
        lambda: asyncio.Future.result(future),
        lambda: loop.run_until_complete(future),
        lambda: next(iter(future)),
    ):
        attempt(method)
        spin(loop, 1)
    look(future)


@contextlib.contextmanager
def done_futures():
    loop = fastloop.new_event_loop()
    future = loop.create_future()
    future.set_exception(ValueError("never retrieved"))
    yield future, loop
    attempt(loop.close)


def task_maker(subclass, finished):
    @contextlib.contextmanager
    def tasks():
        loop = fastloop.new_event_loop()
        future = loop.create_future()
        cls = type("Sub", (fastloop.Task,), {}) if subclass else fastloop.Task
        task = cls(wait_for(future), loop=loop, name="x")
        waiter = loop.create_task(wait_for(task))
        spin(loop)
        if finished:
            future.set_result(1)
            spin(loop)
        yield task, loop
        attempt(future.set_result, 1)
        spin(loop)
        waiter.cancel()
        spin(loop)
        attempt(loop.close)

    return tasks


def use_task(task, loop):
    use_future(task, loop)
    for method in (
        task.cancel,
        lambda: asyncio.Task.cancel(task),
        task.uncancel,
        task.cancelling,
        task.get_coro,
        task.get_stack,
        lambda: task.print_stack(file=io.StringIO()),
        task.get_name,
        lambda: task.set_name("y"),
        lambda: asyncio.all_tasks(loop),
        lambda: loop.run_until_complete(task),
    ):
        attempt(method)
        spin(loop, 1)
    look(task)


@contextlib.contextmanager
def streams():
    loop = fastloop.new_event_loop()
    ours, theirs = socket.socketpair()
    transport, _ = loop.run_until_complete(
        loop.create_connection(asyncio.Protocol, sock=ours)
    )
    yield transport, loop
    theirs.close()
    spin(loop)
    attempt(loop.close)


@contextlib.contextmanager
def accepted():
    loop = fastloop.new_event_loop()
    made = []

    class Server(asyncio.Protocol):
        def connection_made(self, transport):
            made.append(transport)

    server = loop.run_until_complete(loop.create_server(Server, "127.0.0.1", 0))
    client = socket.create_connection(server.sockets[0].getsockname())
    while not made:
        spin(loop)
    yield made.pop(), loop
    server.close()
    client.close()
    spin(loop)
    attempt(loop.close)


@contextlib.contextmanager
def datagrams():
    loop = fastloop.new_event_loop()
    transport, _ = loop.run_until_complete(
        loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
    )
    yield transport, loop
    spin(loop)
    attempt(loop.close)


def pipe_maker(reading):
    @contextlib.contextmanager
    def pipes():
        loop = fastloop.new_event_loop()
        read_fd, write_fd = os.pipe()
        ours, theirs = (read_fd, write_fd) if reading else (write_fd, read_fd)
        connect = loop.connect_read_pipe if reading else loop.connect_write_pipe
        pipe = os.fdopen(ours, "rb" if reading else "wb", 0)
        transport, _ = loop.run_until_complete(connect(asyncio.Protocol, pipe))
        yield transport, loop
        os.close(theirs)
        spin(loop)
        attempt(loop.close)

    return pipes


def use_transport(transport, loop):
    look(transport)
    for call in (
        lambda: transport.write(b"x" * 10),
        lambda: transport.writelines([b"x", bytearray(b"y")]),
        lambda: transport.sendto(b"x", transport.get_extra_info("sockname")),
        transport.get_write_buffer_size,
        transport.get_write_buffer_limits,
        lambda: transport.set_write_buffer_limits(1, 0),
        lambda: transport.write(b"x" * 2**20),
        lambda: transport.pause_reading(),
        lambda: transport.resume_reading(),
        lambda: transport.is_reading(),
        lambda: transport.get_extra_info("socket"),
        lambda: transport.get_protocol(),
        lambda: transport.set_protocol(asyncio.Protocol()),
        lambda: transport.write_eof(),
        lambda: asyncio.transports._FlowControlMixin.get_write_buffer_limits(transport),
        lambda: asyncio.transports._FlowControlMixin._maybe_pause_protocol(transport),
        lambda: asyncio.BaseTransport.get_extra_info(transport, "x"),
        lambda: transport.close(),
        lambda: transport.abort(),
        lambda: transport.write(b"late"),
        lambda: transport._call_connection_lost(None),
    ):
        attempt(call)
        spin(loop, 1)
    look(transport)


@contextlib.contextmanager
def servers():
    loop = fastloop.new_event_loop()
    server = loop.run_until_complete(
        loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    )
    sock = server.sockets[0]
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(sock.getsockname())
    yield server, loop
    client.close()
    spin(loop)
    attempt(server.close)
    attempt(sock._sock.close)
    attempt(loop.close)


def use_server(server, loop):
    look(server)
    spin(loop)
    for call in (
        server.get_loop,
        server.is_serving,
        lambda: loop.run_until_complete(server.start_serving()),
        server.close,
        lambda: server.abort_clients(),
    ):
        attempt(call)
        spin(loop, 1)
    look(server)


KINDS = {
    "loop": (loops, use_loop),
    "handle": (handle_maker(lambda loop: loop.call_soon(int, "1")), use_handle),
    "handle of many": (
        handle_maker(lambda loop: loop.call_soon(max, 1, 2, 3, 4, 5)),
        use_handle,
    ),
    "timer": (handle_maker(lambda loop: loop.call_later(0, int, "1")), use_handle),
    "far timer": (handle_maker(lambda loop: loop.call_later(60, int)), use_handle),
    "threadsafe handle": (
        handle_maker(lambda loop: loop.call_soon_threadsafe(int, "1")),
        use_handle,
    ),
    "future": (futures, use_future),
    "done future": (done_futures, use_future),
    "task": (task_maker(False, False), use_task),
    "done task": (task_maker(False, True), use_task),
    "subclassed task": (task_maker(True, False), use_task),
    "stream": (streams, use_transport),
    "accepted stream": (accepted, use_transport),
    "datagram": (datagrams, use_transport),
    "read pipe": (pipe_maker(True), use_transport),
    "write pipe": (pipe_maker(False), use_transport),
    "server": (servers, use_server),
}

ORDERS = ("used", "closed first", "only collected")

# Python itself refuses them, or they are not the object's own.
NOT_ASKED = {"__class__", "__weakref__", "__doc__", "__abstractmethods__"}


def doors(op):
    """Every way to write an attribute of op: name, setter, deleter."""
    for cls in type(op).__mro__:
        for name, descriptor in vars(cls).items():
            if name in NOT_ASKED or not hasattr(type(descriptor), "__set__"):
                continue
            yield (
                f"{cls.__module__}.{cls.__qualname__}.{name}",
                lambda op, value, d=descriptor: d.__set__(op, value),
                lambda op, d=descriptor: d.__delete__(op),
            )
    for name in list(getattr(op, "__dict__", ())):
        yield (
            f"instance.{name}",
            lambda op, value, n=name: setattr(op, n, value),
            lambda op, n=name: delattr(op, n),
        )


def attack(make, use, door, value_name, order):
    with make() as (op, loop):
        for name, put, delete in doors(op):
            if name == door:
                value = values()[value_name]
                if value is DELETE:
                    attempt(delete, op)
                else:
                    attempt(put, op, value)
        signal.setitimer(signal.ITIMER_REAL, 3 * SLOWER)
        try:
            if order == "closed first":
                attempt(loop.close)
            if order != "only collected":
                use(op, loop)
        except HangError:
            print("  did not end", flush=True)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if op is not loop:
            attempt(weakref.finalize, op, attempt, look, loop)


def main():
    kind, *only = sys.argv[1:]
    make, use = KINDS[kind]
    faulthandler.enable()
    faulthandler.dump_traceback_later(240 * SLOWER, exit=True)
    signal.signal(signal.SIGALRM, on_alarm)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda _: None
    # Up to 3.12 a thread that collects while threading's lock is its own may close a
    # shutdown_default_executor() left behind, whose join() wants that lock.
    gc.disable()
    with make() as (op, _):
        names = dict.fromkeys(name for name, _, _ in doors(op))
    del op
    n = 0
    for door in names:
        for value_name in values():
            if only and [door, value_name] != only:
                continue
            for order in ORDERS:
                print(door, value_name, order, flush=True)
                attempt(attack, make, use, door, value_name, order)
                n += 1
        gc.collect()
    gc.collect()
    print(f"{n} attacks on {len(names)} attributes survived", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
