"""Which exception counts as handled while the exception handler, or a protocol, runs.

What `sys.exc_info()` answers decides what `logging.exception` shows and what a further
exception has as its context: the reported one where asyncio reports from inside an
except block, and nothing elsewhere.
"""

import asyncio
import contextlib
import errno
import gc
import io
import logging
import os
import signal
import socket
import sys
import threading
import traceback
import warnings

import pytest

from tests.net.helpers import datagram_socket
from tests.support import until


class Boom(Exception):
    pass


def fail(*args):
    raise Boom("bang")


class Reports:
    """What the handler was told, and what was being handled meanwhile."""

    def __init__(self, loop):
        self.seen = []
        loop.set_exception_handler(self)

    def __call__(self, loop, context):
        told = context.get("exception")
        handled = sys.exc_info()[1]
        self.seen.append(
            "told" if handled is told else "nothing" if handled is None else handled
        )


def reported(run, main, **options):
    """What was handled at each report of main(reports)."""

    async def outer():
        reports = Reports(asyncio.get_running_loop())
        await main(reports)
        return reports.seen

    return run(outer(), **options)


def failing(method, base=asyncio.Protocol):
    return type("Failing", (base,), {method: fail})


# --- callbacks ---


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    "how",
    ["call_soon", "call_later", "call_at", "call_soon_threadsafe", "thread", "done"],
)
def test_callbacks(run, how, debug):
    async def main(reports):
        loop = asyncio.get_running_loop()
        if how in ("call_later", "call_at"):
            getattr(loop, how)(0 if how == "call_later" else loop.time(), fail)
        elif how == "done":
            future = loop.create_future()
            future.add_done_callback(fail)
            future.set_result(None)
        elif how == "thread":
            thread = threading.Thread(target=loop.call_soon_threadsafe, args=(fail,))
            thread.start()
            thread.join()
        else:
            getattr(loop, how)(fail)
        await until(lambda: reports.seen)

    assert reported(run, main, debug=debug) == ["told"]


def test_a_tasks_done_callback(run):
    async def main(reports):
        task = asyncio.create_task(asyncio.sleep(0))
        task.add_done_callback(fail)
        await task
        await until(lambda: reports.seen)

    assert reported(run, main) == ["told"]


@pytest.mark.parametrize("how", ["add_reader", "add_writer"])
def test_watches(run, pair, how):
    async def main(reports):
        loop = asyncio.get_running_loop()

        def ready():
            getattr(loop, how.replace("add", "remove"))(pair[0])
            fail()

        pair[1].send(b"x")
        getattr(loop, how)(pair[0], ready)
        await until(lambda: reports.seen)

    assert reported(run, main) == ["told"]


def test_signals(run):
    async def main(reports):
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, fail)
        os.kill(os.getpid(), signal.SIGUSR1)
        await until(lambda: reports.seen)
        loop.remove_signal_handler(signal.SIGUSR1)

    assert reported(run, main) == ["told"]


# --- what is reported outside of any except block ---


@pytest.mark.parametrize("what", ["future", "task"])
def test_exceptions_that_nobody_retrieved(run, what):
    async def main(reports):
        if what == "future":
            asyncio.get_running_loop().create_future().set_exception(Boom())
        else:

            async def failing():
                raise Boom

            task = asyncio.create_task(failing())
            await asyncio.sleep(0)
            del task
        await asyncio.sleep(0)
        gc.collect()
        await until(lambda: reports.seen)

    assert reported(run, main) == ["nothing"]


def test_inside_a_block_of_the_program(run):
    """A report from a finalizer leaves what the program handles."""
    outer = ValueError("outer")

    async def main(reports):
        try:
            raise outer
        except ValueError:
            future = asyncio.get_running_loop().create_future()
            future.set_exception(Boom())
            del future
            gc.collect()
            assert sys.exc_info()[1] is outer
        await until(lambda: reports.seen)

    assert reported(run, main) == [outer]


def test_nothing_is_handled_afterwards(run):
    seen = []

    async def main(reports):
        loop = asyncio.get_running_loop()
        loop.call_soon(fail)
        loop.call_soon(lambda: seen.append(sys.exc_info()))
        await until(lambda: reports.seen and seen)
        seen.append(sys.exc_info())

    reported(run, main)
    assert seen == [(None, None, None)] * 2


def test_handled_where_the_loop_runs(loop):
    """A loop that is run from inside an except block."""
    outer = ValueError("outer")
    reports = Reports(loop)
    seen = []
    loop.call_soon(fail)
    loop.call_soon(lambda: seen.append(sys.exc_info()[1]))
    loop.call_soon(loop.stop)
    try:
        raise outer
    except ValueError:
        loop.run_forever()
        assert sys.exc_info()[1] is outer
    assert reports.seen == ["told"] and seen == [outer]


# --- what is raised meanwhile ---


def test_context_of_what_the_handler_raises(loop, logs):
    raised = ValueError("in the handler")

    def handler(loop, context):
        raise raised

    loop.set_exception_handler(handler)
    loop.call_soon(fail)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert isinstance(raised.__context__, Boom)
    text = logs.take_text()
    assert "bang" in text and "in the handler" in text


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_context_of_what_leaves_the_loop(loop, kind):
    def handler(loop, context):
        raise kind

    loop.set_exception_handler(handler)
    loop.call_soon(fail)
    with pytest.raises(kind) as caught:
        loop.run_forever()
    assert isinstance(caught.value.__context__, Boom)
    loop.set_exception_handler(None)


def test_what_loggers_and_tracebacks_show(loop):
    log = logging.Logger("own")
    text, traced = io.StringIO(), io.StringIO()
    log.addHandler(logging.StreamHandler(text))

    def handler(loop, context):
        log.exception("oops")
        traceback.print_exc(file=traced)

    loop.set_exception_handler(handler)
    loop.call_soon(fail)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert text.getvalue().splitlines()[-1].endswith("Boom: bang")
    assert traced.getvalue().splitlines()[-1].endswith("Boom: bang")


# --- transports ---


@contextlib.asynccontextmanager
async def joined(protocol_factory):
    left, right = socket.socketpair()
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    right.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(protocol_factory, sock=left)
    yield transport, protocol, right
    transport.abort()
    right.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    "method",
    [
        "connection_made",
        "data_received",
        "eof_received",
        "connection_lost",
        "pause_writing",
        "resume_writing",
    ],
)
def test_stream_protocols(run, method, debug):
    async def main(reports):
        async with joined(failing(method)) as (transport, _protocol, right):
            if method == "pause_writing":
                transport.write(b"x" * 1_000_000)
            elif method == "resume_writing":
                transport.write(b"x" * 1_000_000)
                while not reports.seen:
                    with contextlib.suppress(BlockingIOError):
                        right.recv(65536)
                    await asyncio.sleep(0)
            elif method != "connection_made":
                right.send(b"x")
                right.shutdown(socket.SHUT_WR)
            await until(lambda: reports.seen)

    assert set(reported(run, main, debug=debug)) == {"told"}


@pytest.mark.parametrize("method", ["get_buffer", "buffer_updated", "eof_received"])
def test_buffered_protocols(run, method):
    class Buffered(asyncio.BufferedProtocol):
        def get_buffer(self, hint):
            return bytearray(100)

        def buffer_updated(self, count):
            pass

    async def main(reports):
        async with joined(failing(method, Buffered)) as (_transport, _protocol, right):
            right.send(b"x")
            right.shutdown(socket.SHUT_WR)
            await until(lambda: reports.seen)

    assert set(reported(run, main)) == {"told"}


def test_connection_lost_of_a_reset_connection(run):
    """The exception is an argument; nobody handles it any more."""
    seen = []

    class Protocol(asyncio.Protocol):
        def connection_lost(self, exc):
            seen.append((type(exc), sys.exc_info()[1]))

    async def main(reports):
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Protocol, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            linger = b"\x01\0\0\0\0\0\0\0"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            await asyncio.sleep(0.01)
        await until(lambda: seen)
        server.close()

    reported(run, main)
    assert seen == [(ConnectionResetError, None)]


def fails_once(name):
    """The socket's method, which raises the error first, if it is the one to fail."""

    def method(self, *args):
        if self.failing == name:
            self.failing = None
            raise self.error
        return getattr(socket.socket, name)(self, *args)

    return method


class FailingSocket(socket.socket):
    """One of whose methods raises an error, once."""

    failing = error = None
    recv = fails_once("recv")
    recv_into = fails_once("recv_into")
    send = fails_once("send")
    accept = fails_once("accept")
    recvfrom = fails_once("recvfrom")
    sendto = fails_once("sendto")


def made_failing(sock, name, error):
    sock = FailingSocket(sock.family, sock.type, sock.proto, sock.detach())
    sock.setblocking(False)
    sock.failing, sock.error = name, error
    return sock


class Ends(asyncio.Protocol):
    def __init__(self):
        self.handled = []

    def connection_lost(self, exc):
        self.handled.append((exc, sys.exc_info()[1]))

    def error_received(self, exc):
        self.handled.append((exc, sys.exc_info()[1]))

    def datagram_received(self, data, addr):
        pass


class EndsBuffered(Ends, asyncio.BufferedProtocol):
    def get_buffer(self, hint):
        return bytearray(100)

    def buffer_updated(self, count):
        pass


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("name", ["recv", "recv_into", "send"])
def test_errors_of_a_streams_socket(run, name, debug):
    """They are reported from the block that caught them; the protocol hears later."""
    ends, error = [], Boom()

    async def main(reports):
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        kind = EndsBuffered if name == "recv_into" else Ends
        transport, protocol = await loop.create_connection(
            kind, sock=made_failing(left, name, error)
        )
        if name == "send":
            transport.write(b"x")
        else:
            right.send(b"x")
        await until(lambda: protocol.handled)
        ends.extend(protocol.handled)
        right.close()

    assert reported(run, main, debug=debug) == ["told"]
    assert ends == [(error, None)]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("name", ["recvfrom", "sendto"])
def test_errors_of_a_datagram_socket(run, name, own):
    """An OSError is the protocol's, while it is handled; others are reported."""
    ends, error = [], OSError(errno.EIO, "odd") if own else Boom()

    async def main(reports):
        loop = asyncio.get_running_loop()
        with datagram_socket() as peer:
            sock = made_failing(datagram_socket(), name, error)
            transport, protocol = await loop.create_datagram_endpoint(Ends, sock=sock)
            if name == "sendto":
                transport.sendto(b"x", peer.getsockname())
            else:
                peer.sendto(b"x", transport.get_extra_info("sockname"))
            await until(lambda: protocol.handled)
            ends.extend(protocol.handled)
            transport.abort()
            await asyncio.sleep(0)

    assert reported(run, main) == ([] if own else ["told"])
    assert ends == [(error, error if own else None)]


def test_errors_of_a_listening_socket(run):
    async def main(reports):
        loop = asyncio.get_running_loop()
        sock = socket.create_server(("127.0.0.1", 0))
        sock = made_failing(sock, "accept", Boom())
        server = await loop.create_server(asyncio.Protocol, sock=sock)
        with socket.create_connection(sock.getsockname()):
            await until(lambda: reports.seen)
        server.close()

    assert reported(run, main) == ["told"]


@pytest.mark.parametrize("method", ["datagram_received", "error_received"])
def test_datagram_protocols(run, method):
    async def main(reports):
        loop = asyncio.get_running_loop()
        with datagram_socket() as gone, datagram_socket() as other:
            ours = datagram_socket()
            ours.connect(gone.getsockname())
            gone_address = gone.getsockname()
            gone.close()
            transport, _ = await loop.create_datagram_endpoint(
                lambda: failing(method, asyncio.DatagramProtocol)(), sock=ours
            )
            if method == "error_received":
                transport.sendto(b"x")
            else:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                    peer.bind(gone_address)
                    peer.sendto(b"x", transport.get_extra_info("sockname"))
            await until(lambda: reports.seen)
            transport.abort()
            await asyncio.sleep(0)
            other.close()

    assert set(reported(run, main)) == {"told"}


def test_error_received_handles_the_error(run):
    seen = []

    class Protocol(asyncio.DatagramProtocol):
        def error_received(self, exc):
            seen.append(sys.exc_info()[1] is exc)

    async def main(reports):
        loop = asyncio.get_running_loop()
        gone = datagram_socket()
        ours = datagram_socket()
        ours.connect(gone.getsockname())
        gone.close()
        transport, _ = await loop.create_datagram_endpoint(Protocol, sock=ours)
        transport.sendto(b"x")
        await until(lambda: seen)
        transport.close()

    reported(run, main)
    assert all(seen)


@pytest.mark.parametrize("method", ["connection_made", "data_received", "eof_received"])
def test_read_pipes(run, method):
    async def main(reports):
        loop = asyncio.get_running_loop()
        read, write = os.pipe()
        os.write(write, b"x")
        os.close(write)
        file = open(read, "rb", 0)  # noqa: SIM115
        transport, _ = await loop.connect_read_pipe(failing(method), file)
        await until(lambda: reports.seen)
        transport.close()
        await asyncio.sleep(0)

    assert set(reported(run, main)) == {"told"}


@pytest.mark.parametrize("method", ["pause_writing", "connection_lost"])
def test_write_pipes(run, method):
    async def main(reports):
        loop = asyncio.get_running_loop()
        read, write = os.pipe()
        file = open(write, "wb", 0)  # noqa: SIM115
        protocol_factory = failing(method, asyncio.BaseProtocol)
        transport, _ = await loop.connect_write_pipe(protocol_factory, file)
        transport.write(b"x" * 1_000_000)
        if method == "connection_lost":
            transport.abort()
            await until(lambda: reports.seen)
        else:
            await until(lambda: reports.seen)
            transport.abort()
        os.close(read)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert set(reported(run, main)) == {"told"}


@pytest.mark.parametrize(
    "method", ["connection_made", "pipe_data_received", "pipe_connection_lost"]
)
def test_subprocess_protocols(run, method):
    async def main(reports):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.subprocess_exec(
            failing(method, asyncio.SubprocessProtocol),
            sys.executable,
            "-c",
            "print(1)",
            stdin=None,
            stderr=None,
        )
        await until(lambda: reports.seen)
        await transport._wait()
        transport.close()
        await asyncio.sleep(0.01)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert set(reported(run, main)) == {"told"}


@pytest.mark.parametrize("debug", [False, True])
def test_a_protocol_factory_that_raises(run, debug, unraisable):
    async def main(reports):
        loop = asyncio.get_running_loop()
        called = []

        def factory():
            called.append(1)
            fail()

        server = await loop.create_server(factory, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()):
            await until(lambda: called)
            await asyncio.sleep(0.01)
        server.close()

    assert reported(run, main, debug=debug) == ["told"] * debug
    gc.collect()
    unraisable.take()  # asyncio forgets the connection without closing it


def test_out_of_descriptors(run, monkeypatch):
    """accept() is refused: the server reports that from the block that caught it."""

    async def main(reports):
        import resource

        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        with socket.socket() as client:
            client.setblocking(False)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            lowest = os.dup(0)
            os.close(lowest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
            try:
                with contextlib.suppress(BlockingIOError):
                    client.connect(server.sockets[0].getsockname())
                await until(lambda: reports.seen)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        server.close()

    assert set(reported(run, main)) == {"told"}
