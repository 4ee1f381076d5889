"""StreamWriter, beside asyncio's."""

import asyncio
import contextlib
import copy
import gc
import inspect
import warnings

import pytest

from fastloop import aio
from tests.aio.helpers import reversed_by_a_child, turns
from tests.support import late_3_11

NOTED = ["write", "writelines", "write_eof", "can_write_eof", "close", "is_closing"]


class Transport:
    """Notes what is called."""

    def __init__(self):
        self.calls, self.closing = [], False

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)

        def method(*args):
            self.calls.append((name, *args))
            return name

        return method

    def is_closing(self):
        return self.closing


@pytest.fixture
def made(mod):
    """Makes a writer of the module, on a transport that notes its calls."""

    def make(reader=None, **keywords):
        loop = asyncio.get_running_loop()
        protocol = asyncio.StreamReaderProtocol(None, loop=loop)
        return mod.StreamWriter(Transport(), protocol, reader, loop, **keywords)

    return make


def end(writer):
    writer.transport.closing = True


def test_the_class_is_asyncios_subclass():
    ours, theirs = aio.StreamWriter, asyncio.StreamWriter
    assert issubclass(ours, theirs)
    assert ours.__name__ == theirs.__name__
    assert type(ours) is type
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    for name in ("drain", "wait_closed", "start_tls"):
        assert inspect.iscoroutinefunction(getattr(ours, name)), name
    for name in NOTED:
        parameters = inspect.signature(getattr(ours, name)).parameters
        assert [*parameters] == [*inspect.signature(getattr(theirs, name)).parameters]


def test_what_is_passed_on(made, run):
    async def main():
        writer = made()
        data = bytearray(b"x")
        assert writer.write(data) is None
        assert writer.write(data=b"y") is None
        assert writer.writelines([b"1", b"2"]) is None
        assert writer.write_eof() == "write_eof"
        assert writer.can_write_eof() == "can_write_eof"
        assert writer.close() == "close"
        assert writer.is_closing() is False
        assert writer.get_extra_info("a") == "get_extra_info"
        assert writer.get_extra_info("a", 1) == "get_extra_info"
        assert writer.get_extra_info("a", default=2) == "get_extra_info"
        assert writer.transport.calls == [
            ("write", data), ("write", b"y"), ("writelines", [b"1", b"2"]),
            ("write_eof",), ("can_write_eof",), ("close",),
            ("get_extra_info", "a", None), ("get_extra_info", "a", 1),
            ("get_extra_info", "a", 2),
        ]  # fmt: skip
        assert writer.transport.calls[0][1] is data
        for wrong in (writer.write, writer.writelines, writer.get_extra_info):
            with pytest.raises(TypeError):
                wrong()
        with pytest.raises(TypeError):
            writer.close(1)
        end(writer)

    run(main())


def test_private_attributes(made, run):
    async def main():
        loop = asyncio.get_running_loop()
        writer = made()
        assert writer._loop is loop
        assert writer._reader is None
        assert writer._transport is writer.transport
        assert writer._complete_fut.done()
        assert writer._complete_fut is writer._complete_fut
        words = "property 'transport' of 'StreamWriter' object has no "
        with pytest.raises(AttributeError, match=words + "setter"):
            writer.transport = None
        with pytest.raises(AttributeError, match=words + "deleter"):
            del writer.transport
        end(writer)
        writer._transport = other = Transport()
        writer.write(b"a")
        assert other.calls == [("write", b"a")]
        writer._protocol._paused = True
        drains = asyncio.create_task(writer.drain())
        await turns()
        assert not drains.done()
        writer._protocol.resume_writing()
        await drains
        writer._protocol = asyncio.StreamReaderProtocol(None, loop=loop)
        writer._protocol.connection_lost(None)
        with pytest.raises(ConnectionResetError):
            await writer.drain()
        await writer.wait_closed()
        writer._reader = asyncio.StreamReader(loop=loop)
        writer._reader.set_exception(OSError("broken"))
        with pytest.raises(OSError, match="broken"):
            await writer.drain()
        writer.extra = 1
        end(writer)

    run(main())


def test_drain_with_room_takes_no_turn(mod, made, run):
    async def main():
        happened = []
        writer = made(mod.StreamReader(loop=asyncio.get_running_loop()))
        asyncio.get_running_loop().call_soon(happened.append, 1)
        await writer.drain()
        assert happened == []
        end(writer)
        await writer.drain()
        assert happened == [1]

    run(main())


def test_what_drain_raises(mod, made, run):
    async def main():
        reader = mod.StreamReader(loop=asyncio.get_running_loop())
        writer = made(reader)
        for exc in (KeyError("a"), ValueError, "none"):
            reader._exception = exc
            wanted = TypeError if exc == "none" else (KeyError, ValueError)
            with pytest.raises(wanted):
                await writer.drain()
        reader._exception = None
        writer._protocol.connection_lost(None)
        with pytest.raises(ConnectionResetError, match="Connection lost"):
            await writer.drain()
        end(writer)

    run(main())


def test_drain_is_cancelled(made, run):
    async def main():
        writer = made()
        writer._protocol.pause_writing()
        tasks = [asyncio.create_task(writer.drain()) for _ in range(2)]
        await turns()
        tasks[0].cancel()
        await turns()
        assert tasks[0].cancelled()
        assert len(writer._protocol._drain_waiters) == 1
        writer._protocol.connection_lost(OSError("lost"))
        with pytest.raises(OSError, match="lost"):
            await tasks[1]
        end(writer)

    run(main())


def test_a_helper_that_was_replaced(made, run, monkeypatch):
    async def main():
        asked = []

        async def helper(*_):
            asked.append(1)

        writer = made()
        with monkeypatch.context() as patch:
            patch.setattr(type(writer._protocol), "_drain_helper", helper)
            await writer.drain()
        writer._protocol._drain_helper = helper
        await writer.drain()
        assert asked == [1, 1]
        end(writer)

    run(main())


def test_a_subclass(mod, run):
    class Traced(mod.StreamWriter):
        def write(self, data):
            super().write(data.upper())

    async def main():
        loop = asyncio.get_running_loop()
        protocol = asyncio.StreamReaderProtocol(None, loop=loop)
        writer = Traced(
            transport=Transport(), protocol=protocol, reader=None, loop=loop
        )
        writer.write(b"a")
        await writer.drain()
        assert writer.transport.calls == [("write", b"A")]
        end(writer)

    run(main())


def test_odd_arguments(mod, run):
    class Quiet(mod.StreamWriter):
        def __del__(self):  # asyncio's does not mind what was never made
            pass

    async def main():
        loop = asyncio.get_running_loop()
        for args in ((), (1, 2, 3), (1, 2, None, loop, 5)):
            with pytest.raises(TypeError):
                Quiet(*args)
        with pytest.raises(AssertionError):
            Quiet(Transport(), None, "no reader", loop)

    run(main())


@late_3_11
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nobody_closed_it(made, run):
    async def main():
        writer = made()
        calls = writer.transport.calls
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del writer
            gc.collect()
        return calls, [(w.category, "unclosed" in str(w.message)) for w in caught]

    assert run(main()) == ([("close",)], [(ResourceWarning, True)])


def test_reprs_and_copies(mod, made, run):
    async def main():
        reader = mod.StreamReader(loop=asyncio.get_running_loop())
        writer = made(reader)
        writer._transport.closing = True
        assert repr(writer).startswith("<StreamWriter transport=<")
        assert repr(writer).endswith("reader=<StreamReader>>")
        other = copy.copy(writer)
        assert other._transport is writer._transport
        writer.cycle = writer

    run(main())


def test_connections_use_it(accelerated, run):
    """accelerate(): over sockets and the pipes of a process."""

    async def answer(reader, writer):
        assert type(writer) is aio.StreamWriter
        async for line in reader:
            writer.write(line.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert writer.get_extra_info("peername") == ("127.0.0.1", port)
        for _ in range(10):
            writer.writelines([b"x" * 9_999, b"\n"])
            await asyncio.gather(writer.drain(), reader.readexactly(1))
            await reader.readexactly(9_999)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        assert writer.is_closing()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        server.close()
        process, out = await reversed_by_a_child(b"abc")
        assert type(process.stdin) is aio.StreamWriter
        assert out == b"cba"

    run(main())
