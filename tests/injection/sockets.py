"""The sock_ methods, driven by hand as well."""

import asyncio
import contextlib
import os
import socket
import tempfile
import warnings

from tests.injection.registry import with_coroutine


@with_coroutine
async def socket_operations_by_hand():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loop.sock_recv(left, 1)
        operation = loop.sock_recv(left, 1)
        operation.__name__, operation.__qualname__, repr(operation)
        with contextlib.suppress(ValueError):
            operation.throw(ValueError())
        operation = loop.sock_recv(left, 1)
        operation.send(None)
        with contextlib.suppress(ValueError):
            operation.throw(ValueError())
        await loop.sock_recv(left, 0)
        right.send(b"x" * 100_000)
        await loop.sock_recv(left, 1_000_000)
        right.send(b"x" * 100_000)
        await loop.sock_recv(left, 1_000_000)
        right.send(b"x")
        await loop.sock_recv(left, 1_000_000)


class OwnSocket(socket.socket):
    """Not plain: asyncio's own code drives it."""


@with_coroutine
async def socket_operations_delegated():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    own = OwnSocket(fileno=left.detach())
    with own, right:
        own.setblocking(False)
        right.setblocking(False)
        right.send(b"x")
        await loop.sock_recv(own, 1)
        waiting = loop.create_task(loop.sock_recv(own, 1))
        await asyncio.sleep(0)
        right.send(b"x")
        await waiting
        waiting = loop.create_task(loop.sock_recv(own, 1))
        await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        operation = loop.sock_recv(own, 1)
        operation.send(None)
        operation.close()
        operation = loop.sock_recv(own, 1)
        operation.send(None)
        with contextlib.suppress(ValueError):
            operation.throw(ValueError())


@with_coroutine
async def sock_connect_refused():
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    with socket.socket() as sock:
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            await loop.sock_connect(sock, address)


@with_coroutine
async def sock_sendfile_of_many_kinds():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    with left, right, tempfile.TemporaryFile() as file:
        left.setblocking(False)
        right.setblocking(False)
        await loop.sock_sendfile(left, file)
        file.write(b"x" * 500_000)
        file.flush()
        sending = loop.create_task(loop.sock_sendfile(left, file, 0, 450_000))
        sending.add_done_callback(lambda _: left.shutdown(socket.SHUT_WR))
        while await loop.sock_recv(right, 1_000_000):
            pass
        await sending
    with socket.socket() as sock, tempfile.TemporaryFile() as file:
        sock.setblocking(False)
        file.write(b"x")
        file.seek(0)
        with contextlib.suppress(OSError):
            await loop.sock_sendfile(sock, file)


@with_coroutine
async def unix_datagrams():
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.bind(os.path.join(folder, "one"))
            one.setblocking(False)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as two:
                two.bind(os.path.join(folder, "two"))
                two.sendto(b"x", one.getsockname())
            await loop.sock_recvfrom(one, 10)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.bind("\0fastloop-" + os.path.basename(folder))
            one.setblocking(False)
            one.sendto(b"x", one.getsockname())
            await loop.sock_recvfrom(one, 10)
    if socket.has_ipv6:
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one,
        ):
            one.bind(("::1", 0))
            one.setblocking(False)
            await loop.sock_sendto(one, b"x", one.getsockname())
            await loop.sock_recvfrom(one, 10)
