"""loop.sock_* as coroutines, and what they are given."""

import array
import asyncio
import collections.abc
import errno
import gc
import inspect
import os
import socket
import sys
import tempfile
import weakref

import pytest

from tests.net.helpers import settle
from tests.support import outcome

# ---- as coroutines ----


def ops(loop, sock, file):
    """One of each, by name."""
    return {
        "sock_recv": loop.sock_recv(sock, 1),
        "sock_recv_into": loop.sock_recv_into(sock, bytearray(1)),
        "sock_recvfrom": loop.sock_recvfrom(sock, 1),
        "sock_recvfrom_into": loop.sock_recvfrom_into(sock, bytearray(1)),
        "sock_sendall": loop.sock_sendall(sock, b"x"),
        "sock_sendto": loop.sock_sendto(sock, b"x", ("127.0.0.1", 1)),
        "sock_connect": loop.sock_connect(sock, ("127.0.0.1", 1)),
        "sock_accept": loop.sock_accept(sock),
        "sock_sendfile": loop.sock_sendfile(sock, file),
    }


def test_no_weak_references_and_a_name_that_stays(loop, loop_kind, pair):
    receiving = loop.sock_recv(pair[0], 1)
    if loop_kind == "fastloop":
        with pytest.raises(TypeError):
            weakref.ref(receiving)
        with pytest.raises(AttributeError):
            receiving.__name__ = "other"
    else:
        assert weakref.ref(receiving)() is receiving
        receiving.__name__ = "other"
    receiving.close()


def test_one_never_awaited_says_where_it_was_made(loop, pair):
    sys.set_coroutine_origin_tracking_depth(1)
    try:
        receiving = loop.sock_recv(pair[0], 1)
    finally:
        sys.set_coroutine_origin_tracking_depth(0)
    ((file, line, function),) = receiving.cr_origin
    assert (file, function) == (__file__, sys._getframe().f_code.co_name)
    with pytest.warns(RuntimeWarning, match="sock_recv' was never awaited") as caught:
        del receiving
        gc.collect()
    assert "Coroutine created at" in str(caught[0].message)
    assert f"line {line}, in {function}" in str(caught[0].message)


def test_nothing_is_done_before_it_is_awaited(loop, pair):
    left, right = pair
    sending = loop.sock_sendall(left, b"now")
    with pytest.raises(BlockingIOError):
        right.recv(10)
    loop.run_until_complete(sending)
    assert right.recv(10) == b"now"


def test_they_are_coroutines(loop, pair, file):
    for name, op in ops(loop, pair[0], file).items():
        assert asyncio.iscoroutine(op), name
        assert isinstance(op, collections.abc.Coroutine), name
        assert inspect.isawaitable(op), name
        assert op.__name__ == name
        assert op.__qualname__.endswith(f".{name}")
        assert name in repr(op)
        assert op.cr_running is False
        op.close()


def test_awaited_twice_at_once(run, pair):
    async def main():
        op = asyncio.get_running_loop().sock_recv(pair[0], 1)

        async def await_it():
            return await op

        first = asyncio.create_task(await_it())
        await settle()
        with pytest.raises(RuntimeError, match="coroutine is being awaited already"):
            await op
        pair[1].send(b"x")
        assert await first == b"x"

    run(main())


def test_not_what_inspect_calls_a_coroutine(own_loop, pair):
    """They are written in C, and so are the methods."""
    op = own_loop.sock_recv(pair[0], 1)
    assert not inspect.iscoroutine(op)
    assert not inspect.iscoroutinefunction(own_loop.sock_recv)
    op.close()


def test_a_warning_if_never_awaited(loop, pair):
    with pytest.warns(RuntimeWarning, match=r"coroutine '.*\.sock_recv' was never aw"):
        loop.sock_recv(pair[0], 1)
        gc.collect()


def test_no_warning_once_closed(loop, pair):
    op = loop.sock_recv(pair[0], 1)
    assert op.close() is None
    assert op.close() is None
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        op.send(None)
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        op.throw(KeyError)


def test_awaited_once(loop, pair):
    op = loop.sock_sendall(pair[0], b"x")
    loop.run_until_complete(op)
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        loop.run_until_complete(op)


def test_driven_by_hand(loop, pair):
    left, right = pair
    op = loop.sock_recv(left, 10)
    with pytest.raises(TypeError, match="can't send non-None value"):
        op.send("early")
    future = op.send(None)
    assert asyncio.isfuture(future)
    assert future._asyncio_future_blocking is True
    future._asyncio_future_blocking = False
    right.send(b"data")
    loop.run_until_complete(future)
    with pytest.raises(StopIteration) as caught:
        op.send(None)
    assert caught.value.value == b"data"


def test_an_exception_thrown_in(own_loop, pair):
    """asyncio's watch would stay until its future is done."""
    left, loop = pair[0], own_loop
    fresh = loop.sock_recv(left, 10)
    with pytest.raises(KeyError, match="thrown"):
        fresh.throw(KeyError("thrown"))
    waiting = loop.sock_recv(left, 10)
    waiting.send(None)
    with pytest.raises(KeyError):
        waiting.throw(KeyError)
    loop.run_until_complete(settle())
    assert loop.remove_reader(left) is False


def test_dropped_while_it_waits(loop, pair):
    left, _ = pair
    op = loop.sock_recv(left, 10)
    future = op.send(None)
    future.cancel()
    op.close()
    del op, future
    gc.collect()
    loop.run_until_complete(settle())
    assert loop.remove_reader(left) is False


def test_a_task_says_what_it_does(loop, pair):
    left, _ = pair

    async def main():
        task = asyncio.ensure_future(loop.sock_recv(left, 10))
        await settle()
        text = repr(task)
        assert task.get_stack() is not None
        task.cancel()
        await asyncio.wait([task])
        return text

    assert "sock_recv" in loop.run_until_complete(main())


def test_keywords(loop, pair):
    left, right = pair

    async def main():
        await loop.sock_sendall(sock=left, data=b"abc")
        one = await loop.sock_recv(sock=right, n=1)
        buffer = bytearray(2)
        assert await loop.sock_recv_into(right, buf=buffer) == 2
        return one + buffer

    assert loop.run_until_complete(main()) == b"abc"


@pytest.mark.parametrize(
    ("name", "args", "options"),
    [
        ("sock_recv", (), {}),
        ("sock_recv", (1,), {}),
        ("sock_recv", (1, 2, 3), {}),
        ("sock_recv", (1,), {"nbytes": 2}),
        ("sock_recvfrom_into", (1,), {}),
        ("sock_recvfrom_into", (1, 2, 3, 4), {}),
        ("sock_accept", (), {"sock": 1, "n": 2}),
        ("sock_sendfile", (1,), {}),
        ("sock_sendfile", (1, 2, 3, 4, 5), {}),
    ],
)
def test_a_wrong_number_of_arguments(loop, name, args, options):
    with pytest.raises(TypeError):
        getattr(loop, name)(*args, **options)


# ---- wrong arguments and wrong sockets ----

WRONG = [
    ("sock_recv", ("ten",)),
    ("sock_recv", (-1,)),
    ("sock_recv", (None,)),
    ("sock_recv", (1.5,)),
    ("sock_recv", (1 << 70,)),
    ("sock_recv", (0,)),
    ("sock_recv", (True,)),
    ("sock_recv_into", (b"constant",)),
    ("sock_recv_into", ("text",)),
    ("sock_recv_into", (None,)),
    ("sock_recv_into", (memoryview(bytearray(8))[::2],)),
    ("sock_recv_into", (bytearray(),)),
    ("sock_recvfrom", (-1,)),
    ("sock_recvfrom", ("ten",)),
    ("sock_recvfrom_into", (bytearray(4), -1)),
    ("sock_recvfrom_into", (bytearray(4), 5)),
    ("sock_recvfrom_into", (bytearray(4), "x")),
    ("sock_recvfrom_into", (b"constant",)),
    ("sock_recvfrom_into", (5,)),
    ("sock_sendall", ("text",)),
    ("sock_sendall", (None,)),
    ("sock_sendall", (5,)),
    ("sock_sendall", (memoryview(bytes(8))[::2],)),
    ("sock_sendto", ("text", ("127.0.0.1", 1))),
    ("sock_sendto", (b"x", None)),
    ("sock_sendto", (b"x", ("127.0.0.1", 1 << 16))),
    ("sock_sendto", (b"x", ("127.0.0.1", -1))),
    ("sock_sendto", (b"x", ("127.0.0.1", "http"))),
    ("sock_sendto", (b"x", ("127.0.0.1",))),
    ("sock_sendto", (b"x", "127.0.0.1")),
    ("sock_sendto", (b"x", ("::1", 1))),
    ("sock_connect", (None,)),
    ("sock_connect", ("127.0.0.1",)),
    ("sock_connect", (("127.0.0.1",),)),
    ("sock_connect", (("127.0.0.1", None),)),
    ("sock_connect", (("127.0.0.1", 1 << 16),)),
    ("sock_connect", (("127.0.0.1", -1),)),
    ("sock_connect", (("127.0.0.1\0x", 1),)),
    ("sock_connect", (5,)),
]


@pytest.mark.parametrize(("name", "args"), WRONG)
def test_wrong_arguments_as_asyncio(fast_loop, name, args):
    """The same outcome, to the words of the message."""
    asyncios = asyncio.new_event_loop()

    def call(loop):
        kind = socket.SOCK_STREAM if name == "sock_connect" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as sock:
            sock.setblocking(False)
            if kind == socket.SOCK_DGRAM:
                sock.bind(("127.0.0.1", 0))
                sock.sendto(b"data", sock.getsockname())
            method = getattr(loop, name)
            timed = asyncio.wait_for(method(sock, *args), 5)
            return outcome(loop.run_until_complete, timed)

    def words(answer):
        return str(answer).replace("'127.0.0.1', 0", "address")

    try:
        expected, got = call(asyncios), call(fast_loop)
    finally:
        asyncios.run_until_complete(asyncios.shutdown_default_executor())
        asyncios.close()
    if name.startswith("sock_recvfrom"):
        expected, got = (str(x).split(", ('127")[0] for x in (expected, got))
    assert words(got) == words(expected)


@pytest.mark.parametrize("sock", [None, 5, "socket", object()])
def test_what_is_no_socket(loop, sock, file):
    for op in ops(loop, sock, file).values():
        with pytest.raises((AttributeError, TypeError)):
            loop.run_until_complete(op)


def test_a_closed_socket(loop, file):
    sock = socket.socket()
    sock.setblocking(False)
    sock.close()
    for name, op in ops(loop, sock, file).items():
        with pytest.raises(OSError) as caught:
            loop.run_until_complete(op)
        assert caught.value.errno == errno.EBADF, name


def test_a_socket_not_connected(loop):
    with socket.socket() as sock:
        sock.setblocking(False)
        with pytest.raises(OSError) as caught:
            loop.run_until_complete(loop.sock_recv(sock, 10))
        assert caught.value.errno == errno.ENOTCONN
        with pytest.raises(OSError) as caught:
            loop.run_until_complete(loop.sock_accept(sock))
        assert caught.value.errno == errno.EINVAL


class Counting(socket.socket):
    """A socket with a method of its own: it must be called."""

    calls = 0

    def recv(self, *args):
        type(self).calls += 1
        return super().recv(*args)


def test_a_subclass_of_socket(loop, pair):
    left, right = pair
    Counting.calls = 0
    with Counting(fileno=os.dup(left.fileno())) as sock:
        sock.setblocking(False)
        right.send(b"data")
        assert loop.run_until_complete(loop.sock_recv(sock, 10)) == b"data"
    assert Counting.calls == 1


def test_a_patched_socket_class(loop, pair, monkeypatch):
    left, right = pair
    right.send(b"real")
    monkeypatch.setattr(
        socket.socket, "recv", lambda sock, n: b"patched", raising=False
    )
    assert loop.run_until_complete(loop.sock_recv(left, 10)) == b"patched"
    monkeypatch.undo()
    assert loop.run_until_complete(loop.sock_recv(left, 10)) == b"real"


def test_a_fd_of_a_transport(loop):
    async def main():
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, server.sockets[0].getsockname())
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=sock)
            with pytest.raises(RuntimeError, match="is used by transport"):
                await loop.sock_recv(sock, 10)
            transport.abort()
            await settle()
        server.close()
        await server.wait_closed()
        await settle()

    loop.run_until_complete(main())


def test_a_closed_loop(loop, pair):
    left, right = pair
    op, ready = loop.sock_recv(left, 10), loop.sock_sendall(left, b"sent")
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        op.send(None)
    with pytest.raises(StopIteration):
        ready.send(None)
    assert right.recv(10) == b"sent"


def test_a_loop_closed_while_it_waits(loop, pair):
    op = loop.sock_recv(pair[0], 10)
    op.send(None)
    loop.close()
    op.close()


def test_a_blocking_socket_does_not_block(own_loop):
    """asyncio's loop would stand still in recv()."""
    left, right = socket.socketpair()
    with left, right:

        async def main():
            receiving = asyncio.ensure_future(own_loop.sock_recv(left, 10))
            await settle()
            right.send(b"x")
            return await receiving

        assert own_loop.run_until_complete(main()) == b"x"


def test_a_blocking_socket_in_debug_mode(loop, pair, file):
    loop.set_debug(True)
    pair[0].setblocking(True)
    for op in ops(loop, pair[0], file).values():
        with pytest.raises(ValueError, match="the socket must be non-blocking"):
            loop.run_until_complete(op)


def test_debug_mode(loop, pair):
    left, right = pair
    loop.set_debug(True)

    async def main():
        receiving = asyncio.ensure_future(loop.sock_recv(left, 10))
        await settle()
        await loop.sock_sendall(right, b"x")
        return await receiving

    assert loop.run_until_complete(main()) == b"x"


class Owner:
    """An object with a buffer, which calls back when that is taken or given back."""

    def __init__(self, taken=None, given_back=None):
        self.taken, self.given_back = taken, given_back

    def __buffer__(self, flags):
        if self.taken is not None:
            self.taken()
        return memoryview(b"from it")

    def __release_buffer__(self, view):
        if self.given_back is not None:
            self.given_back()


needs_python_buffers = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="buffers of Python objects came with 3.12"
)


@needs_python_buffers
def test_closed_by_the_buffer_that_it_gives_back(own_loop, pair):
    called = []

    def given_back():
        called.append(True)
        operation.close()

    async def main():
        await operation

    operation = own_loop.sock_sendall(pair[0], Owner(given_back=given_back))
    own_loop.run_until_complete(main())
    assert called == [True]
    assert pair[1].recv(100) == b"from it"


@needs_python_buffers
@pytest.mark.parametrize("method", ["sock_sendall", "sock_sendto"])
def test_a_socket_closed_while_the_buffer_is_taken(loop, tcp, method):
    """Whoever has the number by then gets nothing."""
    left, _ = tcp
    others = []

    def taken():
        if (number := left.fileno()) >= 0:
            left.close()
            others.extend(socket.socketpair())
            assert number in (others[0].fileno(), others[1].fileno())

    async def main():
        address = ("127.0.0.1", 9)
        more = [address] if method == "sock_sendto" else []
        with pytest.raises(OSError, match="Bad file descriptor"):
            await getattr(loop, method)(left, Owner(taken), *more)

    loop.run_until_complete(main())
    with others[0], others[1]:
        for other in others:
            other.setblocking(False)
            with pytest.raises(BlockingIOError):
                other.recv(10)


def test_closed_by_the_file_whose_place_it_keeps(own_loop, pair):
    class File:
        mode = "rb"
        closes = False

        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def fileno(self):
            if self.closes:
                self.closes = False
                operation.close()
            return self.file.fileno()

    async def main():
        task = asyncio.ensure_future(operation)
        await own_loop.sock_recv(pair[1], 1)
        file.closes = True
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with tempfile.TemporaryFile() as content:
        content.truncate(20_000_000)
        file = File(content)
        operation = own_loop.sock_sendfile(pair[0], file)
        own_loop.run_until_complete(main())


@pytest.mark.parametrize(
    "buffer",
    [
        memoryview(bytearray(16)).cast("b", (4, 4)),
        memoryview(array.array("i", [0] * 4)),
        array.array("i", [0] * 4),
    ],
    ids=["two dimensions", "four bytes an item", "no memoryview"],
)
def test_receiving_as_many_bytes_as_a_buffer_has_items(loop, pair, buffer):
    left, right = pair
    right.send(b"x" * 16)
    coroutine = loop.sock_recvfrom_into(left, buffer)
    assert loop.run_until_complete(coroutine) == (4, None)
