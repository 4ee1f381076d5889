"""Random programs of StreamWriters and their protocols: tasks that write, drain, read,
wait for the end and are cancelled, while a transport pauses, brings data and is lost.

    python -m tests.aio.random_writers [--programs 10000] [--seed 1]

Each program is a limit, who is told of the connection, whether it is over TLS, and a
few tasks, each a list of actions on one reader, writer, protocol and transport. What
happens, turn by turn, is the same with asyncio's classes and with fastloop.aio's, on
both loops.
"""

import asyncio
import gc

from hypothesis import strategies as st

from tests.aio.helpers import turns
from tests.aio.on_both import play_out, play_steps, same_events, told_with_context
from tests.random_checks import asked_for, check_many

ACTIONS = """
    data data data data line line exactly some until write write lines drain drain drain
    pause pause resume resume turn cancel closed close eof lost error look set ask
    helper again drop
"""
CHUNKS = [
    b"a",
    b"\n",
    b"ab\n",
    b"a\nb\ncc",
    b"",
    b"abcdefgh",
    b"\r",
    bytearray(b"xy\n"),
]
LIMITS = [1, 2, 8, 100, 2**80]
CALLBACKS = ["none", "nothing", "serves", "fails", "raises", "future", "odd"]
N_TURNS = 40

action = st.tuples(st.sampled_from(ACTIONS.split()), st.integers(0, 7))
scripts = st.lists(st.lists(action, min_size=1, max_size=9), min_size=2, max_size=4)
programs = st.tuples(
    st.sampled_from(LIMITS), st.sampled_from(CALLBACKS), st.booleans(), scripts
)


class Transport:
    """Notes what it is asked for."""

    def __init__(self, over_tls, events):
        self.over_tls, self.events = over_tls, events
        self.closing = False

    def note(self, *what):
        self.events.append(what)

    def write(self, data):
        self.note("write", bytes(data))

    def writelines(self, data):
        self.note("writelines", b"".join(data))

    def write_eof(self):
        self.note("write_eof")

    def can_write_eof(self):
        return not self.over_tls

    def pause_reading(self):
        self.note("pause_reading")

    def resume_reading(self):
        self.note("resume_reading")

    def close(self):
        self.closing = True
        self.note("close")

    def is_closing(self):
        return self.closing

    def get_extra_info(self, name, default=None):
        if name == "sslcontext" and self.over_tls:
            return "a context"
        return default

    def __repr__(self):
        return "transport"


class Run:
    """One program on one module's classes."""

    def __init__(self, module, program):
        self.limit, self.callback, self.over_tls, self.scripts = program
        self.module = module
        self.events = []
        self.writer = None

    # ---- the client's callback ----

    async def serve(self, reader, writer):
        line = await reader.readline()
        writer.write(line.upper())
        await writer.drain()
        if self.callback == "fails":
            raise KeyError(line)

    def connected(self, reader, writer):
        self.events.append(("connected", type(reader).__name__, type(writer).__name__))
        match self.callback:
            case "serves" | "fails":
                return self.serve(reader, writer)
            case "raises":
                raise KeyError("on purpose")
            case "future":
                return self.loop.create_future()
            case "odd":
                return 1

    def reported(self, loop, context):
        self.events.append((context["message"], repr(context.get("exception"))))

    # ---- what is seen ----

    def look(self):
        protocol, writer, reader = self.protocol, self.writer, self.reader
        closed = protocol._closed
        task = protocol._task
        seen = [
            protocol._paused, protocol._connection_lost, protocol._reject_connection,
            len(protocol._drain_waiters), protocol._over_ssl, closed._state,
            repr(protocol._transport), protocol._client_connected_cb is None,
            getattr(protocol, "_strong_reader", 0) is None,
            protocol._stream_reader_wr is None, protocol._get_close_waiter(0) is closed,
            task if not isinstance(task, asyncio.Future) else task._state,
            hasattr(protocol, "_stream_writer"),
        ]  # fmt: skip
        if writer is not None:
            seen += [
                writer._complete_fut._state,
                writer.is_closing(),
                repr(writer.transport),
            ]
        if reader is not None:
            seen += [bytes(reader._buffer), repr(reader.exception()), reader.at_eof()]
        return seen

    # ---- the actions ----

    async def act(self, name, number):
        """One step of a script; what it comes to."""
        reader, writer, protocol = self.reader, self.writer, self.protocol
        match name:
            case "line":
                return await reader.readline()
            case "exactly":
                return await reader.readexactly(number)
            case "some":
                return await reader.read(number - 1)
            case "until":
                return await reader.readuntil(CHUNKS[number])
            case "drain":
                return await writer.drain()
            case "helper":
                return await protocol._drain_helper()
            case "closed" if number < 4:
                return await writer.wait_closed()
            case "turn":
                await turns(number)
            case "cancel":
                self.tasks[number % len(self.tasks)].cancel(f"by {number}")
                await turns(number % 3)
            case "eof" | "lost" if number < 3:
                await turns(1)
            case _:
                return self.disturb(name, number)

    def disturb(self, name, number):
        """What comes in, or is done to the streams from outside."""
        writer, protocol = self.writer, self.protocol
        match name:
            case "write":
                return writer.write(CHUNKS[number])
            case "lines":
                return writer.writelines(CHUNKS[:number])
            case "data":
                return protocol.data_received(CHUNKS[number])
            case "pause":
                return protocol.pause_writing()
            case "resume":
                return protocol.resume_writing()
            case "eof":
                return protocol.eof_received()
            case "lost":
                return protocol.connection_lost([None, OSError("broken")][number % 2])
            case "close":
                return writer.close() if number < 4 else None
            case "error" if number < 3:
                self.reader.set_exception(KeyError(number))
            case "look":
                return self.look()
            case "ask":
                return self.ask(number)
            case "set" if number < 5:
                return self.set(number)
            case "again" if number < 2:
                return protocol.connection_made(self.transport)
            case "drop" if number < 1:
                self.reader = None
                gc.collect()

    def ask(self, number):
        writer = self.writer
        return [
            writer.can_write_eof, writer.write_eof, writer.is_closing,
            lambda: writer.get_extra_info("sslcontext"),
            lambda: writer.get_extra_info("nothing", 7),
            lambda: writer.get_extra_info("nothing", default=8),
            lambda: repr(writer.transport), lambda: writer._complete_fut.done(),
        ][number]()  # fmt: skip

    def set(self, number):
        """Odd values where the classes keep their state."""
        protocol, writer = self.protocol, self.writer
        match number:
            case 0:
                protocol._drain_waiters = list(protocol._drain_waiters)
            case 1:
                protocol._paused = 1
            case 2:
                protocol._connection_lost = []
            case 3:
                writer._reader = None
            case 4:
                protocol._closed = self.loop.create_future()

    async def play(self, index, script):
        await play_steps(self, index, script, told_with_context)

    async def main(self):
        self.loop = loop = asyncio.get_running_loop()
        loop.set_exception_handler(self.reported)
        self.transport = Transport(self.over_tls, self.events)
        self.reader = self.module.StreamReader(self.limit, loop)
        callback = None if self.callback == "none" else self.connected
        self.protocol = self.module.StreamReaderProtocol(self.reader, callback, loop)
        try:
            self.protocol.connection_made(self.transport)
        except KeyError as error:
            self.events.append(repr(error))
        self.writer = self.module.StreamWriter(
            self.transport, self.protocol, self.reader, loop
        )
        await play_out(self, self.scripts, N_TURNS, self.let_go)
        if isinstance(task := self.protocol._task, asyncio.Future):
            task.cancel()
        await turns(2)
        self.transport.closing = True  # its writers die without a word

    def let_go(self):
        """What else tasks wait for that shield themselves."""
        if not self.protocol._closed.done():
            self.protocol._closed.set_result(None)


def check(program):
    """Raise AssertionError if it is not the same everywhere; return its events."""
    return same_events(Run, program)


if __name__ == "__main__":
    asked = asked_for(__doc__)
    n_programs, n_events = check_many(programs, check, asked.programs, asked.seed)
    print(f"{n_programs} programs of writers, {n_events} events: the same on both")
