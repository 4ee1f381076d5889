"""What the program's contexts say of TLS holds, and who moves the records.

Each runs on asyncio, too. On fastloop the records are moved in C, but for contexts that
_tls.py leaves to asyncio.
"""

import asyncio
import contextlib
import shutil
import socket
import ssl
import sys

import pytest

from tests.net.helpers import Recorder, connected, echo, serving, settle
from tests.net.test_tls_records import STOCK, C
from tests.net.tls_peer import peer_of


@pytest.fixture
def server(authority):
    """A server's context of the test's own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def client(authority):
    """A client's."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def in_c(loop_kind):
    """Who moves the records of a plain context."""
    return C if loop_kind == "fastloop" else STOCK


class Seen:
    """What an end knew of its connection."""

    def __init__(self, writer):
        info = writer.get_extra_info
        tls = info("ssl_object")
        self.by = type(writer.transport._ssl_protocol).__module__
        self.version, self.cipher = tls.version(), info("cipher")
        self.alpn, self.reused = tls.selected_alpn_protocol(), tls.session_reused
        self.kind, self.peercert = type(tls), info("peercert")
        self.compression, self.context = info("compression"), info("sslcontext")


async def exchange(server, client, **options):
    """A line there and back; what the server and the client knew."""
    seen = []

    async def answer(reader, writer):
        seen.append(Seen(writer))
        await echo(reader, writer)

    async with (
        serving(answer, ssl=server) as address,
        connected(address, ssl=client, **options) as (reader, writer),
    ):
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        seen.append(Seen(writer))
    return seen


def test_what_both_ends_know(run, server, client, in_c):
    at_server, at_client = run(exchange(server, client))
    assert at_server.by == at_client.by == in_c
    assert at_server.cipher == at_client.cipher is not None
    assert at_server.compression is at_client.compression is None
    assert at_server.context is server and at_client.context is client
    assert at_client.peercert["subjectAltName"] and not at_server.peercert


def test_alpn(run, server, client, in_c):
    server.set_alpn_protocols(["h2", "http/1.1"])
    client.set_alpn_protocols(["spdy/1", "http/1.1"])
    for seen in run(exchange(server, client)):
        assert (seen.alpn, seen.by) == ("http/1.1", in_c)


def test_sni_callback_that_changes_the_context(run, server, client, authority, in_c):
    """What the connection is from then on is the other context's."""
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(other)
    names = []

    def choose(tls, name, context):
        names.append((name, context is server))
        tls.context = other

    server.sni_callback = choose
    _, at_client = run(exchange(server, client, server_hostname="other.example"))
    assert names == [("other.example", True)]
    assert at_client.peercert["subjectAltName"] == (("DNS", "other.example"),)
    assert at_client.by == in_c


@pytest.mark.parametrize("what", ["refuses", "raises"])
def test_sni_callback_that_says_no(run, server, client, what, logs, unraisable):
    def choose(tls, name, context):
        if what == "raises":
            raise LookupError(name)
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    server.sni_callback = choose
    refusal(run, server, client, logs)
    assert [each.split(":")[0] for each in unraisable.take()] == (
        ["LookupError"] if what == "raises" else []
    )


def test_a_session_is_used_again(run, server, client, in_c):
    """An asyncio client gives none; one of another make does."""

    client.maximum_version = ssl.TLSVersion.TLSv1_2
    seen = []

    async def answer(reader, writer):
        seen.append(Seen(writer))
        await echo(reader, writer)

    async def main():
        session = None
        async with serving(answer, ssl=server) as (host, port):
            for _ in range(2):
                session = await asyncio.to_thread(
                    connect_again, client, host, port, session
                )

    run(main())
    assert [(each.reused, each.by) for each in seen] == [(False, in_c), (True, in_c)]


def connect_again(context, host, port, session):
    """By a blocking socket; its session."""
    with (
        socket.create_connection((host, port)) as sock,
        context.wrap_socket(sock, server_hostname=host, session=session) as tls,
    ):
        tls.sendall(b"hello\n")
        assert tls.recv(100) == b"hello\n"
        return tls.session


def test_post_handshake_auth(run, server, client, authority, in_c):
    """The server asks for the client's certificate in the middle of a connection."""
    authority.configure_trust(server)
    server.post_handshake_auth = client.post_handshake_auth = True
    server.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("the-client").configure_cert(client)
    found = []

    async def ask(reader, writer):
        tls = writer.get_extra_info("ssl_object")
        found.append(tls.getpeercert())
        tls.verify_client_post_handshake()
        writer.write(await reader.readline())
        writer.write(await reader.readline())
        found.append(tls.getpeercert()["subjectAltName"])
        found.append(type(writer.transport._ssl_protocol).__module__)
        writer.close()

    async def main():
        async with (
            serving(ask, ssl=server) as address,
            connected(address, ssl=client) as (reader, writer),
        ):
            for line in (b"one\n", b"two\n"):
                writer.write(line)
                assert await reader.readline() == line

    run(main())
    assert found == [None, (("DNS", "the-client"),), in_c]


def test_keylog_file(run, server, client, tmp_path, in_c):
    """Its errors are for the methods of ssl: asyncio's protocol calls them."""
    client.keylog_filename = str(tmp_path / "keys")
    at_server, at_client = run(exchange(server, client))
    assert b"CLIENT_TRAFFIC_SECRET_0" in (tmp_path / "keys").read_bytes()
    assert (at_server.by, at_client.by) == (in_c, STOCK)


def test_msg_callback(run, server, client, in_c):
    """The same of these."""
    told = []
    client._msg_callback = lambda *args: told.append(args[1])
    at_server, at_client = run(exchange(server, client))
    assert "read" in told and "write" in told
    assert (at_server.by, at_client.by) == (in_c, STOCK)


def test_sslobject_class(run, server, client, in_c):
    class Mine(ssl.SSLObject):
        n_reads = 0

        def read(self, *args):
            Mine.n_reads += 1
            return super().read(*args)

    client.sslobject_class = Mine
    at_server, at_client = run(exchange(server, client))
    assert at_client.kind is Mine and Mine.n_reads
    assert (at_server.by, at_client.by) == (in_c, STOCK)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="PSK came with 3.13")
def test_psk(run, in_c):
    """A key that both know, and no certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    hints, names = [], []
    for context in (server, client):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("PSK")

    def of_client(hint):
        hints.append(hint)
        return "me", b"secret"

    def of_server(name):
        names.append(name)
        return b"secret"

    server.set_psk_server_callback(of_server, "hint")
    client.set_psk_client_callback(of_client)
    for seen in run(exchange(server, client)):
        assert "PSK" in seen.cipher[0] and seen.by == in_c
    assert (hints, names) == (["hint"], ["me"])


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_minimum_version(run, server, client, version, in_c):
    server.minimum_version = ssl.TLSVersion[version]
    client.maximum_version = ssl.TLSVersion[version]
    for seen in run(exchange(server, client)):
        assert (seen.version, seen.by) == (version.replace("_", "."), in_c)


def refusal(run, server, client, logs):
    """A server that refuses says nothing to the peer: asyncio's aborts."""
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        run(exchange(server, client))
    logs.take()


def test_a_minimum_version_that_the_client_has_not(run, server, client, logs):
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    refusal(run, server, client, logs)


def test_security_level(run, server, client, logs):
    """Level 5 wants stronger keys than the certificate's."""
    client.set_ciphers("ALL:@SECLEVEL=5")
    refusal(run, server, client, logs)


def test_ciphers_that_do_not_agree(run, server, client, logs):
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    client.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    refusal(run, server, client, logs)


@pytest.mark.parametrize("of", ["name", "trust"])
def test_what_an_error_of_verification_says(run, server, client, of, logs):
    context = client if of == "name" else ssl.create_default_context()
    options = {"server_hostname": "elsewhere.example"} if of == "name" else {}
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        run(exchange(server, context, **options))
    error = caught.value
    logs.take()
    assert (error.library, error.reason) == ("SSL", "CERTIFICATE_VERIFY_FAILED")
    assert error.verify_code == (62 if of == "name" else 20)
    assert ("elsewhere.example" if of == "name" else "issuer") in error.verify_message


# --- keys that change ----------------------------------------------------------


MARKS = {b"k": b"KEYUPDATE", b"K": b"KEYUPDATE", b"R": b"RENEGOTIATING"}


async def read_until(process, told, mark, n):
    """Until it says that n times; False if it ends first."""
    while told.count(mark) < n:
        more = await process.stdout.read(1 << 16)
        if not more:
            return False
        told += more
    return True


async def lines_of(address, path, commands, *options):
    """openssl s_client, which says a line before and after each of the commands."""
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", f"{address[0]}:{address[1]}"),
        *("-servername", "localhost", "-CAfile", path, *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told = bytearray()
    try:
        async with asyncio.timeout(30):
            for n, command in enumerate([*commands, None]):
                process.stdin.write(b"line %d\n" % n)
                if not await read_until(process, told, b"LINE %d\n" % n, 1):
                    break
                if command is not None:
                    process.stdin.write(command + b"\n")  # what follows it is dropped
                    await read_until(process, told, MARKS[command], n + 1)
        return bytes(told)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def loud(reader, writer):
    with contextlib.suppress(OSError, ssl.SSLError):
        while line := await reader.readline():
            writer.write(line.upper())
    writer.close()


def keys_change(run, server, authority, tmp_path, commands, option):
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)

    async def main():
        async with serving(loud, ssl=server) as address:
            return await lines_of(address, path, commands, option)

    return run(main())


needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl binary"
)


@needs_openssl
def test_a_client_that_changes_its_keys(run, server, authority, tmp_path):
    """Its own, and it asks for ours, too."""
    told = keys_change(run, server, authority, tmp_path, [b"k", b"K", b"K"], "-tls1_3")
    assert told.count(b"KEYUPDATE") == 3 and b"LINE 3\n" in told


@needs_openssl
@pytest.mark.parametrize("allowed", [True, False])
def test_a_client_that_renegotiates(run, server, authority, tmp_path, allowed, logs):
    """OpenSSL's servers do not, unless they are told that they may."""
    if allowed:
        server.options |= 1 << 8  # SSL_OP_ALLOW_CLIENT_RENEGOTIATION
    told = keys_change(run, server, authority, tmp_path, [b"R", b"R"], "-tls1_2")
    logs.take()
    assert b"LINE 0\n" in told and b"RENEGOTIATING" in told
    assert (b"LINE 2\n" in told) == allowed


# --- a peer that never reads ----------------------------------------------------


def test_a_peer_that_never_reads(run, server, authority, in_c):
    """The program is told to pause; what waits is bounded."""

    class Talker(Recorder):
        def __init__(self):
            super().__init__()
            self.paused = False

        def pause_writing(self):
            self.paused = True

    async def main():
        async with peer_of(Talker, server, authority) as (_, made):
            transport = made.transport
            assert type(transport._ssl_protocol).__module__ == in_c
            written = 0
            while not made.paused and written < 1 << 26:
                transport.write(bytes(10_000))
                written += 10_000
                await asyncio.sleep(0)
            high = transport.get_write_buffer_limits()[1]
            below = made.transport._ssl_protocol._transport
            waits = transport.get_write_buffer_size()
            assert made.paused and waits <= high + 20_000
            assert below.get_write_buffer_size() <= (1 << 20)
            transport.abort()
            await settle()
            assert made.calls[-1] == "connection_lost"

    run(main())
