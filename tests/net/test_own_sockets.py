"""Sockets of the program's own: a subclass's methods, and patched ones, are called."""

import asyncio
import socket

import pytest

from tests.net.helpers import Recorder, datagram_socket
from tests.support import until

METHODS = [
    *("accept", "bind", "close", "connect", "connect_ex", "detach", "fileno"),
    *("getpeername", "getsockname", "getsockopt", "gettimeout", "listen"),
    *("recv", "recv_into", "recvfrom", "recvfrom_into"),
    *("send", "sendall", "sendmsg", "sendto"),
    *("setblocking", "setsockopt", "settimeout", "shutdown"),
]
# How often these are called is nobody's affair, and early releases ask more.
UNCOUNTED = {"fileno", "gettimeout", "getsockopt", "setblocking", "settimeout"}


def noting(name, seen):
    """A method that notes its name, then does what socket.socket's does."""
    plain = getattr(socket.socket, name)

    def method(self, *args):
        if name not in UNCOUNTED:
            seen.append(name)
        return plain(self, *args)

    method.__name__ = name
    return method


def subclass(seen):
    """A subclass that has every method."""
    return type("Noting", (socket.socket,), {n: noting(n, seen) for n in METHODS})


def instances(seen):
    """A subclass without methods, whose instances have every method."""

    class Plain(socket.socket):
        def __init__(self, *args, **keywords):
            super().__init__(*args, **keywords)
            for name in METHODS:
                setattr(self, name, noting(name, seen).__get__(self))

    return Plain


WAYS = [subclass, instances]


def tcp_pair(make):
    """A socket made by make, and its peer, connected over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = make()
        ours.connect(listener.getsockname())
        theirs, _ = listener.accept()
    ours.setblocking(False)
    return ours, theirs


async def use_stream(make, seen):
    ours, theirs = tcp_pair(make)
    seen.clear()
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(Recorder, sock=ours)
    transport.get_extra_info("peername")
    transport.write(b"x")
    theirs.send(b"y")
    await until(lambda: protocol.data)
    transport.writelines([b"a", b"b"])
    transport.write_eof()
    assert theirs.recv(9) and theirs.recv(9) in (b"", b"ab")
    theirs.close()
    await protocol.closed


async def use_buffered(make, seen):
    class Buffered(Recorder, asyncio.BufferedProtocol):
        def get_buffer(self, sizehint):
            self.buffer = bytearray(10)
            return self.buffer

        def buffer_updated(self, n):
            self.data += self.buffer[:n]

    ours, theirs = tcp_pair(make)
    seen.clear()
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(Buffered, sock=ours)
    theirs.send(b"y")
    await until(lambda: protocol.data)
    transport.abort()
    await protocol.closed
    theirs.close()


async def use_much(make, seen):
    """What the kernel does not take at once."""
    ours, theirs = tcp_pair(make)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    seen.clear()
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(Recorder, sock=ours)
    transport.write(bytes(1 << 20))
    got = 0
    while got < 1 << 20:
        got += len(await loop.run_in_executor(None, theirs.recv, 1 << 20))
    transport.close()
    await protocol.closed
    theirs.close()


async def use_listener(make, seen):
    listener = make()
    listener.bind(("127.0.0.1", 0))
    seen.clear()
    loop = asyncio.get_running_loop()
    made = []

    def factory():
        made.append(Recorder())
        return made[-1]

    server = await loop.create_server(factory, sock=listener)
    for _ in range(2):
        with socket.create_connection(listener.getsockname()) as client:
            await until(lambda: made and made[-1].transport)
            client.send(b"x")
            await until(lambda: made[-1].data)
        await made.pop().closed
    server.close()
    await asyncio.sleep(0.01)


class Datagrams(Recorder):
    """Notes what it is sent."""

    def datagram_received(self, data, address):
        self.data += data


async def use_datagrams(make, seen):
    ours = make(socket.AF_INET, socket.SOCK_DGRAM)
    ours.setblocking(False)
    ours.bind(("127.0.0.1", 0))
    address = ours.getsockname()

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs:
        theirs.bind(("127.0.0.1", 0))
        seen.clear()
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Datagrams, sock=ours)
        transport.sendto(b"x", theirs.getsockname())
        assert theirs.recv(9) == b"x"
        theirs.sendto(b"y", address)
        await until(lambda: protocol.data)
        transport.close()
        await protocol.closed


async def use_connected_datagrams(make, seen):
    ours = make(socket.AF_INET, socket.SOCK_DGRAM)
    ours.setblocking(False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs:
        theirs.bind(("127.0.0.1", 0))
        ours.connect(theirs.getsockname())
        seen.clear()
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Recorder, sock=ours)
        transport.sendto(b"x")
        assert theirs.recv(9) == b"x"
        transport.close()
        await protocol.closed


async def use_operations(make, seen):
    loop = asyncio.get_running_loop()
    with make() as listener, make() as client:
        listener.setblocking(False)
        client.setblocking(False)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = listener.getsockname()
        seen.clear()
        await loop.sock_connect(client, address)
        accepted, _ = await loop.sock_accept(listener)
        with accepted:
            accepted.send(b"xy")
            assert await loop.sock_recv(client, 1) == b"x"
            assert await loop.sock_recv_into(client, bytearray(1)) == 1
            await loop.sock_sendall(client, b"z")
            assert accepted.recv(9) == b"z"
    with make(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.setblocking(False)
        datagrams.bind(("127.0.0.1", 0))
        address = datagrams.getsockname()
        await loop.sock_sendto(datagrams, b"x", address)
        await loop.sock_recvfrom(datagrams, 9)
        await loop.sock_sendto(datagrams, b"x", address)
        await loop.sock_recvfrom_into(datagrams, bytearray(9))


USES = [
    use_stream,
    use_buffered,
    use_much,
    use_listener,
    use_datagrams,
    use_connected_datagrams,
    use_operations,
]


def calls(use, way, factory):
    """The methods that the use of such sockets calls on a loop, sorted."""
    seen = []
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(use(way(seen), seen))
    return sorted(set(seen))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("way", WAYS)
def test_methods_are_called(loop_factory, way, use):
    assert calls(use, way, loop_factory) == calls(use, way, asyncio.new_event_loop)


def patch_all(monkeypatch, seen):
    """Has socket.socket note the calls of all its methods that count."""
    for name in METHODS:
        if name not in UNCOUNTED:
            monkeypatch.setattr(socket.socket, name, noting(name, seen))


def patched_calls(use, factory, monkeypatch):
    """The same, of socket.socket itself, patched once the sockets are there."""
    seen, plain = [], socket.socket

    def make(*args, **keywords):
        sock = plain(*args, **keywords)
        patch_all(monkeypatch, seen)
        return sock

    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(use(make, seen))
    finally:
        monkeypatch.undo()
    return sorted(set(seen))


@pytest.mark.parametrize("use", USES)
def test_patched_methods_are_called(loop_factory, monkeypatch, use):
    expected = patched_calls(use, asyncio.new_event_loop, monkeypatch)
    assert patched_calls(use, loop_factory, monkeypatch) == expected


def test_methods_patched_later_are_called_for_datagrams(run, monkeypatch):
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        with datagram_socket() as theirs:
            ours = datagram_socket()
            address = ours.getsockname()
            transport, protocol = await loop.create_datagram_endpoint(
                Datagrams, sock=ours
            )
            patch_all(monkeypatch, seen)
            transport.sendto(b"x", theirs.getsockname())
            await asyncio.sleep(0)
            monkeypatch.undo()
            assert theirs.recv(9) == b"x"
            theirs.sendto(b"y", address)
            patch_all(monkeypatch, seen)
            await until(lambda: protocol.data)
            transport.close()
            await protocol.closed
            monkeypatch.undo()

    run(main())
    assert {"sendto", "recvfrom", "close"} <= set(seen)


def test_methods_patched_later_are_not_called_for_streams(fast_loop, monkeypatch):
    """A difference: asyncio calls them from then on."""
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        ours, theirs = tcp_pair(socket.socket)
        transport, protocol = await loop.create_connection(Recorder, sock=ours)
        theirs.send(b"y")
        patch_all(monkeypatch, seen)
        transport.write(b"x")
        await until(lambda: protocol.data)
        transport.close()
        await protocol.closed
        monkeypatch.undo()
        assert theirs.recv(9) == b"x"
        theirs.close()

    fast_loop.run_until_complete(main())
    assert set(seen) == {"close"}
