"""Streams over TCP, Unix sockets, TLS and pipes: with asyncio's classes and with ours.

On a loop of fastloop a reader is fed without a call from Python, whatever the bytes
come by.
"""

import asyncio
import contextlib
import os
import sys

import pytest

import fastloop
from fastloop import aio
from tests.aio.helpers import pauses_at_its_limit, turns

WAYS = ["tcp", "unix", "tls"]


@pytest.fixture(params=["asyncio", "accelerated"])
def kind(request):
    """asyncio's module, or ours while its classes are in place."""
    if request.param == "asyncio":
        yield asyncio
    else:
        fastloop.accelerate()
        yield aio
        fastloop.decelerate()


@pytest.fixture
def connect(kind, server_tls, client_tls, tmp_path):
    """connect(way, callback): a server and (reader, writer) of its client."""

    @contextlib.asynccontextmanager
    async def connected(way, callback, **keywords):
        path, tls = str(tmp_path / "socket"), way == "tls"
        if way == "unix":
            server = await asyncio.start_unix_server(callback, path, **keywords)
            pair = await asyncio.open_unix_connection(path, **keywords)
        else:
            server = await asyncio.start_server(
                callback, "127.0.0.1", 0, ssl=server_tls if tls else None, **keywords
            )
            if tls:
                keywords |= {"ssl": client_tls, "server_hostname": "localhost"}
            address = server.sockets[0].getsockname()
            pair = await asyncio.open_connection(*address, **keywords)
        try:
            yield pair
        finally:
            pair[1].close()
            with contextlib.suppress(Exception):
                await pair[1].wait_closed()
            server.close()
            while len(asyncio.all_tasks()) > 1:  # of the server's clients
                await asyncio.sleep(0)

    return connected


@contextlib.contextmanager
def calls_seen():
    """Names of the calls from Python that feed a reader meanwhile."""
    called, names = [], ("data_received", "feed_data")

    def profile(frame, event, arg):
        if event == "call" and frame.f_code.co_name in names:
            called.append(frame.f_code.co_name)
        elif event == "c_call" and arg.__name__ in names:
            called.append(arg.__name__)

    sys.setprofile(profile)
    try:
        yield called
    finally:
        sys.setprofile(None)


async def echo(reader, writer):
    async for line in reader:
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    with contextlib.suppress(Exception):
        await writer.wait_closed()


@pytest.mark.parametrize("way", WAYS)
def test_a_conversation(connect, kind, run, way):
    async def main():
        async with connect(way, echo) as (reader, writer):
            protocol = writer.transport.get_protocol()
            assert type(protocol) is kind.StreamReaderProtocol
            for size in (1, 100, 10_000, 60_000):
                writer.write(b"x" * size + b"\n")
                await writer.drain()
                assert await reader.readuntil(b"\n") == b"X" * size + b"\n"
            for n_lines in (3, 700, 20_000):
                data = (b"y" * 99 + b"\n") * n_lines
                writer.write(data)
                assert await reader.readexactly(len(data)) == data.upper()
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
                assert await reader.read() == b""

    run(main())


@pytest.mark.parametrize("way", WAYS)
def test_no_call_is_made_on_ours(connect, run, way):
    async def main():
        async with connect(way, echo) as (reader, writer):
            writer.write(b"begin\n")  # after what a handshake still has to say
            assert await reader.readline() == b"BEGIN\n"
            await turns()
            with calls_seen() as called:
                for _ in range(3):
                    writer.write(b"line\n")
                    assert await reader.readline() == b"LINE\n"
            return called, isinstance(asyncio.get_running_loop(), fastloop.Loop)

    called, ours = run(main())
    if ours:
        assert called == []
    else:
        assert called.count("data_received") == 6


@pytest.mark.parametrize("way", WAYS)
def test_a_limit_pauses(connect, run, way):
    async def main():
        accepted = asyncio.get_running_loop().create_future()

        def accept(reader, writer):
            accepted.set_result((reader, writer))

        async with connect(way, accept, limit=100) as (_, out):
            reader, writer = await accepted
            await pauses_at_its_limit(reader, writer, out)
            writer.close()

    run(main())


@pytest.mark.parametrize("way", WAYS)
def test_a_method_that_was_replaced_is_called(connect, run, monkeypatch, way):
    async def main():
        async with connect(way, echo) as (reader, writer):
            writer.write(b"first\n")
            assert await reader.readline() == b"FIRST\n"
            protocol, seen = writer.transport.get_protocol(), []
            stock = protocol.data_received

            def traced(data):
                seen.append(data)
                stock(data)

            with monkeypatch.context() as patch:
                patch.setattr(protocol, "data_received", traced)
                writer.write(b"second\n")
                assert await reader.readline() == b"SECOND\n"
            assert b"".join(seen) == b"SECOND\n"
            writer.write(b"third\n")
            assert await reader.readline() == b"THIRD\n"
            assert b"".join(seen) == b"SECOND\n"

    run(main())


def open_pipe(kind, limit=2**16):
    """The reader of a pipe, what makes its transport, and the other end."""
    loop = asyncio.get_running_loop()
    reader = kind.StreamReader(limit=limit, loop=loop)
    protocol = kind.StreamReaderProtocol(reader, loop=loop)
    ends = os.pipe()
    connecting = loop.connect_read_pipe(lambda: protocol, os.fdopen(ends[0], "rb", 0))
    return reader, connecting, ends[1]


def test_a_pipe(kind, run):
    async def main():
        reader, connecting, end = open_pipe(kind)
        transport, _ = await connecting
        with calls_seen() as called:
            for size in (1, 1000, 60_000):
                os.write(end, b"x" * size + b"\n")
                assert await reader.readline() == b"x" * size + b"\n"
        os.write(end, b"rest")
        os.close(end)
        assert await reader.read() == b"rest"
        assert reader.at_eof()
        transport.close()
        await turns()
        return called, isinstance(asyncio.get_running_loop(), fastloop.Loop)

    called, ours = run(main())
    assert (called == []) is ours


def test_a_pipe_beyond_its_limit(kind, run):
    async def main():
        reader, connecting, end = open_pipe(kind, limit=100)
        transport, _ = await connecting
        os.write(end, bytes(300))
        while not reader._buffer:
            await asyncio.sleep(0)
        assert reader._paused
        assert await reader.readexactly(250) == bytes(250)
        assert not reader._paused
        os.write(end, bytes(10))
        assert await reader.readexactly(60) == bytes(60)
        os.close(end)
        assert await reader.read() == b""
        transport.close()
        await turns()

    run(main())


def test_a_pipe_whose_buffer_has_a_view(kind, run, logs):
    async def main():
        loop = asyncio.get_running_loop()
        told = loop.create_future()
        loop.set_exception_handler(
            lambda _, context: told.done() or told.set_result(context)
        )
        reader, connecting, end = open_pipe(kind)
        transport, _ = await connecting
        view = memoryview(reader._buffer)
        os.write(end, b"x")
        assert type((await told)["exception"]) is BufferError
        view.release()
        loop.set_exception_handler(None)
        transport.close()
        os.close(end)
        await turns()

    run(main())
    logs.take()


def test_a_child(kind, run):
    async def main():
        program = (
            "import sys\nfor line in sys.stdin: print(line[:-1][::-1], flush=True)"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert type(process.stdout) is kind.StreamReader
        for text in (b"abc", b"x" * 10_000 + b"y"):
            process.stdin.write(text + b"\n")
            await process.stdin.drain()
            assert await process.stdout.readline() == text[::-1] + b"\n"
        out, _ = await process.communicate(b"last\n")
        assert out == b"tsal\n"

    run(main())
