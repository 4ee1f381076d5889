"""TLS against peers of another make, openssl s_server and s_client, and bare ones."""

import asyncio
import contextlib
import os
import pathlib
import shutil
import socket
import ssl

import pytest

from tests.net.helpers import Recorder, connected, echo, serving, settle
from tests.support import until

PIPE = asyncio.subprocess.PIPE
DEVNULL = asyncio.subprocess.DEVNULL
openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl binary"
)


@pytest.fixture
def files(authority, tmp_path):
    """Certificates as the openssl binary wants them: paths by name."""

    def write(name, cert):
        cert.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
        return tmp_path / f"{name}.pem"

    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    return {
        "authority": tmp_path / "authority.pem",
        "server": write("server", authority.issue_cert("localhost")),
        "client": write("client", authority.issue_cert("the-client")),
        "content": tmp_path / "content",
    }


@contextlib.asynccontextmanager
async def s_server(files, *options):
    """openssl s_server, which answers each line reversed; its port."""
    process = await asyncio.create_subprocess_exec(
        "openssl",
        "s_server",
        *("-accept", "127.0.0.1:0", "-cert", files["server"], "-key", files["server"]),
        *("-rev", *options),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        async with asyncio.timeout(20):
            while not (line := await process.stdout.readline()).startswith(b"ACCEPT"):
                assert line, "openssl s_server has ended"
        yield int(line.rpartition(b":")[2])
    finally:
        process.kill()
        await process.communicate()


async def s_client(address, files, *options, given=b""):
    """What openssl s_client got and its exit status; it verifies the server."""
    process = await asyncio.create_subprocess_exec(
        "openssl",
        "s_client",
        *("-connect", f"{address[0]}:{address[1]}", "-servername", "localhost"),
        *("-CAfile", files["authority"], "-verify_return_error", "-quiet"),
        *options,
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    process.stdin.write(given)
    try:
        async with asyncio.timeout(30):
            got = await process.stdout.read()
            return got, await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        process.stdin.close()
        await process.wait()
        process._transport.close()
        await settle()


async def answer(port, context, **options):
    """The answer of s_server to one line."""
    async with connected(("127.0.0.1", port), ssl=context, **options) as streams:
        reader, writer = streams
        writer.write(b"abc\n")
        return await reader.readline()


# --- we are the client -------------------------------------------------------


@openssl
def test_s_server(run, files, client_tls):
    async def main():
        async with s_server(files) as port:
            return await answer(port, client_tls, server_hostname="localhost")

    assert run(main()) == b"cba\n"


@openssl
@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_s_server_of_a_version(run, files, authority, version):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]

    async def main():
        async with s_server(files) as port:
            return await answer(port, context, server_hostname="localhost")

    assert run(main()) == b"cba\n"


# What makes s_server do so.
KEY_CHANGES = {"TLSv1_2": b"rR", "TLSv1_3": b"kK"}


@openssl
@pytest.mark.parametrize(
    ("version", "command"),
    [
        ("TLSv1_2", b"r\n"),
        ("TLSv1_2", b"R\n"),
        ("TLSv1_3", b"k\n"),
        ("TLSv1_3", b"K\n"),
    ],
)
def test_s_server_that_changes_the_keys(run, files, authority, version, command):
    """It renegotiates, or says that its keys change, while we write."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    lines = [b"line %d\n" % n for n in range(60)]

    async def talk(process, port):
        address = "127.0.0.1", port
        options = {"ssl": context, "server_hostname": "localhost"}
        async with connected(address, **options) as (reader, writer):
            for start in range(0, 60, 20):
                process.stdin.write(b"said\n")
                assert await reader.readline() == b"said\n"
                process.stdin.write(command)
                for line in lines[start : start + 20]:
                    writer.write(line)
                    await asyncio.sleep(0.0005)
            got = b""
            while lines[-1] not in got:
                got += await process.stdout.read(1 << 16)
        return got

    async def main():
        process = await asyncio.create_subprocess_exec(
            "openssl",
            "s_server",
            *("-accept", "127.0.0.1:0", "-key", files["server"]),
            *("-cert", files["server"]),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
        )
        try:
            async with asyncio.timeout(20):
                while not (line := await process.stdout.readline()).startswith(
                    b"ACCEPT"
                ):
                    assert line, "openssl s_server has ended"
                return await talk(process, int(line.rpartition(b":")[2]))
        finally:
            process.kill()
            await process.communicate()

    got = run(main())
    assert [line for line in lines if line not in got] == []


@openssl
def test_s_server_that_nobody_trusts(run, files):
    async def main():
        async with s_server(files) as port:
            with pytest.raises(ssl.SSLCertVerificationError, match="unable to get"):
                await answer(
                    port, ssl.create_default_context(), server_hostname="localhost"
                )

    run(main())


@openssl
def test_s_server_of_another_name(run, files, client_tls):
    async def main():
        async with s_server(files) as port:
            with pytest.raises(ssl.SSLCertVerificationError, match=r"[Hh]ostname"):
                await answer(port, client_tls, server_hostname="other.example")
            with pytest.raises(ssl.SSLCertVerificationError, match="IP address"):
                await answer(port, client_tls)

    run(main())


@openssl
def test_s_server_not_verified(run, files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    async def main():
        async with s_server(files) as port:
            return await answer(port, context)

    assert run(main()) == b"cba\n"


@openssl
@pytest.mark.parametrize("given", [True, False])
def test_s_server_that_wants_a_certificate(run, files, authority, given):
    """Refused in the handshake of TLS 1.2, or by the first answer of 1.3."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if given:
        context.load_cert_chain(files["client"])

    async def main():
        wanted = "-Verify", "1", "-verify_return_error", "-CAfile", files["authority"]
        async with s_server(files, *wanted) as port:
            return await answer(port, context, server_hostname="localhost")

    if given:
        assert run(main()) == b"cba\n"
    else:
        with pytest.raises(ssl.SSLError, match=r"(?i)handshake failure|alert"):
            run(main())


# --- we are the server -------------------------------------------------------


async def upper(reader, writer):
    line = await reader.readline()
    writer.write(line.upper())
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()


@openssl
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_s_client(run, files, server_tls, version):
    async def main():
        async with serving(upper, ssl=server_tls) as address:
            return await s_client(address, files, version, given=b"hello\n")

    assert run(main()) == (b"HELLO\n", 0)


@openssl
def test_s_client_gets_and_sends_much(run, files, server_tls):
    content = os.urandom(3_000_000)
    size = len(content)

    async def main():
        async def echo_all(reader, writer):
            writer.write(await reader.readexactly(size))
            writer.close()
            await writer.wait_closed()

        async with serving(echo_all, ssl=server_tls) as address:
            got, status = await s_client(address, files, given=content)
            return got == content, status

    assert run(main()) == (True, 0)


@openssl
@pytest.mark.parametrize("given", [True, False])
def test_s_client_without_the_certificate_that_is_wanted(
    run, files, authority, given, logs
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["server"])
    context.load_verify_locations(files["authority"])
    context.verify_mode = ssl.CERT_REQUIRED
    options = ("-cert", files["client"], "-key", files["client"]) if given else ()

    async def main():
        async with serving(upper, ssl=context) as address:
            return await s_client(address, files, *options, given=b"hello\n")

    got, status = run(main())
    assert got == (b"HELLO\n" if given else b"")
    assert given == (status == 0)
    logs.take()


@openssl
def test_s_client_that_distrusts_us(run, files, tmp_path, server_tls, logs):
    async def main():
        async with serving(upper, ssl=server_tls) as address:
            distrusting = {**files, "authority": files["client"]}
            got, status = await s_client(address, distrusting, given=b"hello\n")
            return got, status != 0

    assert run(main()) == (b"", True)
    logs.take()


@openssl
def test_s_client_upgrades_by_start_tls(run, files, server_tls):
    """As a mail server does it."""

    async def main():
        async def mail(reader, writer):
            writer.write(b"220 mail\r\n")
            while not (line := await reader.readline()).startswith(b"STARTTLS"):
                assert line.startswith(b"EHLO")
                writer.write(b"250-mail\r\n250 STARTTLS\r\n")
            writer.write(b"220 go ahead\r\n")
            await writer.start_tls(server_tls)
            await upper(reader, writer)

        async with serving(mail) as address:
            smtp = "-starttls", "smtp", "-name", "localhost"
            return await s_client(address, files, *smtp, given=b"hello\n")

    got, status = run(main())
    assert (got[-6:], status) == (b"HELLO\n", 0)


# --- peers that do not play along --------------------------------------------


def test_a_client_that_hangs_in_the_handshake(run, server_tls):
    """The server hangs up, and goes on serving others."""

    async def main():
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(
            upper, "127.0.0.1", 0, ssl=server_tls, ssl_handshake_timeout=0.05
        )
        with socket.socket() as silent:
            silent.setblocking(False)
            await loop.sock_connect(silent, server.sockets[0].getsockname())
            async with asyncio.timeout(20):
                return await loop.sock_recv(silent, 100), server.close()

    assert run(main())[0] == b""


def test_a_handshake_that_is_given_up(run, client_tls):
    """The peer sees the end; nothing is left."""

    async def main():
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            task = loop.create_task(
                asyncio.open_connection(*listener.getsockname(), ssl=client_tls)
            )
            peer, _ = await loop.sock_accept(listener)
            with peer:
                hello = await loop.sock_recv(peer, 1 << 16)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                async with asyncio.timeout(20):
                    rest = await loop.sock_recv(peer, 1 << 16)
        return hello[:1], rest

    assert run(main()) == (b"\x16", b"")


@pytest.mark.parametrize("where", ["hello", "later"])
def test_a_peer_that_resets(run, server_tls, client_tls, where):
    """In the handshake or after it."""

    async def main():
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            task = loop.create_task(
                loop.create_connection(
                    Recorder, *listener.getsockname(), ssl=client_tls
                )
            )
            peer, _ = await loop.sock_accept(listener)
            linger = b"\x01\0\0\0\0\0\0\0"  # on, 0 s
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if where == "hello":
                await loop.sock_recv(peer, 1 << 16)
                peer.close()
                with pytest.raises(ConnectionResetError):
                    await task
                return
            transport, server = await loop.connect_accepted_socket(
                Recorder, peer, ssl=server_tls
            )
            _, client = await task
            transport.abort()
            await server.closed
            assert isinstance(await client.closed, (ConnectionResetError, type(None)))

    run(main())


def test_the_end_of_one_direction(run, server_tls, client_tls):
    """TLS has no half-close here: close_notify ends both, after what was sent."""

    async def main():
        async with serving(echo, ssl=server_tls) as address:
            reader, writer = await asyncio.open_connection(*address, ssl=client_tls)
            assert not writer.can_write_eof()
            with pytest.raises(NotImplementedError):
                writer.write_eof()
            data = os.urandom(500_000)
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            writer.close()
            await writer.wait_closed()
            return await reader.read()

    assert run(main()) == b""


def test_a_peer_that_cuts_the_connection_without_close_notify(run, client_tls, files):
    """Where the TCP stream ends in secret, so does ours: an end, or an error."""

    async def main():
        loop = asyncio.get_running_loop()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files["server"])
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)

            def peer():
                listener.setblocking(True)
                plain, _ = listener.accept()
                with context.wrap_socket(plain, server_side=True) as secret:
                    secret.sendall(b"so far")
                    secret.recv(1)
                    # no unwrap(): only the TCP connection is closed

            peering = loop.run_in_executor(None, peer)
            reader, writer = await asyncio.open_connection(
                *listener.getsockname(), ssl=client_tls, server_hostname="localhost"
            )
            got = await reader.readexactly(6)
            writer.write(b"x")
            await peering
            try:
                rest = await reader.read()
            except (ssl.SSLError, OSError):
                rest = b""
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()
            return got, rest

    assert run(main()) == (b"so far", b"")


def test_pause_and_resume_reading(run, server_tls, client_tls):
    async def main():
        loop = asyncio.get_running_loop()
        received = []

        def factory():
            received.append(Recorder())
            return received[-1]

        server = await loop.create_server(factory, "127.0.0.1", 0, ssl=server_tls)
        transport, client = await loop.create_connection(
            Recorder, *server.sockets[0].getsockname(), ssl=client_tls
        )
        await until(lambda: received and received[0].transport)
        peer = received[0]
        peer.transport.pause_reading()
        await settle()
        assert not peer.transport.is_reading()
        transport.write(b"while paused")
        await settle()
        assert peer.data == b""
        peer.transport.resume_reading()
        await until(lambda: peer.data == b"while paused")
        transport.close()
        await asyncio.gather(client.closed, peer.closed)
        server.close()
        await server.wait_closed()

    run(main())


def test_sendfile_over_tls_falls_back_or_says_that_it_cannot(
    run, tmp_path, server_tls, client_tls
):
    content = os.urandom(700_000)
    path = pathlib.Path(tmp_path / "content")
    path.write_bytes(content)

    async def main():
        loop = asyncio.get_running_loop()

        async def serve(reader, writer):
            with open(path, "rb") as file:
                with pytest.raises(RuntimeError, match="fallback is disabled"):
                    await loop.sendfile(writer.transport, file, fallback=False)
                sent = await loop.sendfile(writer.transport, file, 100, 600_000)
            assert sent == 600_000
            writer.close()
            await writer.wait_closed()

        async with (
            serving(serve, ssl=server_tls) as address,
            connected(address, ssl=client_tls) as (reader, _),
        ):
            return await reader.read() == content[100:600_100]

    assert run(main())
