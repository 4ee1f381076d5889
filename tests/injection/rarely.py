"""What programs pass rarely: slow steps, big reads, sockets of a class of their own."""

import asyncio
import contextlib
import os
import socket
import tempfile
import time
from unittest import mock

from tests.injection.registry import with_coroutine, with_loop

LARGE = 1 << 20


async def slow():
    time.sleep(0.0015)


@with_coroutine
async def slow_steps_of_other_tasks():
    loop = asyncio.get_running_loop()
    task = asyncio.tasks._CTask(slow(), loop=loop, name="theirs")
    handle = loop.call_soon(lambda: (handle.cancel(), time.sleep(0.0015)))
    await task
    loop.metrics()


@with_loop
def nested_runs_that_are_none(loop):
    coro = asyncio.sleep(0, 5)
    try:
        assert loop.run_nested(coro) == 5
    finally:
        coro.close()

    async def within():
        future = loop.create_future()
        loop.call_soon(lambda: future.done() or future.set_result(5))
        assert loop.run_nested(future) == 5

    loop.run_until_complete(within())


@with_coroutine
async def many_keywords_for_a_factory():
    loop = asyncio.get_running_loop()
    seen = {}

    def factory(loop, coro, **keywords):
        seen.update(keywords)
        return asyncio.Task(coro, loop=loop)

    loop.set_task_factory(factory)
    try:
        coro = asyncio.sleep(0)
        try:
            with contextlib.suppress(TypeError):  # of Pythons that take none
                await loop.create_task(coro, **{f"word_{n}": n for n in range(9)})
        finally:
            coro.close()
    finally:
        loop.set_task_factory(None)


class Subclass(socket.socket):
    """Whose methods are asked for by their names."""


@contextlib.contextmanager
def two_datagram_sockets(kind):
    with tempfile.TemporaryDirectory() as folder:
        socks = (
            kind(socket.AF_UNIX, socket.SOCK_DGRAM),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
        )
        with socks[0], socks[1]:
            for n, sock in enumerate(socks):
                sock.setblocking(False)
                sock.bind(f"{folder}/{n}")
            yield socks


class Received(asyncio.DatagramProtocol):
    def __init__(self):
        loop = asyncio.get_running_loop()
        self.first, self.lost = loop.create_future(), loop.create_future()

    def datagram_received(self, data, address):
        if not self.first.done():
            self.first.set_result(data)

    def error_received(self, exc):
        if not self.first.done():
            self.first.set_exception(exc)

    def connection_lost(self, exc):
        if not self.first.done():
            self.first.set_exception(exc or ConnectionError())
        self.first.exception()
        self.lost.set_result(None)


async def datagrams_there_and_back(kind):
    loop = asyncio.get_running_loop()
    with two_datagram_sockets(kind) as (ours, theirs):
        transport, protocol = await loop.create_datagram_endpoint(Received, sock=ours)
        try:
            theirs.sendto(b"to", ours.getsockname())
            assert await protocol.first == b"to"
            transport.sendto(b"back", theirs.getsockname())
            await asyncio.sleep(0.001)
        finally:
            transport.abort()
            await protocol.lost


@with_coroutine
async def datagrams_by_paths():
    await datagrams_there_and_back(socket.socket)


@with_coroutine
async def datagrams_of_a_subclass():
    await datagrams_there_and_back(Subclass)


@with_coroutine
async def datagrams_to_one_address():
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs:
        theirs.bind(("127.0.0.1", 0))
        transport, protocol = await loop.create_datagram_endpoint(
            Received, remote_addr=theirs.getsockname()
        )
        try:
            transport.sendto(b"", theirs.getsockname())
            with contextlib.suppress(ValueError):
                transport.sendto(b"", ("127.0.0.1", 1))
        finally:
            transport.abort()
            await protocol.lost


class Counting(asyncio.Protocol):
    def __init__(self):
        self.count, self.lost = 0, asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.count += len(data)

    def connection_lost(self, exc):
        if not self.lost.done():
            self.lost.set_result(exc)


async def comes_whole(transport, protocol, send, end):
    """Sends much by send(bytes), which tells how many have gone, and then end()s."""
    left = LARGE - send(bytes(9_000))  # the next receive is asked for little more
    await asyncio.sleep(0)
    while left and not transport.is_closing():
        left -= send(bytes(min(left, 200_000)))
        await asyncio.sleep(0)
    end()
    if exc := await protocol.lost:
        raise exc
    assert protocol.count == LARGE


@contextlib.contextmanager
def pipe_files():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file, os.fdopen(writing, "wb", 0) as out:
        yield file, out


@with_coroutine
async def a_read_of_much():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        transport, protocol = await loop.create_connection(Counting, sock=ours)

        def send(data):
            try:
                return theirs.send(data)
            except BlockingIOError:
                return 0

        try:
            await comes_whole(transport, protocol, send, theirs.close)
        finally:
            transport.abort()


@with_coroutine
async def a_pipe_of_much():
    loop = asyncio.get_running_loop()
    with pipe_files() as (file, out):
        os.set_blocking(out.fileno(), False)
        transport, protocol = await loop.connect_read_pipe(Counting, file)
        try:
            await comes_whole(
                transport, protocol, lambda data: out.write(data) or 0, out.close
            )
        finally:
            transport.close()
            await protocol.lost


@with_coroutine
async def a_pipe_to_a_reader_of_its_own():
    loop = asyncio.get_running_loop()
    with pipe_files() as (file, out):
        reader = asyncio.StreamReader()
        fed = []
        reader.feed_data = lambda data: fed.append(data)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), file
        )
        try:
            out.write(b"data")
            out.close()
            await reader.read()
            assert fed == [b"data"]
        finally:
            transport.close()


@with_coroutine
async def a_pipe_whose_reader_leaves():
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    with pipe_files() as (file, out):
        transport, protocol = await loop.connect_write_pipe(Counting, out)
        try:
            file.close()
            with contextlib.suppress(BrokenPipeError):
                if exc := await protocol.lost:
                    raise exc
        finally:
            transport.abort()
            await protocol.lost
    repr(transport)


@with_coroutine
async def a_size_for_all_connections():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport, protocol = await loop.create_connection(Counting, sock=ours)
        try:
            model = asyncio.selector_events._SelectorSocketTransport
            with mock.patch.object(model, "max_size", 3):
                theirs.send(b"data")
                theirs.close()
                if exc := await protocol.lost:
                    raise exc
        finally:
            transport.abort()


@with_coroutine
async def a_rest_after_a_crowd():
    loop = asyncio.get_running_loop()
    for _ in range(5000):
        loop.call_soon(bool)
    for _ in range(2):
        await asyncio.sleep(0.002)
