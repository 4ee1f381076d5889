"""Scenarios of TLS; scenarios.py imports them."""

import asyncio
import contextlib
import os
import socket
import ssl
import tempfile

import trustme

from tests.leaks.scenarios import with_coroutine

DATA = os.urandom(50_000)


def contexts():
    """A server's and a client's; by files, which trustme's own ways leave behind."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    with tempfile.NamedTemporaryFile() as file:
        cert = authority.issue_cert("localhost")
        file.write(cert.private_key_and_cert_chain_pem.bytes())
        file.flush()
        server.load_cert_chain(file.name)
    return server, client


SERVER, CLIENT = contexts()


class Collect(asyncio.Protocol):
    def __init__(self):
        self.left = len(DATA)
        self.whole = asyncio.get_running_loop().create_future()
        self.lost = asyncio.get_running_loop().create_future()

    def data_received(self, data):
        self.left -= len(data)
        if self.left == 0:
            self.whole.set_result(None)

    def connection_lost(self, exc):
        self.lost.set_result(exc)


class Buffered(asyncio.BufferedProtocol):
    def __init__(self):
        self.collect = Collect()
        self.connection_lost = self.collect.connection_lost

    def get_buffer(self, sizehint):
        return bytearray(10_000)

    def buffer_updated(self, n):
        self.collect.data_received(bytes(n))


async def pair(protocol):
    """(server, client), each (transport, protocol), with the handshake done."""
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    return await asyncio.gather(
        loop.connect_accepted_socket(protocol, left, ssl=SERVER),
        loop.create_connection(
            Collect, sock=right, ssl=CLIENT, server_hostname="localhost"
        ),
    )


@with_coroutine
async def tls_there_and_back():
    (server, there), (client, back) = await pair(Collect)
    client.write(DATA)
    await there.whole
    server.writelines([DATA[:20_000], DATA[20_000:]])
    await back.whole
    client.close()
    await asyncio.gather(there.lost, back.lost)


@with_coroutine
async def tls_of_a_buffered_protocol():
    (server, there), (client, back) = await pair(Buffered)
    client.write(memoryview(DATA))
    await there.collect.whole
    server.abort()
    await asyncio.gather(there.collect.lost, back.lost)


@with_coroutine
async def tls_of_a_wrong_record():
    (_, there), (client, back) = await pair(Collect)
    client.get_extra_info("socket")._sock.send(b"no record at all")
    await asyncio.gather(there.lost, back.lost)


@with_coroutine
async def tls_of_a_handshake_that_fails():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    with left:
        left.send(b"no TLS at all")
        with contextlib.suppress(ssl.SSLError):
            await loop.create_connection(
                Collect, sock=right, ssl=CLIENT, server_hostname="localhost"
            )


@with_coroutine
async def start_tls():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    server, there = await loop.connect_accepted_socket(Collect, left)
    client, back = await loop.create_connection(Collect, sock=right)
    server, client = await asyncio.gather(
        loop.start_tls(server, there, SERVER, server_side=True),
        loop.start_tls(client, back, CLIENT, server_hostname="localhost"),
    )
    client.write(DATA)
    await there.whole
    server.close()
    await asyncio.gather(there.lost, back.lost)


@with_coroutine
async def tls_in_tls():
    """With all that C leaves to asyncio's own methods."""
    loop = asyncio.get_running_loop()
    (server, there), (client, back) = await pair(Collect)
    server, client = await asyncio.gather(
        loop.start_tls(server, there, SERVER, server_side=True),
        loop.start_tls(client, back, CLIENT, server_hostname="localhost"),
    )
    client.set_write_buffer_limits(0)
    server.pause_reading()
    client.write(bytearray(DATA))
    await asyncio.sleep(0.001)
    server.resume_reading()
    await there.whole
    server.writelines([bytearray(DATA)])
    await back.whole
    server.close()
    await asyncio.gather(there.lost, back.lost)
