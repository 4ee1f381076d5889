"""Datagram endpoints that the tests share."""

import asyncio
import socket

LOCAL = ("127.0.0.1", 0)


class Endpoint(asyncio.DatagramProtocol):
    def __init__(self):
        self.got = []
        self.errors = []
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.got.append((data, addr))

    def error_received(self, exc):
        self.errors.append(exc)

    def connection_lost(self, exc):
        self.closed.set_result(exc)


class Echo(Endpoint):
    def datagram_received(self, data, addr):
        super().datagram_received(data, addr)
        self.transport.sendto(data, addr)


async def endpoint(kind=Endpoint, **options):
    loop = asyncio.get_running_loop()
    return await loop.create_datagram_endpoint(kind, **options)


async def close(*transports):
    for transport in transports:
        transport.close()
    await asyncio.gather(*(t.get_protocol().closed for t in transports))


def unix_pair():
    """Two connected datagram sockets; asyncio wants those that have a name."""
    pair = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    for sock in pair:
        sock.setblocking(False)
        sock.bind("")  # a name of the kernel's choice
    left, right = pair
    left.connect(right.getsockname())
    right.connect(left.getsockname())
    return pair


async def blocked(kind=Endpoint):
    """An endpoint whose kernel takes no more, its reader, and what waits."""
    left, right = unix_pair()
    transport, protocol = await endpoint(kind, sock=left)
    n = 0
    while not transport.get_write_buffer_size():
        transport.sendto(b"%d" % n)
        n += 1
    return transport, protocol, right, n


def read_all(sock):
    found = []
    while True:
        try:
            found.append(sock.recv(70_000))
        except BlockingIOError:
            return found
