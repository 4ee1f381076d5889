"""Random programs of StreamReaders: tasks that feed, read, give up and are cancelled.

    python -m tests.aio.random_streams [--programs 10000] [--seed 1]

Each program is a limit, a kind of transport, and a few tasks, each a list of actions on
one reader. What happens, turn by turn, is the same with asyncio's StreamReader and with
fastloop.aio's, on both loops.
"""

import asyncio
import sys

from hypothesis import strategies as st

from tests.aio.helpers import turns
from tests.aio.on_both import play_out, play_steps, same_events, told_with_context
from tests.random_checks import asked_for, check_many

ACTIONS = """
    feed feed feed feed line line exactly exactly until until some some all next turn
    cancel eof error look limit edit lost odd
"""
CHUNKS = [b"a", b"\n", b"ab\n", b"a\nb\ncc", b"", b"abcdefgh", b"\r", b"\r\n\r\n"]
SEPARATORS = [b"\n", b"\r\n", b"b", b"cc", b"", b"abcdefghijk", "b", (b"\n", b"b\n")]
LIMITS = [1, 2, 3, 8, 100, 2**31, sys.maxsize, 2**80]
ODD = [None, 1, "a", [1, 2], bytearray(b"a\n"), memoryview(b"\n"), b"\n", (3,)]
N_TURNS = 40

action = st.tuples(st.sampled_from(ACTIONS.split()), st.integers(0, 7))
scripts = st.lists(st.lists(action, min_size=1, max_size=9), min_size=2, max_size=4)
programs = st.tuples(
    st.sampled_from(LIMITS), st.sampled_from(["none", "pauses", "cannot"]), scripts
)


class Transport:
    """Notes that it is paused and resumed, if it can be."""

    def __init__(self, kind, events):
        self.kind, self.events = kind, events

    def pause_reading(self):
        if self.kind == "cannot":
            raise NotImplementedError
        self.events.append("pause")

    def resume_reading(self):
        self.events.append("resume")

    def __repr__(self):
        return self.kind


class Run:
    """One program on one module's classes."""

    def __init__(self, module, program):
        self.limit, self.transport, self.scripts = program
        self.module = module
        self.events = []

    def look(self):
        reader = self.reader
        waiter = reader._waiter
        return (
            bytes(reader._buffer), reader._limit, reader._eof, reader._paused,
            repr(reader._transport), repr(reader.exception()), reader.at_eof(),
            waiter and waiter._state, repr(reader) if waiter is None else "",
        )  # fmt: skip

    def edit(self, number):
        """Change the buffer by hand."""
        buffer = self.reader._buffer
        assert type(buffer) is bytearray
        if number == 0:
            self.reader._buffer = bytearray(b"new\nold")
        elif number == 1:
            buffer.clear()
        elif number == 2:
            self.view = memoryview(buffer)
        elif number == 3:
            self.view.release()
        elif number == 4:
            del buffer[:1]
        else:
            buffer.extend(CHUNKS[number])

    def fail(self, number):
        self.reader.set_exception(
            [
                OSError("broken"),
                KeyError,
                asyncio.IncompleteReadError(b"part", 9),
                asyncio.IncompleteReadError(b"", None),
                asyncio.LimitOverrunError("said", 1),
                asyncio.LimitOverrunError("said", 0),
                asyncio.CancelledError("set"),
                "no exception",
            ][number]
        )

    async def act(self, name, number):
        """One step of a script; what it comes to."""
        reader = self.reader
        match name:
            case "line":
                return await reader.readline()
            case "exactly":
                return await reader.readexactly(number - 1)
            case "until":
                return await reader.readuntil(SEPARATORS[number])
            case "some":
                return await reader.read(number)
            case "all":
                return await (reader.read() if number < 4 else reader.read(-number))
            case "next":
                return await anext(aiter(reader))
            case "turn":
                await turns(number)
            case "cancel":
                self.tasks[number % len(self.tasks)].cancel(f"by {number}")
                await turns(number % 3)
            case "eof" if number <= 3:
                await turns(1)
            case _:
                return self.disturb(name, number)

    def disturb(self, name, number):
        """What comes in, or is done to the reader from outside."""
        reader = self.reader
        match name:
            case "feed":
                return reader.feed_data(CHUNKS[number])
            case "eof":
                return reader.feed_eof()
            case "error":
                if number < len(self.scripts):
                    return self.fail(self.scripts[number][0][1])
            case "look":
                return self.look()
            case "limit":
                reader._limit = LIMITS[number]
            case "edit":
                return self.edit(number)
            case "lost":  # a waiter that somebody else ends
                if reader._waiter is not None and number < 3:
                    reader._waiter.cancel("lost")
            case "odd":
                return reader.feed_data(ODD[number])

    async def play(self, index, script):
        await play_steps(self, index, script, told_with_context)

    async def main(self):
        loop = asyncio.get_running_loop()
        self.view = memoryview(b"")
        self.reader = self.module.StreamReader(self.limit, loop)
        if self.transport != "none":
            self.reader.set_transport(Transport(self.transport, self.events))
        await play_out(self, self.scripts, N_TURNS)


def check(program):
    """Raise AssertionError if it is not the same everywhere; return its events."""
    return same_events(Run, program)


if __name__ == "__main__":
    asked = asked_for(__doc__)
    n_programs, n_events = check_many(programs, check, asked.programs, asked.seed)
    print(f"{n_programs} programs of streams, {n_events} events: the same on both")
