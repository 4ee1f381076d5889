"""Transports whose writes the tests look at: over a pair, and accepted by a server."""

import asyncio
import socket

from tests.net.helpers import Recorder
from tests.support import until


class Joined:
    """A transport over one end of a pair of sockets that keep packets apart."""

    def __init__(self, protocol=None, kind=socket.SOCK_SEQPACKET):
        left, self.right = socket.socketpair(socket.AF_UNIX, kind)
        left.setblocking(False)
        self.right.setblocking(False)
        loop = asyncio.get_running_loop()
        self.protocol = protocol or Recorder()
        self.waiter = loop.create_future()
        self.transport = loop._make_socket_transport(left, self.protocol, self.waiter)

    async def __aenter__(self):
        await self.waiter
        return self

    async def __aexit__(self, *exc_info):
        self.transport.abort()
        await self.protocol.closed
        self.right.close()

    def packets(self):
        """What has arrived, packet by packet."""
        found = []
        while True:
            try:
                found.append(self.right.recv(1 << 20))
            except BlockingIOError:
                return found


class Accepted:
    """A connection that a server accepted, and its client's socket.

    taught: the server's transport has written twice in a step.
    """

    def __init__(self, path=None, *, taught=True, protocol=Recorder):
        self.path, self.taught, self.make_protocol = path, taught, protocol

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        made = loop.create_future()
        make_protocol = self.make_protocol

        class Protocol(make_protocol):
            def connection_made(self, transport):
                super().connection_made(transport)
                made.set_result(self)

        if self.path is None:
            self.server = await loop.create_server(Protocol, "127.0.0.1", 0)
            self.right = socket.socket()
        else:
            self.server = await loop.create_unix_server(Protocol, self.path)
            self.right = socket.socket(socket.AF_UNIX)
        self.right.setblocking(False)
        await loop.sock_connect(self.right, self.server.sockets[0].getsockname())
        self.protocol = await made
        self.transport = self.protocol.transport
        self.socket = self.transport.get_extra_info("socket")
        if self.taught:
            await self.teach()
        return self

    async def teach(self, times=2):
        """A step that writes some times; what came of it is read."""
        await asyncio.sleep(0)
        for _ in range(times):
            self.transport.write(b"?")
        await asyncio.sleep(0)
        await until(lambda: self.arrived())

    async def __aexit__(self, *exc_info):
        self.transport.abort()
        await self.protocol.closed
        self.right.close()
        self.server.close()
        await self.server.wait_closed()

    def arrived(self):
        """What the client has now; None if nothing, and b"" at the end."""
        try:
            return self.right.recv(1 << 20)
        except BlockingIOError:
            return None
