"""TCP and Unix streams."""

import asyncio
import os
import socket
import sys
import tempfile

import pytest

from tests.net.helpers import connected, echo, serving, settle
from tests.support import until

PAYLOAD = bytes(range(256)) * 400


def test_tcp_echo(run):
    async def main():
        async with serving() as address, connected(address) as (reader, writer):
            writer.write(PAYLOAD)
            writer.write_eof()
            return await reader.read()

    assert run(main()) == PAYLOAD


def test_many_clients_at_once(run):
    async def ask(address, n):
        async with connected(address) as (reader, writer):
            for round_ in range(3):
                line = b"%d %d\n" % (n, round_)
                writer.write(line)
                await writer.drain()
                assert await reader.readline() == line
        return n

    async def main():
        async with serving() as address:
            return await asyncio.gather(*(ask(address, n) for n in range(40)))

    assert run(main()) == list(range(40))


def test_ipv6(run):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 in this Python")
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")

    async def main():
        async with serving(host="::1") as address:  # noqa: SIM117
            async with connected(address[:2]) as (reader, writer):
                writer.write(b"six\n")
                return await reader.readline()

    assert run(main()) == b"six\n"


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_unix(run, abstract):
    async def main():
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            if abstract:
                path = "\0" + path
            async with serving(path=path):
                reader, writer = await asyncio.open_unix_connection(path)
                writer.write(PAYLOAD)
                writer.write_eof()
                got = await reader.read()
                writer.close()
                await writer.wait_closed()
            return got

    assert run(main()) == PAYLOAD


def test_unix_path_after_close(run):
    async def main():
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            server = await asyncio.start_unix_server(echo, path)
            assert os.path.exists(path)
            server.close()
            await server.wait_closed()
            gone = not os.path.exists(path)
            # A stale path is no obstacle to the next server.
            server = await asyncio.start_unix_server(echo, path)
            server.close()
            await server.wait_closed()
            return gone

    assert run(main()) is (sys.version_info >= (3, 13))


@pytest.mark.skipif(sys.version_info < (3, 13), reason="came with 3.13")
def test_unix_path_kept_on_request(run):
    async def main():
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            server = await asyncio.start_unix_server(echo, path, cleanup_socket=False)
            server.close()
            await server.wait_closed()
            return os.path.exists(path)

    assert run(main())


def test_unix_path_in_use(run):
    async def main():
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "regular")
            with open(path, "w") as file:
                file.write("not a socket")
            with pytest.raises(OSError, match="in use"):
                await asyncio.start_unix_server(echo, path)

    run(main())


def test_readers_methods(run):
    async def main():
        async def talk(reader, writer):
            writer.write(b"line one\nline two\nexactly10!until;rest")
            writer.close()
            await writer.wait_closed()

        async with serving(talk) as address, connected(address) as (reader, _):
            found = [await reader.readline() for _ in range(2)]
            found.append(await reader.readexactly(10))
            found.append(await reader.readuntil(b";"))
            with pytest.raises(asyncio.IncompleteReadError) as info:
                await reader.readexactly(100)
            found.append(info.value.partial)
            assert reader.at_eof()
            return found

    assert run(main()) == [
        b"line one\n",
        b"line two\n",
        b"exactly10!",
        b"until;",
        b"rest",
    ]


def test_a_line_that_is_too_long(run):
    async def main():
        async def talk(reader, writer):
            writer.write(b"x" * 1000 + b"\n")
            writer.close()
            await writer.wait_closed()

        async with (
            serving(talk) as address,
            connected(address, limit=100) as (reader, _),
        ):
            with pytest.raises(ValueError, match="limit"):
                await reader.readline()

    run(main())


def test_drain_waits_for_a_slow_reader(run):
    SIZE = 64 << 20

    async def main():
        go = asyncio.Event()
        total = 0

        async def slow(reader, writer):
            nonlocal total
            await go.wait()
            while data := await reader.read(1 << 20):
                total += len(data)
            writer.close()
            await writer.wait_closed()

        async with serving(slow) as address, connected(address) as (_, writer):
            # far more than the kernel's buffers take
            writer.write(bytes(SIZE))
            drained = asyncio.ensure_future(writer.drain())
            await settle()
            assert not drained.done()
            assert writer.transport.get_write_buffer_size() > 0
            go.set()
            await drained
            assert writer.transport.get_write_buffer_size() <= 16384
            writer.write_eof()
            await until(lambda: total == SIZE, timeout=30)

    run(main())


def test_half_close(run):
    async def main():
        async def answer(reader, writer):
            question = await reader.read()
            writer.write(b"answer to " + question)
            writer.close()
            await writer.wait_closed()

        async with serving(answer) as address, connected(address) as (reader, writer):
            writer.write(b"question")
            assert writer.can_write_eof()
            writer.write_eof()
            return await reader.read()

    assert run(main()) == b"answer to question"


def test_extra_info(run):
    async def main():
        peers = []

        async def note(reader, writer):
            peers.append(writer.get_extra_info("peername"))
            writer.close()
            await writer.wait_closed()

        async with serving(note) as address, connected(address) as (reader, writer):
            await reader.read()
            sock = writer.get_extra_info("socket")
            return (
                writer.get_extra_info("peername") == address,
                writer.get_extra_info("sockname") == peers[0],
                isinstance(sock, asyncio.trsock.TransportSocket),
                sock.family == socket.AF_INET,
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0,
                writer.get_extra_info("nothing", "default"),
            )

    assert run(main()) == (True, True, True, True, True, "default")


def test_a_connection_that_is_reset(run):
    async def main():
        async def reset(reader, writer):
            await reader.readline()
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()

        async with serving(reset) as address, connected(address) as (reader, writer):
            writer.write(b"go\n")
            with pytest.raises(ConnectionResetError):
                await reader.read()

    run(main())


def test_writing_after_the_peer_has_gone(run, logs):
    async def main():
        async def leave(reader, writer):
            writer.close()
            await writer.wait_closed()

        async with serving(leave) as address, connected(address) as (reader, writer):
            await reader.read()
            with pytest.raises(ConnectionError):
                for _ in range(100):
                    writer.write(b"x" * 1000)
                    await writer.drain()
                    await asyncio.sleep(0.001)

    run(main())
    logs.take()  # asyncio warns of writes to a lost connection


def test_a_refused_connection(run):
    async def main():
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            address = closed.getsockname()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)

    run(main())


@pytest.mark.parametrize("n_steps", range(6))
def test_a_cancelled_connection_leaves_nothing(run, n_steps):
    """Cancelled at each step: the socket is closed once, by whoever owns it."""

    async def main():
        async with serving() as address:
            task = asyncio.ensure_future(asyncio.open_connection(*address))
            for _ in range(n_steps):
                await asyncio.sleep(0)
            task.cancel()
            results = await asyncio.gather(task, return_exceptions=True)
            if isinstance(results[0], tuple):
                _, writer = results[0]
                writer.close()
                await writer.wait_closed()
            # A number freed too often would belong to one of these by now.
            others = [socket.socketpair() for _ in range(5)]
            await asyncio.sleep(0.002)
            for left, right in others:
                left.send(b"x")
                assert right.recv(1) == b"x"
                left.close()
                right.close()

    run(main())


def test_streams_over_a_socket_given(run):
    async def main():
        left, right = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=left)
        right.send(b"given\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        right.close()
        return line

    assert run(main()) == b"given\n"


@pytest.mark.skipif(
    sys.version_info < (3, 11, 7) or (3, 12) <= sys.version_info < (3, 12, 1),
    reason="the streams of early patch releases say nothing",
)
def test_a_handler_that_raises_is_reported(run, logs):
    async def main():
        async def fail(reader, writer):
            writer.close()
            raise ValueError("in the handler")

        async with serving(fail) as address, connected(address) as (reader, _):
            await reader.read()
            await asyncio.sleep(0.001)

    run(main())
    assert "ValueError: in the handler" in logs.take_text()


@pytest.mark.parametrize("size", [1, 1000, 65536, 300_000, 3_000_000])
def test_sizes(run, size):
    async def main():
        async with serving() as address, connected(address) as (reader, writer):
            data = os.urandom(size)
            writer.write(data)
            writer.write_eof()
            got = await reader.read()
            return got == data

    assert run(main())


def test_bytes_like_objects(run):
    async def main():
        async with serving() as address, connected(address) as (reader, writer):
            writer.write(b"bytes ")
            writer.write(bytearray(b"bytearray "))
            writer.write(memoryview(b"..memoryview ")[2:])
            writer.writelines([b"a", bytearray(b"b"), memoryview(b"c")])
            for rubbish in ("text", 5, None):
                with pytest.raises(TypeError):
                    writer.write(rubbish)
            writer.write(b"")
            writer.write_eof()
            return await reader.read()

    assert run(main()) == b"bytes bytearray memoryview abc"
