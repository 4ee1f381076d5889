"""Ten thousand connections at once, and peers that send byte by byte."""

import asyncio
import gc
import os
import resource
import subprocess
import sys

import pytest

from tests.net.helpers import Recorder, settle
from tests.support import until

WANTED = 10_000

# Connects, sends a line on each connection, reads all answers, closes on "close".
CLIENT = """
import resource, socket, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
socks = []
for n in range(count):
    socks.append(socket.create_connection(("127.0.0.1", port)))
    socks[-1].sendall(b"%05d" % n)
right = sum(sock.recv(5) == b"%05d" % n for n, sock in enumerate(socks))
print(right, flush=True)
sys.stdin.readline()
for sock in socks:
    sock.close()
"""


@pytest.fixture
def room():
    """The soft limit of file descriptors is the hard one; how many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield min(WANTED, hard - 100)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Echo(asyncio.Protocol):
    __slots__ = ("server", "transport")

    def __init__(self, server):
        self.server = server

    def connection_made(self, transport):
        self.transport = transport
        self.server.add(self)

    def data_received(self, data):
        self.transport.write(data)

    def connection_lost(self, exc):
        self.server.discard(self)


@pytest.mark.timeout(150)
def test_ten_thousand_connections(run, room):
    """All are answered; all are gone when their peers are, also from the kernel."""

    async def main():
        loop = asyncio.get_running_loop()
        connections = set()
        server = await loop.create_server(
            lambda: Echo(connections), "127.0.0.1", 0, backlog=1000
        )
        port = server.sockets[0].getsockname()[1]
        n_fds = len(os.listdir("/proc/self/fd"))
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CLIENT, str(port), str(room)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        answered = int(await client.stdout.readline())
        at_once = len(connections)
        await client.communicate(b"close\n")
        await until(lambda: not connections, timeout=60)
        await settle()
        gc.collect()
        n_left = len(os.listdir("/proc/self/fd")) - n_fds
        server.close()
        await server.wait_closed()
        return answered, at_once, n_left

    assert run(main()) == (room, room, 0)


def test_a_peer_that_sends_byte_by_byte(run):
    data = os.urandom(500)

    async def main():
        loop = asyncio.get_running_loop()
        received = []

        def factory():
            received.append(Recorder())
            return received[-1]

        server = await loop.create_server(factory, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for n in range(len(data)):
            writer.write(data[n : n + 1])
            await asyncio.sleep(0)
        await until(lambda: received and len(received[0].data) == len(data))
        writer.close()
        await writer.wait_closed()
        await received[0].closed
        server.close()
        await server.wait_closed()
        return bytes(received[0].data) == data

    assert run(main())
