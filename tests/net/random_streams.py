"""Random programs of two connected ends, and a pipe of bytes as their model.

A program says what stands at the ends, what is done to them turn by turn, and what
their protocols do when they are called. `run(program, make_loop)` runs it, holds what
arrives against the model, and returns every event in order. hypothesis makes the
programs (`programs()`).

The model: what one end accepted to write arrives at the other from its beginning on,
in order, and all of it if the end is seen, unless the writer aborted or failed. And:
pause_writing and resume_writing alternate, at the marks; eof_received comes once and
after all bytes; nothing comes while reading is paused or after close; connection_lost
comes once and last; no byte is left in a buffer and no file descriptor open.

Where one end alone is a transport, over a Unix socket, asyncio's trace is ours
(`is_exact(program)`). Of a connection that a server accepted, where writes may be
joined, that holds if the kernel has room for all: how much it takes of a write depends
on those before. What is done to the other end follows a look there.

Run by hand, it runs many programs and logs how many:

    python -m tests.net.random_streams [--programs N] [--seed S]
"""

import asyncio
import contextlib
import itertools
import os
import socket
import sys
import time
from typing import NamedTuple

from hypothesis import strategies as st

from tests.net import random_runs
from tests.net.helpers import PAUSES
from tests.net.random_ends import Passing, Plain, WritingEnd
from tests.net.random_runs import PERIOD, Pipe, describe, flat

# What the report calls them.
WHAT = "streams"
MODEL = "pipe"

FINISH_S = 1.0

sizes = st.sampled_from([0, 1, 2, 100, 1000, 3000, 5000, 20_000, 100_000, 300_000])
small_sizes = st.sampled_from([0, 1, 2, 100, 1000, 2000, 3000, 4500, 7000])
buffer_sizes = st.sampled_from([0, 1, 3, 100, 1000, 5000, 70_000])
marks = st.one_of(st.none(), st.sampled_from([0, 1, 500, 4000, 60_000]))


class Program(NamedTuple):
    """What `run` runs."""

    family: str  # "unix" or "tcp"
    accepted: bool  # the first end is a server's
    roomy: bool  # the kernel takes all that it writes
    both: bool  # the second end is a transport too, not a plain socket
    inside: bool  # what is done is done in callbacks, not between iterations
    keep_open: bool  # what eof_received returns
    narrow: bool  # the kernel takes little at a time
    limits: tuple  # the water marks at first
    instructions: tuple  # of (end, what, *arguments)
    reactions: tuple  # by end: of (event, what, *arguments), each used once


def operations(sizes):
    """What can be done to a transport that is to live on."""
    return [
        st.tuples(st.just("write"), sizes),
        st.tuples(st.just("write_changing"), sizes),
        st.tuples(st.just("write_slice"), sizes, small_sizes),
        st.tuples(st.just("writelines"), st.lists(small_sizes, max_size=4).map(tuple)),
        st.tuples(st.just("pause_reading")),
        st.tuples(st.just("resume_reading")),
        st.tuples(st.just("set_limits"), marks, marks),
        st.tuples(st.just("set_protocol"), st.one_of(st.none(), buffer_sizes)),
        st.tuples(st.just("shrink"), st.booleans(), st.sampled_from([1, 10_000])),
        st.tuples(st.just("look")),
    ]


endings = [st.tuples(st.just(what)) for what in ("write_eof", "close", "abort")]

EVENTS = [
    "connection_made",
    "data_received",
    "buffer_updated",
    "eof_received",
    "pause_writing",
    "resume_writing",
    "connection_lost",
]


def reactions(sizes):
    raising = [st.just(("raise",)), st.just(("exit",))]
    doing = st.one_of(*operations(sizes), *endings, *raising)
    # What replaces the protocol of a buffer is not told what became of it.
    with_buffer = st.sampled_from([("raise",), ("close",), ("abort",), ("write", 1)])
    return st.one_of(
        st.tuples(st.sampled_from(EVENTS), doing).map(flat),
        st.tuples(st.sampled_from(EVENTS), doing).map(flat),
        st.tuples(st.just("get_buffer"), with_buffer).map(flat),
    )


def instructions(sizes):
    """What is done, turn by turn: first the ends live on, then they may not."""
    ends = st.integers(0, 1)
    doing = st.tuples(ends, st.one_of(*operations(sizes))).map(flat)
    kinds = st.sampled_from(["write", "write", "write_changing"])
    writing = st.tuples(ends, kinds, sizes)
    reading = st.tuples(st.just(1), st.just("read"), sizes)
    turning = st.tuples(st.just(0), st.just("turn"), st.integers(1, 3))
    ending = st.tuples(ends, st.one_of(*endings, st.just(("reset",)))).map(flat)
    living = [doing, doing, writing, writing, reading, reading, turning]
    return st.builds(
        lambda life, end: (*life, *end),
        st.lists(st.one_of(living), min_size=5, max_size=30),
        st.lists(st.one_of(*living, ending, ending), max_size=8),
    )


def programs(exact):
    """The strategy of programs; exact: those that `is_exact` holds for, or others."""
    kinds = st.sampled_from([False, False, True])
    return kinds.flatmap(lambda accepted: programs_of_kind(exact, accepted))


def programs_of_kind(exact, accepted):
    roomy = exact and accepted
    some = small_sizes if roomy else sizes
    flags = st.just(False) if exact else st.booleans()
    reacting = st.lists(reactions(some), max_size=4).map(tuple)
    return st.builds(
        Program,
        family=st.just("unix") if exact else st.sampled_from(["unix", "tcp"]),
        accepted=st.just(accepted),
        roomy=st.just(roomy),
        both=flags,
        inside=st.sampled_from([True, True, False]),
        keep_open=st.booleans(),
        narrow=st.just(False) if roomy else st.sampled_from([True, True, False]),
        limits=st.tuples(st.one_of(st.none(), marks), st.none()),
        instructions=instructions(some),
        reactions=st.tuples(reacting, reacting),
    )


def is_exact(program):
    """Must its trace be the same on every loop?"""
    alone = program.family == "unix" and not program.both
    return alone and (program.roomy or not program.accepted)


def connected(family):
    """Two connected sockets, not blocking."""
    if family == "unix":
        pair = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            left = socket.create_connection(listener.getsockname())
            pair = left, listener.accept()[0]
    for sock in pair:
        sock.setblocking(False)
    return pair


numbers = itertools.count()


async def accepted(end, family, right):
    """A server accepts the connection of a socket: the end has its transport."""
    loop = asyncio.get_running_loop()
    if family == "unix":
        path = f"\0fastloop-{os.getpid()}-{next(numbers)}"
        server = await loop.create_unix_server(lambda: Plain(end), path)
    else:
        server = await loop.create_server(lambda: Plain(end), "127.0.0.1", 0)
    right.setblocking(True)
    right.connect(server.sockets[0].getsockname())
    right.setblocking(False)
    while end.transport is None:
        await asyncio.sleep(0)
    server.close()
    for _ in range(4):
        await asyncio.sleep(0)  # until it reads


class Buffered(Passing, asyncio.BufferedProtocol):
    """The same with a buffer of its own."""

    def __init__(self, end, size):
        self.end, self.buffer = end, bytearray(size)

    def get_buffer(self, sizehint):
        self.end.in_get_buffer = True
        try:
            self.end.happens("get_buffer")
        finally:
            self.end.in_get_buffer = False
        return memoryview(self.buffer)[:] if len(self.buffer) % 2 else self.buffer

    def buffer_updated(self, count):
        self.end.received(bytes(self.buffer[:count]))
        self.buffer[:count] = bytes(count)
        self.end.happens("buffer_updated", count)


class TransportEnd(WritingEnd):
    """One end that is a transport, and what must hold of it."""

    def __init__(self, machine, name, sock, reactions, into, out_of):
        super().__init__(machine, name, reactions)
        self.sock = sock
        self.into, self.out_of = into, out_of  # pipes
        self.quiet = False  # nothing may come: paused or closed
        self.in_get_buffer = False
        self.saw_eof = False
        self.resumed = False  # since the eof, which then comes again

    def connect(self):
        loop, program = self.machine.loop, self.machine.program
        if self.sock is None:
            right = self.machine.ends[1].sock
            self.finish(accepted(self, program.family, right))
            if program.narrow or program.roomy:
                size = 1 if program.narrow else 1 << 20
                sock = self.transport.get_extra_info("socket")
                with contextlib.suppress(OSError):  # it was closed inside
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
        else:
            self.finish(loop.create_connection(lambda: Plain(self), sock=self.sock))
        self.do("set_limits", *program.limits)

    # ---- the protocol ----

    def is_beyond_asyncio(self, event, what):
        """Would asyncio go wrong, and does that matter here?"""
        wrong = [
            # early patch releases lose it
            event == "connection_made" and what == "pause_reading" and not PAUSES,
            # calls connection_lost twice, or spins
            event == "resume_writing" and what in ("close", "abort", "exit"),
            # goes on when it is closed
            event == "resume_writing" and self.quiet and what.startswith("write"),
            # raises, or still sends
            self.lost and (what.startswith("write") or what in ("abort", "reset")),
        ]
        return any(wrong) and (not self.machine.ours or is_exact(self.machine.program))

    def react(self, event, what, *arguments):
        if self.is_beyond_asyncio(event, what):
            return
        if what in ("raise", "exit"):
            self.into.broken = True
            # create_connection would raise it, or eof come again
            if what == "raise" or event in ("connection_made", "eof_received"):
                raise ValueError("reaction")
            raise SystemExit("exit")
        self.do(what, *arguments)

    def received(self, data):
        self.hold(not self.quiet, "data while paused or closed")
        self.hold(not self.saw_eof, "data after eof")
        self.hold(len(data) > 0, "no data")
        self.hold(self.out_of.came(data), "other bytes came than were written")

    def eof_received(self):
        self.hold(not self.saw_eof or self.resumed, "eof twice")
        self.hold(not self.quiet, "eof while paused or closed")
        self.saw_eof, self.resumed = True, False
        self.machine.saw_eof(self.name, self.out_of)
        self.happens("eof_received")
        return self.machine.program.keep_open

    def connection_lost(self, exc):
        self.hold(not self.lost, "lost twice")
        self.lost = self.quiet = True
        if exc is not None:
            self.into.broken = True
        size = self.transport.get_write_buffer_size()
        self.hold(size == 0, f"lost with {size} bytes")
        self.happens("connection_lost", exc and describe(exc))

    # ---- what is done to it ----

    def do(self, what, *arguments):
        if self.transport is None or self.is_beyond_asyncio(None, what):
            return
        try:
            self.note(what, getattr(self, "do_" + what)(*arguments))
        except Exception as exc:
            expected = isinstance(exc, RuntimeError | ValueError | OSError)
            self.hold(expected, f"{what} raised {exc!r}")
            self.note(what, "refused", type(exc).__name__)
        except SystemExit:
            self.note(what, "exits")
            if self.machine.loop.is_running():
                raise

    def accept(self, size):
        """Bytes that the transport will take, if it takes any now."""
        data = self.into.take(size)
        if self.transport._conn_lost == 0 and not self.transport._eof:
            self.into.n_in += size
        return data

    def do_write_changing(self, size):
        data = bytearray(self.accept(size))
        self.transport.write(data)
        if self.machine.ours:  # asyncio sends later changes
            data[:] = bytes(len(data))
            data.clear()

    def do_writelines(self, sizes):
        pieces = []
        for i, size in enumerate(sizes):
            piece = self.accept(size)
            pieces.append([bytes, bytearray, memoryview][i % 3](piece))
        # asyncio's minds no marks up to 3.13, and tries to send what waits for room.
        minds = sys.version_info >= (3, 14)
        if self.machine.ours or (minds and not self.transport.get_write_buffer_size()):
            self.transport.writelines(iter(pieces) if len(pieces) % 2 else pieces)
        else:
            self.transport.write(b"".join(pieces))

    def do_pause_reading(self):
        self.transport.pause_reading()
        self.quiet = self.quiet or not self.in_get_buffer

    def do_resume_reading(self):
        self.transport.resume_reading()
        self.quiet = self.transport.is_closing()
        self.resumed = True

    def do_write_eof(self):
        self.transport.write_eof()

    def do_close(self):
        self.transport.close()
        self.quiet = self.quiet or not self.in_get_buffer

    def do_abort(self):
        self.into.broken = True
        self.transport.abort()
        self.quiet = self.quiet or not self.in_get_buffer

    def do_set_protocol(self, size):
        protocol = Plain(self) if size is None else Buffered(self, size)
        self.transport.set_protocol(protocol)
        assert self.transport.get_protocol() is protocol

    def do_shrink(self, sending, size):
        if sending and self.machine.program.roomy:
            return
        option = socket.SO_SNDBUF if sending else socket.SO_RCVBUF
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, option, size)

    def do_look(self):
        transport = self.transport
        size = transport.get_write_buffer_size()
        self.hold(size >= 0, f"{size} bytes")
        self.hold(size > 0 or not self.paused or transport.is_closing(), "idle, paused")
        return (
            size,
            transport.get_write_buffer_limits(),
            transport.is_reading(),
            transport.is_closing(),
        )

    def do_read(self, size):
        pass

    do_reset = do_abort

    # ---- the end ----

    def is_over(self):
        return self.lost

    def progress(self):
        return self.out_of.n_out, self.lost, self.saw_eof

    def ask_to_end(self):
        self.reactions = [r for r in self.reactions if r[1] != "pause_reading"]
        if isinstance(self.transport.get_protocol(), Buffered):
            self.do("set_protocol", None)
        self.do("resume_reading")
        self.do("write_eof")

    def insist(self):
        """Nothing goes on: the other end does not read, or waits as this one does."""
        if self.transport.get_write_buffer_size() > 0:
            self.do("abort")
        self.do("close")

    def give_up(self):
        self.do("abort")

    def check_end(self):
        self.hold(self.lost, "connection_lost did not come")
        sock = self.sock or self.transport.get_extra_info("socket")
        self.hold(sock.fileno() == -1, "its socket is open")
        self.hold(self.transport.get_write_buffer_size() == 0, "bytes are left")
        self.close()

    def close(self):
        if self.sock is not None:
            self.sock.close()


class SocketEnd:
    """One end that is a plain socket."""

    is_transport = False

    def __init__(self, machine, name, sock, into, out_of):
        self.machine, self.name, self.sock = machine, name, sock
        self.into, self.out_of = into, out_of
        self.eof = self.ended = False

    def do(self, what, *arguments):
        done = getattr(self, "do_" + what, None)
        if done is None or self.ended:
            return
        if self.machine.program.accepted:
            self.machine.ends[0].transport.is_closing()  # who looks finds all sent
        try:
            self.machine.note(self.name, what, done(*arguments))
        except BlockingIOError:
            self.machine.note(self.name, what, "would block")
        except OSError as exc:
            self.into.broken = True
            self.machine.note(self.name, what, describe(exc))

    def do_write(self, size):
        if self.eof or size == 0:
            return None
        n = self.sock.send(self.into.take(size))
        self.into.n_in += n
        return n

    def do_read(self, size):
        if size == 0:
            return None
        data = self.sock.recv(size)
        if not data:
            self.machine.saw_eof(self.name, self.out_of)
            return "eof"
        if not self.out_of.came(data):
            self.machine.wrong.append(f"{self.name}: other bytes than were written")
        return len(data)

    def do_write_eof(self):
        self.eof = True
        self.sock.shutdown(socket.SHUT_WR)

    def do_close(self):
        self.ended = self.into.broken = True
        self.sock.close()

    def do_reset(self):
        linger = bytes([1, 0, 0, 0, 0, 0, 0, 0])
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.do_close()

    def do_shrink(self, sending, size):
        option = socket.SO_SNDBUF if sending else socket.SO_RCVBUF
        self.sock.setsockopt(socket.SOL_SOCKET, option, size)

    def is_over(self):
        return True

    def progress(self):
        return self.out_of.n_out

    def ask_to_end(self):
        if not self.eof:
            self.do("write_eof")

    def drain(self):
        while not self.ended:
            try:
                data = self.sock.recv(1 << 20)
            except BlockingIOError:
                break
            except OSError:
                self.ended = True
                break
            if not data:
                self.machine.saw_eof(self.name, self.out_of)
                break
            if not self.out_of.came(data):
                self.machine.wrong.append(f"{self.name}: other bytes than written")

    def insist(self):
        self.ended = True
        self.sock.close()

    give_up = insist

    def check_end(self):
        self.close()

    def close(self):
        self.sock.close()


class Machine(random_runs.Machine):
    def __init__(self, program, loop, ours):
        super().__init__(program, loop, ours)
        there, back = Pipe(0), Pipe(PERIOD // 3)
        if program.accepted:
            families = {"unix": socket.AF_UNIX, "tcp": socket.AF_INET}
            left, right = None, socket.socket(families[program.family])
        else:
            left, right = connected(program.family)
        first, second = program.reactions
        self.ends = [TransportEnd(self, "A", left, first, there, back)]
        if program.both:
            self.ends += [TransportEnd(self, "B", right, second, back, there)]
        else:
            self.ends += [SocketEnd(self, "B", right, back, there)]
        if program.narrow and left is not None:
            left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        if program.narrow:
            right.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)

    def is_done_in_callbacks(self, end):
        return self.program.accepted or super().is_done_in_callbacks(end)

    def close(self):
        for end in self.ends:
            end.close()

    def saw_eof(self, name, pipe):
        if not pipe.broken and pipe.n_out != pipe.n_in:
            self.wrong.append(f"{name}: eof after {pipe.n_out} of {pipe.n_in} bytes")

    def report(self, loop, context):
        exc = context.get("exception")
        expected = isinstance(exc, ValueError | OSError)
        if not expected and "get_buffer() returned an empty" not in str(exc):
            self.wrong.append(f"{context['message']}: {exc!r}")
        self.note("report", context["message"][:21], exc and describe(exc))

    def finish(self):
        """Both ends end, well if they can; what is left to come comes."""
        for end in self.ends:
            end.ask_to_end()
        deadline = time.monotonic() + FINISH_S
        n_idle, patience = 0, 5 if self.program.family == "unix" else 40
        before, given_up = None, False
        while not all(end.is_over() for end in self.ends):
            self.iterate()
            if not self.ends[1].is_transport:
                self.ends[1].drain()
            now = [end.progress() for end in self.ends]
            n_idle = n_idle + 1 if now == before else 0
            before = now
            if n_idle > patience:
                for end in self.ends:
                    end.insist()
            elif n_idle > 3 and self.program.family == "tcp":
                if self.is_quiet():
                    n_idle = patience
                time.sleep(0.001)
            if time.monotonic() > deadline and not given_up:
                # TCP through a shrunk buffer may take minutes
                given_up = True
                for end in self.ends:
                    end.give_up()
            elif time.monotonic() > deadline + FINISH_S or n_idle > 3 * patience:
                break
        for end in self.ends:
            end.check_end()

    def is_quiet(self):
        """Has every byte come that can?"""
        return all(
            end.out_of.n_out == end.out_of.n_in and getattr(end, "saw_eof", True)
            for end in self.ends
        )


if __name__ == "__main__":
    random_runs.main(sys.modules[__name__])
