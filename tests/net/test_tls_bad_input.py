"""Bad input to TLS: asyncio's exception, no crash, and no plain bytes on the wire."""

import asyncio
import contextlib
import socket
import ssl

import pytest

import fastloop
from tests.net.helpers import settle
from tests.net.tls_peer import Peer

SECRET = b"a secret that is not for the wire"


def outcome(exc):
    return type(exc), str(exc)


def on_both(main):
    """What a coroutine function gives on asyncio, and on fastloop."""
    answers = []
    for factory in asyncio.SelectorEventLoop, fastloop.new_event_loop:
        with asyncio.Runner(loop_factory=factory) as runner:
            told = []
            runner.get_loop().set_exception_handler(
                lambda loop, context, told=told: told.append(
                    (context["message"], type(context.get("exception")))
                )
            )
            answers.append((runner.run(main()), told))
    return answers


async def failure_of(coroutine):
    """How it fails; nothing of it stays open."""
    try:
        async with asyncio.timeout(20):
            made = await coroutine
    except Exception as exc:
        return outcome(exc)
    finally:
        await settle()
    made[0].abort()
    await settle()
    return "no failure"


# --- arguments ---------------------------------------------------------------------

NAMES = {
    "none": {},
    "empty": {"server_hostname": ""},
    "dot": {"server_hostname": ".localhost"},
    "nul": {"server_hostname": "local\0host"},
    "not ascii": {"server_hostname": "b\u00fccher.example"},
    "surrogate": {"server_hostname": "\ud800"},
    "long": {"server_hostname": "x" * 300},
    "bytes": {"server_hostname": b"localhost"},
    "number": {"server_hostname": 7},
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_servers(client_tls, server_tls, name, logs):
    """The peer is one that ends what it does not like."""

    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        serving = asyncio.ensure_future(
            failure_of(
                loop.connect_accepted_socket(asyncio.Protocol, right, ssl=server_tls)
            )
        )
        try:
            return await failure_of(
                loop.create_connection(
                    asyncio.Protocol, sock=left, ssl=client_tls, **NAMES[name]
                )
            )
        finally:
            left.close()
            await serving

    stock, ours = on_both(main)
    assert ours[0] == stock[0]
    logs.take()


CONTEXTS = {
    "of the wrong side": lambda server, client: server,
    "no context": lambda server, client: object(),
    "a number": lambda server, client: 1,
}


@pytest.mark.parametrize("name", CONTEXTS)
@pytest.mark.parametrize("way", ["connect", "start_tls"])
def test_contexts_of_a_client(server_tls, client_tls, name, way):
    context = CONTEXTS[name](server_tls, client_tls)

    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        right.setblocking(False)
        with right:
            if way == "connect":
                failure = await failure_of(
                    loop.create_connection(
                        asyncio.Protocol,
                        sock=left,
                        ssl=context,
                        server_hostname="localhost",
                    )
                )
                left.close()
                return failure, on_the_wire(right)
            plain, _ = await loop.create_connection(asyncio.Protocol, sock=left)
            failure = await failure_of(
                loop.start_tls(
                    plain, asyncio.Protocol(), context, server_hostname="localhost"
                )
            )
            plain.abort()
            await settle()
            return failure, on_the_wire(right)

    stock, ours = on_both(main)
    assert ours == stock
    assert ours[0][0] != "no failure"


def on_the_wire(sock):
    """All that came."""
    got = b""
    with contextlib.suppress(OSError):
        while data := sock.recv(1 << 16):
            got += data
    return got


def test_a_server_with_a_clients_context(client_tls, logs):
    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        with right:
            failure = await failure_of(
                loop.connect_accepted_socket(asyncio.Protocol, left, ssl=client_tls)
            )
            left.close()
            return failure

    stock, ours = on_both(main)
    assert ours == stock
    assert ours[0] != "no failure"
    logs.take()


class Foreign(asyncio.Transport):
    """It says nothing of TLS."""

    def __repr__(self):
        return "<foreign>"


def test_start_tls_over_a_foreign_transport(client_tls):
    async def main():
        loop = asyncio.get_running_loop()
        return await failure_of(
            loop.start_tls(
                Foreign(), asyncio.Protocol(), client_tls, server_hostname="localhost"
            )
        )

    stock, ours = on_both(main)
    assert ours == stock
    assert ours[0][0] is TypeError


@pytest.mark.parametrize("how", ["close", "abort"])
def test_start_tls_over_a_closed_transport(client_tls, how):
    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        right.setblocking(False)
        with right:
            plain, _ = await loop.create_connection(asyncio.Protocol, sock=left)
            getattr(plain, how)()
            try:
                async with asyncio.timeout(20):
                    made = await loop.start_tls(
                        plain,
                        asyncio.Protocol(),
                        client_tls,
                        server_hostname="localhost",
                        ssl_handshake_timeout=0.1,
                    )
            except Exception as exc:
                failure = type(exc)
            else:
                failure = made
            plain.abort()
            await settle()
            return failure

    stock, ours = on_both(main)
    assert ours == stock


# --- callbacks ------------------------------------------------------------------------


class Misbehaving(asyncio.Protocol):
    """Does one thing in one callback; tells what was called."""

    def __init__(self, where, what):
        self.where, self.what = where, what
        self.calls = []
        self.lost = asyncio.get_running_loop().create_future()
        self.tasks = []

    def called(self, name):
        self.calls.append(name)
        if name == self.where:
            self.what(self)

    def connection_made(self, transport):
        self.transport = transport
        self.called("connection_made")

    def data_received(self, data):
        self.called("data_received")

    def eof_received(self):
        self.called("eof_received")

    def connection_lost(self, exc):
        if not self.lost.done():
            self.lost.set_result(type(exc))
        self.called("connection_lost")


def raises(protocol):
    raise ZeroDivisionError("of the test's")


def closes(protocol):
    protocol.transport.close()
    protocol.transport.write(SECRET)


def closes_twice(protocol):
    protocol.transport.close()
    protocol.transport.close()


def aborts(protocol):
    protocol.transport.abort()
    protocol.transport.write(SECRET)


def unwraps(protocol):
    with contextlib.suppress(ssl.SSLError):
        protocol.transport.get_extra_info("ssl_object").unwrap()


def reads(protocol):
    with contextlib.suppress(ssl.SSLError):
        protocol.transport.get_extra_info("ssl_object").read(10)


ACTIONS = [raises, closes, closes_twice, aborts, unwraps, reads]
PLACES = ["connection_made", "data_received", "eof_received", "connection_lost"]


@pytest.mark.parametrize("what", ACTIONS, ids=lambda what: what.__name__)
@pytest.mark.parametrize("where", PLACES)
def test_callbacks_that_misbehave(server_tls, authority, where, what, logs):
    """Callbacks come as often as in asyncio, and nothing goes out in plain text."""
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        right.setblocking(False)
        seen = bytearray()
        with right:
            peer = Peer(right, context)
            made = []

            def make():
                made.append(Misbehaving(where, what))
                return made[0]

            accepting = loop.create_task(
                loop.connect_accepted_socket(make, left, ssl=server_tls)
            )
            with contextlib.suppress(OSError, AssertionError):
                await peer.handshake()
                await settle()
                if where != "connection_made":  # late bytes are another's test
                    await peer.send(b"hello")
                    await settle()
                with contextlib.suppress(ssl.SSLWantReadError):
                    peer.tls.unwrap()
                await peer.send()
            await settle()
            with contextlib.suppress(OSError):
                right.shutdown(socket.SHUT_WR)
            await settle()
            with contextlib.suppress(OSError):
                while data := right.recv(1 << 16):
                    seen += data
            await asyncio.wait([accepting])
            if not accepting.exception() and not made[0].lost.done():
                accepting.result()[0].abort()
            async with asyncio.timeout(20):
                lost = await made[0].lost
            await settle()
            assert SECRET not in seen
            return made[0].calls, lost

    (stock, _), (ours, _) = on_both(main)
    assert ours == stock
    logs.take()
