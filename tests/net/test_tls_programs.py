"""TLS with programs at the other end that many have: curl and nginx."""

import asyncio
import contextlib
import os
import shutil
import socket

import pytest

from tests.net.helpers import serving, settle

PIPE = asyncio.subprocess.PIPE
DEVNULL = asyncio.subprocess.DEVNULL
CONTENT = b"0123456789abcdef" * 20_000

# A sanitizer's library, which we run with, is not for them.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}

curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
nginx = pytest.mark.skipif(
    shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin") is None,
    reason="there is no nginx",
)

CONFIGURATION = """
daemon off;
master_process off;
user root;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxied;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen unix:{folder}/socket ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        root {folder};
    }}
}}
"""


@pytest.fixture
def folder(authority, tmp_path):
    """Where the certificates and the content lie."""
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "server.pem"
    )
    (tmp_path / "content").write_bytes(CONTENT)
    return tmp_path


async def read_body(reader):
    """The body of a message of HTTP with a length."""
    size = 0
    while (line := await reader.readline()).strip():
        if line.lower().startswith(b"content-length:"):
            size = int(line.partition(b":")[2])
    return await reader.readexactly(size)


async def answer_twice(reader, writer):
    """Send back the body of each of two requests."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        for _ in range(2):
            body = await read_body(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@curl
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl(run, folder, server_tls, version):
    """Two requests in a connection, each with 320,000 bytes there and back."""

    async def main():
        async with serving(answer_twice, ssl=server_tls) as (_, port):
            url = f"https://localhost:{port}/"
            process = await asyncio.create_subprocess_exec(
                *("curl", "--silent", "--show-error", "--noproxy", "*"),
                *("--http1.1", f"--tlsv{version}", "--tls-max", version),
                *("--cacert", folder / "authority.pem"),
                *("--resolve", f"localhost:{port}:127.0.0.1", "-H", "Expect:"),
                *("--data-binary", f"@{folder / 'content'}", url, url),
                env=ENVIRONMENT,
                stdin=DEVNULL,
                stdout=PIPE,
            )
            async with asyncio.timeout(30):
                got, _ = await process.communicate()
            return got, process.returncode

    got, status = run(main())
    assert status == 0
    assert got == 2 * CONTENT


@curl
def test_curl_that_distrusts_us(run, server_tls, logs):
    async def main():
        async with serving(answer_twice, ssl=server_tls) as (_, port):
            process = await asyncio.create_subprocess_exec(
                *("curl", "--silent", "--noproxy", "*", f"https://127.0.0.1:{port}/"),
                env=ENVIRONMENT,
                stdin=DEVNULL,
                stdout=DEVNULL,
            )
            async with asyncio.timeout(30):
                return await process.wait()

    assert run(main()) == 60  # "the peer's certificate cannot be authenticated"
    logs.take()


def listens_at(path):
    """Tell whether a server does; its socket is there earlier."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(os.fspath(path)) == 0


@contextlib.asynccontextmanager
async def nginx_in(folder):
    """nginx, which listens at a Unix socket; its path."""
    (folder / "nginx.conf").write_text(CONFIGURATION.format(folder=folder))
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    process = await asyncio.create_subprocess_exec(
        *(program, "-p", folder, "-c", folder / "nginx.conf"),
        env=ENVIRONMENT,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        async with asyncio.timeout(20):
            while not listens_at(folder / "socket"):
                assert process.returncode is None, "nginx has ended"
                await asyncio.sleep(0.01)
        yield folder / "socket"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        process._transport.close()
        await settle()


@nginx
@pytest.mark.parametrize("last", [b"keep-alive", b"close"])
def test_nginx(run, folder, client_tls, last):
    """Files in answer to requests that come together; who closes first."""

    async def main():
        async with nginx_in(folder) as path:
            reader, writer = await asyncio.open_unix_connection(
                path, ssl=client_tls, server_hostname="localhost"
            )
            for connection in b"keep-alive", b"keep-alive", last:
                writer.write(
                    b"GET /content HTTP/1.1\r\nHost: localhost\r\n"
                    b"Connection: %b\r\n\r\n" % connection
                )
            async with asyncio.timeout(30):
                bodies = [await read_body(reader) for _ in range(3)]
                rest = await reader.read() if last == b"close" else b""
                writer.close()
                await writer.wait_closed()
            return bodies, rest

    bodies, rest = run(main())
    assert bodies == [CONTENT] * 3
    assert rest == b""
