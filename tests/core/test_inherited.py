"""Every method of asyncio.AbstractEventLoop, called once on each kind of loop."""

import asyncio
import contextlib
import inspect
import os
import signal
import socket
import ssl
import sys
import tempfile

import pytest

METHODS = {
    name
    for name in vars(asyncio.AbstractEventLoop)
    if not name.startswith("_") and callable(getattr(asyncio.AbstractEventLoop, name))
}

CHECKS = {}


def checks(*names):
    """Marks a coroutine function as the one that calls these methods."""

    def mark(function):
        for name in names:
            CHECKS[name] = function
        return function

    return mark


class Collect(asyncio.Protocol):
    """Keeps what it is sent; `done` is set at the connection's end."""

    def __init__(self):
        self.data = b""
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data

    def datagram_received(self, data, addr):
        self.data += data
        self.transport.close()

    def connection_lost(self, exc):
        if not self.done.done():
            self.done.set_result(exc)


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def eof_received(self):
        self.transport.close()


@contextlib.asynccontextmanager
async def echo_server(loop):
    server = await loop.create_server(Echo, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        await server.wait_closed()


async def ask(transport, protocol, data=b"hello"):
    transport.write(data)
    transport.write_eof()
    await protocol.done
    return protocol.data


@checks("run_forever", "stop", "is_running", "is_closed", "close")
def life(loop):
    assert (loop.is_running(), loop.is_closed()) == (False, False)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    return loop.is_closed()


@checks("run_until_complete")
def until_complete(loop):
    return loop.run_until_complete(asyncio.sleep(0, "result"))


@checks("shutdown_asyncgens", "shutdown_default_executor", "set_default_executor")
async def shutdown(loop):
    from concurrent.futures import ThreadPoolExecutor

    loop.set_default_executor(ThreadPoolExecutor(1, "mine"))
    await loop.run_in_executor(None, int)
    return await loop.shutdown_asyncgens(), await loop.shutdown_default_executor()


@checks("call_soon", "call_later", "call_at", "call_soon_threadsafe", "time")
async def scheduling(loop):
    seen = []
    loop.call_soon(seen.append, "soon")
    loop.call_later(0.001, seen.append, "later")
    loop.call_at(loop.time(), seen.append, "at")
    loop.call_soon_threadsafe(seen.append, "threadsafe")
    while len(seen) < 4:
        await asyncio.sleep(0.001)
    return sorted(seen)


@checks("create_future", "create_task", "set_task_factory", "get_task_factory")
async def tasks(loop):
    future = loop.create_future()
    loop.call_soon(future.set_result, 1)
    loop.set_task_factory(
        lambda loop, coro, **kwargs: asyncio.Task(coro, loop=loop, **kwargs)
    )
    task = loop.create_task(asyncio.sleep(0, 2))
    return await future, await task, callable(loop.get_task_factory())


@checks("run_in_executor")
async def executor(loop):
    return await loop.run_in_executor(None, int, "5")


@checks("getaddrinfo", "getnameinfo")
async def names(loop):
    infos = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    return infos, await loop.getnameinfo(("127.0.0.1", 80), flags)


@checks("create_connection", "create_server")
async def tcp(loop):
    async with echo_server(loop) as address:
        return await ask(*await loop.create_connection(Collect, *address))


@checks("create_unix_connection", "create_unix_server")
async def unix(loop):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        server = await loop.create_unix_server(Echo, path)
        answer = await ask(*await loop.create_unix_connection(Collect, path))
        server.close()
        await server.wait_closed()
        return answer


@checks("connect_accepted_socket")
async def accepted(loop):
    left, right = socket.socketpair()
    await loop.connect_accepted_socket(Echo, right)
    return await ask(*await loop.create_connection(Collect, sock=left))


@checks("start_tls")
async def tls(loop):
    """Refused by a peer that speaks no TLS: the handshake was begun."""
    async with echo_server(loop) as address:
        transport, protocol = await loop.create_connection(Collect, *address)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with pytest.raises(ssl.SSLError):
            await loop.start_tls(transport, protocol, context)
        transport.abort()
        await asyncio.sleep(0.001)


@checks("sendfile")
async def sending_a_file(loop):
    async with echo_server(loop) as address:
        transport, protocol = await loop.create_connection(Collect, *address)
        with tempfile.TemporaryFile() as file:
            file.write(b"content of a file")
            file.seek(0)
            count = await loop.sendfile(transport, file)
        transport.write_eof()
        await protocol.done
        return count, protocol.data


@checks("create_datagram_endpoint")
async def datagrams(loop):
    receiver, protocol = await loop.create_datagram_endpoint(
        Collect, local_addr=("127.0.0.1", 0)
    )
    sender, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol,
        remote_addr=receiver.get_extra_info("sockname"),
    )
    sender.sendto(b"datagram")
    await protocol.done
    sender.close()
    await asyncio.sleep(0)
    return protocol.data


@checks("connect_read_pipe", "connect_write_pipe")
async def pipes(loop):
    read, write = os.pipe()
    _, protocol = await loop.connect_read_pipe(Collect, os.fdopen(read, "rb"))
    writer, _ = await loop.connect_write_pipe(
        asyncio.BaseProtocol, os.fdopen(write, "wb")
    )
    writer.write(b"through a pipe")
    writer.close()
    await protocol.done
    await asyncio.sleep(0)
    return protocol.data


class Output(asyncio.SubprocessProtocol):
    def __init__(self):
        self.data = b""
        self.done = asyncio.get_running_loop().create_future()

    def pipe_data_received(self, fd, data):
        self.data += data

    def connection_lost(self, exc):
        self.done.set_result(exc)


@checks("subprocess_exec", "subprocess_shell")
async def processes(loop):
    found = []
    for transport, protocol in (
        await loop.subprocess_exec(Output, sys.executable, "-c", "print('exec')"),
        await loop.subprocess_shell(Output, "echo shell; exit 3"),
    ):
        await protocol.done
        found.append((protocol.data, transport.get_returncode()))
        transport.close()
    return found


@checks("add_reader", "remove_reader", "add_writer", "remove_writer")
async def watches(loop):
    left, right = socket.socketpair()
    seen = []
    loop.add_reader(left, seen.append, "r")
    loop.add_writer(right, seen.append, "w")
    right.send(b"x")
    while set(seen) != {"r", "w"}:
        await asyncio.sleep(0)
    answers = loop.remove_reader(left), loop.remove_writer(right)
    left.close()
    right.close()
    return answers


@checks("sock_recv", "sock_recv_into", "sock_sendall", "sock_connect", "sock_accept")
async def stream_sockets(loop):
    with socket.socket() as listener, socket.socket() as client:
        for sock in (listener, client):
            sock.setblocking(False)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        accepting = asyncio.ensure_future(loop.sock_accept(listener))
        await loop.sock_connect(client, listener.getsockname())
        server, _ = await accepting
        with server:
            await loop.sock_sendall(client, b"ping")
            got = await loop.sock_recv(server, 100)
            buffer = bytearray(10)
            await loop.sock_sendall(server, b"pong")
            count = await loop.sock_recv_into(client, buffer)
            return got, bytes(buffer[:count])


@checks("sock_recvfrom", "sock_recvfrom_into", "sock_sendto")
async def datagram_sockets(loop):
    kind = socket.AF_INET, socket.SOCK_DGRAM
    with socket.socket(*kind) as one, socket.socket(*kind) as two:
        for sock in (one, two):
            sock.setblocking(False)
            sock.bind(("127.0.0.1", 0))
        sent = await loop.sock_sendto(one, b"first", two.getsockname())
        data, address = await loop.sock_recvfrom(two, 100)
        buffer = bytearray(10)
        await loop.sock_sendto(two, b"second", one.getsockname())
        count, other = await loop.sock_recvfrom_into(one, buffer)
        same = address == one.getsockname(), other == two.getsockname()
        return sent, data, bytes(buffer[:count]), same


@checks("sock_sendfile")
async def sending_a_file_by_socket(loop):
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right, tempfile.TemporaryFile() as file:
        file.write(b"content")
        file.seek(0)
        count = await loop.sock_sendfile(left, file)
        return count, await loop.sock_recv(right, 100)


@checks("add_signal_handler", "remove_signal_handler")
async def signals(loop):
    came = loop.create_future()
    loop.add_signal_handler(signal.SIGUSR1, came.set_result, "came")
    signal.raise_signal(signal.SIGUSR1)
    return await came, loop.remove_signal_handler(signal.SIGUSR1)


@checks(
    "get_exception_handler",
    "set_exception_handler",
    "default_exception_handler",
    "call_exception_handler",
)
async def exception_handlers(loop):
    seen = []
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda loop, context: seen.append(context))
    loop.call_exception_handler({"message": "one"})
    loop.set_exception_handler(None)
    loop.default_exception_handler({"message": "to the log"})
    return before, seen


@checks("get_debug", "set_debug")
async def debug(loop):
    before = loop.get_debug()
    loop.set_debug(True)
    during = loop.get_debug()
    loop.set_debug(False)
    return before, during


def call(check, factory):
    """What a check finds on a new loop."""
    if inspect.iscoroutinefunction(check):
        with asyncio.Runner(debug=False, loop_factory=factory) as runner:

            async def main():
                return await asyncio.wait_for(check(runner.get_loop()), 10)

            return runner.run(main())
    loop = factory()
    try:
        return check(loop)
    finally:
        loop.close()


def test_the_table_is_complete():
    assert set(CHECKS) == METHODS
    assert len(METHODS) >= 54


@pytest.mark.parametrize("name", sorted(METHODS))
def test_as_asyncio(name, loop_factory, logs):
    expected = call(CHECKS[name], asyncio.new_event_loop)
    said = logs.take()
    assert call(CHECKS[name], loop_factory) == expected
    assert logs.take() == said
