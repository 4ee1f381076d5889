"""Random programs of TLS over transports, and two pipes of bytes as their model.

As random_streams.py: a TLS transport at one end, at the other end another one or an
`ssl.SSLObject` over a plain socket. The model: what one end accepted to write arrives
at the other from its beginning on, in order, and all of it unless somebody aborted or
failed or closed while bytes came to him, which are dropped; asyncio's transport and an
SSLObject answer them with an error. And:
pause_writing and resume_writing alternate, at the marks; eof_received comes once and
after all bytes; nothing comes while reading is paused; connection_lost comes once and
last, and no file descriptor stays open.

Where one end alone is a transport, over a Unix socket, asyncio's trace is ours
(`is_exact(program)`) until such an error.

    python -m tests.net.random_tls [--programs N] [--seed S]
"""

import asyncio
import functools
import itertools
import socket
import ssl
import sys
import time
from typing import NamedTuple

import trustme
from hypothesis import strategies as st

from tests.net import random_runs
from tests.net.random_ends import End, Passing, Plain
from tests.net.random_runs import PERIOD, Pipe, flat
from tests.net.random_streams import connected

# What the report calls them.
WHAT = "TLS"
MODEL = "pair of pipes"

FINISH_S = 3.0

# A transport was closed that had not got, or not read, all that the peer has sent.
LATE = "late bytes"

sizes = st.sampled_from([0, 1, 2, 100, 1000, 5000, 16_384, 16_385, 100_000])
small_sizes = st.sampled_from([0, 1, 2, 100, 1000, 2000, 3000, 4500])
marks = st.one_of(st.none(), st.sampled_from([0, 1, 500, 4000, 60_000]))


class Program(NamedTuple):
    """What `run` runs."""

    family: str  # "unix" or "tcp"
    version: str  # of TLS, as ssl.TLSVersion has it
    serves: int  # which end is the server
    both: bool  # the second end is a transport too, not an SSLObject
    inside: bool  # what is done is done in callbacks, not between iterations
    narrow: bool  # the kernel takes little at a time
    buffers: tuple  # by end: the size of its protocol's buffer, or None for a plain one
    limits: tuple  # the water marks at first
    instructions: tuple  # of (end, what, *arguments)
    reactions: tuple  # by end: of (event, what, *arguments), each used once


def operations(sizes):
    """What can be done to an end that is to live on."""
    return st.one_of(
        st.tuples(st.just("write"), sizes),
        st.tuples(st.just("write"), sizes),
        st.tuples(st.just("write_changing"), sizes),
        st.tuples(st.just("writelines"), st.lists(small_sizes, max_size=4).map(tuple)),
        st.tuples(st.just("set_limits"), marks, marks),
        st.just(("pause_reading",)),
        st.just(("resume_reading",)),
        st.just(("look",)),
    )


endings = st.sampled_from([("close",), ("abort",)])
# An SSLObject can end one direction alone, or end without a word.
peer_endings = st.sampled_from([("half_close",), ("close",), ("cut",), ("abort",)])

EVENTS = [
    "data_received",
    "eof_received",
    "pause_writing",
    "resume_writing",
    "connection_lost",
]


def reactions(sizes):
    doing = operations(sizes)
    what = st.one_of(doing, doing, endings, st.just(("raise",)))
    # Reading paused there keeps asyncio from sending its last word of the handshake.
    made = [st.tuples(st.just("write"), sizes), st.just(("look",))]
    one = st.one_of(
        st.tuples(st.just("connection_made"), st.one_of(made)).map(flat),
        st.tuples(st.sampled_from(EVENTS), what).map(flat),
        st.tuples(st.sampled_from(EVENTS), what).map(flat),
    )
    return st.lists(one, max_size=4).map(tuple)


def instructions(sizes):
    """What is done, turn by turn: first the ends live on, then they may not."""
    ends = st.integers(0, 1)
    living = [
        st.tuples(ends, operations(sizes)).map(flat),
        st.tuples(ends, operations(sizes)).map(flat),
        st.tuples(st.just(1), st.just("read"), sizes),
        st.tuples(st.just(0), st.just("turn"), st.integers(1, 3)),
    ]
    ending = st.one_of(
        st.tuples(st.just(0), endings).map(flat),
        st.tuples(st.just(1), peer_endings).map(flat),
    )
    return st.builds(
        lambda life, end: (*life, *end),
        st.lists(st.one_of(*living), min_size=5, max_size=25),
        st.lists(st.one_of(*living, ending), max_size=6),
    )


def programs(exact):
    """The strategy of programs; exact: those that `is_exact` holds for, or others."""
    some = small_sizes if exact else sizes
    flags = st.just(False) if exact else st.booleans()
    buffer = st.sampled_from([None, None, 1000, 70_000])
    return st.builds(
        Program,
        family=st.just("unix") if exact else st.sampled_from(["unix", "tcp"]),
        version=st.sampled_from(["TLSv1_2", "TLSv1_3"]),
        serves=st.integers(0, 1),
        both=flags,
        inside=st.booleans(),
        narrow=st.booleans(),
        buffers=st.tuples(buffer, buffer),
        limits=st.tuples(marks, st.none()),
        instructions=instructions(some),
        reactions=st.tuples(reactions(some), reactions(some)),
    )


def is_exact(program):
    """Must its trace be the same on every loop?"""
    return program.family == "unix" and not program.both


def same_part(trace):
    """What comes before an end that asyncio takes for an error, and we do not."""
    return list(itertools.takewhile(lambda event: event[1] != LATE, trace))


@functools.cache
def contexts(version):
    """A server's and a client's, who trust each other."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    for context in (server, client):
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    return server, client


def stumbles(exc):
    """Is this asyncio's own, of an end aborted inside what its close() calls?"""
    return isinstance(exc, RuntimeError) and "cannot switch state" in str(exc)


class Buffered(Passing, asyncio.BufferedProtocol):
    """The same with a buffer of its own."""

    def __init__(self, end, size):
        self.end, self.buffer = end, memoryview(bytearray(size))

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, count):
        self.end.received(bytes(self.buffer[:count]))
        self.end.happens("data_received", count)


class TransportEnd(End):
    """One end that is a transport, and what must hold of it."""

    def __init__(self, machine, name, sock, into, out_of):
        i = "AB".index(name)
        super().__init__(machine, name, machine.program.reactions[i])
        self.sock = sock
        self.into, self.out_of = into, out_of  # pipes
        self.serves = machine.program.serves == i
        self.size = machine.program.buffers[i]
        self.paused = self.quiet = self.saw_eof = self.ended = False

    def protocol(self):
        return Plain(self) if self.size is None else Buffered(self, self.size)

    def connect(self):
        loop = self.machine.loop
        server, client = contexts(self.machine.program.version)
        if self.serves:
            made = loop.connect_accepted_socket(self.protocol, self.sock, ssl=server)
        else:
            made = loop.create_connection(
                self.protocol, sock=self.sock, ssl=client, server_hostname="localhost"
            )
        return loop.create_task(made)

    # ---- the protocol ----

    def react(self, event, what, *arguments):
        if what == "raise":
            self.fails()
            raise ValueError("reaction")
        self.do(what, *arguments)

    def fails(self):
        """Nothing need come any more."""
        self.ended = self.into.broken = self.out_of.broken = True

    def received(self, data):
        self.hold(not self.quiet, "data while paused")
        self.hold(not self.saw_eof, "data after eof")
        self.hold(len(data) > 0, "no data")
        self.hold(self.out_of.came(data), "other bytes came than were written")

    def eof_received(self):
        self.hold(not self.saw_eof, "eof twice")
        self.saw_eof = self.ended = True
        self.machine.saw_eof(self.name, self.out_of)
        self.happens("eof_received")

    def pause_writing(self):
        self.hold(not self.paused, "paused twice")
        self.paused = True
        size = self.transport.get_write_buffer_size()
        high = self.transport.get_write_buffer_limits()[1]
        self.hold(size >= high, f"paused at {size} of {high}")
        self.happens("pause_writing")

    def resume_writing(self):
        self.hold(self.paused, "resumed and not paused")
        self.paused = False
        size = self.transport.get_write_buffer_size()
        low = self.transport.get_write_buffer_limits()[0]
        self.hold(size <= low, f"resumed at {size} of {low}")
        self.happens("resume_writing")

    def connection_lost(self, exc):
        self.hold(not self.lost, "lost twice")
        self.lost = True
        if exc is not None:
            self.fails()
        size = self.transport.get_write_buffer_size()
        self.hold(size == 0, f"lost with {size} bytes")
        # An error of TLS names the place in the C library's source.
        self.happens("connection_lost", exc and type(exc).__name__)

    # ---- what is done to it ----

    def do(self, what, *arguments):
        if self.transport is None:
            return
        if self.transport.get_protocol() is None and what in ("set_limits", "close"):
            return  # lost, and asyncio's own code forgets to look
        try:
            self.note(what, getattr(self, "do_" + what)(*arguments))
        except Exception as exc:
            expected = isinstance(exc, ValueError) or stumbles(exc)
            self.hold(expected, f"{what} raised {exc!r}")
            self.note(what, "refused", type(exc).__name__)

    def accept(self, size):
        """Bytes that the transport will take, if it takes any now."""
        data = self.into.take(size)
        if not self.transport.is_closing():
            self.into.n_in += size
            self.machine.note_written(self)
        return data

    def do_write(self, size):
        self.transport.write(self.accept(size))

    def do_write_changing(self, size):
        data = bytearray(self.accept(size))
        self.transport.write(data)
        data[:] = bytes(len(data))

    def do_writelines(self, sizes):
        pieces = [self.accept(size) for size in sizes]
        # asyncio's takes an empty one for a refusal
        self.transport.writelines([piece for piece in pieces if piece])

    def do_set_limits(self, high, low):
        self.transport.set_write_buffer_limits(high, low)

    def do_pause_reading(self):
        self.transport.pause_reading()
        self.quiet = True

    def do_resume_reading(self):
        self.transport.resume_reading()
        self.quiet = False

    def do_look(self):
        transport = self.transport
        size = transport.get_write_buffer_size()
        limits = transport.get_write_buffer_limits()
        return size, limits, transport.is_reading(), transport.is_closing()

    def do_close(self):
        if not self.transport.is_closing():  # a second time would forget its state
            self.machine.note_close(self)
            self.transport.close()

    def do_abort(self):
        self.fails()
        self.transport.abort()

    do_half_close = do_close
    do_cut = do_abort

    def do_read(self, size):
        pass

    # ---- the end ----

    def count_unsent(self):
        below = getattr(self.transport, "_ssl_protocol", None)
        below = getattr(below, "_transport", None)
        return 0 if below is None else below.get_write_buffer_size()

    def go_on(self):
        self.reactions = [r for r in self.reactions if r[1] != "pause_reading"]
        self.do("resume_reading")

    def turn(self):
        pass

    def end(self):
        self.do("close")

    def give_up(self):
        if not self.lost:
            self.do("abort")

    def check_end(self):
        self.hold(self.lost, "connection_lost did not come")
        self.hold(self.sock.fileno() == -1, "its socket is open")


class Peer:
    """One end that is an SSLObject over a plain socket."""

    is_transport = False

    def __init__(self, machine, name, sock, into, out_of):
        self.machine, self.name, self.sock = machine, name, sock
        self.into, self.out_of = into, out_of
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        serves = machine.program.serves == "AB".index(name)
        server, client = contexts(machine.program.version)
        self.tls = (server if serves else client).wrap_bio(
            self.incoming,
            self.outgoing,
            server_side=serves,
            server_hostname=None if serves else "localhost",
        )
        self.unsent = b""
        self.is_ready = self.has_closed = self.ended = self.lost = False

    def do(self, what, *arguments):
        done = getattr(self, "do_" + what, None)
        if done is None or self.lost:
            return
        try:
            self.machine.note(self.name, what, done(*arguments))
        except OSError as exc:
            self.fails()
            self.machine.note(self.name, what, type(exc).__name__)

    def fails(self):
        self.ended = self.into.broken = self.out_of.broken = True

    def send(self):
        self.unsent += self.outgoing.read()
        try:
            while self.unsent:
                self.unsent = self.unsent[self.sock.send(self.unsent) :]
        except BlockingIOError:
            pass

    def receive(self, size):
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            return False
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()
        return bool(data)

    def handshake(self):
        if not self.is_ready:
            self.receive(1 << 20)
            try:
                self.tls.do_handshake()
                self.is_ready = True
            except ssl.SSLWantReadError:
                pass
            self.send()

    def do_write(self, size):
        if self.has_closed or size == 0:
            return
        data = self.into.take(size)
        self.into.n_in += size
        self.machine.note_written(self)
        assert self.tls.write(data) == size
        self.send()

    do_write_changing = do_write

    def do_read(self, size):
        """Reads what these bytes of the socket hold."""
        if size:
            self.receive(size)
        count = 0
        try:
            while data := self.tls.read(1 << 20):
                if not self.out_of.came(data):
                    wrong = f"{self.name}: other bytes than were written"
                    self.machine.wrong.append(wrong)
                count += len(data)
        except ssl.SSLWantReadError:
            return count
        except ssl.SSLZeroReturnError:
            pass
        self.ended = True
        self.machine.saw_eof(self.name, self.out_of)
        return count, "eof"

    def do_half_close(self):
        if self.has_closed:
            return
        self.has_closed = True
        self.machine.note_close(self)
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.send()

    def do_close(self):
        self.do_half_close()
        if self.unsent or self.out_of.n_in != self.out_of.n_out:
            self.fails()
        self.leave()

    def do_cut(self):
        """An end that TLS is not told of."""
        self.fails()
        self.has_closed = True
        self.sock.shutdown(socket.SHUT_WR)

    def do_abort(self):
        self.fails()
        self.leave()

    def leave(self):
        # A transport whose protocol has a buffer takes an end for all there is.
        if self.machine.ends[0].size is not None:
            self.into.broken = True
        self.lost = self.ended = True
        self.sock.close()

    # ---- the end ----

    def count_unsent(self):
        return len(self.unsent)

    def go_on(self):
        pass

    def turn(self):
        """What a peer that reads and writes does."""
        if self.lost:
            return
        try:
            self.send()
            while self.receive(1 << 20):
                pass
            if not self.ended:
                self.do_read(0)
            elif not self.unsent:
                self.do("half_close")
        except OSError:
            self.fails()
        if self.ended and not self.unsent:
            self.leave()

    def end(self):
        pass

    def give_up(self):
        self.do("abort")

    def check_end(self):
        pass


class Machine(random_runs.Machine):
    def __init__(self, program, loop, ours):
        super().__init__(program, loop, ours)
        there, back = Pipe(0), Pipe(PERIOD // 3)
        left, right = connected(program.family)
        kind = TransportEnd if program.both else Peer
        self.ends = [
            TransportEnd(self, "A", left, there, back),
            kind(self, "B", right, back, there),
        ]
        if program.family == "unix":
            if program.narrow:
                left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            if program.narrow or is_exact(program):
                right.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        else:
            right.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connect(self):
        tasks = [end.connect() for end in self.ends if end.is_transport]
        deadline = time.monotonic() + FINISH_S
        while time.monotonic() < deadline and not (
            all(task.done() for task in tasks)
            and (self.program.both or self.ends[1].is_ready)
        ):
            self.iterate()
            if not self.program.both:
                self.ends[1].handshake()
        for task in tasks:
            task.result()
        for end in self.ends:
            if end.is_transport:
                end.do("set_limits", *self.program.limits)

    def other(self, end):
        return self.ends[end is self.ends[0]]

    def note_written(self, end):
        """What comes to one who has said that he ends is lost."""
        other = self.other(end)
        if other.ended or other.lost:
            end.into.broken = True
            self.note_late_bytes(other)

    def note_close(self, end):
        """So is what is on its way to him."""
        end.ended = True
        if end.out_of.n_in != end.out_of.n_out:
            end.out_of.broken = True
            self.note_late_bytes(end)
        elif end.is_transport and end.quiet:
            self.note(LATE)

    def note_late_bytes(self, end):
        """They make an end fail, with what it has written, but our transport."""
        if end.is_transport:
            self.note(LATE)
        if not (self.ours and end.is_transport):
            end.into.broken = True

    def saw_eof(self, name, pipe):
        if not pipe.broken and pipe.n_out != pipe.n_in:
            self.wrong.append(f"{name}: eof after {pipe.n_out} of {pipe.n_in} bytes")

    def report(self, loop, context):
        exc = context.get("exception")
        if not (isinstance(exc, ValueError | OSError) or stumbles(exc)):
            self.wrong.append(f"{context['message']}: {exc!r}")
        self.note("report", context["message"][:21], type(exc).__name__)

    def is_sound(self):
        return not any(
            end.ended or end.lost or end.into.broken or end.out_of.broken
            for end in self.ends
        )

    def finish(self):
        """All that was written comes; then the first end closes, and the other sees."""
        for end in self.ends:
            end.go_on()
        if self.is_sound():
            self.go_on(lambda: all(e.out_of.n_in == e.out_of.n_out for e in self.ends))
            for end in self.ends:
                if self.is_sound() and end.out_of.n_in != end.out_of.n_out:
                    self.wrong.append(f"{end.name}: not all that was written comes")
        sound = self.is_sound()
        self.ends[0].end()
        self.go_on(lambda: all(end.lost for end in self.ends))
        if not all(end.lost for end in self.ends):
            if sound and not self.ends[0].into.broken:
                self.wrong.append("the connection does not end")
            for end in self.ends:
                end.give_up()
            self.go_on(lambda: all(end.lost for end in self.ends))
        for end in self.ends:
            end.check_end()

    def go_on(self, is_done):
        """Turns of the loop until it is done or nothing goes on."""
        deadline = time.monotonic() + FINISH_S
        patience = 8 if self.program.family == "unix" else 40
        n_idle, before = 0, None
        while not is_done() and n_idle < patience and time.monotonic() < deadline:
            self.iterate()
            for end in self.ends:
                end.turn()
            now = [
                (end.out_of.n_out, end.ended, end.lost, end.count_unsent())
                for end in self.ends
            ]
            n_idle = n_idle + 1 if now == before else 0
            before = now
            if n_idle > 3 and self.program.family == "tcp":
                time.sleep(0.001)


if __name__ == "__main__":
    random_runs.main(sys.modules[__name__])
