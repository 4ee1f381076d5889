"""max_size: how much one event brings, as the program sets it, wherever, whenever."""

import asyncio
import os
import socket

import pytest

from tests.net.helpers import Recorder
from tests.net.test_one_owner import accept_one
from tests.support import until

USUAL = 256 * 1024


class Pieces(Recorder):
    """Notes what each call brought; of datagrams too."""

    def __init__(self):
        super().__init__()
        self.pieces = []

    def data_received(self, data):
        self.pieces.append(data)

    def datagram_received(self, data, address):
        self.pieces.append(data)

    def error_received(self, exc):
        self.calls.append(type(exc).__name__)


class End:
    """One end of something that a transport reads: .transport, .pieces, .send()."""

    def __init__(self, transport, protocol, other):
        self.transport, self.protocol, self.other = transport, protocol, other
        self.more = []

    @property
    def pieces(self):
        return self.protocol.pieces

    def send(self, data):
        if isinstance(self.other, int):
            os.write(self.other, data)
        else:
            self.other.send(data)

    async def finish(self):
        if "connection_lost" not in self.protocol.calls:
            self.transport.abort() if hasattr(self.transport, "abort") else None
            self.transport.close()
            await self.protocol.closed
        if isinstance(self.other, int):
            os.close(self.other)
        else:
            self.other.close()
        for each in self.more:
            each.close()
        await asyncio.sleep(0)


async def stream():
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    return End(*await loop.create_connection(Pieces, sock=ours), theirs)


async def accepted():
    server, client, protocol = await accept_one(Pieces)
    end = End(protocol.transport, protocol, client)
    end.more.append(server)
    return end


async def pipe():
    read, write = os.pipe()
    loop = asyncio.get_running_loop()
    return End(*await loop.connect_read_pipe(Pieces, os.fdopen(read, "rb", 0)), write)


async def datagrams():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    loop = asyncio.get_running_loop()
    return End(*await loop.create_datagram_endpoint(Pieces, sock=ours), theirs)


BYTES = [stream, accepted, pipe]


def on(make, run):
    """Runs what it decorates, a coroutine function of an End."""

    def decorate(case):
        async def main():
            end = await make()
            try:
                return await case(end)
            finally:
                await end.finish()

        return run(main())

    return decorate


@pytest.mark.parametrize("make", BYTES)
def test_on_the_instance(run, make):
    @on(make, run)
    async def case(end):
        assert end.transport.max_size == USUAL
        end.transport.max_size = 4
        end.send(b"abcdefghij")
        await until(lambda: len(b"".join(end.pieces)) == 10)
        assert end.pieces == [b"abcd", b"efgh", b"ij"]
        end.transport.max_size = 8
        end.send(b"abcdefghij")
        await until(lambda: len(end.pieces) == 5)
        assert end.pieces[3:] == [b"abcdefgh", b"ij"]
        del end.transport.max_size
        assert end.transport.max_size == USUAL
        end.send(b"abcdefghij")
        await until(lambda: len(end.pieces) == 6)
        assert end.pieces[5:] == [b"abcdefghij"]


@pytest.mark.parametrize("make", BYTES)
def test_on_the_class(run, make, monkeypatch):
    @on(make, run)
    async def case(end):
        end.send(b"first")
        await until(lambda: end.pieces)
        monkeypatch.setattr(type(end.transport), "max_size", 3)
        end.send(b"abcd")
        await until(lambda: len(end.pieces) == 3)
        monkeypatch.undo()
        end.send(b"abcd")
        await until(lambda: len(end.pieces) == 4)
        assert end.pieces == [b"first", b"abc", b"d", b"abcd"]


@pytest.mark.parametrize(
    ("make", "room", "name"),
    [
        (stream, "selector_events", "_SelectorSocketTransport"),
        (accepted, "selector_events", "_SelectorTransport"),
        (pipe, "unix_events", "_UnixReadPipeTransport"),
        (datagrams, "selector_events", "_SelectorDatagramTransport"),
    ],
)
def test_on_asyncios_class(run, monkeypatch, make, room, name):
    @on(make, run)
    async def case(end):
        end.send(b"first")
        await until(lambda: end.pieces)
        monkeypatch.setattr(f"asyncio.{room}.{name}.max_size", 3)
        end.send(b"abcd")
        await until(lambda: len(end.pieces) >= 2)
        monkeypatch.undo()
        end.send(b"last")
        await until(lambda: end.pieces[-1] == b"last")
        assert end.pieces[:2] == [b"first", b"abc"]


def test_of_datagrams(run):
    @on(datagrams, run)
    async def case(end):
        for size in (4, 0, 10):
            end.transport.max_size = size
            end.send(b"abcdef")
            await until(lambda: end.pieces)
            assert end.pieces.pop() == b"abcdef"[:size]


@pytest.mark.parametrize("make", BYTES)
def test_much(run, make):
    size = 1 << 20

    @on(make, run)
    async def case(end):
        end.transport.max_size = size
        if make is pipe:
            end.send(b"x" * 60_000)
        else:
            end.transport.pause_reading()
            end.other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
            end.other.setblocking(False)
            end.send(b"x" * 90_000)
            end.transport.resume_reading()
        sent = 60_000 if make is pipe else 90_000
        await until(lambda: len(b"".join(end.pieces)) == sent)


@pytest.mark.parametrize("make", [*BYTES, datagrams])
def test_numbers_by_index(run, make):
    class Number:
        def __index__(self):
            return 3

    @on(make, run)
    async def case(end):
        end.transport.max_size = Number()
        end.send(b"abc")
        await until(lambda: end.pieces)
        assert end.pieces == [b"abc"]


@pytest.mark.parametrize("make", BYTES)
def test_nothing_is_the_end(run, make):
    @on(make, run)
    async def case(end):
        end.transport.max_size = 0
        end.send(b"abc")
        await end.protocol.closed
        assert end.pieces == []
        assert end.protocol.calls[1:] == ["eof_received", "connection_lost"]


@pytest.mark.parametrize(
    ("size", "error"),
    [
        (-1, ValueError),
        (1 << 62, MemoryError),
        (1 << 80, OverflowError),
        (2.5, TypeError),
        (None, TypeError),
        ("4", TypeError),
    ],
)
@pytest.mark.parametrize("make", [stream, accepted, datagrams])
def test_what_is_no_size_ends_it(run, make, size, error):
    @on(make, run)
    async def case(end):
        said = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: said.append(context))
        end.transport.max_size = size
        end.send(b"abc")
        exc = await end.protocol.closed
        assert type(exc) is error
        kind = "datagram" if make is datagrams else "socket"
        assert [context["message"] for context in said] == [
            f"Fatal read error on {kind} transport"
        ]
        assert said[0]["exception"] is exc
        assert said[0]["transport"] is end.transport
        end.protocol.closed = loop.create_future()
        said.clear()
        return str(exc)


@pytest.mark.parametrize(
    ("size", "error"),
    [(1 << 62, MemoryError), (1 << 80, OverflowError), (2.5, TypeError)],
)
def test_what_is_no_size_is_told_of_a_pipe(run, size, error):
    @on(pipe, run)
    async def case(end):
        said = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: said.append(context))
        end.transport.max_size = size
        end.send(b"abc")
        await until(lambda: said)
        assert type(said[0]["exception"]) is error
        assert said[0]["message"].startswith("Exception in callback ")
        del end.transport.max_size
        await until(lambda: end.pieces == [b"abc"])
        said.clear()


def test_less_than_nothing_ends_a_pipe(run):
    @on(pipe, run)
    async def case(end):
        said = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: said.append(context))
        end.transport.max_size = -1
        end.send(b"abc")
        exc = await end.protocol.closed
        assert type(exc) is OSError
        assert said[0]["message"] == "Fatal read error on pipe transport"
        end.protocol.closed = loop.create_future()
        said.clear()


def test_a_property_that_ends_the_transport(run):
    """asyncio looks the size up inside the read: nothing may crash."""

    class Ends:
        def __index__(self):
            self.transport._call_connection_lost(None)
            return 5

    @on(stream, run)
    async def case(end):
        size = Ends()
        size.transport = end.transport
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        end.transport.max_size = size
        end.send(b"abc")
        await end.protocol.closed
        size.transport = None
