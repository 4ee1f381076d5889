"""Objects that are used when their loop is closed, and when it is no more."""

import asyncio
import contextlib
import gc
import os
import socket

import fastloop
from tests.injection.registry import program
from tests.leaks.scenarios import Callback, nothing

ATTRIBUTES = """
    _args _buffer _callback _callbacks _cancelled _context _conn_lost _coro
    _extra _loop _protocol _result _scheduled _sock _sockets _state _when"""


def look(op):
    """What a curious program may ask of any object."""
    repr(op)
    for name in ATTRIBUTES.split():
        with contextlib.suppress(AttributeError, RuntimeError):
            getattr(op, name)


def outliving(make):
    """Register make(loop), which returns objects and functions that use them."""

    def program_of(name, end):
        def run():
            loop = fastloop.new_event_loop()
            try:
                kept, uses = make(loop)
            except BaseException:
                loop.close()
                raise
            end(loop)
            for op in kept:
                look(op)
            loop = None
            gc.collect()
            for op in kept:
                look(op)
            for use in uses:
                with contextlib.suppress(RuntimeError, asyncio.InvalidStateError):
                    use()

        run.__name__ = f"{name}_of_a_{make.__name__}"
        program(run)

    program_of("end", lambda loop: loop.close())
    program_of("death", lambda loop: setattr(loop, "_closed", True))
    return make


@outliving
def loop_of_handles(loop):
    handles = [
        loop.call_soon(nothing, Callback()),
        loop.call_soon(nothing, 1, 2, 3, 4, 5),
        loop.call_later(0, nothing, Callback()),
        loop.call_later(60, nothing),
        loop.call_later(1e6, nothing),
        loop.call_soon_threadsafe(nothing),
    ]
    uses = [use for h in handles for use in (h.cancelled, h.get_context, h.cancel)]
    return handles, uses


@outliving
def loop_of_due_timers(loop):
    handles = [loop.call_later(0, nothing, n) for n in range(300)]
    loop.call_soon(loop.stop)
    loop.run_forever()
    return handles, [handle.cancel for handle in handles]


@outliving
def loop_of_futures(loop):
    future, waited = loop.create_future(), loop.create_future()
    done = loop.create_future()
    done.set_result(1)
    waited.add_done_callback(nothing)
    iterator = iter(waited)
    next(iterator)
    return [future, waited, done], [
        lambda: future.set_result(1),
        waited.cancel,
        iterator.close,
        done.result,
        lambda: done.add_done_callback(nothing),
    ]


@outliving
def loop_of_tasks(loop):
    future = loop.create_future()

    async def wait():
        await future

    waiting, ready = loop.create_task(wait()), loop.create_task(wait())
    loop.call_soon(loop.stop)
    loop.run_forever()
    unstarted = loop.create_task(wait())
    tasks = [waiting, ready, unstarted]
    for task in tasks:
        task._log_destroy_pending = False
    return tasks, [
        lambda: waiting.done() or waiting.cancel(),  # which would hide its error
        lambda: asyncio.all_tasks(waiting.get_loop()),
        ready.get_stack,
        unstarted.get_coro().close,
        waiting.get_coro().close,
        ready.get_coro().close,
        future.cancel,
    ]


@outliving
def loop_of_connections(loop):
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            transport, _ = loop.run_until_complete(
                loop.create_connection(asyncio.Protocol, sock=ours)
            )
        except BaseException:
            ours.close()
            raise
        transport.abort()
        loop.call_soon(loop.stop)
        loop.run_forever()
    return [transport], [
        transport.close,
        transport.abort,
        transport.is_closing,
        transport.pause_reading,
        transport.resume_reading,
        lambda: transport.write(b"late"),
        transport.get_write_buffer_size,
        lambda: transport.get_extra_info("socket"),
    ]


@outliving
def loop_of_servers(loop):
    path = f"\0fastloop-{os.getpid()}"
    server = loop.run_until_complete(loop.create_unix_server(asyncio.Protocol, path))
    server.close()
    loop.call_soon(loop.stop)
    loop.run_forever()
    return [server], [server.close, server.is_serving, lambda: server.sockets]
