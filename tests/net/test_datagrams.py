"""UDP, Unix and netlink datagram endpoints."""

import asyncio
import os
import socket
import sys
import tempfile

import pytest

from tests.support import outcome, until

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


@pytest.mark.parametrize("is_connected", [True, False])
def test_echo(run, is_connected):
    async def main():
        server, _ = await endpoint(Echo, local_addr=LOCAL)
        address = server.get_extra_info("sockname")
        if is_connected:
            client, protocol = await endpoint(remote_addr=address)
        else:
            client, protocol = await endpoint(local_addr=LOCAL)
        for n in range(5):
            args = () if is_connected else (address,)
            client.sendto(b"%d" % n, *args)
            await until(lambda n=n: len(protocol.got) == n + 1)
        await close(client, server)
        return [data for data, _ in protocol.got], {addr for _, addr in protocol.got}

    data, addresses = run(main())
    assert data == [b"0", b"1", b"2", b"3", b"4"]
    assert len(addresses) == 1


def test_many_at_once(run):
    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        for n in range(50):
            client.sendto(b"%d" % n)
        await until(lambda: len(protocol.got) == 50)
        await close(client, server)
        return [int(data) for data, _ in protocol.got]

    assert run(main()) == list(range(50))


def test_empty_datagrams(run):
    """Delivered from 3.12 on; 3.11 neither sends nor tells of them."""

    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        client.sendto(b"")
        client.sendto(b"after")
        await until(lambda: (b"after") in [data for data, _ in protocol.got])
        await close(client, server)
        return [data for data, _ in protocol.got]

    theirs = asyncio.run(main())
    assert run(main()) == theirs
    assert b"after" in theirs


def test_large_and_too_large(run):
    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        address = server.get_extra_info("sockname")
        client, mine = await endpoint(local_addr=LOCAL)
        client.sendto(bytes(60_000), address)
        await until(lambda: protocol.got)
        client.sendto(bytes(70_000), address)
        await until(lambda: mine.errors or mine.closed.done())
        await close(client, server)
        return len(protocol.got[0][0]), [exc.errno for exc in mine.errors]

    import errno

    assert run(main()) == (60_000, [errno.EMSGSIZE])


def test_a_port_nobody_listens_on(run):
    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(LOCAL)
            address = sock.getsockname()
        client, protocol = await endpoint(remote_addr=address)
        client.sendto(b"anyone?")
        await until(lambda: protocol.errors)
        await close(client)
        return [type(exc) for exc in protocol.errors]

    assert run(main()) == [ConnectionRefusedError]


def test_wrong_arguments(run):
    async def main():
        server, _ = await endpoint(local_addr=LOCAL)
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        found = [
            outcome(client.sendto, "text")[1],
            outcome(client.sendto, b"x", ("127.0.0.1", 9))[1],
        ]
        await close(client, server)
        with pytest.raises(ValueError, match="unexpected address family"):
            await endpoint()
        return found

    assert run(main()) == [TypeError, ValueError]


def test_abort(run):
    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        server.abort()
        assert await protocol.closed is None
        return server.is_closing()

    assert run(main())


def test_extra_info_and_class(run):
    kind = (
        asyncio.DatagramTransport
        if sys.version_info >= (3, 12)
        else asyncio.BaseTransport
    )

    async def main():
        server, _ = await endpoint(local_addr=LOCAL)
        found = (
            isinstance(server, kind),
            server.get_extra_info("sockname")[0],
            isinstance(server.get_extra_info("socket"), asyncio.trsock.TransportSocket),
        )
        await close(server)
        return found

    assert run(main()) == (True, "127.0.0.1", True)


def test_a_socket_given(run):
    async def main():
        left, right = unix_pair()
        transport, protocol = await endpoint(sock=left)
        right.send(b"given")
        await until(lambda: protocol.got)
        transport.sendto(b"back")
        answer = right.recv(100)
        await close(transport)
        right.close()
        return protocol.got[0][0], answer

    assert run(main()) == (b"given", b"back")


def test_unix_datagrams(run):
    async def main():
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in "ab"]
            server, protocol = await endpoint(
                Echo, local_addr=paths[0], family=socket.AF_UNIX
            )
            client, mine = await endpoint(
                local_addr=paths[1], remote_addr=paths[0], family=socket.AF_UNIX
            )
            client.sendto(b"unix")
            await until(lambda: mine.got)
            await close(client, server)
            return protocol.got[0][0], mine.got[0][0]

    assert run(main()) == (b"unix", b"unix")


def test_netlink(run):
    """Refused by older Pythons, and then by ours; else as any datagram socket."""

    async def main():
        try:
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        except OSError:
            return "no netlink here"
        sock.setblocking(False)
        try:
            transport, _ = await endpoint(sock=sock)
        except ValueError as exc:
            sock.close()
            return str(exc).split(",")[0]
        await close(transport)
        return "endpoint"

    assert run(main()) == asyncio.run(main())


def test_reuse_port_and_broadcast(run):
    async def main():
        first, _ = await endpoint(
            local_addr=LOCAL, reuse_port=True, allow_broadcast=True
        )
        address = first.get_extra_info("sockname")
        second, _ = await endpoint(local_addr=address, reuse_port=True)
        sock = first.get_extra_info("socket")
        found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
        await close(first, second)
        return found

    assert run(main()) == 1


def test_a_protocol_that_raises(run, logs):
    class Fails(Endpoint):
        def datagram_received(self, data, addr):
            raise ValueError("in datagram_received")

    async def main():
        server, protocol = await endpoint(Fails, local_addr=LOCAL)
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        client.sendto(b"x")
        await until(lambda: protocol.closed.done() or logs.records)
        server.close()
        await protocol.closed
        await close(client)

    run(main())
    assert "in datagram_received" in logs.take_text()


def test_flow_control(run):
    """A full socket buffer queues, and pauses the protocol."""

    class Counts(Endpoint):
        paused = resumed = 0

        def pause_writing(self):
            self.paused += 1

        def resume_writing(self):
            self.resumed += 1

    async def main():
        left, right = unix_pair()
        transport, protocol = await endpoint(Counts, sock=left)
        transport.set_write_buffer_limits(high=20_000)
        n_sent = 0
        while not protocol.paused:
            transport.sendto(bytes(1000))
            n_sent += 1
        assert transport.get_write_buffer_size() > 20_000
        n_got = 0
        loop = asyncio.get_running_loop()
        while n_got < n_sent:
            await loop.sock_recv(right, 2000)
            n_got += 1
        await until(lambda: protocol.resumed)
        await close(transport)
        right.close()
        return protocol.paused, protocol.resumed

    assert run(main()) == (1, 1)
