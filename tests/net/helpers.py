"""Servers and protocols that the network tests share."""

import asyncio
import contextlib
import os
import pathlib
import socket
from asyncio import selector_events

import pytest

# In asyncio's early patch releases only streams can pause, and a pause in
# connection_made is lost.
PAUSES = (
    selector_events._SelectorDatagramTransport.is_reading
    is not asyncio.ReadTransport.is_reading
)
needs_pausing = pytest.mark.skipif(
    not PAUSES, reason="what asyncio's early patch releases cannot do"
)


def _knows(path, name):
    try:
        return name in pathlib.Path(path).read_text().split()
    except OSError:
        return False


needs_localhost = pytest.mark.skipif(
    not _knows("/etc/hosts", "localhost"), reason="/etc/hosts names no localhost"
)
needs_services = pytest.mark.skipif(
    not _knows("/etc/services", "http"), reason="/etc/services names no http"
)


async def echo(reader, writer):
    """A connection handler that sends back what it gets, until the end."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(handler=echo, host="127.0.0.1", *, path=None, **options):
    """A stream server on a free port, or at a path; its address.

    Ends only when every handler has, which asyncio does not wait for in 3.11.
    """
    tasks = set()

    async def handle(reader, writer):
        tasks.add(asyncio.current_task())
        await handler(reader, writer)

    if path is None:
        server = await asyncio.start_server(handle, host, 0, **options)
    else:
        server = await asyncio.start_unix_server(handle, path, **options)
    async with server:
        yield server.sockets[0].getsockname()
        if tasks:
            await asyncio.wait(tasks)
    await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def connected(address, **options):
    """A client's streams, closed at the end."""
    reader, writer = await asyncio.open_connection(*address, **options)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


class Recorder(asyncio.Protocol):
    """Notes every call; `closed` is a future set at the connection's end."""

    def __init__(self):
        loop = asyncio.get_running_loop()
        self.calls = []
        self.data = bytearray()
        self.transport = None
        self.closed = loop.create_future()
        self.ended = loop.create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.calls.append("connection_made")

    def data_received(self, data):
        self.data += data
        self.calls.append("data_received")

    def eof_received(self):
        self.calls.append("eof_received")
        if not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, exc):
        self.calls.append("connection_lost")
        if not self.closed.done():
            self.closed.set_result(exc)

    def pause_writing(self):
        self.calls.append("pause_writing")

    def resume_writing(self):
        self.calls.append("resume_writing")


def datagram_socket(family=socket.AF_INET, address=("127.0.0.1", 0)):
    """A datagram socket, not blocking, bound unless address is None."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    if address is not None:
        sock.bind(address)
    return sock


def fill(sock):
    """Sends until the kernel takes no more; how much that was."""
    total = 0
    while True:
        try:
            total += sock.send(bytes(1 << 16))
        except BlockingIOError:
            return total


async def settle():
    """Some turns of the loop."""
    for _ in range(5):
        await asyncio.sleep(0)


def children():
    """The process ids of this process's children, also of those that have ended."""
    found = set()
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            listed = pathlib.Path(f"/proc/self/task/{thread}/children").read_text()
            found.update(map(int, listed.split()))
    return found
