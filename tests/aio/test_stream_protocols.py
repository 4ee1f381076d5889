"""StreamReaderProtocol: each story is told by asyncio's and ours, and is the same."""

import asyncio
import contextlib
import copy
import gc
import inspect
import types
import weakref

import pytest

import fastloop
from fastloop import aio
from tests.aio.helpers import turns
from tests.support import late_3_11

STATE = (
    "_paused", "_connection_lost", "_reject_connection", "_stream_writer", "_task",
    "_client_connected_cb", "_over_ssl", "_strong_reader", "_source_traceback",
)  # fmt: skip


class Transport:
    """Notes what is called."""

    def __init__(self, **extra):
        self.calls, self.extra = [], extra

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args: self.calls.append((name, *args))

    def is_closing(self):
        return ("close",) in self.calls or ("abort",) in self.calls

    def get_extra_info(self, name, default=None):
        return self.extra.get(name, default)


def shown(value):
    """What of it is the same for asyncio's classes and for ours."""
    if isinstance(value, Transport | asyncio.Task):
        return type(value).__name__
    if isinstance(value, BaseException):
        return repr(value)
    if isinstance(value, asyncio.StreamReader | asyncio.StreamWriter):
        return type(value).__name__
    return "function" if inspect.isfunction(value) else value


def state_of(protocol):
    said = {name: shown(getattr(protocol, name, "none")) for name in STATE}
    said["reader"] = shown(protocol._stream_reader)
    said["reference"] = type(protocol._stream_reader_wr).__name__
    said["drainers"] = (type(protocol._drain_waiters), len(protocol._drain_waiters))
    closed = protocol._closed
    said["closed"] = closed.done() and (closed.cancelled() or str(closed._exception))
    said["transport"] = shown(protocol._transport)
    return said


@pytest.fixture
def told(run):
    """Has the story told by asyncio's classes and by ours: what both said."""

    def tell(story):
        theirs = run(story(asyncio))
        fastloop.accelerate()
        try:
            ours = run(story(aio))
        finally:
            fastloop.decelerate()
        assert ours == theirs
        return ours

    return tell


def make(mod, callback=None, **keywords):
    loop = asyncio.get_running_loop()
    reader = mod.StreamReader(loop=loop, **keywords)
    return reader, mod.StreamReaderProtocol(reader, callback, loop=loop)


@contextlib.contextmanager
def reports():
    """What is told to the running loop's exception handler meanwhile."""
    loop, told = asyncio.get_running_loop(), []
    loop.set_exception_handler(
        lambda _, context: told.append(
            {k: shown(v) for k, v in context.items() if k not in ("handle", "message")}
            | {"message": context["message"].split("(")[0]}
        )
    )
    try:
        yield told
    finally:
        loop.set_exception_handler(None)


def test_the_class_is_asyncios_subclass():
    ours, theirs = aio.StreamReaderProtocol, asyncio.StreamReaderProtocol
    assert issubclass(ours, theirs)
    assert type(ours) is type
    assert ours.__name__ == theirs.__name__
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    assert inspect.iscoroutinefunction(ours._drain_helper)


def test_a_whole_life(told):
    async def story(mod):
        reader, protocol = make(mod)
        said = [state_of(protocol)]
        transport = Transport()
        assert protocol.connection_made(transport) is None
        assert reader._transport is transport
        said.append(state_of(protocol))
        protocol.data_received(b"abc\nde")
        said.append(await reader.readline())
        protocol.pause_writing()
        said.append(state_of(protocol))
        protocol.resume_writing()
        said.append(protocol.eof_received())
        said.append(await reader.read())
        protocol.connection_lost(None)
        said.append(state_of(protocol))
        said.append(await protocol._get_close_waiter(None))
        return said

    told(story)


@pytest.mark.parametrize("kind", ["none", "instance", "class", "text"])
@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("waiting", [False, True])
def test_a_connection_is_lost(told, kind, paused, waiting):
    async def story(mod):
        errors = {"instance": OSError("gone"), "class": OSError, "text": "text"}
        error = errors.get(kind)
        reader, protocol = make(mod)
        protocol.connection_made(Transport())
        if paused:
            protocol.pause_writing()
        tasks = []
        if waiting:
            tasks = [asyncio.ensure_future(protocol._drain_helper()) for _ in range(2)]
            tasks += [asyncio.ensure_future(reader.read(10))]
            await turns()
        said = []
        try:
            protocol.connection_lost(error)
        except Exception as exc:
            said.append(repr(exc))
            protocol.connection_lost(None)
        await turns()
        for task in tasks:
            if not task.done():
                task.cancel()
        said += map(repr, await asyncio.gather(*tasks, return_exceptions=True))
        said.append(state_of(protocol))
        try:
            await protocol._drain_helper()
        except ConnectionError as exc:
            said.append(repr(exc))
        return said

    told(story)


def test_the_waiter_for_the_end_was_cancelled(told):
    async def story(mod):
        _, protocol = make(mod)
        protocol._closed.cancel()
        protocol.connection_lost(OSError("gone"))
        return state_of(protocol)

    told(story)


@pytest.mark.parametrize("tls", [False, True])
def test_the_end_keeps_the_transport_open_without_tls(told, tls):
    async def story(mod):
        _, protocol = make(mod)
        protocol.connection_made(Transport(sslcontext=1) if tls else Transport())
        return protocol.eof_received(), state_of(protocol)

    assert told(story)[0] is not tls


async def coroutine(reader, writer, said):
    said.append((shown(reader), shown(writer)))


async def raising(reader, writer, said):
    raise KeyError("raised")


async def cancelled(reader, writer, said):
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


async def exiting(reader, writer, said):
    raise asyncio.CancelledError


def function(reader, writer, said):
    said.append((shown(reader), shown(writer)))


def failing(reader, writer, said):
    raise KeyError("failed")


def future(reader, writer, said):
    return asyncio.get_running_loop().create_future()


@types.coroutine
def generator(reader, writer, said):
    said.append("begun")
    yield


CALLBACKS = [coroutine, raising, cancelled, exiting]
CALLBACKS += [function, failing, future, generator]


@late_3_11
@pytest.mark.parametrize("callback", CALLBACKS)
def test_a_client_is_told_of(told, callback):
    async def story(mod):
        said, writers, transport = [], [], Transport()

        def connected(reader, writer):
            writers.append(writer)
            return callback(reader, writer, said)

        reader, protocol = make(mod, connected)
        with reports() as reported:
            try:
                protocol.connection_made(transport)
            except Exception as exc:
                said.append(repr(exc))
            said.append(state_of(protocol))
            await turns(5)
            said.append(state_of(protocol))
        transport.close()
        del reader
        return said, reported, transport.calls

    told(story)


def test_a_client_that_is_rejected(told):
    async def story(mod):
        _, protocol = make(mod)
        protocol._reject_connection = True
        transport = Transport()
        with reports() as reported:
            protocol.connection_made(transport)
        return transport.calls, reported, state_of(protocol)

    told(story)


def test_the_reader_lives_until_it_is_handed_over(told):
    async def story(mod):
        kept = []
        reader, protocol = make(mod, lambda *streams: kept.extend(streams))
        reference = weakref.ref(reader)
        del reader
        gc.collect()
        said = [reference() is protocol._strong_reader]
        transport = Transport()
        protocol.connection_made(transport)
        transport.close()
        said.append(protocol._strong_reader)
        kept.clear()
        gc.collect()
        said.append((shown(reference()), shown(protocol._stream_reader)))
        said.append((protocol.data_received(b"lost"), protocol.eof_received()))
        protocol.connection_lost(None)
        return said

    told(story)


def test_a_transport_is_replaced(told):
    async def story(mod):
        reader, protocol = make(mod)
        protocol.connection_made(Transport())
        other = Transport(sslcontext=1)
        if hasattr(protocol, "_replace_transport"):
            protocol._replace_transport(other)
        else:
            loop = asyncio.get_running_loop()
            writer = mod.StreamWriter(other, protocol, reader, loop)
            protocol._replace_writer(writer)
            other.close()
        return protocol._transport is other, protocol.eof_received()

    assert told(story) == (True, False)


def test_pausing_twice_is_a_mistake(told):
    async def story(mod):
        _, protocol = make(mod)
        said = []
        for name in ("resume_writing", "pause_writing", "pause_writing"):
            try:
                said.append(getattr(protocol, name)())
            except AssertionError:
                said.append("AssertionError")
        return said

    assert told(story) == ["AssertionError", None, "AssertionError"]


def test_debug_mode_logs_it(told, monkeypatch):
    lines = []
    monkeypatch.setattr(
        asyncio.streams.logger, "debug", lambda text, *_: lines.append(text)
    )

    async def story(mod):
        lines.clear()
        asyncio.get_running_loop().set_debug(True)
        _, protocol = make(mod)
        protocol.pause_writing()
        protocol.resume_writing()
        asyncio.get_running_loop().set_debug(False)
        said = [text for text in lines if "writing" in text]
        return said, protocol._source_traceback is not None

    assert told(story) == (["%r pauses writing", "%r resumes writing"], True)


def test_cancelled_drains_leave(told):
    async def story(mod):
        _, protocol = make(mod)
        protocol.pause_writing()
        tasks = [asyncio.ensure_future(protocol._drain_helper()) for _ in range(3)]
        await turns()
        tasks[1].cancel()
        await turns()
        said = [len(protocol._drain_waiters), tasks[1].cancelled()]
        protocol.resume_writing()
        await turns()
        return said, [task.done() for task in tasks], len(protocol._drain_waiters)

    assert told(story) == ([2, True], [True, True, True], 0)


@pytest.mark.parametrize("number", range(8))
def test_a_method_that_a_subclass_has(told, number):
    names = [
        "connection_made", "connection_lost", "data_received", "eof_received",
        "pause_writing", "resume_writing", "_drain_helper", "_get_close_waiter",
    ]  # fmt: skip
    name = names[number]

    async def story(mod):
        said = []
        stock = getattr(mod.StreamReaderProtocol, name)

        def traced(self, *args):
            said.append((name, len(args)))
            return stock(self, *args)

        derived = type("Derived", (mod.StreamReaderProtocol,), {name: traced})
        loop = asyncio.get_running_loop()
        reader = mod.StreamReader(loop=loop)
        protocol, transport = derived(reader, loop=loop), Transport()
        protocol.connection_made(transport)
        writer = mod.StreamWriter(transport, protocol, reader, loop)
        protocol.data_received(b"a\n")
        said.append(await reader.readline())
        await writer.drain()
        protocol.pause_writing()
        task = asyncio.ensure_future(writer.drain())
        await turns()
        protocol.resume_writing()
        await task
        protocol.eof_received()
        protocol.connection_lost(None)
        await writer.wait_closed()
        transport.close()
        return said, state_of(protocol)

    told(story)


def test_a_method_that_an_object_has(told):
    async def story(mod):
        reader, protocol = make(mod)
        said = []
        protocol.data_received = said.append
        protocol.data_received(b"a")
        del protocol.data_received
        protocol.data_received(b"b")
        return said, bytes(reader._buffer)

    assert told(story) == ([b"a"], b"b")


def test_odd_arguments(told):
    async def story(mod):
        loop = asyncio.get_running_loop()
        reader, protocol = make(mod)
        said = []
        for args, keywords in (
            ((), {}), ((1,), {}), ((reader, None, loop, 1), {}),
            ((reader,), {"other": 1}), ((None,), {"loop": loop}), ((reader,), {}),
        ):  # fmt: skip
            try:
                said.append(state_of(mod.StreamReaderProtocol(*args, **keywords)))
            except Exception as exc:
                said.append(type(exc))
        for name in ("connection_made", "connection_lost", "data_received"):
            try:
                getattr(protocol, name)()
            except TypeError:
                said.append("TypeError")
        protocol.data_received(data=b"abc")
        protocol.data_received(b"")
        protocol.data_received(bytearray(b"d"))
        protocol.data_received(data=memoryview(b"ef"))
        said.append(bytes(reader._buffer))
        protocol.eof_received()
        for data in (b"late", 5):
            try:
                protocol.data_received(data)
            except Exception as exc:
                said.append(type(exc))
        protocol.connection_lost(exc=None)
        return said

    told(story)


def test_attributes_are_live(told):
    async def story(mod):
        _, protocol = make(mod)
        said = []
        protocol._connection_lost = True
        try:
            await protocol._drain_helper()
        except ConnectionResetError as exc:
            said.append(str(exc))
        protocol._connection_lost = False
        protocol._paused = 1
        task = asyncio.ensure_future(protocol._drain_helper())
        await turns()
        said.append((task.done(), len(protocol._drain_waiters)))
        for waiter in protocol._drain_waiters:
            waiter.set_result(None)
        await task
        other = mod.StreamReader(loop=asyncio.get_running_loop())
        protocol._stream_reader_wr = lambda: other
        protocol.data_received(b"to another")
        said.append(bytes(other._buffer))
        del protocol._closed, protocol._paused
        for name in ("_paused", "pause_writing"):
            try:
                getattr(protocol, name)()
            except AttributeError:
                said.append(name)
        return said

    told(story)


def test_an_exception_that_nobody_asks_for_is_not_reported(told, logs):
    async def story(mod):
        _, protocol = make(mod)
        protocol.connection_lost(OSError("gone"))
        protocol.cycle = protocol
        del protocol, _
        gc.collect()
        return logs.take()

    assert told(story) == []


def test_a_copy(told):
    async def story(mod):
        _, protocol = make(mod)
        other = copy.copy(protocol)
        return other._stream_reader is protocol._stream_reader, other._paused

    assert told(story) == (True, False)
