"""Pipe transports."""

import asyncio
import contextlib
import os
import stat

import pytest

from tests.net.helpers import Recorder
from tests.support import until


@contextlib.contextmanager
def pipe():
    read, write = os.pipe()
    with os.fdopen(read, "rb", 0) as reader, os.fdopen(write, "wb", 0) as writer:
        yield reader, writer


def test_read_pipe(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pipe() as (reader, writer):
            transport, protocol = await loop.connect_read_pipe(Recorder, reader)
            writer.write(b"one")
            await until(lambda: protocol.data)
            transport.pause_reading()
            writer.write(b" two")
            for _ in range(5):
                await asyncio.sleep(0)
            assert protocol.data == b"one"
            transport.resume_reading()
            await until(lambda: protocol.data == b"one two")
            writer.close()
            await protocol.closed
            return protocol.calls[-2:]

    assert run(main()) == ["eof_received", "connection_lost"]


def test_write_pipe(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pipe() as (reader, writer):
            transport, protocol = await loop.connect_write_pipe(Recorder, writer)
            transport.write(b"hello")
            got = await loop.run_in_executor(None, reader.read, 5)
            transport.write_eof()
            assert await protocol.closed is None
            return got, reader.read()

    assert run(main()) == (b"hello", b"")


def test_write_pipe_flow_control(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pipe() as (reader, writer):
            transport, protocol = await loop.connect_write_pipe(Recorder, writer)
            payload = bytes(1_000_000)
            transport.write(payload)
            assert "pause_writing" in protocol.calls
            transport.close()
            got = await loop.run_in_executor(None, lambda: reader.readall())
            await protocol.closed
            return len(got)

    assert run(main()) == 1_000_000


def test_a_write_pipe_whose_reader_has_gone(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pipe() as (reader, writer):
            _, protocol = await loop.connect_write_pipe(Recorder, writer)
            reader.close()
            exc = await protocol.closed
            return exc is None or isinstance(exc, BrokenPipeError)

    assert run(main())


def test_pipes_of_what_is_no_pipe(run, tmp_path):
    async def main():
        loop = asyncio.get_running_loop()
        path = tmp_path / "regular"
        path.write_text("x")
        for connect in (loop.connect_read_pipe, loop.connect_write_pipe):
            with (
                open(path, "rb+") as file,
                pytest.raises(ValueError, match="for pipes"),
            ):
                await connect(Recorder, file)

    run(main())


def test_a_pipe_closed_once(run):
    """Descriptors opened between the two ends' closes stay open."""

    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(10):
            read, write = os.pipe()
            transport, protocol = await loop.connect_read_pipe(
                Recorder, os.fdopen(read, "rb", 0)
            )
            transport.close()
            await protocol.closed
            others = [os.dup(write) for _ in range(3)]
            await asyncio.sleep(0)
            assert all(stat.S_ISFIFO(os.fstat(fd).st_mode) for fd in others)
            for fd in (*others, write):
                os.close(fd)

    run(main())


def test_stream_reader_on_a_pipe(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pipe() as (read, write):
            reader = asyncio.StreamReader()
            transport, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), read
            )
            write.write(b"a line\nrest")
            write.close()
            found = await reader.readline(), await reader.read()
            transport.close()
            await asyncio.sleep(0)
            return found

    assert run(main()) == (b"a line\n", b"rest")


def test_a_pseudo_terminal(run):
    async def main():
        loop = asyncio.get_running_loop()
        leader, follower = os.openpty()
        transport, protocol = await loop.connect_read_pipe(
            Recorder, os.fdopen(leader, "rb", 0)
        )
        os.write(follower, b"typed\n")
        await until(lambda: b"typed" in protocol.data)
        transport.close()
        await protocol.closed
        os.close(follower)

    run(main())
