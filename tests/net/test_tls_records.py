"""TLS record by record: a peer that sends them whole, in pieces, wrong, or not at all.

And which connections are driven from C, and which by asyncio's protocol alone.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import sys

import pytest

import fastloop
from tests.net.helpers import Recorder, connected, echo, serving, settle
from tests.net.tls_peer import VERSIONS, Peer, peer_of
from tests.support import child_says, not_sanitized, until


class Echo(Recorder):
    def data_received(self, data):
        super().data_received(data)
        self.transport.write(data)


# --- records of every size, cut everywhere -----------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("piece", [1, 2, 5, 6, 7, 1000])
def test_records_in_pieces(run, server_tls, authority, version, piece):
    async def main():
        async with peer_of(Echo, server_tls, authority, version, piece) as (peer, _):
            for size in (1, 2, 16, 255, 1000):
                data = os.urandom(size)
                await peer.send(data, piece)
                assert await peer.read(size) == data

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_records_of_many_sizes(run, server_tls, authority, version):
    sizes = [
        1,
        100,
        16_383,
        16_384,
        16_385,
        32_768,
        50_000,
        131_072,
        131_073,
        1 << 20,
        3,
    ]

    async def main():
        async with peer_of(Echo, server_tls, authority, version) as (peer, _):
            for size in sizes:
                data = os.urandom(size)
                sending = asyncio.ensure_future(peer.send(data))
                assert await peer.read(size) == data
                await sending

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [16_385, 131_072, 131_073, 1 << 20, (16 << 20) + 1])
@pytest.mark.parametrize("how", ["writelines", "a view", "twice"])
def test_much_for_a_peer_that_reads_late(
    run, server_tls, authority, version, size, how
):
    """What the kernel does not take at once follows, in order."""
    data = os.urandom(4096) * (size // 4096 + 1)
    expected = data[:size]

    async def main():
        async with peer_of(Recorder, server_tls, authority, version) as (peer, made):
            if how == "writelines":
                made.transport.writelines([expected[:7], expected[7:]])
            elif how == "a view":
                changing = bytearray(expected)
                made.transport.write(memoryview(changing))
                changing[:] = bytes(size)
            else:
                made.transport.write(expected[: size // 2])
                made.transport.write(expected[size // 2 :])
            await settle()
            return await peer.read(size)

    assert run(main()) == expected


def test_records_that_come_together(run, server_tls, authority):
    """They are one call of data_received."""

    async def main():
        async with peer_of(Recorder, server_tls, authority) as (peer, made):
            peer.tls.write(b"one ")
            peer.tls.write(b"two ")
            await peer.send(b"three")
            await until(lambda: b"three" in made.data)
            return bytes(made.data), made.calls.count("data_received")

    assert run(main()) == (b"one two three", 1)


def test_a_record_right_behind_the_handshake(run, server_tls, authority):
    async def main():
        context = ssl.create_default_context()
        authority.configure_trust(context)
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        right.setblocking(False)
        with right:
            peer = Peer(right, context)
            accepting = loop.create_task(
                loop.connect_accepted_socket(Recorder, left, ssl=server_tls)
            )
            with contextlib.suppress(ssl.SSLWantReadError):
                peer.tls.do_handshake()
            await peer.send()
            while True:
                assert await peer.more()
                with contextlib.suppress(ssl.SSLWantReadError):
                    peer.tls.do_handshake()
                    break
            await peer.send(b"early bytes")
            transport, made = await accepting
            await until(lambda: made.data)
            transport.abort()
            await settle()
            return bytes(made.data)

    assert run(main()) == b"early bytes"


# --- records that are wrong --------------------------------------------------


def wrong_record(peer):
    peer.tls.write(b"x" * 100)
    record = bytearray(peer.outgoing.read())
    record[-3] ^= 1
    return bytes(record)


def alert(peer):
    peer.incoming.write(b"\x17\x03\x03\x00\x20" + bytes(32))
    with contextlib.suppress(ssl.SSLError):
        peer.tls.read(1)
    return peer.outgoing.read()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (wrong_record, "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"),
        (lambda _: b"GET / HTTP/1.0\r\n\r\n", "WRONG_VERSION_NUMBER"),
        (alert, "ALERT_BAD_RECORD_MAC"),
    ],
)
def test_a_wrong_record(run, server_tls, authority, version, spoil, reason):
    """The protocol hears why, by ssl's own exception."""

    async def main():
        async with peer_of(Recorder, server_tls, authority, version) as (peer, made):
            await peer.send_raw(spoil(peer))
            async with asyncio.timeout(20):
                return await made.closed

    exc = run(main())
    assert type(exc) is ssl.SSLError
    assert (exc.library, exc.errno) == ("SSL", ssl.SSL_ERROR_SSL)
    # newer ones name the layer
    assert exc.reason.endswith((reason, "RECORD_LAYER_FAILURE"))
    assert exc.reason in str(exc)
    assert "_ssl.c:" in str(exc)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_comes_with_close_notify_and_behind_it(
    run, server_tls, authority, version
):
    async def main():
        async with peer_of(Recorder, server_tls, authority, version) as (peer, made):
            peer.tls.write(b"the last")
            with contextlib.suppress(ssl.SSLWantReadError):
                peer.tls.unwrap()
            await peer.send_raw(peer.outgoing.read() + b"rubbish")
            async with asyncio.timeout(20):
                return await made.closed, bytes(made.data)

    assert run(main()) == (None, b"the last")


def test_a_record_that_is_cut_off(run, server_tls, authority):
    async def main():
        async with peer_of(Recorder, server_tls, authority) as (peer, made):
            peer.tls.write(b"x" * 100)
            await peer.send_raw(peer.outgoing.read()[:50])
            peer.sock.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(20):
                await made.closed
            return bytes(made.data)

    assert run(main()) == b""


# --- a program that uses the ssl_object itself ---------------------------------


def test_a_program_that_writes_by_the_ssl_object(run, server_tls, authority):
    """What it writes goes with what is written next."""

    async def main():
        async with peer_of(Recorder, server_tls, authority) as (peer, made):
            made.transport.get_extra_info("ssl_object").write(b"aside, ")
            made.transport.write(b"and on")
            return await peer.read(13)

    assert run(main()) == b"aside, and on"


def test_a_program_that_reads_by_the_ssl_object(run, server_tls, authority):
    class Reads(Recorder):
        def data_received(self, data):
            super().data_received(data)
            with pytest.raises(ssl.SSLWantReadError):
                self.transport.get_extra_info("ssl_object").read()
            self.transport.write(data)

    async def main():
        async with peer_of(Reads, server_tls, authority) as (peer, _):
            await peer.send(b"one")
            assert await peer.read(3) == b"one"
            await peer.send(b"two")
            return await peer.read(3)

    assert run(main()) == b"two"


def test_a_program_that_shuts_the_ssl_object_down(run, server_tls, authority, logs):
    """No plain byte leaves, whatever is written afterwards."""

    async def main():
        async with peer_of(Recorder, server_tls, authority) as (peer, made):
            with contextlib.suppress(ssl.SSLWantReadError):
                made.transport.get_extra_info("ssl_object").unwrap()
            made.transport.write(b"too late")
            made.transport.close()
            loop = asyncio.get_running_loop()
            raw = b""
            async with asyncio.timeout(20):
                while more := await loop.sock_recv(peer.sock, 1 << 16):
                    raw += more
            await made.closed
            return raw

    assert b"too late" not in run(main())
    logs.take()


# --- TLS in TLS, and other protocols above -------------------------------------


class Buffered(asyncio.BufferedProtocol):
    def __init__(self):
        self.buffer = bytearray(7)
        self.data = bytearray()

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, n):
        self.data += self.buffer[:n]
        self.transport.write(self.buffer[:n])


def test_a_buffered_protocol(run, server_tls, authority):
    data = os.urandom(1000)

    async def main():
        async with peer_of(Buffered, server_tls, authority) as (peer, _):
            await peer.send(data)
            return await peer.read(len(data))

    assert run(main()) == data


class Filled(Buffered):
    def __init__(self):
        super().__init__()
        self.buffer = bytearray(100)


@pytest.mark.parametrize("version", VERSIONS)
def test_records_that_come_together_into_a_buffer(
    run, server_tls, authority, version, loop_kind
):
    """asyncio reads the second one into a copy."""

    async def main():
        async with peer_of(Filled, server_tls, authority, version) as (peer, made):
            peer.tls.write(b"one ")
            peer.tls.write(b"two ")
            await peer.send(b"three")
            await until(lambda: len(made.data) == 13)
            return bytes(made.data)

    assert (run(main()) == b"one two three") is (loop_kind != "asyncio")


def test_a_buffered_protocol_that_gives_nothing(run, server_tls, authority):
    """It is the end, in asyncio too."""

    class Nothing(Buffered):
        def __init__(self):
            super().__init__()
            self.buffer = bytearray()
            self.lost = asyncio.get_running_loop().create_future()

        def connection_lost(self, exc):
            self.lost.set_result(exc)

    async def main():
        async with peer_of(Nothing, server_tls, authority) as (peer, made):
            await peer.send(b"one")
            while await peer.more():
                with contextlib.suppress(ssl.SSLWantReadError):
                    peer.tls.unwrap()
                    await peer.send()
            async with asyncio.timeout(20):
                return await made.lost

    assert isinstance(run(main()), ssl.SSLError | None)


@pytest.mark.parametrize("given", [b"constant", None, 7, "text", [1, 2]], ids=repr)
def test_a_buffered_protocol_that_gives_no_buffer(run, server_tls, authority, given):
    """The error is the one of ssl_object.read()."""

    class Wrong(asyncio.BufferedProtocol):
        def __init__(self):
            self.lost = asyncio.get_running_loop().create_future()
            self.can_read = False

        def connection_made(self, transport):
            self.transport = transport

        def get_buffer(self, sizehint):
            return given if self.can_read else memoryview(bytearray(10))

        def connection_lost(self, exc):
            self.lost.set_result(exc)

    async def main():
        reports = []
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: reports.append(context["message"])
        )
        async with peer_of(Wrong, server_tls, authority) as (peer, made):
            made.can_read = True
            await peer.send(b"one")
            async with asyncio.timeout(20):
                return await made.lost, reports

    exc, reports = run(main())
    assert reports == ["Fatal error on SSL protocol"]
    assert type(exc) is TypeError
    if isinstance(given, bytes):
        assert "read-write bytes-like object" in str(exc)


def test_a_buffer_is_asked_for_when_something_came(
    run, server_tls, authority, loop_kind
):
    """asyncio asks at the end of the handshake, too."""
    asked = []

    class Asked(Buffered):
        def get_buffer(self, sizehint):
            asked.append(sizehint)
            return super().get_buffer(sizehint)

    async def main():
        async with peer_of(Asked, server_tls, authority) as (peer, _):
            await settle()
            before = len(asked)
            await peer.send(b"one")
            return before, await peer.read(3)

    assert run(main()) == (0 if loop_kind == "fastloop" else 1, b"one")


def test_start_tls_with_the_hello_already_read(run, server_tls, authority, loop_kind):
    """It lies behind the last line in the stream's reader."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if loop_kind == "asyncio":
        code = asyncio.BaseEventLoop.start_tls.__code__
        if "_stream_reader" not in code.co_consts:
            pytest.skip("this asyncio waits for what it has")

    async def main():
        async def upgrade(reader, writer):
            assert await reader.readline() == b"STARTTLS\n"
            await writer.start_tls(server_tls)
            await echo(reader, writer)

        loop = asyncio.get_running_loop()
        async with serving(upgrade) as address:
            with socket.socket() as sock:
                sock.setblocking(False)
                await loop.sock_connect(sock, address)
                peer = Peer(sock, context)
                with contextlib.suppress(ssl.SSLWantReadError):
                    peer.tls.do_handshake()
                await peer.send_raw(b"STARTTLS\n" + peer.outgoing.read())
                await peer.handshake()
                await peer.send(b"hello")
                return await peer.read(5)

    assert run(main()) == b"hello"


def test_tls_in_tls(run, server_tls, client_tls):
    data = os.urandom(100_000)

    async def main():
        async def twice(reader, writer):
            await writer.start_tls(server_tls)
            await echo(reader, writer)

        async with (
            serving(twice, ssl=server_tls) as address,
            connected(address, ssl=client_tls) as (reader, writer),
        ):
            await writer.start_tls(client_tls, server_hostname="127.0.0.1")
            writer.write(data)
            got = await reader.readexactly(len(data))
            writer.close()
            return got

    assert run(main()) == data


def test_writelines_of_all_kinds(run, server_tls, authority):
    pieces = [b"bytes ", bytearray(b"bytearray "), memoryview(b"memoryview "), b""]

    async def main():
        async with peer_of(Recorder, server_tls, authority) as (peer, made):
            made.transport.writelines(pieces)
            made.transport.writelines([b"one ", b"two "])
            made.transport.writelines(iter([b"three"]))
            for wrong in ("text", 5, None):
                with pytest.raises(TypeError):
                    made.transport.write(wrong)
            return await peer.read(40)

    assert run(main()) == b"bytes bytearray memoryview one two three"


# --- handshakes that come to nothing -------------------------------------------


def test_handshakes_given_up_leave_nothing(run, server_tls, authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def main():
        fds = len(os.listdir("/proc/self/fd"))
        async with serving(ssl=server_tls) as address:
            for n in range(50):
                with socket.create_connection(address) as sock:
                    peer = Peer(sock, context)
                    with contextlib.suppress(ssl.SSLWantReadError):
                        peer.tls.do_handshake()
                    hello = peer.outgoing.read()
                    sock.sendall(hello[: n * len(hello) // 50])
                    await asyncio.sleep(0)
            # but the listening socket
            await until(lambda: len(os.listdir("/proc/self/fd")) <= fds + 1)

    run(main())


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@not_sanitized  # which keeps what is freed
def test_idle_connections_are_small(server_tls, new_client_tls):
    """asyncio's have a buffer of 256 KiB at each end."""

    async def main():
        async with contextlib.AsyncExitStack() as stack:
            address = await stack.enter_async_context(serving(ssl=server_tls))
            for n in range(60):
                if n == 10:
                    before = resident_bytes()
                reader, writer = await stack.enter_async_context(
                    connected(address, ssl=new_client_tls)
                )
                writer.write(b"x" * 1000 + b"\n")
                await reader.readline()
            return (resident_bytes() - before) / 100

    assert fastloop.run(main()) < 60_000


# --- who drives it -------------------------------------------------------------

C, STOCK = "fastloop._tls", "asyncio.sslproto"


def driven_by(server_tls, context, **options):
    """The modules of the protocols at both ends, after an exchange."""

    async def main():
        async def answer(reader, writer):
            found.append(type(writer.transport._ssl_protocol).__module__)
            await echo(reader, writer)

        async with (
            serving(answer, ssl=server_tls) as address,
            connected(address, ssl=context, **options) as (reader, writer),
        ):
            found.append(type(writer.transport._ssl_protocol).__module__)
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"

    found = []
    fastloop.run(main())
    return sorted(found)


@pytest.fixture
def new_client_tls(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_both_ends_are_driven_from_c(server_tls, new_client_tls):
    assert driven_by(server_tls, new_client_tls) == [C, C]


def test_a_class_of_ssl_objects_is_left_to_asyncio(server_tls, new_client_tls):
    new_client_tls.sslobject_class = type("Own", (ssl.SSLObject,), {})
    assert driven_by(server_tls, new_client_tls) == [STOCK, C]


def test_a_context_that_wraps_itself_is_left_to_asyncio(server_tls, authority):
    class Own(ssl.SSLContext):
        def wrap_bio(self, *args, **options):
            return super().wrap_bio(*args, **options)

    context = Own(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    assert driven_by(server_tls, context) == [STOCK, C]


def test_callbacks_with_exceptions_are_left_to_asyncio(
    server_tls, new_client_tls, tmp_path
):
    new_client_tls.keylog_filename = str(tmp_path / "keys")
    assert driven_by(server_tls, new_client_tls) == [STOCK, C]
    new_client_tls.keylog_filename = None
    seen = []
    new_client_tls._msg_callback = lambda *args: seen.append(args)
    assert driven_by(server_tls, new_client_tls) == [STOCK, C]
    assert seen


@pytest.mark.parametrize(
    "target",
    [
        "asyncio.sslproto.SSLProtocol._do_read",
        "asyncio.sslproto.SSLProtocol._write_appdata",
        "asyncio.sslproto._SSLProtocolTransport.write",
        "ssl.SSLObject.read",
        "ssl.SSLObject.write",
    ],
)
def test_replaced_methods_are_called(server_tls, new_client_tls, monkeypatch, target):
    called = []
    path, _, name = target.rpartition(".")
    module, _, cls = path.rpartition(".")
    cls = getattr(sys.modules[module], cls)
    stock = getattr(cls, name)

    def replaced(*args):
        called.append(name)
        return stock(*args)

    monkeypatch.setattr(cls, name, replaced)
    assert driven_by(server_tls, new_client_tls) == [STOCK, STOCK]
    assert called


def test_a_replaced_protocol_is_used(server_tls, new_client_tls, monkeypatch):
    own = type("Own", (asyncio.sslproto.SSLProtocol,), {"__module__": "own"})
    monkeypatch.setattr(asyncio.sslproto, "SSLProtocol", own)
    assert driven_by(server_tls, new_client_tls) == ["own", "own"]


def test_start_tls_is_driven_from_c(server_tls, new_client_tls):
    async def main():
        async def upgrade(reader, writer):
            await writer.start_tls(server_tls)
            await echo(reader, writer)

        async with serving(upgrade) as address, connected(address) as (reader, writer):
            await writer.start_tls(new_client_tls, server_hostname="127.0.0.1")
            writer.write(b"x\n")
            assert await reader.readline() == b"x\n"
            found = type(writer.transport._ssl_protocol).__module__
            writer.close()
            return found

    assert fastloop.run(main()) == C


WHO = """
import asyncio, ssl
if {before!r}:
    exec({before!r})
import fastloop

async def main():
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context()
    transport = loop._make_ssl_transport(
        (await loop.run_in_executor(None, __import__("socket").socketpair))[0],
        asyncio.Protocol(), context, server_hostname="x")
    print(type(transport._ssl_protocol).__module__)
    transport.abort()
    await asyncio.sleep(0.001)

import warnings
warnings.simplefilter("ignore")
fastloop.run(main())
"""


@pytest.mark.parametrize(
    ("before", "environment", "expected"),
    [
        ("", {}, C),
        ("", {"FASTLOOP_TLS": "stdlib"}, STOCK),
        ("ssl.OPENSSL_VERSION = 'LibreSSL 4.0'", {}, STOCK),
        ("ssl.OPENSSL_VERSION_NUMBER += 1", {}, STOCK),
        ("import _ssl; _ssl.__file__ = '/nowhere/_ssl.so'", {}, STOCK),
        ("import _ssl; del _ssl.__file__", {}, STOCK),
    ],
)
def test_who_drives(before, environment, expected):
    said = child_says("fastloop", WHO.format(before=before), **environment)
    assert said == expected + "\n"


def test_an_object_of_an_unknown_layout_is_left_to_asyncio(server_tls, new_client_tls):
    """Another type in the place of the one whose layout is known."""
    source = WHO.format(before="import _ssl; _ssl._SSLSocket = object")
    assert child_says("fastloop", source) == STOCK + "\n"
