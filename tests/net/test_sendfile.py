"""loop.sendfile over a transport, whose fd is watched by both of them."""

import asyncio
import contextlib
import select
import socket

import pytest

import fastloop
from tests.net.helpers import Recorder, settle
from tests.support import own_types

SIZE = 6_000_000


@contextlib.asynccontextmanager
async def sending(file, **options):
    """A task that sends the file and waits for room; its protocol, and the peer."""
    file.truncate(SIZE)
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sock = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    peer.setblocking(False)
    _, protocol = await loop.create_connection(Recorder, sock=sock)
    task = loop.create_task(loop.sendfile(protocol.transport, file, **options))
    await settle()
    assert not task.done()
    with peer:
        yield task, protocol, peer
        protocol.transport.abort()
        await protocol.closed


async def receive(peer, n):
    """n bytes, at the peer's pace."""
    loop = asyncio.get_running_loop()
    received = bytearray()
    while len(received) < n:
        data = await loop.sock_recv(peer, n - len(received))
        assert data
        received += data
    return bytes(received)


@pytest.fixture
def file(tmp_path):
    with open(tmp_path / "file", "w+b") as file:
        yield file


@own_types  # else the sock_ methods are asyncio's, too
def test_reading_resumed_while_it_waits(run, file):
    async def main():
        async with sending(file) as (task, protocol, peer):
            protocol.transport.resume_reading()
            peer.send(b"ping")
            while not protocol.data:
                await asyncio.sleep(0.001)
            protocol.transport.pause_reading()
            assert not task.done()
            assert await receive(peer, SIZE) == bytes(SIZE)
            assert await task == SIZE
            protocol.transport.resume_reading()
            peer.send(b"pong")
            while protocol.data != b"pingpong":
                await asyncio.sleep(0.001)

    run(main())


def test_writing_goes_on_after_it(run, file):
    async def main():
        async with sending(file) as (task, protocol, peer):
            with pytest.raises(RuntimeError, match="sendfile is in progress"):
                protocol.transport.write(b"x")
            assert await receive(peer, SIZE) == bytes(SIZE)
            assert await task == SIZE
            protocol.transport.write(b"after")
            assert await receive(peer, 5) == b"after"

    run(main())


def test_writing_goes_on_after_it_was_cancelled(run, file):
    async def main():
        async with sending(file) as (task, protocol, peer):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            protocol.transport.write(b"after")
            loop = asyncio.get_running_loop()
            received = bytearray()
            while not received.endswith(b"after"):
                received += await loop.sock_recv(peer, 1 << 20)
            assert 5 < len(received) < SIZE
            assert not any(received[:-5])

    run(main())


def test_the_fd_is_the_transports_again(run, file):
    async def main():
        async with sending(file) as (task, protocol, peer):
            await receive(peer, SIZE)
            await task
            loop = asyncio.get_running_loop()
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop.add_writer(protocol.transport._sock_fd, print)

    run(main())


@own_types
def test_aborted_while_it_waits(fast_loop, file):
    """asyncio's waits for ever."""

    async def main():
        async with sending(file) as (task, protocol, _):
            protocol.transport.abort()
            with pytest.raises(OSError):
                await task

    fast_loop.run_until_complete(main())


def test_the_peer_leaves_while_it_waits(run, file):
    async def main():
        async with sending(file) as (task, _, peer):
            peer.close()
            with pytest.raises(ConnectionError):
                await task

    run(main())


def test_the_peer_leaves_while_bytes_wait_before_it(run, file):
    async def main():
        loop = asyncio.get_running_loop()
        reports = []
        loop.set_exception_handler(lambda _, context: reports.append(context))
        left, right = socket.socketpair()
        transport, protocol = await loop.create_connection(Recorder, sock=left)
        transport.write(bytes(2_000_000))
        task = asyncio.ensure_future(loop.sendfile(transport, file))
        await asyncio.sleep(0)
        right.close()
        with pytest.raises(ConnectionError):
            await task
        await protocol.closed
        await settle()
        return reports, isinstance(loop, fastloop.Loop)

    reports, ours = run(main())
    assert reports == [] or not ours


@own_types
@pytest.mark.parametrize("count", [None, 48_000])
def test_all_is_sent_when_the_peer_does_not_read(loop_kind, run, tmp_path, count):
    """asyncio's waits for room once more."""
    (tmp_path / "file").write_bytes(bytes(48_000))

    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        with left, right, open(tmp_path / "file", "rb") as file:
            left.setblocking(False)
            left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 5_000)
            task = asyncio.ensure_future(loop.sock_sendfile(left, file, 0, count))
            if loop_kind == "fastloop":
                return await task
            while not select.select([right], [], [], 0)[0]:
                await asyncio.sleep(0)
            await settle()
            assert not task.done()
            right.recv(48_000)
            return await task

    assert run(main()) == 48_000
