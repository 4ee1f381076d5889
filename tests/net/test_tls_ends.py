"""Where handshakes and connections end, which asyncio's TLS gets wrong in places."""

import asyncio
import contextlib
import contextvars
import socket
import ssl
import sys

import pytest

from tests.net.helpers import Recorder, settle
from tests.net.tls_peer import VERSIONS, Peer, peer_of
from tests.support import until

variable = contextvars.ContextVar("variable", default=None)


async def end_of(protocol):
    async with asyncio.timeout(20):
        return await protocol.closed


async def has_ended(protocol):
    for _ in range(100):
        await asyncio.sleep(0)
    return protocol.closed.done()


async def unwrap(peer):
    """Close as a peer does that reads all there is."""
    with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLSyscallError):
        while peer.tls.read(1 << 16):
            pass
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.tls.unwrap()
    with contextlib.suppress(OSError):
        await peer.send()


async def closes_in_order(peer):
    """Whether the other end says that it closes, before it does."""
    while True:
        try:
            if not peer.tls.read(1 << 16):
                return True
        except ssl.SSLWantReadError:
            try:
                if not await peer.more():
                    return False
            except ConnectionError:
                return False


# --- reading paused when the end comes ------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("is_told", [True, False], ids=["close_notify", "cut off"])
def test_closed_after_the_peers_end_came_while_reading_was_paused(
    run, server_tls, authority, loop_kind, version, is_told
):
    """asyncio's never ends."""

    async def main():
        async with peer_of(Recorder, server_tls, authority, version) as (peer, made):
            made.transport.pause_reading()
            await peer.send(b"unread")
            if is_told:
                await unwrap(peer)
            peer.sock.shutdown(socket.SHUT_WR)
            await settle()
            made.transport.close()
            ended = await has_ended(made)
            made.transport.abort()
            return ended, await end_of(made), made.data

    assert run(main()) == (loop_kind != "asyncio", None, b"")


def test_read_after_the_peers_end_came_while_reading_was_paused(
    run, server_tls, authority
):
    async def main():
        async with peer_of(Recorder, server_tls, authority) as (peer, made):
            made.transport.pause_reading()
            await peer.send(b"read later")
            await unwrap(peer)
            peer.sock.shutdown(socket.SHUT_WR)
            await settle()
            before = bytes(made.data)
            made.transport.resume_reading()
            return before, await end_of(made), made.data

    assert run(main()) == (b"", None, b"read later")


@pytest.mark.parametrize("data", [b"", b"read later"], ids=["nothing", "bytes"])
def test_read_and_closed_at_once_after_the_peers_end_came(
    run, server_tls, authority, data
):
    """close() calls nothing: what comes is called for by resume_reading(), later."""

    async def main():
        async with peer_of(Recorder, server_tls, authority) as (peer, made):
            made.transport.pause_reading()
            await peer.send(data)
            peer.sock.shutdown(socket.SHUT_WR)
            await settle()
            made.transport.resume_reading()
            made.transport.close()
            calls = list(made.calls)
            return calls, await end_of(made), made.data, made.calls

    calls, exc, got, later = run(main())
    assert calls == ["connection_made"]
    assert (exc, got) == (None, data)
    assert later[-2:] == ["eof_received", "connection_lost"]


@pytest.mark.parametrize("version", VERSIONS)
def test_closed_with_bytes_unread(run, server_tls, authority, loop_kind, version):
    """asyncio's cuts the connection: application data after close notify."""

    async def main():
        async with peer_of(Recorder, server_tls, authority, version) as (peer, made):
            made.transport.pause_reading()
            await peer.send(b"unread")
            await settle()
            made.transport.close()
            closes = await closes_in_order(peer)
            await unwrap(peer)
            return closes, await end_of(made), made.data

    closes, exc, data = run(main())
    assert data == b""
    assert closes is (exc is None) is (loop_kind != "asyncio")


def test_closed_with_more_unread_than_it_takes(run, server_tls, authority, loop_kind):
    """What is below has paused too, and goes on for the peer's answer."""

    async def main():
        async with peer_of(Recorder, server_tls, authority) as (peer, made):
            made.transport.pause_reading()
            sending = asyncio.ensure_future(peer.send(bytes(1 << 20)))
            await until(lambda: made.transport.get_read_buffer_size() > 200_000)
            made.transport.close()
            with contextlib.suppress(OSError):
                await sending
                await peer.more()
                await unwrap(peer)
            return await end_of(made)

    assert (run(main()) is None) is (loop_kind != "asyncio")


@pytest.mark.parametrize("version", VERSIONS)
def test_reading_paused_as_the_connection_is_made(
    run, server_tls, client_tls, loop_kind, version
):
    """asyncio's keeps the end of the handshake back until it writes something."""

    class Paused(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()

    async def main():
        loop = asyncio.get_running_loop()
        client = ssl.create_default_context()
        client.load_verify_locations(cadata=trusted(client_tls))
        client.minimum_version = client.maximum_version = ssl.TLSVersion[version]
        left, right = socket.socketpair()
        served = loop.create_future()

        class Served(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                served.set_result(None)

        serving = loop.create_task(
            loop.connect_accepted_socket(Served, left, ssl=server_tls)
        )
        transport, _ = await loop.create_connection(
            Paused, sock=right, ssl=client, server_hostname="localhost"
        )
        for _ in range(100):
            await asyncio.sleep(0)
        done = served.done()
        transport.abort()
        with contextlib.suppress(OSError):
            (await serving)[0].abort()
        await settle()
        return done

    expected = loop_kind != "asyncio" or version == "TLSv1_2"
    assert run(main()) is expected


def trusted(context):
    """The certificates that a context trusts."""
    found = context.get_ca_certs(binary_form=True)
    return "".join(ssl.DER_cert_to_PEM_cert(each) for each in found)


# --- bytes right behind the handshake --------------------------------------------


class Told(asyncio.Protocol):
    def __init__(self, events):
        self.events = events

    def data_received(self, data):
        self.events.append(bytes(data))


class ToldInABuffer(asyncio.BufferedProtocol):
    def __init__(self, events):
        self.events = events
        self.buffer = bytearray(100)

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, n):
        self.events.append(bytes(self.buffer[:n]))


@pytest.mark.parametrize("kind", [Told, ToldInABuffer])
@pytest.mark.parametrize("version", VERSIONS)
def test_start_tls_returns_before_what_lies_behind_the_handshake_is_read(
    run, server_tls, authority, loop_kind, kind, version
):
    """asyncio's gives the data to a protocol that has no transport of TLS yet."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    events = []

    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        right.setblocking(False)

        async def upgrade():
            plain, _ = await loop.connect_accepted_socket(asyncio.Protocol, left)
            transport = await loop.start_tls(
                plain, kind(events), server_tls, server_side=True
            )
            events.append("started")
            return transport

        with right:
            peer = Peer(right, context, version)
            upgrading = loop.create_task(upgrade())
            while True:
                try:
                    peer.tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await peer.send()
                    assert await peer.more()
            await peer.send(b"hello")
            transport = await upgrading
            await until(lambda: b"hello" in events)
            transport.abort()
            await settle()

    run(main())
    at_once = loop_kind == "asyncio" and version == "TLSv1_3"
    assert events == ([b"hello", "started"] if at_once else ["started", b"hello"])


@pytest.mark.parametrize("version", VERSIONS)
def test_plain_bytes_right_behind_the_handshake(run, server_tls, authority, version):
    """They are an error, and nobody's data."""
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        right.setblocking(False)
        with right:
            peer = Peer(right, context, version)
            made = Recorder()
            accepting = loop.create_task(
                loop.connect_accepted_socket(lambda: made, left, ssl=server_tls)
            )
            while True:
                try:
                    peer.tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await peer.send()
                    assert await peer.more()
            await peer.send_raw(peer.outgoing.read() + b"and now in plain text")
            with contextlib.suppress(OSError):
                await accepting
            return await end_of(made), made.data

    exc, data = run(main())
    assert isinstance(exc, ssl.SSLError)
    assert data == b""


# --- contexts ----------------------------------------------------------------------


def test_connection_lost_is_called_in_the_context_of_reading(
    run, server_tls, authority, loop_kind
):
    """That of asyncio before 3.15 is called in the context of whoever aborts."""
    seen = []

    class Seeing(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            seen.append(variable.get())
            variable.set("made")

        def data_received(self, data):
            super().data_received(data)
            seen.append(variable.get())
            variable.set("read")

        def connection_lost(self, exc):
            super().connection_lost(exc)
            seen.append(variable.get())

    async def main():
        variable.set("creator")
        async with peer_of(Seeing, server_tls, authority) as (peer, made):
            await peer.send(b"hello")
            await until(lambda: made.data == b"hello")
            variable.set("aborter")
            made.transport.abort()
            await end_of(made)

    run(main())
    copies = loop_kind == "asyncio" and sys.version_info < (3, 15)
    lost = "aborter" if copies else "read"
    assert seen == ["creator", "made", lost]


# --- a shutdown that the peer does not answer ----------------------------------------


def test_a_shutdown_that_is_not_answered(run, server_tls, authority):
    async def main():
        options = {"ssl_shutdown_timeout": 0.05}
        async with peer_of(Recorder, server_tls, authority, **options) as (_, made):
            made.transport.close()
            return await end_of(made)

    exc = run(main())
    assert isinstance(exc, TimeoutError)
    assert str(exc) == "SSL shutdown timed out"


@pytest.mark.parametrize("version", VERSIONS)
def test_what_comes_before_a_shutdown_is_answered_is_dropped(
    run, server_tls, authority, loop_kind, version
):
    """asyncio's fails: application data after close notify."""

    async def main():
        async with peer_of(Recorder, server_tls, authority, version) as (peer, made):
            made.transport.close()
            for _ in range(3):
                with contextlib.suppress(OSError):
                    await peer.send(b"late")
                await settle()
            with contextlib.suppress(OSError):
                await peer.more()
                await unwrap(peer)
            return await end_of(made), made.data

    exc, data = run(main())
    assert data == b""
    assert (exc is None) is (loop_kind != "asyncio")


def test_a_shutdown_of_tls_in_tls_that_is_not_answered(
    run, server_tls, client_tls, loop_kind, logs
):
    """The asyncio of 3.11 and 3.12 fails to hand the error on to what is below."""

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)
        plain = [
            (await loop.connect_accepted_socket(asyncio.Protocol, sock))[0]
            for sock in socket.socketpair()
        ]
        inner = Recorder()
        server, client = plain
        for protocol in asyncio.Protocol(), inner:
            server, client = await asyncio.gather(
                loop.start_tls(
                    server,
                    protocol,
                    server_tls,
                    server_side=True,
                    ssl_shutdown_timeout=0.05,
                ),
                loop.start_tls(
                    client,
                    asyncio.Protocol(),
                    client_tls,
                    server_hostname="localhost",
                ),
            )
        plain[1].pause_reading()
        server.close()
        await asyncio.sleep(0.1)
        for _ in range(100):
            await asyncio.sleep(0)
        ended = inner.closed.done() and inner.closed.result()
        for transport in plain:
            transport.abort()
        await settle()
        return ended

    fails = loop_kind == "asyncio" and takes_no_error()
    assert isinstance(run(main()), bool if fails else TimeoutError)


def takes_no_error():
    return asyncio.sslproto.SSLProtocol._abort.__code__.co_argcount == 1
