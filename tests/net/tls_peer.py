"""A peer of a TLS transport that has its records in hand."""

import asyncio
import contextlib
import socket
import ssl

from tests.net.helpers import settle

VERSIONS = ["TLSv1_2", "TLSv1_3"]


class Peer:
    """A client's ssl.SSLObject and a socket; what goes over it is in our hands."""

    def __init__(self, sock, context, version=None):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        if version is not None:
            context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        self.tls = context.wrap_bio(
            self.incoming, self.outgoing, server_hostname="127.0.0.1"
        )

    async def send(self, data=b"", piece=None):
        """The records of data, in pieces of that many bytes."""
        if data:
            self.tls.write(data)
        await self.send_raw(self.outgoing.read(), piece)

    async def send_raw(self, raw, piece=None):
        loop = asyncio.get_running_loop()
        for start in range(0, len(raw), piece or max(1, len(raw))):
            await loop.sock_sendall(self.sock, raw[start:][: piece or len(raw)])
            if piece:
                await asyncio.sleep(0)

    async def more(self):
        """Whether anything came."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            raw = await loop.sock_recv(self.sock, 1 << 18)
        self.incoming.write(raw)
        return bool(raw)

    async def handshake(self, piece=None):
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
                return await self.send(piece=piece)
            await self.send(piece=piece)
            assert await self.more()

    async def read(self, size):
        """So many bytes of plain text."""
        got = b""
        while len(got) < size:
            try:
                got += self.tls.read(size - len(got))
            except ssl.SSLWantReadError:
                assert await self.more()
        return got


@contextlib.asynccontextmanager
async def peer_of(protocol, server_tls, authority, version=None, piece=None, **options):
    """A peer and the transport's protocol, connected, with the handshake done."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    right.setblocking(False)
    with right:
        peer = Peer(right, context, version)
        accepting = loop.create_task(
            loop.connect_accepted_socket(protocol, left, ssl=server_tls, **options)
        )
        await peer.handshake(piece)
        transport, made = await accepting
        try:
            yield peer, made
        finally:
            transport.abort()
            await settle()
