"""One owner of each file descriptor: whoever asks for a socket object, and when."""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import socket
import sys
import threading
import warnings
import weakref

import pytest

from tests.net.helpers import Recorder, datagram_socket
from tests.support import child_says, late_3_11, until


async def accept_one(factory=Recorder, host="127.0.0.1"):
    """A server, the socket of a client, and the transport that it is to the server."""
    loop, accepted = asyncio.get_running_loop(), []

    def make():
        accepted.append(factory())
        return accepted[-1]

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = await loop.create_server(make, host, 0, family=family)
    client = socket.create_connection(server.sockets[0].getsockname()[:2])
    await until(lambda: accepted and accepted[0].transport is not None)
    return server, client, accepted[0]


@pytest.fixture
def no_more_fds():
    """no_more_fds(): from then on to the test's end a new fd is refused."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def refuse():
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))

    yield refuse
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("when", ["open", "ended"])
def test_the_addresses_need_no_fd(run, no_more_fds, host, when):
    async def main():
        server, client, protocol = await accept_one(host=host)
        transport = protocol.transport
        if when == "ended":
            transport.abort()
            await protocol.closed
        server.close()
        await asyncio.sleep(0.01)
        no_more_fds()
        peer = transport.get_extra_info("peername")
        assert peer == client.getsockname()
        assert transport.get_extra_info("peername") is peer
        assert transport.get_extra_info("sockname") == client.getpeername()
        assert transport.get_extra_info("nothing", 1) == 1
        sock = transport.get_extra_info("socket")
        assert (sock.fileno() == -1) == (when == "ended")
        transport.abort()
        client.close()
        await asyncio.sleep(0.01)

    run(main())


def test_the_dict_is_asyncios(run):
    async def main():
        server, client, protocol = await accept_one()
        transport = protocol.transport
        assert transport.get_extra_info("nothing") is None
        peer = transport.get_extra_info("peername")
        extra = transport._extra
        assert list(extra) == ["peername", "socket", "sockname"]
        assert extra["peername"] is peer
        assert extra["socket"] is transport.get_extra_info("socket")
        transport.abort()
        client.close()
        server.close()
        await asyncio.sleep(0.01)

    run(main())


def test_a_name_that_only_equals_socket(run):
    class Name:
        def __hash__(self):
            return hash("socket")

        def __eq__(self, other):
            return other == "socket"

    async def main():
        server, client, protocol = await accept_one()
        sock = protocol.transport.get_extra_info(Name())
        assert sock is protocol.transport.get_extra_info("socket") is not None
        protocol.transport.abort()
        client.close()
        server.close()
        await asyncio.sleep(0.01)

    run(main())


# An audit hook is called in the midst of the making of a socket object.
HOOKED = """
import asyncio, os, socket, sys

hook = None

def audit(event, args):
    global hook
    if event == "socket.__new__" and hook is not None:
        now, hook = hook, None
        now()

sys.addaudithook(audit)

class Accepted(asyncio.Protocol):
    def connection_made(self, transport):
        accepted.append(transport)

async def main():
    global hook
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Accepted, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    while not accepted:
        await asyncio.sleep(0.001)
    transport = accepted.pop()
    await case(transport)
    if transport.get_extra_info("socket").fileno() != -1:
        transport.abort()
    client.close()
    server.close()
    await asyncio.sleep(0.01)

accepted = []
"""
ASKED_INSIDE = """
async def case(transport):
    global hook
    inner = []
    def hook():
        inner.append(transport.get_extra_info("socket"))
    outer = transport.get_extra_info("socket")
    hook = None
    assert all(sock is outer for sock in inner)
    assert transport.get_extra_info("socket") is outer
    transport.abort()
    await asyncio.sleep(0.01)
    assert outer.fileno() == -1
"""
ENDED_INSIDE = """
async def case(transport):
    global hook
    pair = []
    def hook():
        transport.abort()
        transport._call_connection_lost(None)
        pair.extend(socket.socketpair())
    sock = transport.get_extra_info("socket")
    if hook is not None:
        now, hook = hook, None
        now()
    assert sock.fileno() == -1
    assert transport.get_extra_info("socket") is sock
    del sock
    pair[0].send(b"x")
    assert pair[1].recv(9) == b"x"
    for end in pair:
        end.close()
"""
RUN = """
loop = new_event_loop()
loop.set_exception_handler(lambda *_: None)
loop.run_until_complete(main())
loop.close()
print("fine")
"""


@pytest.mark.parametrize("case", [ASKED_INSIDE, ENDED_INSIDE])
def test_what_happens_while_the_socket_is_made(loop_kind, case):
    assert child_says(loop_kind, HOOKED + case + RUN) == "fine\n"


kept = []


class Kept(Recorder):
    """Brings its transport back when both die."""

    def __del__(self):
        kept.append(self.transport)


async def drop_one(tcp, accepted):
    """Drops a transport with nothing but its protocol; what came back."""
    loop = asyncio.get_running_loop()
    if accepted:
        server, client, protocol = await accept_one(Kept)
        transport = protocol.transport
        transport.pause_reading()
        server.close()
        client.close()
        del server
    else:
        mine = socket.socket(fileno=os.dup(tcp[0].fileno()))
        mine.setblocking(False)
        transport, protocol = await loop.create_connection(Kept, sock=mine)
        transport.pause_reading()
        del mine
    await asyncio.sleep(0.01)
    del transport, protocol
    gc.collect()
    return kept.pop()


@pytest.mark.parametrize("end", ["close", "abort"])
@pytest.mark.parametrize("accepted", [False, True])
def test_the_end_of_a_resurrected_transport_is_told(run, tcp, end, accepted):
    async def main():
        transport = await drop_one(tcp, accepted)
        protocol = transport.get_protocol()
        assert not transport.is_closing()
        assert transport.get_extra_info("socket").fileno() == -1
        assert "closed" not in repr(transport)
        transport.write(b"x" if end == "abort" else b"")
        getattr(transport, end)()
        assert transport.is_closing()
        assert "connection_lost" not in protocol.calls
        await asyncio.wait_for(protocol.closed, 5)
        protocol.transport = None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(main())
        gc.collect()
    kept.clear()


# ---- threads ----


ASKED = [
    *("get_extra_info('peername')", "get_extra_info('sockname')", "_extra", "_loop"),
    *("get_extra_info('nothing')", "get_extra_info('pipe')", "_sock", "_sock_fd"),
    *("_pipe", "_fileno", "_protocol", "_server", "_buffer", "_conn_lost", "max_size"),
    *("is_closing()", "is_reading()", "can_write_eof()", "get_protocol()"),
    *("get_write_buffer_size()", "get_write_buffer_limits()", "__repr__()"),
]
DONE = [
    *("close()", "abort()", "pause_reading()", "resume_reading()", "write_eof()"),
    *("write(b'x')", "write(bytearray(b'x'))", "writelines([b'x', b'y'])"),
    *("sendto(b'x')", "set_write_buffer_limits(9)", "set_protocol(protocol)"),
]


def ask(transport, names):
    """Asks for everything, does all; asyncio's raise in the midst of the end."""
    given = {"transport": transport, "protocol": transport.get_protocol()}
    for name in names:
        with contextlib.suppress(Exception):
            eval(f"transport.{name}", given)


@contextlib.contextmanager
def switching_often():
    """Lets threads switch wherever they can, and says nothing of what they break."""
    switch, level = sys.getswitchinterval(), logging.root.manager.disable
    sys.setswitchinterval(1e-6)
    logging.disable()
    try:
        yield
    finally:
        logging.disable(level)
        sys.setswitchinterval(switch)


async def accepted():
    server, client, protocol = await accept_one()
    return protocol, [server, client]


async def connected():
    server, client, protocol = await accept_one()
    _, mine = await asyncio.get_running_loop().create_connection(
        Recorder, *server.sockets[0].getsockname()
    )
    protocol.transport.abort()
    return mine, [server, client]


async def given():
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(Recorder, sock=ours)
    return protocol, [theirs]


class Datagrams(Recorder):
    """Takes what comes."""

    def datagram_received(self, data, address):
        pass

    def error_received(self, exc):
        pass


async def datagrams():
    with datagram_socket() as theirs:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(
            Datagrams, remote_addr=theirs.getsockname()
        )
        return protocol, []


async def read_pipe():
    read, write = os.pipe()
    loop = asyncio.get_running_loop()
    _, protocol = await loop.connect_read_pipe(Recorder, os.fdopen(read, "rb", 0))
    return protocol, [os.fdopen(write, "wb", 0)]


async def write_pipe():
    read, write = os.pipe()
    loop = asyncio.get_running_loop()
    _, protocol = await loop.connect_write_pipe(Recorder, os.fdopen(write, "wb", 0))
    return protocol, [os.fdopen(read, "rb", 0)]


async def while_it_ends(make, look):
    """Ends a transport while two threads look at it, over and over."""
    protocol, rest = await make()
    transport, over = protocol.transport, threading.Event()
    start = threading.Barrier(3)

    def looks():
        start.wait()
        while True:
            look(transport)
            if over.is_set():
                return

    threads = [threading.Thread(target=looks) for _ in range(2)]
    for thread in threads:
        thread.start()
    start.wait()
    getattr(transport, "abort", transport.close)()
    await asyncio.wait_for(protocol.closed, 5)
    pairs = [socket.socketpair() for _ in range(3)]  # take the numbers that are free
    over.set()
    for thread in threads:
        thread.join()
    for left, right in pairs:
        left.send(b"x")
        assert right.recv(2) == b"x"
        left.close()
        right.close()
    for each in rest:
        each.close()
    await asyncio.sleep(0)


SOCKETS = [accepted, connected, given, datagrams]


@pytest.mark.parametrize("make", SOCKETS)
def test_threads_that_ask_while_it_ends(run, make):
    """Nobody's fd is closed by it, and all get the same socket, closed with the end."""

    async def main():
        for _ in range(15):
            found = []

            def look(transport, found=found):
                found.append(transport.get_extra_info("socket"))
                ask(transport, ASKED)

            await while_it_ends(make, look)
            assert len({id(sock) for sock in found}) == 1
            assert found[0].fileno() == -1

    with switching_often():
        run(main())


@pytest.mark.parametrize("make", [*SOCKETS, read_pipe, write_pipe])
def test_threads_that_do_everything_while_it_ends(fast_loop, make):
    """asyncio's own may break then; ours closes nobody's fd, and ends."""
    fast_loop.set_exception_handler(lambda *_: None)

    async def main():
        for _ in range(15):
            await while_it_ends(make, lambda transport: ask(transport, ASKED + DONE))

    with switching_often():
        fast_loop.run_until_complete(main())


# ---- the dead ----


@late_3_11  # datagrams could not be paused
@pytest.mark.parametrize("make", SOCKETS)
@pytest.mark.parametrize("cycle", [False, True])
def test_the_fd_of_a_dead_transport_may_be_watched(run, make, cycle):
    """By whom a weak reference tells of the death."""
    told = []

    async def main():
        loop = asyncio.get_running_loop()
        protocol, rest = await make()
        transport = protocol.transport
        transport.pause_reading()
        number = transport.get_extra_info("socket").fileno()
        if not cycle:
            protocol.transport = None

        def look():
            told.append(loop.remove_reader(number))
            told.append(loop.remove_writer(number))
            told.append(loop._transports.get(number))

        weakref.finalize(transport, look)
        for each in rest:
            each.close()
        rest.clear()
        await asyncio.sleep(0.01)
        del transport, protocol
        gc.collect()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(main())
        gc.collect()
    assert told == [False, False, None]
