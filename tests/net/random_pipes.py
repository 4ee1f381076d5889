"""Random programs of pipe transports, and a pipe of bytes as their model.

As random_streams.py, in one direction: one end writes, the other reads, and either or
both are transports. The model: what was accepted to be written arrives from its
beginning on, in order, and all of it if the end is seen, unless the writer aborted or
failed. And: pause_writing and resume_writing alternate, at the marks; eof_received
comes once and after all bytes; nothing comes while reading is paused or after close;
connection_lost comes once and last; no byte is left in a buffer and no file
descriptor open.

Where one end alone is a transport asyncio's trace is ours (`is_exact(program)`).

    python -m tests.net.random_pipes [--programs N] [--seed S]
"""

import asyncio
import fcntl
import os
import socket
import sys
import time
from typing import NamedTuple

from hypothesis import strategies as st

from tests.net import random_ends, random_runs
from tests.net.helpers import PAUSES
from tests.net.random_runs import Pipe, describe, flat

# What the report calls them.
WHAT = "pipes"
MODEL = "pipe"

FINISH_S = 2.0

sizes = st.sampled_from([0, 1, 2, 100, 4096, 5000, 20_000, 100_000, 300_000])
small_sizes = st.sampled_from([0, 1, 2, 100, 1000, 3000, 4096, 4097, 7000])
marks = st.sampled_from([0, 1, 500, 4000, 60_000])


class Program(NamedTuple):
    """What `run` runs."""

    kind: str  # "fifo" or "socket"
    transports: str  # "writer", "reader" or "both": the other is a plain descriptor
    inside: bool  # what is done is done in callbacks, not between iterations
    narrow: bool  # the kernel takes little at a time
    limits: tuple  # the water marks at first
    instructions: tuple  # of (end, what, *arguments); 0 writes, 1 reads
    reactions: tuple  # by end: of (event, what, *arguments), each used once


def writing(sizes, limits):
    """What can be done to the end that writes and is to live on."""
    kinds = st.sampled_from(["write", "write", "write_changing"])
    return st.one_of(
        st.tuples(kinds, sizes),
        st.tuples(kinds, sizes),
        st.tuples(st.just("write_slice"), sizes, small_sizes),
        st.tuples(st.just("writelines"), st.lists(small_sizes, max_size=4).map(tuple)),
        limits.map(lambda pair: ("set_limits", *pair)),
        st.just(("look",)),
    )


def reading(sizes):
    """What can be done to the end that reads."""
    return st.one_of(
        st.tuples(st.just("read"), sizes),
        st.tuples(st.just("read"), sizes),
        st.just(("pause_reading",)),
        st.just(("resume_reading",)),
        st.just(("resume_reading",)),
        st.just(("look",)),
    )


write_endings = st.sampled_from([("write_eof",), ("close",), ("abort",)])
read_endings = st.just(("close",))

WRITE_EVENTS = ["connection_made", "pause_writing", "resume_writing", "connection_lost"]
READ_EVENTS = ["connection_made", "data_received", "eof_received", "connection_lost"]


def reactions(events, doing, endings, raising):
    what = st.one_of(doing, doing, endings, st.sampled_from(raising))
    one = st.tuples(st.sampled_from(events), what).map(flat)
    return st.lists(one, max_size=4).map(tuple)


def instructions(write, read):
    """What is done, turn by turn: first the ends live on, then they may not."""
    living = [
        write.map(lambda what: (0, *what)),
        read.map(lambda what: (1, *what)),
        st.tuples(st.just(0), st.just("turn"), st.integers(1, 3)),
    ]
    ending = [
        write_endings.map(lambda what: (0, *what)),
        read_endings.map(lambda what: (1, *what)),
    ]
    return st.builds(
        lambda life, end: (*life, *end),
        st.lists(st.one_of(*living), min_size=5, max_size=30),
        st.lists(st.one_of(*living, *ending), max_size=8),
    )


def programs(exact):
    """The strategy of programs; exact: those that `is_exact` holds for, or others."""
    # asyncio resumes writing when nothing is left, whatever the mark.
    low = st.just(0) if exact else st.one_of(st.none(), marks)
    limits = st.tuples(marks if exact else st.one_of(st.none(), marks), low)
    write, read = writing(sizes, limits), reading(sizes)
    raising = [("raise",), ("exit",)]
    either = st.sampled_from(["writer", "reader"])
    return st.builds(
        Program,
        kind=st.sampled_from(["fifo", "fifo", "socket"]),
        transports=either if exact else st.sampled_from(["writer", "reader", "both"]),
        inside=st.sampled_from([True, True, False]),
        narrow=st.sampled_from([True, True, False]),
        limits=limits,
        instructions=instructions(write, read),
        reactions=st.tuples(
            reactions(
                WRITE_EVENTS, write, write_endings, raising[:1] if exact else raising
            ),
            reactions(READ_EVENTS, read, read_endings, raising),
        ),
    )


def is_exact(program):
    """Must its trace be the same on every loop?"""
    done = *program.instructions, *program.reactions[0]
    # After an exit asyncio may first write, ours first see that the reader has left.
    exits = any(what[1] == "exit" for what in program.reactions[0])
    lows = [program.limits[1], *(what[3] for what in done if what[1] == "set_limits")]
    return program.transports != "both" and not exits and all(low == 0 for low in lows)


def files(program):
    """The files of the writing and of the reading end, not blocking."""
    if program.kind == "fifo":
        read, write = os.pipe()
        if program.narrow:
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        ends = os.fdopen(write, "wb", 0), os.fdopen(read, "rb", 0)
    else:
        ends = socket.socketpair()
        if program.narrow:
            ends[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    for end in ends:
        os.set_blocking(end.fileno(), False)
    return ends


class PipeEnd(random_ends.End):
    """What must hold of either end that is a transport."""

    def __init__(self, machine, name, file, reactions, pipe):
        super().__init__(machine, name, reactions)
        self.file, self.pipe = file, pipe

    def connect(self):
        self.finish(self.connecting())

    # ---- the protocol ----

    def react(self, event, what, *arguments):
        if self.is_beyond_asyncio(event, what):
            return
        if what == "exit" and event != "connection_made":
            self.failed()
            raise SystemExit("exit")
        if what in ("raise", "exit"):
            self.failed()
            raise ValueError("reaction")
        self.do(what, *arguments)

    def failed(self):
        """A callback raises."""

    def is_beyond_asyncio(self, event, what):
        """Would asyncio go wrong, and does that matter here?"""
        lost = (event, what) == ("connection_made", "pause_reading") and not PAUSES
        wrong = lost or self.goes_wrong(event, what)
        return wrong and (not self.machine.ours or is_exact(self.machine.program))

    def connection_lost(self, exc):
        self.hold(not self.lost, "lost twice")
        self.lost = True
        self.happens("connection_lost", exc and describe(exc))

    # ---- what is done to it ----

    def do(self, what, *arguments):
        if self.transport is None or self.is_beyond_asyncio(None, what):
            return
        try:
            self.note(what, getattr(self, "do_" + what)(*arguments))
        except ValueError:
            self.note(what, "refused")
        except Exception as exc:
            self.hold(False, f"{what} raised {exc!r}")
        except SystemExit:
            self.note(what, "exits")
            if self.machine.loop.is_running():
                raise

    def do_close(self):
        self.transport.close()

    def check_end(self):
        self.hold(self.lost, "connection_lost did not come")
        self.hold(self.file_is_closed(), "its file is open")

    def file_is_closed(self):
        if isinstance(self.file, socket.socket):
            return self.file.fileno() == -1
        return self.file.closed


class WritingEnd(PipeEnd, random_ends.WritingEnd, asyncio.Protocol):
    async def connecting(self):
        loop = asyncio.get_running_loop()
        await loop.connect_write_pipe(lambda: self, self.file)
        self.do("set_limits", *self.machine.program.limits)

    def goes_wrong(self, event, what):
        if self.transport is None:
            return False
        ends = what in ("write_eof", "close", "abort")
        return (
            # calls connection_lost twice
            (event == "resume_writing" and (ends or what == "exit"))
            or (what == "abort" and self.transport.is_closing())
            # has no loop any more
            or (self.lost and ends)
        )

    def connection_lost(self, exc):
        if exc is not None:
            self.pipe.broken = True
        size = self.transport.get_write_buffer_size()
        self.hold(size == 0, f"lost with {size} bytes")
        super().connection_lost(exc)

    def accept(self, size):
        """Bytes that the transport will take, if it takes any now."""
        data = self.pipe.take(size)
        if not self.transport.is_closing():
            self.pipe.n_in += size
        return data

    def do_write_changing(self, size):
        data = bytearray(self.accept(size))
        self.transport.write(data)
        data[:] = bytes(len(data))
        if self.machine.ours:  # asyncio's error keeps it
            data.clear()

    def do_writelines(self, sizes):
        pieces = []
        for i, size in enumerate(sizes):
            pieces.append([bytes, bytearray, memoryview][i % 3](self.accept(size)))
        self.transport.writelines(pieces)

    def do_write_eof(self):
        self.transport.write_eof()

    def do_abort(self):
        self.pipe.broken = True
        self.transport.abort()

    def do_look(self):
        transport = self.transport
        size = transport.get_write_buffer_size()
        self.hold(size > 0 or not self.paused or transport.is_closing(), "idle, paused")
        return size, transport.get_write_buffer_limits(), transport.is_closing()

    def ask_to_end(self):
        self.do("write_eof")

    def check_end(self):
        super().check_end()
        self.hold(self.transport.get_write_buffer_size() == 0, "bytes are left")


class ReadingEnd(PipeEnd, asyncio.Protocol):
    quiet = saw_eof = False

    async def connecting(self):
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: self, self.file)

    def goes_wrong(self, event, what):
        return False

    def data_received(self, data):
        self.hold(not self.quiet, "data while paused or closed")
        self.hold(not self.saw_eof, "data after eof")
        self.hold(type(data) is bytes and len(data) > 0, f"no bytes: {data!r:.20}")
        self.hold(self.pipe.came(data), "other bytes came than were written")
        self.happens("data_received", len(data))

    def eof_received(self):
        self.hold(not self.saw_eof, "eof twice")
        self.saw_eof = True
        self.machine.saw_eof()
        self.happens("eof_received")

    def do_read(self, size):
        pass

    def do_pause_reading(self):
        self.transport.pause_reading()
        self.quiet = True

    def do_resume_reading(self):
        self.transport.resume_reading()
        self.quiet = self.transport.is_closing()

    def do_close(self):
        self.transport.close()
        self.quiet = True

    def do_look(self):
        reading = PAUSES and self.transport.is_reading()
        return reading, self.transport.is_closing()

    def ask_to_end(self):
        self.reactions = [r for r in self.reactions if r[1] != "pause_reading"]
        self.do("resume_reading")


class File:
    """One end that is a plain descriptor."""

    is_transport = False

    def __init__(self, machine, name, file, pipe):
        self.machine, self.name, self.file, self.pipe = machine, name, file, pipe
        self.lost = False

    def do(self, what, *arguments):
        done = getattr(self, "do_" + what, None)
        if done is None or self.lost:
            return
        try:
            self.machine.note(self.name, what, done(*arguments))
        except BlockingIOError:
            self.machine.note(self.name, what, "would block")
        except OSError as exc:
            self.pipe.broken = True
            self.machine.note(self.name, what, describe(exc))

    def do_write(self, size):
        n = os.write(self.file.fileno(), self.pipe.take(size))
        self.pipe.n_in += n
        return n

    def do_read(self, size):
        return size and self.read(size)

    def read(self, size):
        data = os.read(self.file.fileno(), size)
        if not data:
            self.machine.saw_eof()
            return "eof"
        if not self.pipe.came(data):
            self.machine.wrong.append(f"{self.name}: other bytes than were written")
        return len(data)

    def do_close(self):
        self.lost = True
        self.file.close()

    do_write_eof = do_close

    def ask_to_end(self):
        self.do("write_eof" if self.name == "writer" else "look")

    def drain(self):
        """Reads what there is."""
        try:
            while self.name == "reader" and not self.lost:
                self.lost = self.read(1 << 20) == "eof"
        except BlockingIOError:
            pass
        except OSError:
            self.lost = True

    def check_end(self):
        pass


class Machine(random_runs.Machine):
    def __init__(self, program, loop, ours):
        super().__init__(program, loop, ours)
        self.pipe = Pipe(0)
        parts = zip(
            ("writer", "reader"),
            (WritingEnd, ReadingEnd),
            files(program),
            program.reactions,
            strict=True,
        )
        for name, kind, file, reactions in parts:
            if program.transports in (name, "both"):
                self.ends.append(kind(self, name, file, reactions, self.pipe))
            else:
                self.ends.append(File(self, name, file, self.pipe))

    def saw_eof(self):
        pipe = self.pipe
        if not pipe.broken and pipe.n_out != pipe.n_in:
            self.wrong.append(f"eof after {pipe.n_out} of {pipe.n_in} bytes")

    def report(self, loop, context):
        exc = context.get("exception")
        if not isinstance(exc, ValueError):
            self.wrong.append(f"{context['message']}: {exc!r}")
        self.note("report", context["message"][:21], exc and describe(exc))

    def finish(self):
        """The writer ends and what it has left comes, if there is a reader."""
        for end in self.ends:
            end.ask_to_end()
        deadline = time.monotonic() + FINISH_S
        n_idle, before = 0, None
        while not all(end.lost for end in self.ends):
            self.iterate()
            if not self.ends[1].is_transport:
                self.ends[1].drain()
            now = self.pipe.n_out, *(end.lost for end in self.ends)
            n_idle = n_idle + 1 if now == before else 0
            before = now
            if n_idle > 10 or time.monotonic() > deadline:
                break
        for end in self.ends:
            end.check_end()

    def close(self):
        for end in self.ends:
            end.file.close()


if __name__ == "__main__":
    random_runs.main(sys.modules[__name__])
