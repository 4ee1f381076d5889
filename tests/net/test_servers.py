"""Servers: starting, serving, closing."""

import asyncio
import gc
import os
import socket
import sys

import pytest

from tests.net.helpers import Recorder, connected, echo
from tests.support import run_child, until


async def start(**options):
    return await asyncio.start_server(echo, "127.0.0.1", 0, **options)


def address_of(server):
    return server.sockets[0].getsockname()


def test_serving(run):
    async def main():
        server = await start()
        assert server.is_serving()
        assert server.get_loop() is asyncio.get_running_loop()
        assert len(server.sockets) == 1
        server.close()
        assert not server.is_serving()
        assert server.sockets == ()
        await server.wait_closed()
        server.close()

    run(main())


def test_start_serving_later(run):
    async def main():
        server = await start(start_serving=False)
        assert not server.is_serving()
        await server.start_serving()
        await server.start_serving()
        assert server.is_serving()
        async with connected(address_of(server)) as (reader, writer):
            writer.write(b"hello\n")
            line = await reader.readline()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.001)
        return line

    assert run(main()) == b"hello\n"


def test_serve_forever_until_cancelled(run):
    async def main():
        server = await start()
        task = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="already being awaited"):
            await server.serve_forever()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not server.is_serving()

    run(main())


def test_async_with_closes(run):
    async def main():
        async with await start() as server:
            assert server.is_serving()
        assert not server.is_serving()
        with pytest.raises(RuntimeError, match="is closed"):
            await server.serve_forever()

    run(main())


def test_a_closed_server_refuses(run):
    async def main():
        server = await start()
        address = address_of(server)
        server.close()
        await server.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12, 1), reason="came with 3.12.1")
def test_wait_closed_waits_for_connections(run):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recorder, "127.0.0.1", 0)
        transport, protocol = await loop.create_connection(
            Recorder, *address_of(server)
        )
        await asyncio.sleep(0.001)
        server.close()
        waiting = asyncio.ensure_future(server.wait_closed())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        transport.close()
        await asyncio.wait_for(waiting, 5)
        await protocol.closed

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="came with 3.13")
@pytest.mark.parametrize("how", ["close_clients", "abort_clients"])
def test_closing_the_clients(run, how):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recorder, "127.0.0.1", 0)
        clients = await asyncio.gather(
            *(loop.create_connection(Recorder, *address_of(server)) for _ in range(5))
        )
        await asyncio.sleep(0.005)
        server.close()
        getattr(server, how)()
        await asyncio.wait_for(server.wait_closed(), 5)
        await asyncio.gather(*(protocol.closed for _, protocol in clients))

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="came with 3.13")
def test_keep_alive(run):
    async def main():
        async with await start(keep_alive=True) as server:
            sock = server.sockets[0]
            return sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    assert run(main()) == 1


def test_several_hosts(run):
    async def main():
        server = await asyncio.start_server(echo, ["127.0.0.1", "127.0.0.2"], 0)
        hosts = {sock.getsockname()[0] for sock in server.sockets}
        for sock in server.sockets:
            async with connected(sock.getsockname()) as (reader, writer):
                writer.write(b"x\n")
                assert await reader.readline() == b"x\n"
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.001)
        return hosts

    assert run(main()) == {"127.0.0.1", "127.0.0.2"}


def test_an_address_in_use(run):
    async def main():
        async with await start() as server:
            with pytest.raises(OSError, match="address already in use"):
                await asyncio.start_server(echo, *address_of(server))

    run(main())


def test_reuse_port(run):
    async def main():
        async with await start(reuse_port=True) as first:
            second = await asyncio.start_server(
                echo, *address_of(first), reuse_port=True
            )
            second.close()
            await second.wait_closed()

    run(main())


def test_a_socket_given(run):
    async def main():
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        server = await asyncio.start_server(echo, sock=sock)
        async with connected(sock.getsockname()) as (reader, writer):
            writer.write(b"given\n")
            line = await reader.readline()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.001)
        return line

    assert run(main()) == b"given\n"


def test_wrong_arguments(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pytest.raises(ValueError, match="Neither host/port nor sock"):
            await loop.create_server(Recorder)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            with pytest.raises(ValueError, match="Stream Socket was expected"):
                await loop.create_server(Recorder, sock=sock)
            with pytest.raises(ValueError, match="can not be specified"):
                await loop.create_server(Recorder, "127.0.0.1", 0, sock=sock)
        with pytest.raises(TypeError, match="ssl argument"):
            await loop.create_server(Recorder, "127.0.0.1", 0, ssl=True)

    run(main())


def test_a_burst_of_connections(run):
    """All waiting when the server first looks."""

    async def main():
        loop = asyncio.get_running_loop()
        served = []

        class Counts(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                served.append(self)

        server = await loop.create_server(Counts, "127.0.0.1", 0, backlog=200)
        socks = []
        for _ in range(150):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(address_of(server))
            socks.append(sock)
        await until(lambda: len(served) == 150)
        for sock in socks:
            sock.close()
        await asyncio.gather(*(protocol.closed for protocol in served))
        server.close()
        await server.wait_closed()
        return len(served)

    assert run(main()) == 150


def test_a_client_that_leaves_before_it_is_accepted(run):
    async def main():
        async with await start() as server:
            for _ in range(20):
                sock = socket.create_connection(address_of(server))
                sock.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                )
                sock.close()
            await asyncio.sleep(0.005)
            async with connected(address_of(server)) as (reader, writer):
                writer.write(b"still here\n")
                line = await reader.readline()
            await asyncio.sleep(0.001)
            return line

    assert run(main()) == b"still here\n"


def test_a_factory_that_raises(run, unraisable):
    reports = []

    async def main():
        def fail():
            raise ValueError("no protocol")

        loop = asyncio.get_running_loop()
        loop.set_exception_handler(
            lambda loop, context: reports.append(str(context["exception"]))
        )
        server = await loop.create_server(fail, "127.0.0.1", 0)
        sock = socket.create_connection(address_of(server))
        await until(lambda: reports)
        sock.close()
        server.close()
        await server.wait_closed()

    run(main(), debug=True)
    assert reports == ["no protocol"]
    gc.collect()
    unraisable.take()  # nobody closes the accepted socket


def test_out_of_file_descriptors(loop_kind):
    """EMFILE is waited out: reported, no spin, and served again afterwards."""
    source = """
import asyncio, os, resource, socket, sys
async def main():
    loop = asyncio.get_running_loop()
    reports = []
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    made = []
    class Protocol(asyncio.Protocol):
        def connection_made(self, transport):
            made.append(transport)
    server = await loop.create_server(Protocol, "127.0.0.1", 0)
    sock = socket.socket()
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass
    sock.setblocking(False)
    sock.connect_ex(server.sockets[0].getsockname())
    await asyncio.sleep(0.05)
    # asyncio reports once for each connection of the backlog, then waits a second.
    print(0 < len(reports) <= 110, "accept" in reports[0]["message"], len(made))
    for fd in taken:
        os.close(fd)
    while not made:
        await asyncio.sleep(0.01)
    print("accepted")
    sock.close()
    for transport in made:
        transport.close()
    server.close()
    await server.wait_closed()
    await asyncio.sleep(0.01)
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""
    done = run_child(loop_kind, source)
    assert (done.stdout, done.stderr) == ("True True 0\naccepted\n", "")


class Greets(asyncio.Protocol):
    """Says which server it is of, and goes."""

    def __init__(self, words):
        self.words = words

    def connection_made(self, transport):
        transport.write(self.words)
        transport.close()


async def greeting(sock):
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    words = await reader.read()
    writer.close()
    return words


def listening():
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def test_a_reader_takes_a_servers_place(run):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Greets(b"first"), "127.0.0.1", 0)
        (sock,) = server.sockets
        seen = loop.create_future()

        def ready():
            loop.remove_reader(sock.fileno())
            seen.set_result(None)

        loop.add_reader(sock.fileno(), ready)
        with socket.create_connection(sock.getsockname()):
            await seen
        server.close()

    run(main())


def test_a_server_takes_a_readers_place(run):
    async def main():
        loop = asyncio.get_running_loop()
        sock, seen = listening(), []
        loop.add_reader(sock, seen.append, None)
        server = await loop.create_server(lambda: Greets(b"first"), sock=sock)
        assert await greeting(sock) == b"first"
        server.close()
        return seen

    assert run(main()) == []


def test_a_second_server_of_a_socket_takes_the_firsts_place(run):
    async def main():
        loop = asyncio.get_running_loop()
        sock = listening()
        await loop.create_server(lambda: Greets(b"first"), sock=sock)
        server = await loop.create_server(lambda: Greets(b"second"), sock=sock)
        assert await greeting(sock) == b"second"
        server.close()

    run(main())


def test_sock_accept_takes_a_servers_place(run):
    async def main():
        loop = asyncio.get_running_loop()
        sock = listening()
        server = await loop.create_server(lambda: Greets(b"first"), sock=sock)
        accepting = asyncio.ensure_future(loop.sock_accept(sock))
        await asyncio.sleep(0)
        with socket.create_connection(sock.getsockname()) as client:
            connection, address = await accepting
            assert address == client.getsockname()
            connection.close()
        server.close()

    run(main())


async def closed_behind_its_server():
    """The number of a listening socket that is free again."""
    sock = listening()
    number = sock.fileno()
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Greets(b"first"), sock=sock)
    sock.close()
    return number


def test_a_server_on_a_number_that_was_anothers(fast_loop):
    """asyncio's accepts nothing there: its poller knows the other's file."""

    async def main():
        loop = asyncio.get_running_loop()
        number = await closed_behind_its_server()
        sock = listening()
        assert sock.fileno() == number
        server = await loop.create_server(lambda: Greets(b"second"), sock=sock)
        assert await greeting(sock) == b"second"
        server.close()

    fast_loop.run_until_complete(main())


@pytest.mark.parametrize("kind", ["stream", "pipe"])
def test_a_transport_on_a_number_that_was_a_servers(fast_loop, kind):
    """asyncio's reads nothing there."""

    async def main():
        loop = asyncio.get_running_loop()
        number = await closed_behind_its_server()
        if kind == "stream":
            sock, other = socket.socketpair()
            assert sock.fileno() == number
            _, protocol = await loop.create_connection(Recorder, sock=sock)
            other.send(b"x")
            other.close()
        else:
            read, write = os.pipe()
            assert read == number
            file = os.fdopen(read, "rb", 0)
            _, protocol = await loop.connect_read_pipe(Recorder, file)
            os.write(write, b"x")
            os.close(write)
        await protocol.closed
        assert protocol.data == b"x"

    fast_loop.run_until_complete(main())
