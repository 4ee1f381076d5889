"""How much each event brings of what waits: as much on every loop."""

import asyncio
import contextlib
import fcntl
import os
import socket

import pytest

import fastloop
from tests.net.test_max_size import USUAL, End, Pieces, on
from tests.net.test_one_owner import accept_one
from tests.support import until

ROOM = 1 << 20
LINGER_NOT = bytes([1, 0, 0, 0, 0, 0, 0, 0])


def wide_sockets():
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
    theirs.setblocking(False)
    return ours, theirs


async def stream():
    ours, theirs = wide_sockets()
    loop = asyncio.get_running_loop()
    return End(*await loop.create_connection(Pieces, sock=ours), theirs)


async def pipe():
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, ROOM)
    loop = asyncio.get_running_loop()
    return End(*await loop.connect_read_pipe(Pieces, os.fdopen(read, "rb", 0)), write)


@pytest.mark.parametrize("make", [stream, pipe])
def test_all_that_waits_comes_at_once(run, make):
    sizes = [9_000, 20_000, 16_384, 40_000, 150_000, 16, 10_000, 16_384, 16_385]

    @on(make, run)
    async def case(end):
        sent = 0
        for i, size in enumerate(sizes):
            end.send(bytes([i]) * size)
            sent += size
            await until(lambda sent=sent: sum(map(len, end.pieces)) == sent)
        assert end.pieces == [bytes([i]) * size for i, size in enumerate(sizes)]


@pytest.mark.parametrize("make", [stream, pipe])
def test_up_to_max_size(run, make):
    @on(make, run)
    async def case(end):
        end.send(bytes(9_000))
        await until(lambda: end.pieces)
        end.transport.pause_reading()
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < USUAL + 20_000:
                end.send(bytes(10_000))
                sent += 10_000
        end.transport.resume_reading()
        await until(lambda: sum(map(len, end.pieces[1:])) == sent)
        assert [len(piece) for piece in end.pieces[1:]] == [USUAL, sent - USUAL]


def test_messages_through_a_pipe_transport_are_not_cut(run):
    """Of a socket that keeps them apart; asyncio reads up to 256 KiB at a time."""
    sizes = [10_000, 100_000, 65_536, 100_000]

    async def messages():
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
        loop = asyncio.get_running_loop()
        return End(*await loop.connect_read_pipe(Pieces, ours), theirs)

    @on(messages, run)
    async def case(end):
        for n, size in enumerate(sizes, 1):
            end.send(bytes(size))
            await until(lambda n=n: len(end.pieces) == n)
        assert [len(piece) for piece in end.pieces] == sizes


def test_a_reset_is_told_after_what_came_before_it(run):
    class Lost(Pieces):
        exc = None

        def connection_lost(self, exc):
            self.exc = exc
            super().connection_lost(exc)

    async def main():
        server, client, protocol = await accept_one(Lost)
        client.send(bytes(9_000))
        await until(lambda: protocol.pieces)
        protocol.transport.pause_reading()
        client.send(bytes(16_384))  # what the next receive is asked for
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        client.close()
        protocol.transport.resume_reading()
        await protocol.closed
        server.close()
        return protocol

    protocol = run(main())
    assert [len(piece) for piece in protocol.pieces] == [9_000, 16_384]
    assert type(protocol.exc) is ConnectionResetError


@pytest.fixture
def accelerated():
    fastloop.accelerate()
    yield
    fastloop.decelerate()


@pytest.fixture(params=["asyncio", "accelerated"])
def kind(request):
    if request.param == "accelerated":
        request.getfixturevalue("accelerated")


@contextlib.asynccontextmanager
async def reading(**keywords):
    """A reader and the socket at its other end."""
    ours, theirs = wide_sockets()
    reader, writer = await asyncio.open_connection(sock=ours, **keywords)
    try:
        yield reader, theirs
    finally:
        theirs.close()
        writer.close()
        await writer.wait_closed()


@pytest.mark.usefixtures("kind")
def test_a_reader_is_fed_all_that_comes_at_first(run):
    async def main():
        async with reading() as (reader, other):
            other.send(bytes(1000))
            assert len(await reader.read(ROOM)) == 1000
            other.send(bytes(200_000))
            assert len(await reader.read(ROOM)) == 200_000

    run(main())


@pytest.mark.usefixtures("kind")
def test_a_reader_is_fed_all_that_comes_while_much_comes(run):
    async def main():
        async with reading() as (reader, other):
            other.send(bytes(10_000))
            await reader.readexactly(10_000)
            waiting = asyncio.ensure_future(reader.readexactly(200_000))
            await asyncio.sleep(0)
            other.send(bytes(200_000))
            lengths = set()
            while not waiting.done():
                lengths.add(len(reader._buffer))
                await asyncio.sleep(0)
            assert len(await waiting) == 200_000
            return lengths

    assert run(main()) <= {0, 200_000}


@pytest.mark.usefixtures("kind")
def test_a_line_over_the_limit_is_passed_over_whole(run):
    async def main():
        async with reading(limit=1000) as (reader, other):
            other.send(bytes(9_000))
            await reader.readexactly(9_000)
            waiting = asyncio.ensure_future(reader.readline())
            await asyncio.sleep(0)
            other.send(b"x" * 65_600 + b"\nnext\n")
            with pytest.raises(ValueError, match="Separator is found, but"):
                await waiting
            assert await reader.readline() == b"next\n"

    run(main())


@pytest.mark.usefixtures("accelerated")
def test_a_read_takes_what_it_waits_for(run):
    async def main():
        async with reading() as (reader, other):
            other.send(bytes(10_000))
            await reader.readexactly(10_000)

            async def read():
                return len(await reader.read(65_536)), len(reader._buffer)

            waiting = asyncio.ensure_future(read())
            await asyncio.sleep(0)
            other.send(bytes(100_000))
            size, left = await waiting
            assert size == 65_536
            assert len(await reader.readexactly(34_464)) == 34_464
            return left, isinstance(asyncio.get_running_loop(), fastloop.Loop)

    left, ours = run(main())
    assert left == (0 if ours else 34_464)


@pytest.mark.usefixtures("accelerated")
def test_what_waits_is_read_into_what_is_wanted(run):
    async def main():
        async with reading() as (reader, other):
            for size in (10_000, 150_000, 70_000):
                waiting = asyncio.ensure_future(reader.read(ROOM))
                await asyncio.sleep(0)
                other.send(bytes(size))
                assert len(await waiting) == size

    run(main())
