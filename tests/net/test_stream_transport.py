"""The stream transport's finer points: limits, errors, attributes, contexts, life."""

import asyncio
import contextvars
import gc
import os
import socket
import sys
import warnings
import weakref
from asyncio import transports

import pytest

from tests.conftest import factory_of
from tests.net.helpers import Recorder, serving
from tests.support import until


class Pair:
    """A transport over one end of a socket pair, and the other end."""

    def __init__(self, factory=Recorder):
        self.factory = factory

    async def __aenter__(self):
        left, self.right = socket.socketpair()
        self.right.setblocking(False)
        loop = asyncio.get_running_loop()
        self.transport, self.protocol = await loop.create_connection(
            self.factory, sock=left
        )
        return self

    async def __aexit__(self, *exc_info):
        self.transport.abort()
        await self.protocol.closed
        self.right.close()

    async def receive(self, size):
        """So many bytes, at the other end."""
        loop = asyncio.get_running_loop()
        got = bytearray()
        while len(got) < size:
            piece = await loop.sock_recv(self.right, 1 << 20)
            if not piece:
                break
            got += piece
        return bytes(got)


# --- water marks -------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "limits"),
    [
        ({}, (16384, 65536)),
        ({"high": 1000}, (250, 1000)),
        ({"low": 10}, (10, 40)),
        ({"high": 0}, (0, 0)),
        ({"high": 100, "low": 100}, (100, 100)),
        ({"high": 1e6}, (250000.0, 1e6)),
        ({"high": float("inf"), "low": 5}, (5, float("inf"))),
        ({"high": 1 << 200}, (1 << 198, 1 << 200)),
    ],
)
def test_limits(run, arguments, limits):
    async def main():
        async with Pair() as pair:
            pair.transport.set_write_buffer_limits(**arguments)
            pair.transport.write(b"x" * 100)
            return pair.transport.get_write_buffer_limits()

    assert run(main()) == limits


@pytest.mark.parametrize(
    ("high", "low", "error"),
    [
        (1, 2, "high (1) must be >= low (2) must be >= 0"),
        (-1, None, "high (-1) must be >= low (-1) must be >= 0"),
        ("1", 0, "'>=' not supported between instances of 'str' and 'int'"),
    ],
)
def test_limits_refused(run, high, low, error):
    async def main():
        async with Pair() as pair:
            with pytest.raises((ValueError, TypeError)) as caught:
                pair.transport.set_write_buffer_limits(high, low)
            assert pair.transport.get_write_buffer_limits() == (16384, 65536)
            return str(caught.value)

    assert run(main()) == error


def test_lowering_the_limits_pauses(run):
    async def main():
        async with Pair() as pair:
            pair.transport.set_write_buffer_limits(high=10_000_000)
            pair.transport.write(bytes(3_000_000))
            pair.transport.get_write_buffer_size()
            assert "pause_writing" not in pair.protocol.calls
            pair.transport.set_write_buffer_limits(high=1)
            assert "pause_writing" in pair.protocol.calls

    run(main())


def test_writelines_pauses(fast_loop):
    async def main():
        async with Pair() as pair:
            pair.transport.writelines([bytes(1000)] * 3000)
            assert "pause_writing" in pair.protocol.calls
            assert len(await pair.receive(3_000_000)) == 3_000_000
            await until(lambda: "resume_writing" in pair.protocol.calls)

    fast_loop.run_until_complete(main())


def test_writelines_waits_its_turn(fast_loop):
    """Where something waits for room, as write() does; asyncio's tries from 3.14 on."""

    async def main():
        async with Pair() as pair:
            pair.transport.write(bytes(1 << 20))
            waiting = pair.transport.get_write_buffer_size()
            assert waiting
            taken = len(pair.right.recv(1 << 20))
            pair.transport.writelines([b"last"])
            assert pair.transport.get_write_buffer_size() == waiting + 4
            rest = await pair.receive((1 << 20) - taken + 4)
            assert rest.endswith(b"last")

    fast_loop.run_until_complete(main())


# --- arguments ---------------------------------------------------------------


@pytest.mark.parametrize("data", [None, "text", 5, [b"x"]])
def test_write_refuses(run, data):
    async def main():
        async with Pair() as pair:
            with pytest.raises(TypeError, match="data argument must be a bytes") as got:
                pair.transport.write(data)
            assert f"not {type(data).__name__!r}" in str(got.value)

    run(main())


def test_writelines_refuses_and_sends_nothing(run, loop_kind):
    if loop_kind == "asyncio" and sys.version_info >= (3, 15):
        pytest.skip("asyncio keeps the pieces before the wrong one from 3.15 on")

    async def main():
        async with Pair() as pair:
            with pytest.raises(TypeError):
                pair.transport.writelines([b"one", "two"])
            pair.transport.writelines([])
            pair.transport.writelines([b"", b""])
            pair.transport.write(b"")
            pair.transport.write(b"three")
            return await pair.receive(5)

    assert run(main()) == b"three"


def test_writelines_and_pieces_that_are_false(run):
    """Late releases of 3.14 leave them out, those before refuse them."""

    class Piece(bytearray):
        def __bool__(self):
            return False

    async def sent(piece):
        async with Pair() as pair:
            try:
                pair.transport.writelines([b"one", piece, b"two"])
            except TypeError:
                pair.transport.write(b"refused")
            pair.transport.close()
            return await pair.receive(1 << 20)

    async def main():
        pieces = (None, 0, "", [], (), {}, False, 0.0, b"", Piece(b"three"))
        return [await sent(piece) for piece in pieces]

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        expected = runner.run(main())
    assert run(main()) == expected


def test_a_view_with_gaps_ends_the_connection_at_once(fast_loop):
    async def main():
        reports = []
        fast_loop.set_exception_handler(lambda _, context: reports.append(context))
        async with Pair() as pair:
            pair.transport.write(bytes(1 << 20))
            pair.transport.write(memoryview(b"abcdef")[::2])
            assert pair.transport.is_closing()
        return reports

    [report] = fast_loop.run_until_complete(main())
    assert type(report["exception"]) is BufferError


def test_writelines_on_a_closed_loop(loop_kind):
    """As write(), which sends what it can: nothing else would."""
    if sys.version_info < (3, 12):
        pytest.skip("writelines() is a write() of all there")
    loop = factory_of(loop_kind)()
    left, right = socket.socketpair()
    with right:
        transport, _ = loop.run_until_complete(
            loop.create_connection(asyncio.Protocol, sock=left)
        )
        loop.close()
        transport.writelines([b"one", b"two"])
        transport.write(b"three")
        assert right.recv(100) == b"onetwothree"
        assert transport.get_write_buffer_size() == 0
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            del transport
            gc.collect()


def test_writing_after_write_eof(run):
    async def main():
        async with Pair() as pair:
            assert pair.transport.can_write_eof()
            pair.transport.write(b"last")
            pair.transport.write_eof()
            pair.transport.write_eof()
            with pytest.raises(RuntimeError, match="after write_eof"):
                pair.transport.write(b"more")
            with pytest.raises(RuntimeError, match="after write_eof"):
                pair.transport.writelines([b"more"])
            return await pair.receive(100)

    assert run(main()) == b"last"


def test_write_eof_waits_for_the_rest(run):
    async def main():
        async with Pair() as pair:
            pair.transport.write(bytes(3_000_000))
            pair.transport.write_eof()
            assert len(await pair.receive(4_000_000)) == 3_000_000
            assert not pair.transport.is_closing()

    run(main())


def test_a_memoryview_that_is_not_contiguous(run, logs):
    async def main():
        async with Pair() as pair:
            pair.transport.write(memoryview(b"abcdef")[::2])
            assert pair.transport.is_closing()
            return type(await pair.protocol.closed)

    assert run(main()) is BufferError
    assert "Fatal write error on socket transport" in logs.take_text()


# --- errors ------------------------------------------------------------------


def test_writes_to_a_lost_connection_are_logged_from_the_fifth(run, logs):
    async def main():
        async with Pair() as pair:
            pair.transport.abort()
            for _ in range(4):
                pair.transport.write(b"x")
            assert logs.take_text() == ""
            pair.transport.write(b"x")
            assert "socket.send() raised exception." in logs.take_text()

    run(main())


def test_a_reset_connection(run):
    async def main():
        async with Pair() as pair:
            pair.transport.write(b"unread")
            await asyncio.sleep(0)
            pair.right.close()
            return type(await pair.protocol.closed)

    assert run(main()) is ConnectionResetError


@pytest.mark.parametrize(
    "method", ["connection_made", "connection_lost", "pause_writing", "resume_writing"]
)
def test_a_protocol_method_that_raises_is_reported(run, logs, method):
    class Fails(Recorder):
        pass

    def fail(self, *args):
        getattr(Recorder, method)(self, *args)
        raise ValueError(f"in {method}")

    setattr(Fails, method, fail)

    async def main():
        async with Pair(Fails) as pair:
            pair.transport.write(bytes(3_000_000))
            assert len(await pair.receive(3_000_000)) == 3_000_000
            await until(lambda: "resume_writing" in pair.protocol.calls)
            assert not pair.transport.is_closing()

    run(main())
    assert f"ValueError: in {method}" in logs.take_text()


@pytest.mark.parametrize("method", ["pause_writing", "resume_writing"])
@pytest.mark.parametrize("what", ["close", "abort", "write", "set_protocol"])
def test_acting_inside_flow_control(run, loop_kind, method, what):
    ends = what in ("close", "abort")
    if loop_kind == "asyncio" and ends and sys.version_info < (3, 14):
        pytest.skip("asyncio calls connection_lost twice before 3.14")

    class Acts(Recorder):
        def act(self):
            if what == "write":
                self.transport.write(b"more")
            elif what == "set_protocol":
                self.transport.set_protocol(self)
            else:
                getattr(self.transport, what)()

        def pause_writing(self):
            super().pause_writing()
            if method == "pause_writing":
                self.act()

        def resume_writing(self):
            super().resume_writing()
            if method == "resume_writing":
                self.act()

    async def main():
        async with Pair(Acts) as pair:
            pair.transport.write(bytes(3_000_000))
            got = await pair.receive(3_000_000 + (4 if what == "write" else 0))
            if what in ("close", "abort"):
                await pair.protocol.closed
        return len(got), pair.protocol.calls.count("connection_lost")

    size, n_lost = run(main())
    assert n_lost == 1
    if what != "abort":
        assert size == 3_000_000 + (4 if what == "write" else 0)


def test_leaving_the_loop_in_resume_writing_ends_a_closed_connection(fast_loop):
    class Exits(Recorder):
        def resume_writing(self):
            super().resume_writing()
            raise KeyboardInterrupt

    async def main():
        async with Pair(Exits) as pair:
            pair.transport.write(bytes(3_000_000))
            pair.transport.close()
            assert len(await pair.receive(3_000_000)) == 3_000_000
            await pair.protocol.closed
            return pair.protocol.calls

    # asyncio goes on writing nothing, for ever
    task = fast_loop.create_task(main())
    with pytest.raises(KeyboardInterrupt):
        fast_loop.run_until_complete(task)
    assert fast_loop.run_until_complete(task)[-1] == "connection_lost"


def test_a_socket_closed_behind_the_transport(run):
    """Its fd may be somebody else's by now, who must get nothing of ours."""

    async def main():
        left, right = socket.socketpair()
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Recorder, sock=left)
        fd = left.fileno()
        left.close()
        mine, other = socket.socketpair()
        taken = mine if mine.fileno() == fd else other
        assert taken.fileno() == fd
        peer = other if taken is mine else mine
        peer.setblocking(False)
        transport.write(b"not for you")
        with pytest.raises(BlockingIOError):
            peer.recv(100)
        peer.send(b"nor for us")
        await asyncio.sleep(0)
        exc = await protocol.closed
        assert taken.recv(100) == b"nor for us"
        for sock in (mine, other, right):
            sock.close()
        return type(exc), bytes(protocol.data)

    assert run(main()) == (OSError, b"")


# --- attributes --------------------------------------------------------------


def test_extra_info(run):
    async def main():
        async with serving() as address:
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.create_connection(Recorder, *address)
            sock = transport.get_extra_info("socket")
            assert type(sock).__name__ == "TransportSocket"
            assert transport.get_extra_info("sockname") == sock.getsockname()
            assert transport.get_extra_info("peername") == address
            assert transport.get_extra_info("sslcontext") is None
            assert transport.get_extra_info("nothing", 5) == 5
            assert transport.get_extra_info(name="nothing", default=6) == 6
            transport.close()
            await protocol.closed
            assert transport.get_extra_info("peername") == address

    run(main())


def test_no_delay(fast_loop):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recorder, "127.0.0.1", 0)
        sock = socket.socket()
        sock.setblocking(False)
        await loop.sock_connect(sock, server.sockets[0].getsockname())
        transport, protocol = await loop.create_connection(Recorder, sock=sock)
        on = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        transport.close()
        server.close()
        await protocol.closed
        await asyncio.sleep(0.01)
        return on

    assert fast_loop.run_until_complete(main()) == 1


def test_private_attributes(run):
    async def main():
        async with Pair() as pair:
            transport = pair.transport
            assert transport._loop is asyncio.get_running_loop()
            assert transport._sock.fileno() == transport._sock_fd
            assert transport._protocol is pair.protocol
            assert transport._server is None
            assert isinstance(transport, transports._FlowControlMixin)
            assert transport._start_tls_compatible is True
            assert transport._sendfile_compatible.name == "TRY_NATIVE"
            assert transport.max_size == 262144
            assert callable(transport._read_ready_cb)
            assert (transport._closing, transport._eof) == (False, False)
            assert (transport._paused, transport._conn_lost) == (False, 0)
            transport.pause_reading()
            assert transport._paused
            transport.write(bytes(3_000_000))
            assert transport._protocol_paused
            if sys.version_info >= (3, 12):
                waiting = sum(len(piece) for piece in transport._buffer)
                assert waiting == transport.get_write_buffer_size()
            transport.abort()
            assert (transport._closing, transport._conn_lost) == (True, 1)
            await pair.protocol.closed
            assert (transport._sock, transport._protocol) == (None, None)
            assert transport._loop is None
            assert transport.get_protocol() is None

    run(main())


def test_the_class_and_the_copied_buffer(run, loop_kind):
    async def main():
        async with Pair() as pair:
            transport = pair.transport
            transport.write(bytes(3_000_000))
            assert transport.get_write_buffer_size() > 0
            same = transport._buffer is transport._buffer
            transport._buffer.clear()
            lost = not transport._buffer
            kind = type(transport)
            return f"{kind.__module__}.{kind.__qualname__}", same, lost

    theirs = ("asyncio.selector_events._SelectorSocketTransport", True, True)
    ours = ("fastloop.StreamTransport", False, False)
    assert run(main()) == {"asyncio": theirs, "fastloop": ours}[loop_kind]


def test_attributes_of_the_users_own(run):
    async def main():
        async with Pair() as pair:
            pair.transport.note = "mine"
            assert vars(pair.transport)["note"] == "mine"
            assert weakref.ref(pair.transport)() is pair.transport

    run(main())


def test_repr(run):
    async def main():
        async with Pair() as pair:
            transport = pair.transport
            fd = transport._sock_fd
            name = type(transport).__name__
            assert repr(transport) == (
                f"<{name} fd={fd} read=polling write=<idle, bufsize=0>>"
            )
            transport.pause_reading()
            assert "read=idle" in repr(transport)
            transport.close()
            assert repr(transport).startswith(f"<{name} closing fd={fd} ")
            await pair.protocol.closed
            assert repr(transport) == f"<{name} closed fd={fd}>"

    run(main())


def test_a_fd_in_use_is_refused(run):
    async def main():
        async with Pair() as pair:
            loop = asyncio.get_running_loop()
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop.add_reader(pair.transport._sock_fd, print)
            if sys.version_info >= (3, 12):
                with pytest.raises(RuntimeError, match="is used by transport"):
                    await loop.create_connection(Recorder, sock=pair.transport._sock)

    run(main())


# --- contexts ----------------------------------------------------------------


def test_contexts(run):
    """Reading happens in one context, a copy of that of whoever connected.

    From 3.15 on, everything of the connection happens in it.
    """
    name = contextvars.ContextVar("name", default="nobody")

    class Looks(Recorder):
        def look(self, where):
            self.calls.append((where, name.get()))

        def connection_made(self, transport):
            self.look("connection_made")
            name.set("connection_made")

        def data_received(self, data):
            self.look("data_received")
            name.set(f"after {data.decode()}")
            super().data_received(data)

    async def main():
        name.set("connector")
        async with Pair(Looks) as pair:
            name.set("later")
            for n in range(2):
                pair.right.send(b"%d" % n)
                await until(lambda n=n: len(pair.protocol.data) > n)
            pair.transport.pause_reading()
            pair.transport.resume_reading()
            pair.right.send(b"2")
            await until(lambda: len(pair.protocol.data) == 3)
            return [call for call in pair.protocol.calls if isinstance(call, tuple)]

    one_for_all = sys.version_info >= (3, 15)
    assert run(main()) == [
        ("connection_made", "connector"),
        ("data_received", "connection_made" if one_for_all else "connector"),
        ("data_received", "after 0"),
        ("data_received", "after 1" if one_for_all else "later"),
    ]


def test_resuming_happens_in_the_context_of_reading(fast_loop):
    name = contextvars.ContextVar("name", default="nobody")

    class Looks(Recorder):
        def resume_writing(self):
            super().resume_writing()
            self.seen = name.get()

    async def main():
        name.set("connector")
        async with Pair(Looks) as pair:
            name.set("writer")
            pair.transport.write(bytes(3_000_000))
            await pair.receive(3_000_000)
            await until(lambda: "resume_writing" in pair.protocol.calls)
            return pair.protocol.seen

    assert fast_loop.run_until_complete(main()) == "connector"


# --- reading -----------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[1, 9000, 1], [300_000] * 4, [20_000, 5, 70_000, 2]])
def test_reads_of_all_sizes(run, sizes):
    async def main():
        async with Pair() as pair:
            loop = asyncio.get_running_loop()
            sent = b""
            for size in sizes:
                data = os.urandom(size)
                sent += data
                total = len(sent)
                await loop.sock_sendall(pair.right, data)
                await until(lambda total=total: len(pair.protocol.data) == total)
            return bytes(pair.protocol.data) == sent

    assert run(main())


@pytest.mark.parametrize("what", ["pause", "close", "abort"])
def test_ready_but_no_longer_wanted(run, what):
    """Between the poll and its turn, a callback changes its mind."""

    async def main():
        async with Pair() as first, Pair() as second:

            def data_received(data):
                first.protocol.data += data
                for pair in (first, second):
                    if what == "pause":
                        pair.transport.pause_reading()
                    else:
                        getattr(pair.transport, what)()

            second.protocol.data_received = first.protocol.data_received = data_received
            first.right.send(b"1")
            second.right.send(b"2")
            await until(lambda: first.protocol.data)
            for _ in range(5):
                await asyncio.sleep(0)
            return len(first.protocol.data)

    assert run(main()) == 1


# --- life --------------------------------------------------------------------


def test_nothing_keeps_a_closed_transport(run):
    async def main():
        async with Pair() as pair:
            transport = weakref.ref(pair.transport)
            protocol = pair.protocol
        del pair.transport, pair.protocol, protocol.transport
        await asyncio.sleep(0)
        gc.collect()
        return transport()

    assert run(main()) is None


def test_a_transport_that_only_the_loop_knows_lives(run):
    async def main():
        async with Pair() as pair:
            del pair.transport
            transport = weakref.ref(pair.protocol.transport)
            pair.protocol.transport = None
            gc.collect()
            pair.right.send(b"x")
            await until(lambda: pair.protocol.data)
            pair.transport = transport()
            assert pair.transport is not None

    run(main())


def test_debug_mode_names_slow_reads(run, logs):
    async def main():
        class Slow(Recorder):
            def data_received(self, data):
                asyncio.get_running_loop().slow_callback_duration = 0
                super().data_received(data)

        async with Pair(Slow) as pair:
            pair.right.send(b"x")
            await until(lambda: pair.protocol.data)
            asyncio.get_running_loop().slow_callback_duration = 10

    run(main(), debug=True)
    assert "._read_ready()" in logs.take_text()


def let_die(pair):
    """A transport that nobody can close any more, which says so."""
    with pytest.warns(ResourceWarning):
        del pair.transport, pair.protocol
        gc.collect()
    pair.right.close()


def test_what_is_unsent_when_the_loop_is_closed(loop):
    """It stays: no look at the transport sends of it, or raises."""

    async def main():
        pair = await Pair().__aenter__()
        pair.transport.write(bytes(8_000_000))
        return pair

    pair = loop.run_until_complete(main())
    unsent = pair.transport.get_write_buffer_size()
    loop.close()
    pair.right.close()
    pair.transport.write(b"more")
    assert pair.transport.get_write_buffer_size() == unsent + 4
    assert pair.transport.is_reading()
    assert not pair.transport.is_closing()
    assert "closing" not in repr(pair.transport)
    pair.transport.close()
    assert "closing" in repr(pair.transport)
    assert pair.transport.get_write_buffer_size() == unsent + 4
    assert not pair.protocol.closed.done()
    let_die(pair)


def test_a_write_on_a_closed_loop(loop):
    """What the kernel takes goes; nobody would send the rest."""
    pair = loop.run_until_complete(Pair().__aenter__())
    loop.close()
    pair.transport.write(b"x")
    assert pair.right.recv(10) == b"x"
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        pair.transport.write(bytes(8_000_000))
    assert not pair.transport.is_closing()
    let_die(pair)


@pytest.mark.parametrize(
    "wrong",
    ["text", b"bytes", memoryview(b"read only"), memoryview(bytearray(9))[::2], [1]],
    ids=["str", "bytes", "read only", "with gaps", "list"],
)
def test_a_buffer_that_cannot_be_filled(run, logs, wrong):
    class Buffered(Recorder, asyncio.BufferedProtocol):
        def get_buffer(self, sizehint):
            return wrong

    async def main():
        async with Pair(Buffered) as pair:
            pair.right.send(b"x")
            await pair.protocol.closed

    run(main())
    assert (
        "TypeError: recv_into() argument 1 must be read-write bytes-like object, not"
        f" {type(wrong).__name__}"
    ) in logs.take_text()
