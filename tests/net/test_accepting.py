"""Accepting connections: contexts, failing factories, servers that end meanwhile."""

import asyncio
import contextvars
import errno
import gc
import os
import socket

import pytest

from tests.net.helpers import Recorder
from tests.support import run_child, run_once, until


async def serve(factory, **options):
    """A server on a free port of the loopback, and its address."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(factory, "127.0.0.1", 0, **options)
    return server, server.sockets[0].getsockname()


async def finish(server, *transports):
    """Ends the server; its connections are closed already."""
    for transport in transports:
        transport.close()
    server.close()
    await asyncio.sleep(0.01)


def test_each_connection_has_a_context_of_its_own(run):
    name = contextvars.ContextVar("name", default="nobody")
    seen = []

    class Looks(Recorder):
        def connection_made(self, transport):
            seen.append(("made", name.get()))
            super().connection_made(transport)

        def data_received(self, data):
            seen.append(("data", name.get()))
            name.set("from data")
            self.transport.close()

    def factory():
        seen.append(("factory", name.get()))
        name.set("from the factory")
        return Looks()

    async def main():
        name.set("server")
        server, address = await serve(factory)
        name.set("later")
        for _ in range(2):
            with socket.create_connection(address) as sock:
                n = len(seen)
                sock.send(b"x")
                await until(lambda n=n: len(seen) == n + 3)
        await finish(server)

    run(main())
    once = [
        ("factory", "server"),
        ("made", "from the factory"),
        ("data", "from the factory"),
    ]
    assert seen == once * 2


def test_what_a_server_knows_of_its_client(run):
    protocols = []

    def factory():
        protocols.append(Recorder())
        return protocols[-1]

    async def main():
        server, address = await serve(factory)
        with socket.create_connection(address) as sock:
            await until(lambda: protocols and protocols[0].transport)
            transport = protocols[0].transport
            assert transport.get_extra_info("peername") == sock.getsockname()
            assert transport.get_extra_info("sockname") == address
            seen = transport.get_extra_info("socket")
            assert (seen.family, seen.type) == (socket.AF_INET, socket.SOCK_STREAM)
            assert seen.gettimeout() == 0
            assert seen.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not transport._sock.get_inheritable()
            await finish(server, transport)

    run(main())


def test_a_factory_that_raises_ends_that_connection_only(run, unraisable):
    n_calls = 0

    async def main():
        def factory():
            nonlocal n_calls
            n_calls += 1
            if n_calls == 1:
                raise ValueError("not this one")
            return Recorder()

        server, address = await serve(factory)
        loop = asyncio.get_running_loop()
        for _ in range(2):
            sock = socket.socket()
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
            before = n_calls
            sock.close()
            await until(lambda before=before: n_calls >= max(before, 1))
        await until(lambda: n_calls == 2)
        await finish(server)

    run(main())
    gc.collect()
    unraisable.take()  # asyncio leaves the refused socket to the collector


def fails():
    raise ValueError("no")


@pytest.mark.parametrize("factory", [fails, lambda: None, int])
def test_the_refused_connection_is_closed(fast_loop, unraisable, factory):
    async def main():
        server, address = await serve(factory)
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
            assert await loop.sock_recv(sock, 10) == b""
        await finish(server)

    fast_loop.run_until_complete(main())
    gc.collect()
    unraisable.take()  # who has no protocol says that he was not closed


def test_a_server_closed_by_its_factory_accepts_no_more(fast_loop, unraisable):
    async def main():
        calls = []

        def factory():
            calls.append(None)
            if len(calls) == 2:
                server.close()
            return asyncio.Protocol()

        server, address = await serve(factory)
        clients = [socket.create_connection(address) for _ in range(4)]
        await until(lambda: len(calls) == 2)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(calls) == 2
        for client in clients:
            client.close()
        await server.wait_closed()

    fast_loop.run_until_complete(main())
    gc.collect()
    unraisable.take()  # the second one's transport, which nobody closed


def test_keyboard_interrupt_in_a_factory_leaves_the_loop(loop, logs, unraisable):
    def factory():
        raise KeyboardInterrupt

    server, address = loop.run_until_complete(serve(factory))
    sock = socket.create_connection(address)
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(asyncio.sleep(5))
    sock.close()
    loop.run_until_complete(finish(server))
    gc.collect()
    logs.take()  # asyncio's task, and the socket that it leaves to the collector
    unraisable.take()


def test_a_server_closed_in_a_factory(run, unraisable):
    protocols = []

    async def main():
        def factory():
            server.close()
            protocols.append(Recorder())
            return protocols[-1]

        server, address = await serve(factory)
        socks = [socket.create_connection(address) for _ in range(3)]
        await until(lambda: protocols)
        await asyncio.sleep(0.01)
        for sock in socks:
            sock.close()
        for protocol in protocols:
            if protocol.transport:
                protocol.transport.close()
        await asyncio.sleep(0.01)

    run(main())
    gc.collect()
    unraisable.take()  # asyncio refuses a closed server's connection unclosed


def test_a_closed_server_leaves_the_poller(run):
    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(3):
            server, address = await serve(Recorder)
            fd = server.sockets[0].fileno()
            assert loop._selector.get_key(fd).events == 1
            server.close()
            with pytest.raises(KeyError):
                loop._selector.get_key(fd)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)

    run(main())


def test_a_listening_socket_that_was_shut_down_is_reported_once(fast_loop):
    reports = []
    fast_loop.set_exception_handler(lambda loop, context: reports.append(context))

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as sock:
            server = await fast_loop.create_server(Recorder, sock=sock)
            sock.shutdown(socket.SHUT_RDWR)
            await until(lambda: reports)
            polls = fast_loop.stats()["polls"]
            await asyncio.sleep(0.03)
            assert fast_loop.stats()["polls"] - polls < 10
            server.close()

    fast_loop.run_until_complete(main())
    assert [report["exception"].errno for report in reports] == [errno.EINVAL]


OUT_OF_FDS = """
import asyncio, os, resource, socket
async def main():
    loop = asyncio.get_running_loop()
    reports = []
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    socks = [socket.socket() for _ in range(3)]
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass
    for sock in socks:
        sock.connect(server.sockets[0].getsockname())
    await asyncio.sleep(0.05)
    print(len(reports), reports[0]["exception"].errno, sorted(reports[0]))
    for fd in taken:
        os.close(fd)
    server.close()
    await asyncio.sleep(1.1)
    print(len(reports))
    for sock in socks:
        sock.close()
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""


def test_out_of_fds_is_said_once_and_ends_with_the_server(fast_kind):
    done = run_child(fast_kind, OUT_OF_FDS)
    assert (done.stdout, done.stderr) == (
        "1 24 ['exception', 'message', 'socket']\n1\n",
        "",
    )


async def accept(**options):
    """A server, an accepted connection's protocol, and its client's socket."""
    protocols = []

    def factory():
        protocols.append(Recorder())
        return protocols[0]

    server, address = await serve(factory, **options)
    client = socket.create_connection(address)
    await until(lambda: protocols and protocols[0].transport is not None)
    return server, protocols[0], client


@pytest.mark.parametrize("when", ["open", "closing", "closed"])
def test_the_socket_of_an_accepted_connection(run, when):
    """It is one and the same whenever it is asked for first."""

    async def main():
        server, protocol, client = await accept()
        transport = protocol.transport
        fd = transport._sock_fd
        if when != "open":
            transport.close()
        if when == "closed":
            await protocol.closed
        sock = transport.get_extra_info("socket")
        kind = sock.family, sock.type, sock.proto, sock.gettimeout() in (0.0, None)
        assert sock.fileno() == (-1 if when == "closed" else fd)
        if when == "open":
            assert sock.getpeername() == client.getsockname()
            assert sock.gettimeout() == 0.0
            assert transport._sock.fileno() == fd
        assert transport.get_extra_info("socket") is sock
        transport.close()
        await protocol.closed
        assert transport.get_extra_info("socket") is sock
        assert sock.fileno() == -1
        assert transport._sock is None
        client.close()
        await finish(server)
        return kind[:2]

    assert run(main()) == (socket.AF_INET, socket.SOCK_STREAM)


def test_the_proto_of_an_accepted_connection(run):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            protocols = []

            def factory():
                protocols.append(Recorder())
                return protocols[0]

            loop = asyncio.get_running_loop()
            server = await loop.create_server(factory, sock=listener)
            with socket.create_connection(listener.getsockname()):
                await until(lambda: protocols and protocols[0].transport)
                transport = protocols[0].transport
                proto = transport.get_extra_info("socket").proto
                assert proto == listener.proto
                transport.abort()
                await protocols[0].closed
            await finish(server)

    run(main())


def test_nobody_asks_for_the_socket(run):
    """The fd is closed all the same, and the peer sees the end."""

    async def main():
        server, protocol, client = await accept()
        with client:
            fd = protocol.transport._sock_fd
            client.send(b"x")
            await until(lambda: protocol.data)
            protocol.transport.close()
            await protocol.closed
            assert await asyncio.to_thread(client.recv, 1) == b""
            with pytest.raises(OSError):
                os.fstat(fd)
        await finish(server)

    run(main())


def test_an_accepted_connection_that_nobody_closes(fast_loop):
    """It warns, and its fd is closed."""

    async def main():
        server, protocol, client = await accept()
        with client:
            fd = protocol.transport._sock_fd
            protocol.transport.pause_reading()
            with pytest.warns(ResourceWarning, match="unclosed transport"):
                protocol.transport = None
                gc.collect()
            with pytest.raises(OSError):
                os.fstat(fd)
        await finish(server)

    fast_loop.run_until_complete(main())


def test_a_connection_whose_fd_was_closed_behind_its_back(fast_loop):
    """Asking for its socket gives a closed one."""

    async def main():
        server, protocol, client = await accept()
        with client:
            transport = protocol.transport
            transport.pause_reading()
            os.close(transport._sock_fd)
            sock = transport.get_extra_info("socket")
            assert sock.fileno() == -1
            assert transport.get_extra_info("peername") == client.getsockname()
            transport.write(b"x")
            await protocol.closed
        await finish(server)

    fast_loop.run_until_complete(main())


def test_the_loop_names_the_transport_of_an_fd(run):
    async def main():
        server, protocol, client = await accept()
        with client:
            loop = asyncio.get_running_loop()
            transport = protocol.transport
            fd = transport._sock_fd
            assert loop._transports[fd] is transport
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop.add_reader(fd, print)
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop._ensure_fd_no_transport(fd)
            transport.close()
            loop._ensure_fd_no_transport(fd)
            await protocol.closed
        await finish(server)

    run(main())


@pytest.mark.parametrize("count", [2, 20, 90])
def test_a_burst_is_accepted_at_once(loop, count):
    """In as few iterations as asyncio takes, though it has come at once."""
    made = []

    class Counts(asyncio.Protocol):
        def connection_made(self, transport):
            made.append(transport)

    server = loop.run_until_complete(loop.create_server(Counts, "127.0.0.1", 0))
    address = server.sockets[0].getsockname()
    clients = [socket.create_connection(address) for _ in range(count)]
    iterations = 0
    while len(made) < count:
        run_once(loop)
        iterations += 1
        assert iterations <= 4
    for transport in made:
        transport.abort()
    server.close()
    for client in clients:
        client.close()
    for _ in range(4):
        run_once(loop)


PATCHES = ["class", "method"]


def patched(monkeypatch, how, seen):
    """Has accept() noted: by a class in socket.socket's place, or by a method there."""
    if how == "method":
        accept = socket.socket.accept

        def noting(self):
            seen.append("accept")
            return accept(self)

        monkeypatch.setattr(socket.socket, "accept", noting)
        return

    class Noting(socket.socket):
        def close(self):
            seen.append("close")
            super().close()

    monkeypatch.setattr(socket, "socket", Noting)


@pytest.mark.parametrize("when", ["before", "later"])
@pytest.mark.parametrize("how", PATCHES)
def test_a_patched_class_is_used(run, monkeypatch, how, when):
    seen = []
    client_of = socket.socket

    async def main():
        protocols = []

        def factory():
            protocols.append(Recorder())
            return protocols[-1]

        if when == "before":
            patched(monkeypatch, how, seen)
        server, address = await serve(factory)
        if when == "later":
            patched(monkeypatch, how, seen)
        with client_of() as client:
            client.connect(address)
            await until(lambda: protocols and protocols[0].transport)
            client.send(b"x")
            await until(lambda: protocols[0].data == b"x")
            protocols[0].transport.close()
            await protocols[0].closed
            await asyncio.sleep(0)
        await finish(server)

    run(main())
    monkeypatch.undo()
    assert ("accept" if how == "method" else "close") in seen


@pytest.mark.parametrize("how", PATCHES)
def test_a_patched_class_is_used_by_sock_accept(run, monkeypatch, how):
    seen = []
    client_of = socket.socket

    async def main():
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener, client_of() as client:
            listener.setblocking(False)
            client.connect(listener.getsockname())
            patched(monkeypatch, how, seen)
            accepted, address = await loop.sock_accept(listener)
            assert address == client.getsockname()
            accepted.close()

    run(main())
    monkeypatch.undo()
    assert ("accept" if how == "method" else "close") in seen
