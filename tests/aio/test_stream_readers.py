"""StreamReader, beside asyncio's."""

import asyncio
import contextlib
import copy
import gc
import inspect
import pickle
import sys
import weakref

import pytest

from fastloop import aio
from tests.aio.helpers import reversed_by_a_child, turns

READS = ["read", "readline", "readuntil", "readexactly", "__anext__"]


@pytest.fixture
def made(mod):
    """Makes a reader of the module, with this in its buffer."""

    def make(data=b"", limit=100, **keywords):
        reader = mod.StreamReader(
            limit=limit, loop=asyncio.get_running_loop(), **keywords
        )
        reader.feed_data(data)
        return reader

    return make


def test_the_class_is_asyncios_subclass():
    ours, theirs = aio.StreamReader, asyncio.StreamReader
    assert issubclass(ours, theirs)
    assert ours.__name__ == theirs.__name__
    assert type(ours) is type
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    for name in READS:
        assert inspect.iscoroutinefunction(getattr(ours, name)), name
    for name in vars(theirs):
        assert hasattr(ours, name), name


def test_what_is_there_is_read_without_a_turn(made, run):
    async def main():
        reader = made(b"one\ntwo\nthree--four" + bytes(10))
        loop = asyncio.get_running_loop()
        happened = []
        loop.call_soon(happened.append, 1)
        assert await reader.readline() == b"one\n"
        assert await reader.readexactly(4) == b"two\n"
        assert await reader.readuntil(b"--") == b"three--"
        assert await reader.read(4) == b"four"
        assert await reader.read(100) == bytes(10)
        assert await reader.read(0) == await reader.readexactly(0) == b""
        assert not happened
        coro = made(b"line\nrest").readline()
        with pytest.raises(StopIteration) as caught:
            coro.send(None)
        assert caught.value.value == b"line\n"

    run(main())


def test_private_attributes(made, run):
    async def main():
        reader = made(b"ab")
        assert type(reader._buffer) is bytearray
        assert reader._buffer is reader._buffer
        assert reader._buffer == b"ab"
        assert reader._limit == 100
        assert reader._loop is asyncio.get_running_loop()
        assert (reader._eof, reader._paused) == (False, False)
        assert reader._waiter is reader._transport is reader._exception is None
        reader._buffer += b"c\nd"
        assert await reader.readline() == b"abc\n"
        reader._buffer = bytearray(b"new\n")
        assert await reader.readline() == b"new\n"
        reader._buffer.extend(b"123")
        reader._eof = True
        assert await reader.read() == b"123"
        assert reader.at_eof()
        reader._eof = False
        waits = asyncio.create_task(reader.readexactly(2))
        await turns()
        assert asyncio.isfuture(reader._waiter)
        reader._buffer.extend(b"xy")
        reader._wakeup_waiter()
        assert reader._waiter is None
        assert await waits == b"xy"
        reader._exception = OSError("set")
        with pytest.raises(OSError, match="set"):
            await reader.readline()
        reader._exception = None
        reader._limit = 1
        reader.feed_data(b"long\n")
        with pytest.raises(ValueError, match="longer than limit"):
            await reader.readline()
        assert reader._buffer == b""

    run(main())


def test_views_of_the_buffer(made, run):
    async def main():
        reader = made(b"abc\n")
        with memoryview(reader._buffer) as view:
            with pytest.raises(BufferError):
                reader.feed_data(b"x")
            with pytest.raises(BufferError):
                await reader.readline()
            assert view == b"abc\n"
        assert await reader.readline() == b"abc\n"

    run(main())


@pytest.mark.parametrize("size", [10, 600, 5000, 100_000])
def test_long_streams_come_out_as_they_went_in(made, run, size):
    async def main():
        reader, pieces = made(limit=1 << 20), []
        data = bytes(range(256)) * (size // 100)
        for start in range(0, len(data), size):
            reader.feed_data(data[start : start + size])
            pieces.append(await reader.read(size // 2 + 1))
            pieces.append(await reader.readexactly(min(3, len(reader._buffer))))
        reader.feed_eof()
        pieces.append(await reader.read())
        assert b"".join(pieces) == data
        assert await reader.read() == b""

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="from 3.13 on")
def test_several_separators(made, run):
    async def main():
        reader = made(b"one\ntwo\r\nthree")
        assert await reader.readuntil((b"\r\n", b"\n")) == b"one\n"
        assert await reader.readuntil((b"\r\n", b"x")) == b"two\r\n"
        with pytest.raises(ValueError, match="at least one"):
            await reader.readuntil(())

    run(main())


def test_odd_arguments(mod, made, run):
    async def main():
        loop = asyncio.get_running_loop()
        for limit in (0, -1):
            with pytest.raises(ValueError, match="Limit cannot be <= 0"):
                mod.StreamReader(limit, loop)
        with pytest.raises(TypeError):
            mod.StreamReader("a", loop)
        with pytest.raises(TypeError):
            mod.StreamReader(1, loop, 3)
        with pytest.raises(TypeError):
            mod.StreamReader(1, limit=1)
        with pytest.raises(TypeError):
            mod.StreamReader(maximum=1)
        assert mod.StreamReader(True, loop)._limit is True
        assert mod.StreamReader()._loop is loop
        assert mod.StreamReader(loop=loop)._limit == 2**16
        reader = made(b"ab\ncd")
        with pytest.raises(ValueError, match="at least one-byte"):
            await reader.readuntil(b"")
        with pytest.raises(ValueError, match="less than zero"):
            await reader.readexactly(-1)
        with pytest.raises(TypeError):
            await reader.readexactly("a")
        with pytest.raises(TypeError):
            await reader.readexactly()
        assert await reader.readuntil(separator=b"b") == b"ab"
        assert await reader.read(n=1) == b"\n"
        assert await reader.readexactly(n=2) == b"cd"
        reader.feed_data(data=bytearray(b"x"))
        reader.feed_data(memoryview(b"yz"))
        reader.feed_data("")
        reader.feed_data(())
        with pytest.raises(TypeError):
            reader.feed_data("a")
        assert reader._buffer == b"xyz"
        reader.feed_eof()
        with pytest.raises(AssertionError, match="feed_data after feed_eof"):
            reader.feed_data(b"late")
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await reader.readexactly(4)
        assert (caught.value.partial, caught.value.expected) == (b"xyz", 4)
        assert reader.at_eof()

    run(main())


def test_a_second_waiter(made, run):
    async def main():
        reader = made()
        first = asyncio.create_task(reader.readline())
        await turns()
        for name, *args in (
            ("readline", "readuntil"), ("read", "read", 5), ("read", "read"),
            ("readexactly", "readexactly", 5), ("readuntil", "readuntil"),
        ):  # fmt: skip
            with pytest.raises(RuntimeError, match=rf"^{args[0]}\(\) called while"):
                await getattr(reader, name)(*args[1:])
        reader.feed_data(b"line\n")
        assert await first == b"line\n"

    run(main())


def test_a_subclass_is_asked(mod, run):
    class Traced(mod.StreamReader):
        def __init__(self, *args, **keywords):
            super().__init__(*args, **keywords)
            self.calls = []

        def feed_data(self, data):
            self.calls.append("feed_data")
            super().feed_data(data.upper())

        async def readuntil(self, separator=b"\n"):
            self.calls.append("readuntil")
            return await super().readuntil(separator)

        def _wakeup_waiter(self):
            self.calls.append("wake")
            super()._wakeup_waiter()

    async def main():
        reader = Traced(loop=asyncio.get_running_loop())
        waits = asyncio.create_task(reader.readline())
        await turns()
        reader.feed_data(b"ab\ncd\n")
        assert await waits == b"AB\n"
        assert await anext(reader) == b"CD\n"
        reader.feed_eof()
        assert [line async for line in reader] == []
        assert reader.calls == [
            "readuntil", "feed_data", "wake", "readuntil", "wake", "readuntil",
        ]  # fmt: skip

    run(main())


def test_a_method_of_one_object_is_asked(made, run):
    async def main():
        reader = made(b"ab\n")

        async def readuntil(separator):
            return b"mine"

        reader.readuntil = readuntil
        assert await reader.readline() == b"mine"
        del reader.readuntil
        assert await reader.readline() == b"ab\n"

    run(main())


def test_async_for(made, run):
    async def main():
        reader = made(b"1\n2\n\n3")
        reader.feed_eof()
        assert [line async for line in reader] == [b"1\n", b"2\n", b"\n", b"3"]

    run(main())


def test_exceptions_that_are_set(made, run):
    async def main():
        reader, error = made(b"ab"), OSError("broken")
        waits = asyncio.create_task(reader.readline())
        await turns()
        reader.set_exception(exc=error)
        with pytest.raises(OSError, match="broken") as caught:
            await waits
        assert caught.value is reader.exception() is error
        for read in (reader.read, reader.readline, reader.readuntil):
            with pytest.raises(OSError, match="broken"):
                await read()
        with pytest.raises(OSError, match="broken"):
            await reader.readexactly(1)
        reader.set_exception(asyncio.IncompleteReadError(b"part", 1))
        assert await reader.readline() == b"part"

    run(main())


def test_limits(made, run):
    async def main():
        reader = made(b"abcdefgh", limit=5)
        with pytest.raises(asyncio.LimitOverrunError) as caught:
            await reader.readuntil(b"gh")
        assert caught.value.consumed == 6
        with pytest.raises(ValueError, match="exceed the limit") as caught:
            await reader.readline()
        assert type(caught.value) is ValueError
        assert type(caught.value.__context__) is asyncio.LimitOverrunError
        assert reader._buffer == b""

    run(main())


def test_cancelled_in_each(made, run):
    async def main():
        for name, *args in (("read",), ("read", 3), ("readline",), ("readexactly", 9)):
            reader = made()
            task = asyncio.create_task(getattr(reader, name)(*args))
            await turns()
            task.cancel("gone")
            with pytest.raises(asyncio.CancelledError):
                await task
            assert reader._waiter is None
            coro = getattr(reader, name)(*args)
            coro.send(None)
            assert reader._waiter is not None
            coro.close()
            assert reader._waiter is None
            reader.feed_data(b"still there")
            assert await reader.read(5) == b"still"

    run(main())


def test_a_future_of_another_kind(mod, run, loop_factory):
    class Loop:
        def __init__(self, loop):
            self.loop, self.made = loop, []

        def create_future(self):
            self.made.append(asyncio.futures._PyFuture(loop=self.loop))
            return self.made[-1]

        def get_debug(self):
            return False

    async def main():
        loop = Loop(asyncio.get_running_loop())
        reader = mod.StreamReader(loop=loop)
        for name, args, expected in (
            ("readline", (), b"ab\n"), ("readexactly", (2,), b"cd"),
            ("read", (2,), b"\nx"), ("read", (), b""),
        ):  # fmt: skip
            task = asyncio.create_task(getattr(reader, name)(*args))
            await turns()
            assert reader._waiter is loop.made[-1]
            if args or name == "readline":
                reader.feed_data(expected)
            else:
                reader.feed_eof()
            assert await task == expected

    run(main())


def test_the_source_in_debug_mode(mod, run):
    async def main():
        loop = asyncio.get_running_loop()
        reader = mod.StreamReader(loop=loop)
        assert reader._source_traceback is None
        loop.set_debug(True)
        reader = mod.StreamReader(loop=loop)
        assert reader._source_traceback[-1].name == "main"
        assert reader._source_traceback[-1].filename == __file__
        loop.set_debug(False)

    run(main())


def test_reprs(made, run):
    async def main():
        reader = made(b"ab", limit=2**16)
        assert repr(reader) == "<StreamReader 2 bytes>"
        reader.feed_eof()
        assert repr(reader) == "<StreamReader 2 bytes eof>"
        assert "limit=7" in repr(made(limit=7))

    run(main())


def test_copies_and_weak_references(made, run):
    async def main():
        reader = made(b"ab\n")
        reader._loop = None
        other = copy.copy(reader)
        assert type(other) is type(reader)
        assert (other._buffer, other._limit) == (b"ab\n", 100)
        assert pickle.loads(pickle.dumps(reader))._buffer == b"ab\n"
        reference = weakref.ref(reader)
        reader.cycle = reader
        del reader, other
        gc.collect()
        assert reference() is None

    run(main())


def test_without_having_been_initialised(mod):
    reader = mod.StreamReader.__new__(mod.StreamReader)
    for name in ("_buffer", "_limit", "_eof", "_waiter"):
        with pytest.raises(AttributeError):
            getattr(reader, name)
    with pytest.raises(AttributeError):
        reader.feed_data(b"a")
    with pytest.raises(AttributeError):
        reader.readline().send(None)


def test_connections_use_it(accelerated, run):
    """accelerate(): over sockets and the pipes of a process."""

    async def answer(reader, writer):
        assert type(reader) is aio.StreamReader
        async for line in reader:
            writer.write(line.upper())
        writer.close()

    async def main():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"one\ntwo\n")
        assert await reader.readline() == b"ONE\n"
        assert await reader.readexactly(4) == b"TWO\n"
        writer.write((b"x" * 999 + b"\n") * 200)
        writer.write_eof()
        assert await reader.read() == (b"X" * 999 + b"\n") * 200
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        server.close()
        process, out = await reversed_by_a_child(b"abc")
        assert type(process.stdout) is aio.StreamReader
        assert out == b"cba"

    run(main())
