"""Connections, servers and files."""

import asyncio
import contextlib
import contextvars
import errno
import importlib
import os
import resource
import socket
import tempfile
import warnings

import fastloop
from tests.injection.registry import program, with_coroutine
from tests.leaks.scenarios import nothing


async def connection_of_two(data, *, limit=2**16):
    """Both ends of a Unix connection, by streams; the data goes there and back."""
    left, right = socket.socketpair()
    try:
        reader, writer = await asyncio.open_connection(sock=left, limit=limit)
    except BaseException:
        left.close()
        right.close()
        raise
    try:
        other, back = await asyncio.open_connection(sock=right, limit=limit)
        writer.write(data)
        await writer.drain()
        back.write(await other.readexactly(len(data)))
        await back.drain()
        await reader.readexactly(len(data))
        back.close()
        await back.wait_closed()
    finally:
        writer.close()
        left.close()
        right.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    await asyncio.sleep(0)


@with_coroutine
async def unix_connections():
    await connection_of_two(b"x")
    await connection_of_two(b"x" * 300_000)
    await connection_of_two(bytearray(b"x" * 300_000))
    await connection_of_two(memoryview(b"x" * 300_000))


@program
def connections_in_debug_mode():
    async def main():
        await connection_of_two(b"x" * 100_000)
        await Hungry.exchange()

    fastloop.run(main(), debug=True)


class Plain(asyncio.Protocol):
    """Keeps what it is told, and raises where it is asked to."""

    def __init__(self, raises_in=(), keep_open=False):
        self.raises_in = raises_in
        self.keep_open = keep_open
        self.lost = asyncio.get_running_loop().create_future()
        self.told = []

    def tell(self, name):
        self.told.append(name)
        if name in self.raises_in:
            raise ValueError(name)

    def connection_made(self, transport):
        self.transport = transport
        self.tell("made")

    def data_received(self, data):
        self.tell("data")

    def eof_received(self):
        self.tell("eof")
        return self.keep_open

    def pause_writing(self):
        self.tell("pause")

    def resume_writing(self):
        self.tell("resume")

    def connection_lost(self, exc):
        if isinstance(exc, OSError) and exc.errno == errno.ENOMEM:
            report = {"message": "lost", "exception": exc}
            self.lost.get_loop().call_exception_handler(report)
        if not self.lost.done():
            self.lost.set_result(exc)
        self.tell("lost")


class Doubtful(Plain):
    """Cannot say whether it wants to go on."""

    def eof_received(self):
        return self

    def __bool__(self):
        raise ValueError("on purpose")


class Hungry(Plain, asyncio.BufferedProtocol):
    """Is read into a buffer of its own."""

    def __init__(self, raises_in=(), size=100):
        super().__init__(raises_in)
        self.buffer = bytearray(size)

    def get_buffer(self, hint):
        self.tell("get")
        return self.buffer

    def buffer_updated(self, n_bytes):
        self.tell("updated")

    @classmethod
    async def exchange(cls):
        await exchange(lambda: cls())
        await exchange(lambda: cls(["get"]))
        await exchange(lambda: cls(["updated"]))
        await exchange(lambda: cls(size=0))


async def exchange(factory, data=b"hello", *, eof=True):
    """A transport with a protocol, at the other end of a plain socket."""
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    with left, right:
        right.setblocking(False)
        transport, protocol = await loop.create_connection(factory, sock=left)
        try:
            await loop.sock_sendall(right, data)
            transport.write(b"answer")
            await asyncio.sleep(0)
            if eof:
                right.shutdown(socket.SHUT_WR)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        finally:
            transport.close()
        await asyncio.wait([protocol.lost], timeout=1)


@with_coroutine
async def protocols():
    await exchange(Plain)
    await exchange(lambda: Plain(keep_open=True))
    for name in ("made", "data", "eof", "lost"):
        await exchange(lambda name=name: Plain([name]))
    await Hungry.exchange()
    await exchange(Doubtful)
    await exchange(Plain, b"x" * 100_000)


@with_coroutine
async def flow_control():
    loop = asyncio.get_running_loop()
    for raises_in in ((), ("pause",), ("resume",)):
        left, right = socket.socketpair()
        with left, right:
            right.setblocking(False)
            transport, protocol = await loop.create_connection(
                lambda raises_in=raises_in: Plain(raises_in), sock=left
            )
            transport.set_write_buffer_limits(high=1000)
            transport.set_write_buffer_limits(low=100)
            transport.set_write_buffer_limits(1000, 500)
            transport.set_write_buffer_limits(low=float("inf"), high=float("inf"))
            transport.set_write_buffer_limits(low=10**400, high=10**400)
            with contextlib.suppress(ValueError):
                transport.set_write_buffer_limits(1, 2)
            transport.set_write_buffer_limits()
            transport.get_write_buffer_limits()
            for data in (
                b"x" * 400_000,
                bytearray(b"x" * 1000),
                memoryview(b"x" * 1000),
                memoryview(bytearray(10)),
            ):
                transport.write(data)
            transport.writelines([b"x", bytearray(b"x"), memoryview(b"x" * 10)] * 20)
            repr(transport), transport._buffer, transport.get_write_buffer_size()
            while transport.get_write_buffer_size():
                await loop.sock_recv(right, 1_000_000)
            transport.pause_reading()
            transport.resume_reading()
            transport.write_eof()
            transport.close()
            await asyncio.wait([protocol.lost], timeout=1)


@with_coroutine
async def transports_looked_at():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    with left, right:
        transport, protocol = await loop.create_connection(Plain, sock=left)
        repr(transport)
        loop._selector.get_key(left)
        transport.get_extra_info(**{"".join(["na", "me"]): "socket"})
        for name in dir(transport):
            with contextlib.suppress(AttributeError):
                getattr(transport, name)
        with contextlib.suppress(RuntimeError):
            loop.add_reader(left, nothing)
        with contextlib.suppress(RuntimeError):
            loop.remove_reader(left)
        with contextlib.suppress(RuntimeError):
            await loop.sock_recv(left, 1)
        for key in ("socket", "sockname", "peername", "nothing"):
            transport.get_extra_info(key, default=None)
        transport.set_protocol(Hungry())
        transport.set_protocol(protocol)
        transport.close()
        repr(transport)
        await asyncio.wait([protocol.lost], timeout=1)
        repr(transport)
        loop.add_reader(left.fileno(), nothing) if left.fileno() >= 0 else None


@with_coroutine
async def transport_dropped():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    with right, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transport, protocol = await loop.create_connection(Plain, sock=left)
        transport.pause_reading()
        del protocol.transport
        del transport, protocol, left
        await asyncio.sleep(0)


async def break_transports():
    loop = asyncio.get_running_loop()
    for _ in range(2):
        left, right = socket.socketpair()
        with left:
            transport, protocol = await loop.create_connection(Plain, sock=left)
            right.send(b"unread")
            right.close()
            transport.write(b"x" * 100)
            await asyncio.sleep(0)
            transport.write(b"x" * 100)
            transport.abort()
            await asyncio.wait([protocol.lost], timeout=1)
            for _ in range(7):
                transport.write(b"late")


@program
def transports_broken():
    for debug in (False, True):
        fastloop.run(break_transports(), debug=debug)


@with_coroutine
async def files_sent():
    loop = asyncio.get_running_loop()
    for keep_reading in (True, False):
        left, right = socket.socketpair()
        with left, right, tempfile.TemporaryFile() as file:
            file.write(b"x" * 600_000)
            file.flush()
            right.setblocking(False)
            transport, protocol = await loop.create_connection(Plain, sock=left)
            transport.write(b"x" * 300_000)
            sending = asyncio.create_task(loop.sendfile(transport, file))
            sending.add_done_callback(
                lambda _, left=left: left.shutdown(socket.SHUT_WR)
            )
            while keep_reading and await loop.sock_recv(right, 100_000):
                pass
            await asyncio.sleep(0)
            if not keep_reading:
                transport.abort()
            with contextlib.suppress(ConnectionError):
                await sending
            transport.close()
            await asyncio.wait([protocol.lost], timeout=1)


@with_coroutine
async def servers():
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        server = await loop.create_unix_server(Plain, path)
        transport, protocol = await loop.create_unix_connection(Plain, path)
        transport.get_extra_info("peername")
        await asyncio.sleep(0)
        transport.close()
        await asyncio.wait([protocol.lost], timeout=1)
        server.close()
    if socket.has_ipv6:
        with contextlib.suppress(OSError):
            server = await loop.create_server(Plain, "::1", 0)
            address = server.sockets[0].getsockname()
            transport, protocol = await loop.create_connection(Plain, *address[:2])
            transport.get_extra_info("peername")
            await asyncio.sleep(0)
            transport.close()
            await asyncio.wait([protocol.lost], timeout=1)
            server.close()
    server = await loop.create_server(failing_factory, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    server.close()
    await asyncio.sleep(0)


def failing_factory():
    raise ValueError("on purpose")


@program
def server_in_debug_mode():
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(failing_factory, "127.0.0.1", 0)
        loop.set_debug(True)
        with socket.create_connection(server.sockets[0].getsockname()):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        server.close()

    fastloop.run(main())


@with_coroutine
async def no_more_files():
    """accept() without a free fd: reported, and tried again later."""
    loop = asyncio.get_running_loop()
    told = loop.create_future()
    loop.set_exception_handler(lambda _, context: told.set_result(context))
    server = await loop.create_server(Plain, "127.0.0.1", 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = []
    with socket.create_connection(server.sockets[0].getsockname()):
        limit = max(map(int, os.listdir("/proc/self/fd"))) + 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        try:
            with contextlib.suppress(OSError):
                while True:
                    used.append(os.dup(0))
            context = await told
        finally:
            for fd in used:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            server.close()
    loop.set_exception_handler(None)
    if context["message"] != "socket.accept() out of system resource":
        loop.call_exception_handler(context)


def contexts():
    """A certificate of our own, made once; None without trustme."""
    import ssl

    trustme = importlib.import_module("trustme")
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


try:
    TLS = contexts()
except ImportError:
    TLS = None


async def over_tls(operate, serve=Plain):
    """operate(the client's transport), and its end."""
    if TLS is None:
        return
    loop = asyncio.get_running_loop()
    server = await loop.create_server(serve, "127.0.0.1", 0, ssl=TLS[0])
    try:
        transport, protocol = await loop.create_connection(
            Plain,
            *server.sockets[0].getsockname(),
            ssl=TLS[1],
            server_hostname="localhost",
        )
        operate(transport)
        await asyncio.sleep(0)
        transport.close()
        await asyncio.wait([protocol.lost], timeout=1)
    finally:
        server.close()


@with_coroutine
async def tls():
    await over_tls(lambda transport: transport.write(b"x"))


@with_coroutine
async def tls_writes():
    def operate(transport):
        transport.write(bytes(20_000))
        transport.writelines([bytes(5_000)] * 5)
        transport.write(bytes(200_000))

    await over_tls(operate)


class Unbuffered(asyncio.BufferedProtocol):
    def get_buffer(self, sizehint):
        return 5


@with_coroutine
async def tls_into_no_buffer():
    await over_tls(lambda transport: transport.write(b"x"), Unbuffered)


def fed():
    reader = asyncio.StreamReader()
    return asyncio.StreamReaderProtocol(reader)


@with_coroutine
async def tls_streams():
    await over_tls(lambda transport: transport.write(b"x"), fed)


@with_coroutine
async def tls_in_a_context():
    if TLS is None:
        return
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        context = contextvars.copy_context()
        loop._start_serving(Plain, listener, TLS[0], context=context)
        with socket.create_connection(listener.getsockname()):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
        loop._stop_serving(listener)
