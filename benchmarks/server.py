"""A server of the network cases, in a process of its own.

    python benchmarks/server.py LOOP KIND SIZE [PATH]

Prints the port it listens on at 127.0.0.1 (0 when PATH names a Unix socket) and serves
until it is killed, 120 s at most. A KIND that begins with tls_ is that kind over TLS;
PATH then holds its key and certificate.
"""

import asyncio
import mmap
import os
import resource
import signal
import socket
import ssl
import sys
import tempfile

import applications
from loops import new_loop

LIFE_S = 120
PIECE = bytes(64 * 1024)
BACKLOG = 1024


class Echo(asyncio.Protocol):
    """Sends back what it gets."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class TwoWrites(asyncio.Protocol):
    """Answers a request of `size` bytes with a head and a body."""

    head = b"h" * 128
    body = b"b" * 1024

    def __init__(self, size):
        self.size = size
        self.got = 0

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.got += len(data)
        while self.got >= self.size:
            self.got -= self.size
            self.transport.write(self.head)
            self.transport.write(self.body)


class Swallow(asyncio.Protocol):
    """Answers every `size` bytes with one."""

    def __init__(self, size):
        self.size = size
        self.got = 0

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.got += len(data)
        while self.got >= self.size:
            self.got -= self.size
            self.transport.write(b"k")


class SwallowBuffered(asyncio.BufferedProtocol):
    """Answers every `size` bytes with one, and receives into a buffer of its own.

    It begins with a page: where malloc puts a bytearray decides a third of the cost.
    """

    def __init__(self, size):
        self.size = size
        self.got = 0
        self.buffer = mmap.mmap(-1, len(PIECE))

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, n):
        self.got += n
        while self.got >= self.size:
            self.got -= self.size
            self.transport.write(b"k")


class Pour(asyncio.Protocol):
    """Answers every byte with `size` bytes, in pieces, as long as it may write."""

    def __init__(self, size, piece):
        self.size = size
        self.piece = piece
        self.left = 0
        self.paused = False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.left += len(data) * self.size
        self.pour()

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False
        self.pour()

    def pour(self):
        while self.left > 0 and not self.paused:
            self.left -= len(self.piece)
            self.transport.write(self.piece)


class Shared(asyncio.Protocol):
    """One object for all connections: what it needs is no connection's memory."""

    def __init__(self):
        self.transports = set()

    def connection_made(self, transport):
        self.transports.add(transport)
        transport.write(b"k")


class EchoDatagram(asyncio.DatagramProtocol):
    """Sends every datagram back to where it came from."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


def exactly(size):
    """A stream handler that echoes messages of `size` bytes."""

    async def handle(reader, writer):
        try:
            while True:
                writer.write(await reader.readexactly(size))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    return handle


def lines(_size):
    """A stream handler that echoes lines."""

    async def handle(reader, writer):
        try:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    return handle


def swallow_stream(size):
    """A stream handler that answers every `size` bytes with one."""

    async def handle(reader, writer):
        got = 0
        try:
            while data := await reader.read(64 * 1024):
                got += len(data)
                while got >= size:
                    got -= size
                    writer.write(b"k")
        except ConnectionError:
            pass
        writer.close()

    return handle


def pour_stream(size):
    """A stream handler that answers every byte with `size` bytes, in pieces."""

    async def handle(reader, writer):
        try:
            while await reader.read(1):
                for _ in range(size // len(PIECE)):
                    writer.write(PIECE)
                    await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    return handle


def send_file(size):
    """A stream handler that answers every byte with a file of `size` bytes."""
    file = tempfile.TemporaryFile(dir="/dev/shm")  # noqa: SIM115 - lives with us
    file.truncate(size)

    async def handle(reader, writer):
        loop = asyncio.get_running_loop()
        try:
            while await reader.read(1):
                await loop.sendfile(writer.transport, file, 0, size)
        except ConnectionError:
            pass
        writer.close()

    return handle


def hold_stream(_size):
    """A stream callback that keeps both streams, and no task."""
    kept = []

    def handle(reader, writer):
        kept.append((reader, writer))
        writer.write(b"k")

    return handle


async def serve_sockets():
    """Echo by sock_recv and sock_sendall, a task a connection."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    listener.setblocking(False)
    tasks = set()

    async def echo(connection):
        with connection:
            while data := await loop.sock_recv(connection, 256 * 1024):
                await loop.sock_sendall(connection, data)

    async def accept():
        while True:
            connection, _ = await loop.sock_accept(listener)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(echo(connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    ready(listener.getsockname()[1])
    await accept()


async def serve_uvicorn():
    """uvicorn with an ASGI application that says hello."""
    body = b"Hello, world!"
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    await applications.under_uvicorn(application, ready)


async def serve_fastapi_hello():
    """uvicorn with a FastAPI application that says hello."""
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    application = FastAPI()

    @application.get("/", response_class=PlainTextResponse)
    async def hello():
        return "Hello, world!"

    await applications.under_uvicorn(application, ready)


async def serve_aiohttp():
    """aiohttp's server with a handler that says hello."""
    from aiohttp import web

    async def hello(request):
        return web.Response(text="Hello, world!")

    application = web.Application()
    application.router.add_get("/", hello)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=BACKLOG).start()
    ready(runner.addresses[0][1])
    await asyncio.Event().wait()


async def serve_websockets():
    """The websockets package, echoing messages."""
    from websockets.asyncio.server import serve

    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        ready(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()


def always(protocol):
    """A factory that gives the same protocol again and again."""
    return lambda: protocol


PROTOCOLS = {
    "proto": lambda size: Echo,
    "two_writes": lambda size: lambda: TwoWrites(size),
    "swallow": lambda size: lambda: Swallow(size),
    "swallow_buffered": lambda size: lambda: SwallowBuffered(size),
    "pour": lambda size: lambda: Pour(size, PIECE[:1024]),
    "hold": lambda size: always(Shared()),
}
STREAMS = {
    "exact": exactly,
    "line": lines,
    "swallow_stream": swallow_stream,
    "pour_stream": pour_stream,
    "send_file": send_file,
    "hold_stream": hold_stream,
}
SERVERS = {
    "sock": serve_sockets,
    "uvicorn": serve_uvicorn,
    "fastapi_hello": serve_fastapi_hello,
    "aiohttp": serve_aiohttp,
    "websockets": serve_websockets,
}


def ready(port):
    """Tell the one who started us where we listen."""
    if "BENCHMARK_SHARE" in os.environ:
        from scenarios import _share

        _share.start()
    print(port, flush=True)


def tls_of(path):
    """A server's context with the key and the certificate in that file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def serve(kind, size, path):
    """Serve until the process ends."""
    loop = asyncio.get_running_loop()
    options = {"backlog": BACKLOG}
    if kind.startswith("tls_"):
        kind = kind.removeprefix("tls_")
        options["ssl"], path = tls_of(path), None
    if kind in SERVERS:
        await SERVERS[kind]()
        return
    if kind in applications.SERVERS:
        await applications.SERVERS[kind](ready)
        return
    if kind == "datagram":
        transport, _ = await loop.create_datagram_endpoint(
            EchoDatagram, local_addr=("127.0.0.1", 0)
        )
        ready(transport.get_extra_info("sockname")[1])
        await asyncio.Event().wait()
    if kind in STREAMS:
        server = await asyncio.start_server(
            STREAMS[kind](size), "127.0.0.1", 0, **options
        )
    else:
        factory = PROTOCOLS[kind](size)
        if path:
            server = await loop.create_unix_server(factory, path, **options)
        else:
            server = await loop.create_server(factory, "127.0.0.1", 0, **options)
    ready(0 if path else server.sockets[0].getsockname()[1])
    await asyncio.Event().wait()


def serve_on_floor(kind, size, path):
    """Serve by what is in c/floor_server.c."""
    from benchmark_floor_server import serve as serve_fd

    if path:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(BACKLOG)
    else:
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    listener.setblocking(False)
    ready(0 if path else listener.getsockname()[1])
    serve_fd(listener.fileno(), (PROTOCOLS | STREAMS)[kind](size), kind in STREAMS)


def main(loop_name, kind, size, path=None):
    """Run the server named on the command line."""
    signal.alarm(LIFE_S)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if loop_name == "floor":
        serve_on_floor(kind, int(size), path)
        return
    loop = new_loop(loop_name)
    loop.run_until_complete(serve(kind, int(size), path))


if __name__ == "__main__":
    main(*sys.argv[1:])
