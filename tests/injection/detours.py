"""The longer ways: functions looked at, other loops, sockets that are asked for."""

import asyncio
import contextlib
import os
import socket
import time
from unittest import mock

import fastloop
from fastloop import _core, aio
from tests.injection.registry import program, with_coroutine


@program
def coroutine_functions_looked_at():
    function = vars(_core.Lock)["acquire"]
    repr(function), function.__doc__, function.__module__, function.__qualname__
    function.__reduce__()
    with contextlib.suppress(AttributeError):
        function.nothing  # noqa: B018
    with contextlib.suppress(TypeError, AttributeError):
        function(1, 2)
    _core._loops_run()


async def told(tasks):
    """Raises what one of them has raised; cancels those that wait for its sake."""
    _, waiting = await asyncio.wait(tasks, timeout=0.2)
    for task in waiting:
        task.cancel()
    if waiting:
        await asyncio.wait(waiting)
    failures = [task.exception() for task in tasks if not task.cancelled()]
    if any(failures):
        raise next(filter(None, failures))


@program
def locks_on_asyncios_loop():
    async def hold(lock, seen):
        async with lock:
            seen.append(1)
            await asyncio.sleep(0)

    async def main():
        for lock in aio.Lock(), aio.Semaphore(1):
            seen = []
            tasks = [asyncio.ensure_future(hold(lock, seen)) for _ in range(4)]
            await asyncio.sleep(0)
            tasks[2].cancel()
            await told(tasks)
            repr(lock)
        queue = aio.Queue(1)
        putting = [asyncio.ensure_future(queue.put(n)) for n in range(3)]
        await asyncio.sleep(0)
        putting[1].cancel()
        await asyncio.sleep(0)
        queue.get_nowait()
        await asyncio.sleep(0)
        with contextlib.suppress(asyncio.QueueEmpty):  # if the last one failed
            queue.get_nowait()
        await told(putting)
        getting = [asyncio.ensure_future(queue.get()) for _ in range(2)]
        await asyncio.sleep(0)
        getting[0].cancel()
        await asyncio.sleep(0)
        queue.put_nowait(1)
        await told(getting)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())


@program
def odd_semaphores():
    semaphore = aio.Semaphore(1)
    semaphore._value = 10**30
    semaphore.release()
    repr(semaphore)
    semaphore._value = 0
    semaphore.release()
    repr(semaphore)


class Asked(asyncio.Protocol):
    """Of whose transport everything is asked."""

    def __init__(self):
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.max_size = 3

    def data_received(self, data):
        self.transport.get_extra_info("socket")
        self.transport.write(data)

    def connection_lost(self, exc):
        if not self.lost.done():
            self.lost.set_result(None)


async def served(protocols, patch):
    """A server whose connections go this way, from the first byte on."""

    def made():
        protocols.append(Asked())
        return protocols[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(made, "127.0.0.1", 0)
    client = socket.socket()
    try:
        client.setblocking(False)
        with patch:
            with contextlib.suppress(BlockingIOError):
                client.connect(server.sockets[0].getsockname())
            client_ready = time.monotonic() + 2
            while not protocols and time.monotonic() < client_ready:
                await asyncio.sleep(0.001)
        client.send(b"abcdef")
        await asyncio.sleep(0.005)
    finally:
        client.close()
        server.close()
        for protocol in protocols:
            transport = getattr(protocol, "transport", None)
            if transport is not None:
                transport.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for protocol in protocols:
        if hasattr(protocol, "transport"):
            protocol.transport.get_extra_info("socket")
    await asyncio.sleep(0)


@with_coroutine
async def accepted_sockets_asked_for():
    await served([], contextlib.nullcontext())


@with_coroutine
async def a_patched_socket_class():
    class Patched(socket.socket):
        pass

    await served([], mock.patch("socket.socket", Patched))


@with_coroutine
async def accepted_and_ended_unasked():
    class Silent(asyncio.Protocol):
        def connection_made(self, transport):
            transports.append(transport)

    transports = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Silent, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    try:
        for _ in range(20):
            await asyncio.sleep(0.001)
            if transports:
                break
        for transport in transports:
            transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for transport in transports:
            transport.get_extra_info("socket")
            transport.get_extra_info("peername")
    finally:
        client.close()
        server.close()


@program
def a_replaced_clock():
    loop = fastloop.new_event_loop()
    try:
        with mock.patch("time.monotonic", lambda: 7.0):
            loop.time()
    finally:
        loop.close()


@with_coroutine
async def a_pipe_whose_reader_leaves():
    loop = asyncio.get_running_loop()
    reading, writing = os.pipe()
    pipe = os.fdopen(writing, "wb", 0)
    try:
        transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, pipe)
    except BaseException:
        os.close(reading)
        pipe.close()
        raise
    try:
        repr(transport)
        transport.write(b"x" * 200_000)
    finally:
        os.close(reading)
        try:
            await asyncio.sleep(0.002)
        finally:
            transport.abort()
            await asyncio.sleep(0)
