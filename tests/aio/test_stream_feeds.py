"""What a connection receives, in the buffer of asyncio's StreamReader and of ours.

On a loop of fastloop it comes there without a call, unless something was replaced.
"""

import asyncio
import contextlib
import gc
import sys

import pytest

import fastloop
from tests.aio.helpers import pauses_at_its_limit, turns


@pytest.fixture(params=["asyncio", "accelerated"], autouse=True)
def mod(request):
    """With asyncio's classes, and with ours in their place."""
    if request.param == "accelerated":
        fastloop.accelerate()
        yield
        fastloop.decelerate()
    else:
        yield


@contextlib.asynccontextmanager
async def connected(**keywords):
    """(reader, writer) of one end, and the writer of the other."""
    accepted = asyncio.get_running_loop().create_future()

    def accept(reader, writer):
        accepted.set_result((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, **keywords)
    address = server.sockets[0].getsockname()
    _, out = await asyncio.open_connection(*address, **keywords)
    reader, writer = await accepted
    try:
        yield reader, writer, out
    finally:
        for each in (writer, out):
            each.close()
            with contextlib.suppress(Exception):
                await each.wait_closed()
        server.close()


def protocol_of(writer):
    return writer.transport.get_protocol()


def test_what_comes_is_read(run):
    async def main():
        async with connected() as (reader, _, out):
            for size in (1, 10, 1000, 70_000, 3_000_000):
                data = bytes(range(256)) * (size // 256 + 1)
                out.write(data[:size])
                assert await reader.readexactly(size) == data[:size]
            out.write(b"line\nand more\n")
            assert await reader.readline() == b"line\n"
            assert await reader.read(100) == b"and more\n"
            out.write(b"rest")
            out.write_eof()
            assert await reader.read() == b"rest"
            assert reader.at_eof()

    run(main())


def test_no_call_is_made_on_ours(run, loop):
    called, names = [], ("data_received", "feed_data")

    def profile(frame, event, arg):
        if event == "call" and frame.f_code.co_name in names:
            called.append(frame.f_code.co_name)
        elif event == "c_call" and arg.__name__ in names:
            called.append(arg.__name__)

    async def main():
        async with connected() as (reader, _, out):
            await turns()
            sys.setprofile(profile)
            try:
                for _ in range(3):
                    out.write(b"line\n")
                    assert await reader.readline() == b"line\n"
            finally:
                sys.setprofile(None)
        return isinstance(asyncio.get_running_loop(), fastloop.Loop)

    if run(main()):
        assert called == []
    else:
        assert called.count("data_received") == 3


def test_a_limit_pauses(run):
    async def main():
        async with connected(limit=100) as (reader, writer, out):
            await pauses_at_its_limit(reader, writer, out)

    run(main())


@pytest.mark.parametrize("where", ["protocol", "protocols", "reader", "readers"])
def test_a_method_that_was_replaced_is_called(run, monkeypatch, where):
    async def main():
        async with connected() as (reader, writer, out):
            protocol, seen = protocol_of(writer), []
            target = {
                "protocol": protocol, "protocols": type(protocol),
                "reader": reader, "readers": type(reader),
            }[where]  # fmt: skip
            name = "data_received" if where.startswith("protocol") else "feed_data"
            stock = getattr(target, name)
            out.write(b"first\n")
            assert await reader.readline() == b"first\n"

            def traced(*args):
                seen.append(args[-1])
                return stock(*args)

            with monkeypatch.context() as patch:
                patch.setattr(target, name, traced)
                out.write(b"second\n")
                assert await reader.readline() == b"second\n"
            assert seen == [b"second\n"]
            out.write(b"third\n")
            assert await reader.readline() == b"third\n"
            assert seen == [b"second\n"]

    run(main())


def test_a_view_of_the_buffer_ends_the_connection(run, logs):
    async def main():
        async with connected() as (reader, _, out):
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            view = memoryview(reader._buffer)
            out.write(b"x")
            with pytest.raises(BufferError):
                await reader.read(1)
            view.release()

    run(main())
    logs.take()


def test_after_the_end_was_said(run, logs):
    async def main():
        async with connected() as (reader, _, out):
            told = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().set_exception_handler(
                lambda _, context: told.done() or told.set_result(context)
            )
            reader.feed_eof()
            out.write(b"x")
            context = await told
            assert type(context["exception"]) is AssertionError
            assert context["message"] == (
                "Fatal error: protocol.data_received() call failed."
            )

    run(main())
    logs.take()


def test_a_reader_that_is_gone(run, logs):
    async def main():
        loop = asyncio.get_running_loop()
        async with connected() as (_, writer, out):
            protocol = protocol_of(writer)
            reader = asyncio.StreamReader(loop=loop)
            other = asyncio.StreamReaderProtocol(reader, loop=loop)
            other.connection_made(writer.transport)
            writer.transport.set_protocol(other)
            out.write(b"a\n")
            assert await reader.readline() == b"a\n"
            del reader
            gc.collect()
            out.write(b"lost\n")
            while other._stream_reader is not None:
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0.001)
            writer.transport.set_protocol(protocol)
            other.connection_lost(None)

    run(main())
    logs.take()


def test_the_waiter_that_was_cancelled(run):
    async def main():
        async with connected() as (reader, _, out):
            task = asyncio.create_task(reader.readline())
            await turns()
            reader._waiter.cancel()
            out.write(b"line\n")
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await reader.readline() == b"line\n"

    run(main())


# ---- what a long read() waits for, between its coming and that task's step ----

LONG = 1 << 17
BLOCK = bytes(range(256)) * 200


@contextlib.asynccontextmanager
async def arrived(kept=None, **keywords):
    """(reader, task, writer, out): BLOCK has come, or its beginning, for the task.

    The task waits in read(LONG), not told yet. kept: gets the buffer before that.
    """
    async with connected(**keywords) as (reader, writer, out):
        for size in (40_000, 40_000):  # it comes in long
            out.write(bytes(size))
            assert await reader.readexactly(size) == bytes(size)
        task = asyncio.ensure_future(reader.read(LONG))
        while reader._waiter is None:
            await asyncio.sleep(0)
        if kept is not None:
            kept.append(reader._buffer)
        out.write(BLOCK)
        while reader._waiter is not None:
            await asyncio.sleep(0)
        assert not task.done()
        yield reader, task, writer, out


async def all_of(reader, data, size):
    """data and what follows, up to size bytes."""
    return data + await reader.readexactly(size - len(data))


def test_long_reads_are_whole(run):
    async def main():
        async with connected() as (reader, _, out):
            for size in (300_000, 65_536, 9_000, 1, 1_000_000):
                data, got = (BLOCK * 20)[:size], b""
                out.write(data)
                while len(got) < size:
                    some = await reader.read(LONG)
                    assert type(some) is bytes
                    assert 0 < len(some) <= LONG
                    got += some
                assert got == data

    run(main())


def test_a_long_read_is_what_came(run):
    async def main():
        async with arrived() as (reader, task, _, _out):
            assert await all_of(reader, await task, len(BLOCK)) == BLOCK
            assert reader._buffer == b""

    run(main())


def test_what_came_is_seen_in_the_buffer(run):
    async def main():
        async with arrived() as (reader, task, _, _out):
            seen = bytes(reader._buffer)
            assert seen
            assert BLOCK.startswith(seen)
            assert f"{len(seen)} bytes" in repr(reader)
            assert not reader.at_eof()
            assert (await task).startswith(seen)

    run(main())


def test_what_came_is_in_the_buffer_that_somebody_has(run):
    async def main():
        kept = []
        async with arrived(kept) as (reader, task, _, _out):
            assert kept[0] is reader._buffer
            assert len(kept[0]) > 0
            assert BLOCK.startswith(kept[0])
            assert await all_of(reader, await task, len(BLOCK)) == BLOCK

    run(main())


def test_what_came_for_a_task_that_is_cancelled(run):
    async def main():
        async with arrived() as (reader, task, _, _out):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await reader.readexactly(len(BLOCK)) == BLOCK

    run(main())


def test_another_reads_what_came_first(run):
    async def main():
        async with arrived() as (reader, task, _, _out):
            first = await reader.readexactly(10)
            rest = await task
            assert await all_of(reader, first + rest, len(BLOCK)) == BLOCK

    run(main())


def test_what_is_fed_after_what_came(run):
    async def main():
        async with arrived() as (reader, task, _, _out):
            reader.feed_data(b"tail")
            n = len(reader._buffer)
            data = await task
            assert len(data) == n
            assert data.endswith(b"tail")
            assert BLOCK.startswith(data[:-4])

    run(main())


def test_the_end_after_what_came(run):
    async def main():
        async with arrived() as (reader, task, _, out):
            out.close()
            assert await task + await reader.read() == BLOCK
            assert reader.at_eof()

    run(main())


def test_a_buffer_in_place_of_what_came(run):
    async def main():
        async with arrived() as (reader, task, _, _out):
            reader._buffer = bytearray(b"another")
            assert await task == b"another"

    run(main())


def test_what_came_beside_a_drain(run):
    async def main():
        async with arrived() as (reader, task, writer, _):
            await writer.drain()
            assert await all_of(reader, await task, len(BLOCK)) == BLOCK

    run(main())


def test_a_long_read_over_the_limit_pauses(run):
    async def main():
        async with arrived(limit=2_000) as (reader, task, writer, _):
            assert len(reader._buffer) > 4_000
            assert not writer.transport.is_reading()
            data = await task
            assert writer.transport.is_reading()
            assert await all_of(reader, data, len(BLOCK)) == BLOCK

    run(main())
