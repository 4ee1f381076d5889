"""Random programs of two datagram endpoints, and a queue of datagrams as their model.

As random_streams.py. The model: what one end sent arrives at the other, each datagram
whole, in order and once, and over a Unix socket all of it, unless the sender aborted,
failed or was told of an error, or the receiver left. And: pause_writing and
resume_writing alternate, at the marks; nothing comes after close; connection_lost comes
once and last; nothing is left in a queue and no file descriptor open.

Where one end alone is a transport, over a Unix socket, and the marks are out of reach,
asyncio's trace is ours (`is_exact(program)`).

    python -m tests.net.random_datagrams [--programs N] [--seed S]
"""

import asyncio
import socket
import sys
from typing import NamedTuple

from hypothesis import strategies as st

from tests.net import random_runs
from tests.net.random_runs import CONTENT, flat

# What the report calls them.
WHAT = "datagrams"
MODEL = "queue"

SENDS_EMPTY = sys.version_info >= (3, 13)

sizes = st.sampled_from([0, 1, 2, 100, 1000, 5000, 60_000])
small_sizes = st.sampled_from([0, 1, 2, 100, 1000, 2000])
marks = st.one_of(st.none(), st.sampled_from([0, 1, 500, 4000]))


class Program(NamedTuple):
    """What `run` runs."""

    family: str  # "unix" or "udp"
    both: bool  # the second end is a transport too, not a plain socket
    connected: bool  # the first end's socket is
    inside: bool  # what is done is done in callbacks, not between iterations
    limits: tuple  # the water marks
    instructions: tuple  # of (end, what, *arguments)
    reactions: tuple  # by end: of (event, what, *arguments), each used once


def operations(sizes):
    """What can be done to an endpoint at any time."""
    return [
        st.tuples(st.just("send"), sizes),
        st.tuples(st.just("send_changing"), sizes),
        st.tuples(st.just("send_slice"), sizes),
        st.tuples(st.just("shrink")),
        st.tuples(st.just("look")),
    ]


endings = [st.tuples(st.just(what)) for what in ("close", "abort")]

EVENTS = [
    "connection_made",
    "datagram_received",
    "error_received",
    "pause_writing",
    "resume_writing",
    "connection_lost",
]


def instructions(sizes):
    """What is done, turn by turn: first the ends live on, then they may not."""
    ends = st.integers(0, 1)
    doing = st.tuples(ends, st.one_of(*operations(sizes))).map(flat)
    sending = st.tuples(st.just(0), st.just("send"), sizes)
    reading = st.tuples(st.just(1), st.just("read"))
    turning = st.tuples(st.just(0), st.just("turn"), st.integers(1, 3))
    ending = st.tuples(ends, st.one_of(*endings)).map(flat)
    living = [doing, doing, sending, sending, reading, turning]
    return st.builds(
        lambda life, end: (*life, *end),
        st.lists(st.one_of(living), min_size=10, max_size=40),
        st.lists(st.one_of(*living, ending), max_size=8),
    )


def programs(exact):
    """The strategy of programs; exact: those that `is_exact` holds for, or others."""
    some = small_sizes if exact else sizes
    what = st.one_of(*operations(some), *endings, st.just(("raise",)))
    reacting = st.lists(
        st.tuples(st.sampled_from(EVENTS), what).map(flat), max_size=4
    ).map(tuple)
    made = st.builds(
        Program,
        family=st.just("unix") if exact else st.sampled_from(["unix", "udp"]),
        both=st.just(False) if exact else st.booleans(),
        connected=st.booleans(),
        inside=st.booleans(),
        limits=st.just((None, None)) if exact else st.tuples(marks, st.none()),
        instructions=instructions(some),
        reactions=st.tuples(reacting, reacting),
    )
    return made.filter(is_exact) if exact else made


def is_exact(program):
    """Must its trace be the same on every loop?"""
    # Then asyncio still sends in that turn, ours in the next.
    raises = any(r[:2] == ("datagram_received", "raise") for r in program.reactions[0])
    alone = program.family == "unix" and not program.both
    return alone and program.limits == (None, None) and not raises


def sockets(program):
    """Two sockets that know each other, not blocking."""
    family = socket.AF_UNIX if program.family == "unix" else socket.AF_INET
    name = "" if program.family == "unix" else ("127.0.0.1", 0)
    left = socket.socket(family, socket.SOCK_DGRAM)
    right = socket.socket(family, socket.SOCK_DGRAM)
    for sock in (left, right):
        sock.bind(name)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_000_000)
    right.connect(left.getsockname())
    if program.connected:
        left.connect(right.getsockname())
    return left, right


class Channel:
    """The model of one direction: what was sent and has not arrived."""

    def __init__(self, start):
        self.start, self.n_sent = start, 0
        self.waiting = []
        self.lossy = False  # the rest may be lost

    def take(self, size):
        """The next datagram."""
        self.n_sent += 1
        start = (self.start + self.n_sent * 7) % 30_000
        return CONTENT[start : start + size]

    def accepted(self, data):
        if data or SENDS_EMPTY:
            self.waiting.append(data)

    def came(self, data):
        """Whether it is the next one, or one further on if some may be lost."""
        while self.waiting:
            if self.waiting.pop(0) == data:
                return True
            if not self.lossy:
                return False
        return False


class Endpoint(asyncio.DatagramProtocol):
    """One end that is a transport, and what must hold of it."""

    is_transport = True

    def __init__(self, machine, name, sock, target, into, out_of):
        self.machine, self.name, self.sock = machine, name, sock
        self.target, self.into, self.out_of = target, into, out_of
        self.reactions = list(machine.program.reactions[name == "B"])
        self.transport = None
        self.closed = self.paused = self.lost = self.over = False

    def connect(self):
        loop = self.machine.loop
        loop.run_until_complete(
            loop.create_datagram_endpoint(lambda: self, sock=self.sock)
        )
        self.transport.set_write_buffer_limits(*self.machine.program.limits)

    def note(self, *event):
        self.machine.note(self.name, *event)

    def hold(self, truth, what):
        if not truth:
            self.machine.wrong.append(f"{self.name}: {what}")

    # ---- the protocol ----

    def happens(self, event, *details):
        self.note(event, *details)
        self.hold(not self.over, f"{event} after connection_lost")
        for i, (when, what, *arguments) in enumerate(self.reactions):
            if when == event:
                del self.reactions[i]
                if what == "raise":
                    self.into.lossy = True
                    raise ValueError("reaction")
                self.do(what, *arguments)
                break

    def connection_made(self, transport):
        self.hold(self.transport is None, "connection_made twice")
        self.transport = transport
        self.happens("connection_made")

    def datagram_received(self, data, address):
        self.hold(not self.closed, "a datagram after close")
        self.hold(type(data) is bytes, "no bytes")
        self.hold(self.out_of.came(data), "another datagram came than was sent")
        self.hold(address == self.target, f"from {address}, not {self.target}")
        self.happens("datagram_received", len(data))

    def error_received(self, exc):
        self.into.lossy = self.out_of.lossy = True
        self.happens("error_received", type(exc).__name__)

    def pause_writing(self):
        self.hold(not self.paused, "paused twice")
        self.paused = True
        size = self.transport.get_write_buffer_size()
        self.hold(size > self.transport.get_write_buffer_limits()[1], "paused early")
        self.happens("pause_writing")

    def resume_writing(self):
        self.hold(self.paused, "resumed and not paused")
        self.paused = False
        size = self.transport.get_write_buffer_size()
        self.hold(size <= self.transport.get_write_buffer_limits()[0], "resumed early")
        self.happens("resume_writing")

    def connection_lost(self, exc):
        self.hold(not self.lost, "lost twice")
        self.lost = self.closed = True
        if exc is not None:
            self.into.lossy = True
        try:
            self.happens("connection_lost", exc and type(exc).__name__)
        finally:
            self.over = True

    # ---- what is done to it ----

    def do(self, what, *arguments):
        if self.transport is None:
            return
        sends = what.startswith("send") and self.transport.is_closing()
        if not self.machine.beyond_asyncio and (
            sends or (self.lost and what == "abort")
        ):
            return  # it may raise, later on
        try:
            self.note(what, getattr(self, "do_" + what)(*arguments))
        except ValueError as exc:  # error_received, inside sendto
            self.note(what, "raised", str(exc))
            if self.machine.loop.is_running():
                raise

    def send(self, data, shown):
        if not self.over:  # closed, it still sends
            self.into.accepted(data)
        if self.transport.is_closing():
            self.into.lossy = True  # what must wait is lost
        if self.name == "A" and not self.machine.program.connected:
            self.transport.sendto(shown, self.target)
        else:
            self.transport.sendto(shown)

    def do_send(self, size):
        data = self.into.take(size)
        self.send(data, data)

    def do_send_changing(self, size):
        data = self.into.take(size)
        shown = bytearray(data)
        self.send(data, shown)
        shown[:] = bytes(size)
        shown.clear()

    def do_send_slice(self, size):
        data = self.into.take(size)
        self.send(data, memoryview(b"begin" + data + b"end")[5:-3])

    def do_shrink(self):
        sock = self.transport.get_extra_info("socket")
        if sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)

    def do_look(self):
        size = self.transport.get_write_buffer_size()
        self.hold(size >= 0, f"{size} bytes")
        return self.transport.is_closing()

    def do_read(self):
        pass

    def do_close(self):
        self.transport.close()
        self.closed = True

    def do_abort(self):
        self.into.lossy = True
        self.transport.abort()
        self.closed = True

    def check_end(self):
        self.hold(self.lost, "connection_lost did not come")
        self.hold(self.sock.fileno() == -1, "its socket is open")
        left = self.transport.get_write_buffer_size()
        self.hold(left == 0 or not self.machine.ours, f"{left} bytes are left")


class Socket:
    """One end that is a plain socket."""

    is_transport = False
    lost = True

    def __init__(self, machine, name, sock, into, out_of):
        self.machine, self.name, self.sock = machine, name, sock
        self.into, self.out_of = into, out_of

    def do(self, what, *arguments):
        if what in ("send", "read", "close", "shrink") and self.sock.fileno() >= 0:
            try:
                done = getattr(self, "do_" + what)(*arguments)
            except OSError as exc:
                done = type(exc).__name__
                # with the other end gone the kernel drops what has come
                self.out_of.lossy |= not isinstance(exc, BlockingIOError)
            self.machine.note(self.name, what, done)

    def do_send(self, size):
        data = self.into.take(size)
        self.sock.send(data)
        self.into.waiting.append(data)

    def do_read(self):
        data = self.sock.recv(100_000)
        if not self.out_of.came(data):
            self.machine.wrong.append(f"{self.name}: another datagram than was sent")
        return len(data)

    def do_shrink(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)

    def do_close(self):
        self.out_of.lossy = True
        self.sock.close()

    def drain(self):
        for _ in range(1000):
            if self.sock.fileno() < 0:
                return
            try:
                self.do_read()
            except BlockingIOError:
                return
            except OSError:
                continue  # told of the other's end

    def check_end(self):
        self.drain()
        if self.out_of.waiting and not self.out_of.lossy:
            self.machine.wrong.append(f"{self.name}: {len(self.out_of.waiting)} lost")


class Machine(random_runs.Machine):
    def __init__(self, program, loop, ours):
        super().__init__(program, loop, ours)
        self.beyond_asyncio = ours and not is_exact(program)
        there, back = Channel(0), Channel(10_000)
        # the kernel drops what a full UDP buffer does not hold
        there.lossy = back.lossy = program.family == "udp"
        left, right = sockets(program)
        names = left.getsockname(), right.getsockname()
        self.ends = [Endpoint(self, "A", left, names[1], there, back)]
        if program.both:
            self.ends.append(Endpoint(self, "B", right, names[0], back, there))
        else:
            self.ends.append(Socket(self, "B", right, back, there))

    def report(self, loop, context):
        exc = context.get("exception")
        if isinstance(exc, AttributeError) and not self.ours:
            return  # asyncio's own, of a turn that comes after the end
        if not isinstance(exc, ValueError):
            self.wrong.append(f"{context['message']}: {exc!r}")
        self.note("report", context["message"][:21])

    def filter(self, record):
        return False

    def finish(self):
        """The first end closes, and what it has left goes; then the second."""
        for end in self.ends:
            if not end.is_transport:
                continue
            end.do("close")
            if self.program.both and end is self.ends[0] and self.ends[1].closed:
                end.do("abort")  # nobody reads what waits
            for _ in range(200):
                if end.lost:
                    break
                self.iterate()
                if not self.program.both:
                    self.ends[1].drain()
            else:
                # an end that has closed no longer reads
                end.do("abort")
                self.iterate()
                self.iterate()
        for end in self.ends:
            end.check_end()


if __name__ == "__main__":
    random_runs.main(sys.modules[__name__])
