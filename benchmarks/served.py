"""Count what a request costs a server: instructions, or system calls.

    python benchmarks/served.py fastloop                     all servers that can be had
    python benchmarks/served.py asyncio,fastloop tcp,two_writes --calls

The client is this process; the server, another, ends after so many requests, one after
another on one connection. A figure is the difference between a long and a short run,
divided by the difference of their lengths. `--calls` counts system calls instead.
"""

import argparse
import asyncio
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from loops import new_loop

SHORT, LONG = 200, 800
PAYLOAD = b"x" * 100
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
FRAME = b"\x81\x84\0\0\0\0ping"  # a masked text frame
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
kept = []  # what serves


class Left:
    """How many requests are left; ends the process after the last."""

    def __init__(self, n):
        self.n = n

    def one(self):
        """A request was answered."""
        self.n -= 1
        if self.n == 0:
            asyncio.get_running_loop().call_later(0.05, os._exit, 0)


class Echo(asyncio.Protocol):
    """Answers what comes by itself, in pieces."""

    def __init__(self, left, pieces=1):
        self.left, self.pieces = left, pieces

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        for _ in range(self.pieces):
            self.transport.write(data)
        self.left.one()


class Datagrams(asyncio.DatagramProtocol):
    """Sends each datagram back."""

    def __init__(self, left):
        self.left = left

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)
        self.left.one()


def listening(family=socket.AF_INET, kind=socket.SOCK_STREAM):
    """A socket to be found by its printed address."""
    names_tcp = family == socket.AF_INET and kind == socket.SOCK_STREAM
    # or asyncio would not set TCP_NODELAY
    sock = socket.socket(family, kind, socket.IPPROTO_TCP if names_tcp else 0)
    path = Path(tempfile.mkdtemp()) / "s"
    sock.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(path))
    if kind == socket.SOCK_STREAM:
        sock.listen(10)
    sock.setblocking(False)
    return sock


async def tcp(left, pieces=1, family=socket.AF_INET):
    """An echo."""
    sock = listening(family)
    loop = asyncio.get_running_loop()
    if family == socket.AF_INET:
        await loop.create_server(lambda: Echo(left, pieces), sock=sock)
    else:
        await loop.create_unix_server(lambda: Echo(left, pieces), sock=sock)
    return sock


async def two_writes(left):
    """Head and body of an answer apart."""
    return await tcp(left, 2)


async def unix(left):
    """An echo over a Unix socket."""
    return await tcp(left, family=socket.AF_UNIX)


async def streams(left):
    """An echo by asyncio's streams."""
    sock = listening()

    async def serve(reader, writer):
        while data := await reader.read(1000):
            writer.write(data)
            await writer.drain()
            left.one()

    await asyncio.start_server(serve, sock=sock)
    return sock


async def in_sixteens(left, read):
    """An echo by streams of what comes in sixteens: 64 bytes at a time."""
    sock = listening()

    async def serve(reader, writer):
        count = 0
        while data := await read(reader):
            writer.write(data)
            await writer.drain()
            count += 1
            if count % 16 == 0:
                left.one()

    await asyncio.start_server(serve, sock=sock)
    return sock


async def exactly(left):
    """By readexactly(); a request is sixteen of 64 bytes."""
    return await in_sixteens(left, lambda reader: reader.readexactly(64))


async def lines(left):
    """By readline(); a request is sixteen of 64 bytes."""
    return await in_sixteens(left, lambda reader: reader.readline())


async def sockets(left):
    """An echo by sock_recv() and sock_sendall()."""
    sock = listening()
    loop = asyncio.get_running_loop()

    async def accept():
        connection, _ = await loop.sock_accept(sock)
        while data := await loop.sock_recv(connection, 1000):
            await loop.sock_sendall(connection, data)
            left.one()

    kept.append(asyncio.ensure_future(accept()))
    return sock


async def udp(left):
    """An echo of datagrams."""
    sock = listening(kind=socket.SOCK_DGRAM)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: Datagrams(left), sock=sock)
    return sock


async def pipes(left):
    """From a pipe to a pipe: standard input and the third descriptor."""
    loop = asyncio.get_running_loop()
    echo = Echo(left)
    await loop.connect_read_pipe(lambda: echo, os.fdopen(0, "rb", 0))
    writing = os.fdopen(int(os.environ["ANSWERS"]), "wb", 0)
    echo.transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, writing)
    return None


async def uvicorn(left):
    """An ASGI application."""

    async def app(scope, receive, send):
        headers = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"pong"})
        left.one()

    return under_uvicorn(app)


def under_uvicorn(app):
    """The listening socket."""
    from uvicorn import Config, Server

    sock = listening()
    config = Config(app, lifespan="off", log_level="critical", access_log=False)
    kept.append(asyncio.ensure_future(Server(config).serve(sockets=[sock])))
    return sock


async def fastapi(left):
    """FastAPI, as applications.py has it."""
    from applications import fastapi_application

    app = fastapi_application()

    @app.get("/")
    async def hello() -> str:
        left.one()
        return "pong"

    return under_uvicorn(app)


async def aiohttp(left):
    """A handler of aiohttp's server."""
    from aiohttp import web

    async def handle(request):
        left.one()
        return web.Response(body=b"pong")

    sock = listening()
    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.SockSite(runner, sock).start()
    return sock


async def websockets(left):
    """An echo of messages."""
    from websockets.asyncio.server import serve

    async def handle(connection):
        async for message in connection:
            await connection.send(message)
            left.one()

    sock = listening()
    kept.append(await serve(handle, sock=sock, compression=None, ping_interval=None))
    return sock


SERVERS = {
    serve.__name__: serve
    for serve in (
        tcp, two_writes, streams, exactly, lines, sockets, unix, udp, pipes,
        uvicorn, fastapi, aiohttp, websockets,
    )
}  # fmt: skip


def serve(loop_name, name, n):
    """The server's process."""
    loop = new_loop(loop_name)

    async def main():
        sock = await SERVERS[name](Left(n))
        print(repr(sock.getsockname() if sock else None), flush=True)
        await asyncio.Event().wait()

    asyncio.set_event_loop(loop)
    loop.run_until_complete(main())


def ask(name, address, answers, requests, n):
    """The client: n requests, each answered before the next."""
    if name == "pipes":
        for _ in range(n):
            requests.write(PAYLOAD)
            os.read(answers, 1000)
        return
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    kind = socket.SOCK_DGRAM if name == "udp" else socket.SOCK_STREAM
    with socket.socket(family, kind) as sock:
        sock.settimeout(60)
        sock.connect(address)
        request, end = PAYLOAD, 100
        if name in ("uvicorn", "aiohttp"):
            request, end = GET, b"pong"
        elif name == "fastapi":
            request, end = GET, b'"pong"'  # as JSON
        elif name == "two_writes":
            end = 200
        elif name in ("exactly", "lines"):
            request, end = (b"x" * 63 + b"\n") * 16, 1024
        elif name == "websockets":
            sock.sendall(UPGRADE)
            while not sock.recv(1000).endswith(b"\r\n\r\n"):
                pass
            request, end = FRAME, b"ping"
        for _ in range(n):
            sock.sendall(request)
            came = b""
            while not (
                came.endswith(end) if isinstance(end, bytes) else len(came) == end
            ):
                came += sock.recv(1000)


def run(loop_name, name, n, calls):
    """Instructions or system calls of a run; RuntimeError if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "out")
        watch = (
            ["strace", "-f", "-c", "-o", out]
            if calls
            else ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        )
        answers, writing = os.pipe()
        server = subprocess.Popen(
            [*watch, sys.executable, __file__, "--serve", loop_name, name, str(n)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[writing],
            env={**os.environ, "PYTHONHASHSEED": "0", "ANSWERS": str(writing)},
            bufsize=0,
        )
        os.close(writing)
        said = server.stdout.readline()
        if not said:
            lines = server.communicate()[1].decode().strip().splitlines()
            errors = [line for line in lines if not line.startswith("==")]
            raise RuntimeError(errors[-1] if errors else "no server")
        ask(name, eval(said), answers, server.stdin, n)
        told = server.communicate(timeout=60)[1].decode()
        os.close(answers)
        if calls:
            told = Path(out).read_text()
            return int(re.search(r"^100.00\s+\S+\s+(?:\d+\s+)?(\d+)\s", told, re.M)[1])
        return int(re.search(r"Collected : (\d+)", told)[1])


def count(loop_name, name, calls):
    """Of a request."""
    short, long = (run(loop_name, name, n, calls) for n in (SHORT, LONG))
    return (long - short) / (LONG - SHORT)


def main():
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("loops", help="names, with commas between")
    parser.add_argument("servers", nargs="?", help="of " + ", ".join(SERVERS))
    parser.add_argument("n", nargs="?", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--calls", action="store_true", help="system calls instead")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.loops, given.servers, given.n)
        return
    for name in (given.servers or ",".join(SERVERS)).split(","):
        for loop_name in given.loops.split(","):
            try:
                found = f"{count(loop_name, name, given.calls):.2f}"
            except RuntimeError as error:
                found = f"n/a ({error})"
            print(f"{name:12} {loop_name:10} {found}", flush=True)


if __name__ == "__main__":
    main()
