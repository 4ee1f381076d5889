"""Transports and protocols: which calls come, in which order, and flow control."""

import asyncio
import os
import socket
import sys

import pytest

from tests.net.helpers import Recorder
from tests.support import until


async def join(protocol_factory=Recorder, **options):
    """A transport and its protocol over one end of a socket pair, and the other."""
    left, right = socket.socketpair()
    right.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(
        protocol_factory, sock=left, **options
    )
    return transport, protocol, right


def test_the_order_of_calls(run):
    async def main():
        _transport, protocol, right = await join()
        right.send(b"one")
        await until(lambda: protocol.data)
        right.close()
        await protocol.closed
        return protocol.calls

    assert run(main()) == [
        "connection_made",
        "data_received",
        "eof_received",
        "connection_lost",
    ]


def test_isinstance_of_asyncios_classes(run):
    async def main():
        transport, protocol, right = await join()
        found = isinstance(transport, asyncio.Transport)
        transport.close()
        right.close()
        await protocol.closed
        return found

    assert run(main())


def test_close_sends_what_was_written(run):
    async def main():
        transport, protocol, right = await join()
        transport.write(b"x" * 500_000)
        transport.close()
        assert transport.is_closing()
        transport.close()
        loop = asyncio.get_running_loop()
        total = 0
        while data := await loop.sock_recv(right, 1 << 20):
            total += len(data)
        right.close()
        return total, await protocol.closed

    assert run(main()) == (500_000, None)


def test_abort_drops_what_waits(run):
    async def main():
        transport, protocol, right = await join()
        transport.write(b"x" * 5_000_000)
        assert transport.get_write_buffer_size() > 0
        transport.abort()
        exc = await protocol.closed
        right.close()
        return exc, transport.get_write_buffer_size()

    assert run(main()) == (None, 0)


def test_connection_lost_comes_later(run):
    async def main():
        transport, protocol, right = await join()
        transport.close()
        assert "connection_lost" not in protocol.calls
        await protocol.closed
        right.close()

    run(main())


def test_write_after_close(run, logs):
    async def main():
        transport, protocol, right = await join()
        transport.abort()
        for _ in range(10):
            transport.write(b"x")
        await protocol.closed
        right.close()

    run(main())
    text = logs.take_text()
    assert text == "" or "socket.send() raised exception" in text


def test_pause_and_resume_reading(run):
    async def main():
        transport, protocol, right = await join()
        assert transport.is_reading()
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        right.send(b"hello")
        for _ in range(10):
            await asyncio.sleep(0)
        assert protocol.data == b""
        transport.resume_reading()
        transport.resume_reading()
        await until(lambda: protocol.data)
        transport.close()
        right.close()
        await protocol.closed
        return bytes(protocol.data)

    assert run(main()) == b"hello"


def test_paused_from_data_received(run):
    class Pauses(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()

    async def main():
        transport, protocol, right = await join(Pauses)
        for n in range(3):
            right.send(b"%d" % n)
            await until(lambda n=n: len(protocol.data) == n + 1)
            for _ in range(3):
                await asyncio.sleep(0)
            transport.resume_reading()
        transport.close()
        right.close()
        await protocol.closed
        return bytes(protocol.data)

    assert run(main()) == b"012"


# writelines did not pause its protocol for a while.
writelines_never_pauses = (3, 12) <= sys.version_info < (3, 12, 9) or (
    3,
    13,
) <= sys.version_info < (3, 13, 2)


@pytest.mark.parametrize(
    "how",
    [
        "write",
        pytest.param(
            "writelines",
            marks=pytest.mark.skipif(
                writelines_never_pauses, reason="this asyncio never pauses there"
            ),
        ),
    ],
)
def test_flow_control(run, how):
    async def main():
        transport, protocol, right = await join()
        transport.set_write_buffer_limits(high=50_000, low=10_000)
        assert transport.get_write_buffer_limits() == (10_000, 50_000)
        while "pause_writing" not in protocol.calls:
            if how == "write":
                transport.write(bytes(100_000))
            else:
                transport.writelines([bytes(50_000), bytes(50_000)])
        assert transport.get_write_buffer_size() > 50_000
        loop = asyncio.get_running_loop()
        while "resume_writing" not in protocol.calls:
            await loop.sock_recv(right, 1 << 20)
        assert transport.get_write_buffer_size() <= 10_000
        transport.abort()
        right.close()
        await protocol.closed
        return protocol.calls

    calls = run(main())
    assert calls.index("pause_writing") < calls.index("resume_writing")
    assert calls.count("pause_writing") == calls.count("resume_writing") == 1


def test_wrong_limits(run):
    async def main():
        transport, protocol, right = await join()
        with pytest.raises(ValueError, match="must be >="):
            transport.set_write_buffer_limits(high=5, low=10)
        transport.close()
        right.close()
        await protocol.closed

    run(main())


def test_writelines_of_many_chunks(run):
    async def main():
        transport, protocol, right = await join()
        chunks = [b"%06d" % n for n in range(5000)]
        transport.writelines(chunks)
        transport.writelines(iter([b"iter"]))
        transport.write_eof()
        loop = asyncio.get_running_loop()
        got = b""
        while data := await loop.sock_recv(right, 1 << 20):
            got += data
        right.close()
        await protocol.closed
        return got == b"".join(chunks) + b"iter"

    assert run(main())


def test_write_eof(run):
    async def main():
        transport, protocol, right = await join()
        transport.write(b"end")
        assert transport.can_write_eof()
        transport.write_eof()
        with pytest.raises(RuntimeError, match="after write_eof"):
            transport.write(b"more")
        loop = asyncio.get_running_loop()
        got = await loop.sock_recv(right, 10), await loop.sock_recv(right, 10)
        right.send(b"answer")
        await until(lambda: protocol.data)
        right.close()
        await protocol.closed
        return got

    assert run(main()) == (b"end", b"")


def test_eof_received_that_keeps_the_connection(run):
    class Keeps(Recorder):
        def eof_received(self):
            super().eof_received()
            return True

    async def main():
        transport, protocol, right = await join(Keeps)
        right.shutdown(socket.SHUT_WR)
        await protocol.ended
        transport.write(b"still here")
        loop = asyncio.get_running_loop()
        got = await loop.sock_recv(right, 100)
        assert not transport.is_closing()
        transport.close()
        right.close()
        await protocol.closed
        return got

    assert run(main()) == b"still here"


class Buffered(asyncio.BufferedProtocol):
    def __init__(self, size):
        self.buffer = bytearray(size)
        self.got = bytearray()
        self.hints = set()
        self.closed = asyncio.get_running_loop().create_future()

    def get_buffer(self, sizehint):
        self.hints.add(sizehint)
        return self.buffer

    def buffer_updated(self, nbytes):
        self.got += self.buffer[:nbytes]

    def connection_lost(self, exc):
        self.closed.set_result(exc)


@pytest.mark.parametrize("size", [1, 100, 65536])
def test_buffered_protocol(run, size):
    async def main():
        _transport, protocol, right = await join(lambda: Buffered(size))
        data = os.urandom(300)
        right.send(data)
        await until(lambda: len(protocol.got) == 300)
        right.close()
        assert await protocol.closed is None
        return protocol.got == data

    assert run(main())


def test_buffered_protocol_with_an_empty_buffer(run, logs):
    async def main():
        _transport, protocol, right = await join(lambda: Buffered(0))
        right.send(b"x")
        exc = await protocol.closed
        right.close()
        return type(exc), str(exc)

    assert run(main()) == (
        RuntimeError,
        "get_buffer() returned an empty buffer",
    )
    assert "get_buffer() call failed" in logs.take_text()


@pytest.mark.parametrize("method", ["data_received", "eof_received"])
def test_a_protocol_that_raises(run, logs, method):
    def fail(self, *args):
        raise ValueError(f"in {method}")

    kind = type("Fails", (Recorder,), {method: fail})

    async def main():
        _transport, protocol, right = await join(kind)
        right.send(b"x")
        right.shutdown(socket.SHUT_WR)
        exc = await protocol.closed
        right.close()
        return type(exc), str(exc)

    assert run(main()) == (ValueError, f"in {method}")
    assert f"protocol.{method}() call failed." in logs.take_text()


def test_set_protocol(run):
    async def main():
        transport, first, right = await join()
        second = Recorder()
        transport.set_protocol(second)
        assert transport.get_protocol() is second
        right.send(b"for the second")
        await until(lambda: second.data)
        assert first.data == b""
        right.close()
        await second.closed
        return second.calls

    assert run(main()) == ["data_received", "eof_received", "connection_lost"]


def test_from_buffered_to_plain_protocol(run):
    async def main():
        transport, first, right = await join(lambda: Buffered(100))
        right.send(b"buffered")
        await until(lambda: first.got)
        second = Recorder()
        transport.set_protocol(second)
        right.send(b"plain")
        await until(lambda: second.data)
        right.close()
        await second.closed
        return bytes(first.got), bytes(second.data)

    assert run(main()) == (b"buffered", b"plain")


@pytest.mark.parametrize("where", ["connection_made", "data_received"])
@pytest.mark.parametrize("what", ["close", "abort", "write then close"])
def test_closing_inside_a_callback(run, where, what):
    class Closes(Recorder):
        def act(self):
            if what == "write then close":
                self.transport.write(b"bye")
            if what == "abort":
                self.transport.abort()
            else:
                self.transport.close()

        def connection_made(self, transport):
            super().connection_made(transport)
            if where == "connection_made":
                self.act()

        def data_received(self, data):
            super().data_received(data)
            if where == "data_received":
                self.act()

    async def main():
        _transport, protocol, right = await join(Closes)
        if where == "data_received":
            right.send(b"x")
        loop = asyncio.get_running_loop()
        assert await protocol.closed is None
        try:
            got = await loop.sock_recv(right, 100)
        except ConnectionResetError:
            got = b""
        right.close()
        return got

    assert run(main()) == (b"bye" if what == "write then close" else b"")


def test_many_connections_opened_and_closed(run):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recorder, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        for _ in range(20):
            opened = await asyncio.gather(
                *(loop.create_connection(Recorder, *address) for _ in range(10))
            )
            for n, (transport, _) in enumerate(opened):
                (transport.abort if n % 2 else transport.close)()
            await asyncio.gather(*(protocol.closed for _, protocol in opened))
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.001)

    run(main())


def test_bytes_are_sent_as_they_were(run):
    """What is in a bytearray when write() is called on an idle connection."""

    async def main():
        transport, protocol, right = await join()
        data = bytearray(b"before")
        transport.write(data)
        data[:] = b"after!"
        loop = asyncio.get_running_loop()
        got = await loop.sock_recv(right, 100)
        transport.close()
        right.close()
        await protocol.closed
        return got

    assert run(main()) == b"before"


def test_the_first_write_is_not_delayed(run):
    """On the wire before anything else runs, as the peer's blocking read sees."""

    async def main():
        transport, protocol, right = await join()
        loop = asyncio.get_running_loop()
        got = loop.create_future()
        loop.call_soon(transport.write, b"at once")
        loop.call_soon(lambda: got.set_result(right.recv(100)))
        await got
        transport.close()
        right.close()
        await protocol.closed
        return got.result()

    assert run(main()) == b"at once"


def test_an_unclosed_transport_warns(loop_factory, unraisable):
    import gc

    loop = loop_factory()

    async def main():
        transport, _protocol, right = await join()
        right.close()
        return repr(transport)

    text = loop.run_until_complete(main())
    loop.close()
    gc.collect()
    assert any("unclosed transport" in report for report in unraisable.take())
    assert "Transport" in text


def test_debug_mode_reads_by_one_handle(run):
    """Making one takes a stack, so it is not made for each message."""
    seen = []

    class Protocol(Recorder):
        def data_received(self, data):
            super().data_received(data)
            seen.append(asyncio.get_running_loop()._current_handle)

    async def main():
        transport, protocol, right = await join(Protocol)
        for n in range(1, 4):
            right.send(b"x")
            await until(lambda n=n: len(protocol.data) == n)
        transport.pause_reading()
        transport.resume_reading()
        right.send(b"x")
        await until(lambda: len(protocol.data) == 4)
        right.close()
        await protocol.closed

    run(main(), debug=True)
    first, second, third, renewed = seen
    assert first is second is third is not renewed
    assert isinstance(first, asyncio.Handle) and first._source_traceback


@pytest.mark.parametrize("debug", [False, True])
def test_who_is_paused_and_resumed_is_read_in_a_later_turn(run, debug):
    order = []

    async def main():
        loop = asyncio.get_running_loop()
        joined = {}

        class Protocol(Recorder):
            def data_received(self, data):
                order.append(self)
                super().data_received(data)
                if len(order) == 1:
                    loop.call_soon(order.append, None)
                    (other,) = joined.keys() - {self}
                    joined[other].pause_reading()
                    joined[other].resume_reading()

        rights = []
        for _ in range(2):
            transport, protocol, right = await join(Protocol)
            joined[protocol] = transport
            rights.append(right)
        for right in rights:
            right.send(b"x")
        await until(lambda: all(protocol.data for protocol in joined))
        for right, protocol in zip(rights, joined, strict=True):
            right.close()
            await protocol.closed

    run(main(), debug=debug)
    assert order[1] is None


def test_debug_mode_forgets_a_handle_that_was_cancelled(run):
    class Protocol(Recorder):
        def data_received(self, data):
            super().data_received(data)
            asyncio.get_running_loop()._current_handle.cancel()

    async def main():
        transport, protocol, right = await join(Protocol)
        right.send(b"x")
        await until(lambda: protocol.data)
        right.send(b"x")
        for _ in range(5):
            await asyncio.sleep(0.001)
        transport.abort()
        await protocol.closed
        right.close()
        return protocol.data

    assert run(main(), debug=True) == b"x"
