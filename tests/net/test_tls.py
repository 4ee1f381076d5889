"""TLS, through the ssl module and the caller's own contexts."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import tempfile

import pytest
import trustme

from tests.net.helpers import Recorder, connected, echo, serving, settle
from tests.support import until

PAYLOAD = os.urandom(300_000)


def test_echo(run, server_tls, client_tls):
    async def main():
        async with (
            serving(ssl=server_tls) as address,
            connected(address, ssl=client_tls) as (reader, writer),
        ):
            writer.write(PAYLOAD)
            await writer.drain()
            return await reader.readexactly(len(PAYLOAD)) == PAYLOAD

    assert run(main())


def test_many_clients(run, server_tls, client_tls):
    async def ask(address, n):
        async with connected(address, ssl=client_tls) as (reader, writer):
            for _ in range(3):
                writer.write(b"%d\n" % n)
                assert await reader.readline() == b"%d\n" % n

    async def main():
        async with serving(ssl=server_tls) as address:
            await asyncio.gather(*(ask(address, n) for n in range(10)))

    run(main())


def test_extra_info(run, server_tls, client_tls):
    async def main():
        async with (
            serving(ssl=server_tls) as address,
            connected(address, ssl=client_tls) as (_, writer),
        ):
            return (
                writer.get_extra_info("sslcontext") is client_tls,
                isinstance(writer.get_extra_info("ssl_object"), ssl.SSLObject),
                writer.get_extra_info("cipher")[1],
                "subject" in writer.get_extra_info("peercert"),
                writer.get_extra_info("peername") == address,
            )

    assert run(main()) == (True, True, "TLSv1.3", True, True)


def test_an_untrusted_certificate_is_refused(run, server_tls, logs):
    async def main():
        async with serving(ssl=server_tls) as address:
            context = ssl.create_default_context()
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.open_connection(*address, ssl=context)
            await asyncio.sleep(0.005)

    run(main())
    logs.take()


def test_a_wrong_host_name_is_refused(run, server_tls, client_tls, logs):
    async def main():
        async with serving(ssl=server_tls) as address:
            with pytest.raises(ssl.SSLCertVerificationError, match=r"[Hh]ostname"):
                await asyncio.open_connection(
                    *address, ssl=client_tls, server_hostname="other.example"
                )
            await asyncio.sleep(0.005)

    run(main())
    logs.take()


def test_a_context_that_verifies_nothing(run, server_tls):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    async def main():
        async with (
            serving(ssl=server_tls) as address,
            connected(address, ssl=context) as (reader, writer),
        ):
            writer.write(b"hello\n")
            return await reader.readline(), writer.get_extra_info("cipher")[1]

    answer, version = run(main())
    assert answer == b"hello\n"
    assert version != "TLSv1.3"


def test_a_client_certificate(run, authority, client_tls):
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context()
    authority.configure_trust(client)
    authority.issue_cert("the-client").configure_cert(client)

    async def main():
        async def name(reader, writer):
            cert = writer.get_extra_info("peercert")
            writer.write(repr(cert["subjectAltName"]).encode())
            writer.close()
            await writer.wait_closed()

        async with (
            serving(name, ssl=server) as address,
            connected(address, ssl=client) as (reader, _),
        ):
            return await reader.read()

    assert b"the-client" in run(main())


def test_start_tls_of_a_stream(run, server_tls, client_tls):
    async def main():
        async def upgrade(reader, writer):
            assert await reader.readline() == b"STARTTLS\n"
            writer.write(b"go ahead\n")
            await writer.drain()
            await writer.start_tls(server_tls)
            await echo(reader, writer)

        async with serving(upgrade) as address, connected(address) as (reader, writer):
            writer.write(b"STARTTLS\n")
            assert await reader.readline() == b"go ahead\n"
            await writer.start_tls(client_tls, server_hostname="127.0.0.1")
            writer.write(b"in secret\n")
            found = await reader.readline(), writer.get_extra_info("cipher")[1]
            writer.close()
            return found

    assert run(main()) == (b"in secret\n", "TLSv1.3")


def test_start_tls_of_a_transport(run, server_tls, client_tls):
    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        plain_client, client = await loop.create_connection(Recorder, sock=left)
        plain_server, server = await loop.connect_accepted_socket(Recorder, right)
        secret_client, secret_server = await asyncio.gather(
            loop.start_tls(
                plain_client, client, client_tls, server_hostname="localhost"
            ),
            loop.start_tls(plain_server, server, server_tls, server_side=True),
        )
        secret_client.write(b"ping")
        await until(lambda: server.data)
        secret_server.write(b"pong")
        await until(lambda: client.data)
        secret_client.close()
        secret_server.close()
        await asyncio.gather(client.closed, server.closed)
        return bytes(server.data), bytes(client.data)

    assert run(main()) == (b"ping", b"pong")


def test_over_unix_sockets(run, server_tls, client_tls):
    async def main():
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            async with serving(path=path, ssl=server_tls):
                reader, writer = await asyncio.open_unix_connection(
                    path, ssl=client_tls, server_hostname="localhost"
                )
                writer.write(b"over unix\n")
                line = await reader.readline()
                writer.close()
                await writer.wait_closed()
                return line

    assert run(main()) == b"over unix\n"


def test_a_peer_that_speaks_no_tls(run, client_tls):
    async def main():
        async def plain(reader, writer):
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 speak plainly\r\n\r\n")
            writer.close()
            await writer.wait_closed()

        async with serving(plain) as address:
            with pytest.raises(ssl.SSLError):
                await asyncio.open_connection(*address, ssl=client_tls)

    run(main())


def test_a_peer_that_hangs_in_the_handshake(run, client_tls):
    async def main():
        async def silent(reader, writer):
            await reader.read()
            writer.close()
            await writer.wait_closed()

        async with serving(silent) as address:
            with pytest.raises(ConnectionAbortedError, match="handshake"):
                await asyncio.open_connection(
                    *address, ssl=client_tls, ssl_handshake_timeout=0.02
                )

    run(main())


def test_what_goes_over_the_wire_is_no_plaintext(run, server_tls, client_tls):
    """Watched from between: some loops took ssl= and sent clear bytes."""
    secret = b"the secret word"

    async def main():
        seen = bytearray()

        async def relay(reader, writer):
            peer_reader, peer_writer = await asyncio.open_connection(*server)

            async def pump(source, target):
                while data := await source.read(65536):
                    seen.extend(data)
                    target.write(data)
                target.close()
                await target.wait_closed()

            await asyncio.gather(pump(reader, peer_writer), pump(peer_reader, writer))

        async with (
            serving(ssl=server_tls) as server,
            serving(relay) as between,
            connected(between, ssl=client_tls) as (reader, writer),
        ):
            writer.write(secret + b"\n")
            assert await reader.readline() == secret + b"\n"
            writer.close()
        return bytes(seen)

    seen = run(main())
    assert len(seen) > 500
    assert secret not in seen


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_against_openssls_own_server(run, tmp_path):
    """A peer of another make: both ends being ours proves little."""
    authority = trustme.CA()
    cert = authority.issue_cert("localhost")
    key_file, cert_file = tmp_path / "key.pem", tmp_path / "cert.pem"
    cert.private_key_pem.write_to_path(key_file)
    for blob in cert.cert_chain_pems:
        blob.write_to_path(cert_file, append=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def main():
        for _ in range(200):
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=context, server_hostname="localhost"
                )
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
        else:
            raise AssertionError("openssl s_server does not answer")
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    with subprocess.Popen(
        [
            "openssl",
            "s_server",
            "-accept",
            f"127.0.0.1:{port}",
            "-www",
            "-quiet",
            "-key",
            key_file,
            "-cert",
            cert_file,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            assert run(main()).startswith(b"HTTP/1.0 200 ok")
        finally:
            server.kill()


def test_close_and_abort(run, server_tls, client_tls):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=server_tls)
        address = server.sockets[0].getsockname()
        for name in ("close", "abort"):
            transport, protocol = await loop.create_connection(
                Recorder, *address, ssl=client_tls
            )
            getattr(transport, name)()
            getattr(transport, name)()
            assert await protocol.closed is None
            assert transport.is_closing()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.005)

    run(main())


def test_flow_control(run, server_tls, client_tls):
    async def main():
        go = asyncio.Event()
        received = 0

        async def slow(reader, writer):
            nonlocal received
            await go.wait()
            while data := await reader.read(1 << 20):
                received += len(data)
            writer.close()
            await writer.wait_closed()

        async with (
            serving(slow, ssl=server_tls) as address,
            connected(address, ssl=client_tls) as (_, writer),
        ):
            sent = 0
            drained = None
            while drained is None or drained.done():
                writer.write(bytes(1 << 19))
                sent += 1 << 19
                drained = asyncio.ensure_future(writer.drain())
                await settle()
                assert sent < 1 << 27
            go.set()
            await drained
            await until(lambda: received == sent, timeout=30)
            writer.close()

    run(main())


@pytest.mark.parametrize("n_steps", [0, 1, 2, 3, 5, 8, 12])
def test_a_cancelled_connection_leaves_nothing(
    run, server_tls, client_tls, n_steps, logs
):
    async def main():
        async with serving(ssl=server_tls) as address:
            task = asyncio.ensure_future(
                asyncio.open_connection(*address, ssl=client_tls)
            )
            for _ in range(n_steps):
                await asyncio.sleep(0)
            task.cancel()
            [result] = await asyncio.gather(task, return_exceptions=True)
            if isinstance(result, tuple):
                result[1].close()
                await result[1].wait_closed()
            await asyncio.sleep(0.01)

    run(main())
    logs.take()
