"""One owner of each file descriptor: whoever asks for a socket object, and when."""

import asyncio
import contextlib
import gc
import os
import resource
import socket
import sys
import threading
import warnings
import weakref

import pytest

from tests.net.helpers import Recorder
from tests.support import child_says, until


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


@pytest.mark.parametrize("cycle", [False, True])
def test_the_fd_of_a_dead_transport_may_be_watched(run, pair, cycle):
    """By whom a weak reference tells of the death."""
    ours, _ = pair
    told = []

    async def main():
        loop = asyncio.get_running_loop()
        mine = socket.socket(fileno=os.dup(ours.fileno()))
        mine.setblocking(False)
        number = mine.fileno()
        transport, protocol = await loop.create_connection(Recorder, sock=mine)
        transport.pause_reading()
        if not cycle:
            protocol.transport = None

        def look():
            told.append(loop.remove_reader(number))
            told.append(repr(loop._transports.get(number)))

        weakref.finalize(transport, look)
        del transport, protocol, mine
        gc.collect()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(main())
        gc.collect()
    assert told == [False, "None"]


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
    *(f"get_extra_info('{name}')" for name in ("peername", "sockname", "nothing")),
    *("is_closing()", "is_reading()", "get_protocol()", "pause_reading()", "_extra"),
    *("get_write_buffer_size()", "get_write_buffer_limits()", "__repr__()", "_sock"),
    *("_sock_fd", "_loop", "_protocol", "_server", "_buffer", "_conn_lost"),
]


def ask_everything(transport):
    """All getters and such methods; asyncio's raise in the midst of the end."""
    for name in ASKED:
        with contextlib.suppress(AttributeError, TypeError):
            eval(f"transport.{name}", {"transport": transport})


async def ask_while_it_ends():
    """What two threads found while a connection ended: its socket objects."""
    server, client, protocol = await accept_one()
    transport, found, over = protocol.transport, [], threading.Event()
    start = threading.Barrier(3)

    def ask():
        start.wait()
        while True:
            found.append(transport.get_extra_info("socket"))
            ask_everything(transport)
            if over.is_set():
                return

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    start.wait()
    transport.abort()
    await protocol.closed
    pairs = [socket.socketpair() for _ in range(3)]  # take the numbers that are free
    over.set()
    for thread in threads:
        thread.join()
    for left, right in pairs:
        left.send(b"x")
        assert right.recv(2) == b"x"
        left.close()
        right.close()
    client.close()
    server.close()
    await asyncio.sleep(0)
    return found


def test_threads_that_ask_while_connections_end(run):
    """Nobody's fd is closed by it, and all get the same socket, closed with the end."""

    async def main():
        for _ in range(30):
            found = await ask_while_it_ends()
            assert len({id(sock) for sock in found}) == 1
            assert found[0].fileno() == -1

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        run(main())
    finally:
        sys.setswitchinterval(switch)
