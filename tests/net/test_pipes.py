"""Pipe transports."""

import asyncio
import contextlib
import contextvars
import errno
import gc
import os
import random
import re
import socket
import stat

import pytest

from tests.net.helpers import Recorder, needs_pausing, settle
from tests.net.pipes import (
    KINDS_OF_PIPES,
    pipe,
    reading,
    terminal,
    writing,
)
from tests.support import open_terminal, until


def test_read_pipe(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pipe() as (reader, writer):
            transport, protocol = await loop.connect_read_pipe(Recorder, reader)
            writer.write(b"one")
            await until(lambda: protocol.data)
            transport.pause_reading()
            writer.write(b" two")
            for _ in range(5):
                await asyncio.sleep(0)
            assert protocol.data == b"one"
            transport.resume_reading()
            await until(lambda: protocol.data == b"one two")
            writer.close()
            await protocol.closed
            return protocol.calls[-2:]

    assert run(main()) == ["eof_received", "connection_lost"]


def test_write_pipe(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pipe() as (reader, writer):
            transport, protocol = await loop.connect_write_pipe(Recorder, writer)
            transport.write(b"hello")
            got = await loop.run_in_executor(None, reader.read, 5)
            transport.write_eof()
            assert await protocol.closed is None
            return got, reader.read()

    assert run(main()) == (b"hello", b"")


def test_write_pipe_flow_control(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pipe() as (reader, writer):
            transport, protocol = await loop.connect_write_pipe(Recorder, writer)
            payload = bytes(1_000_000)
            transport.write(payload)
            assert "pause_writing" in protocol.calls
            transport.close()
            got = await loop.run_in_executor(None, lambda: reader.readall())
            await protocol.closed
            return len(got)

    assert run(main()) == 1_000_000


def test_a_write_pipe_whose_reader_has_gone(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pipe() as (reader, writer):
            _, protocol = await loop.connect_write_pipe(Recorder, writer)
            reader.close()
            exc = await protocol.closed
            return exc is None or isinstance(exc, BrokenPipeError)

    assert run(main())


def test_pipes_of_what_is_no_pipe(run, tmp_path):
    async def main():
        loop = asyncio.get_running_loop()
        path = tmp_path / "regular"
        path.write_text("x")
        for connect in (loop.connect_read_pipe, loop.connect_write_pipe):
            with (
                open(path, "rb+") as file,
                pytest.raises(ValueError, match="for pipes"),
            ):
                await connect(Recorder, file)

    run(main())


def test_a_pipe_closed_once(run):
    """Descriptors opened between the two ends' closes stay open."""

    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(10):
            read, write = os.pipe()
            transport, protocol = await loop.connect_read_pipe(
                Recorder, os.fdopen(read, "rb", 0)
            )
            transport.close()
            await protocol.closed
            others = [os.dup(write) for _ in range(3)]
            await asyncio.sleep(0)
            assert all(stat.S_ISFIFO(os.fstat(fd).st_mode) for fd in others)
            for fd in (*others, write):
                os.close(fd)

    run(main())


def test_stream_reader_on_a_pipe(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pipe() as (read, write):
            reader = asyncio.StreamReader()
            transport, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), read
            )
            write.write(b"a line\nrest")
            write.close()
            found = await reader.readline(), await reader.read()
            transport.close()
            await asyncio.sleep(0)
            return found

    assert run(main()) == (b"a line\n", b"rest")


def test_a_pseudo_terminal(run):
    async def main():
        loop = asyncio.get_running_loop()
        leader, follower = open_terminal()
        transport, protocol = await loop.connect_read_pipe(
            Recorder, os.fdopen(leader, "rb", 0)
        )
        os.write(follower, b"typed\n")
        await until(lambda: b"typed" in protocol.data)
        transport.close()
        await protocol.closed
        os.close(follower)

    run(main())


# ---- making one ----


@pytest.mark.parametrize("kind", KINDS_OF_PIPES)
@pytest.mark.parametrize("debug", [False, True])
def test_every_kind_of_pipe(run, tmp_path, kind, debug):
    async def main():
        with kind(tmp_path) as (reader, writer):
            source, received = await reading(reader)
            target, sent = await writing(writer)
            assert not os.get_blocking(reader.fileno())
            assert not os.get_blocking(writer.fileno())
            target.write(b"one ")
            target.write(bytearray(b"two "))
            target.writelines([b"three ", memoryview(b"four")])
            await until(lambda: received.data == b"one two three four")
            for transport, protocol in ((target, sent), (source, received)):
                transport.close()
                assert transport.is_closing()
                await protocol.closed
            assert reader.closed if hasattr(reader, "closed") else reader.fileno() < 0
            return received.calls[0], sent.calls

    first, sent = run(main(), debug=debug)
    assert first == "connection_made"
    assert sent == ["connection_made", "connection_lost"]


def test_the_classes(run, loop_kind):
    async def main():
        with pipe() as (reader, writer):
            source, _ = await reading(reader)
            target, _ = await writing(writer)
            assert isinstance(source, asyncio.ReadTransport)
            assert not isinstance(source, asyncio.WriteTransport)
            assert isinstance(target, asyncio.WriteTransport)
            names = type(source).__name__, type(target).__name__
            for transport, file in ((source, reader), (target, writer)):
                assert transport.get_extra_info("pipe") is file
                assert transport.get_extra_info("socket") is None
                assert transport.get_extra_info("socket", 5) == 5
                assert transport._pipe is file
                assert transport._fileno == file.fileno()
                assert transport._loop is asyncio.get_running_loop()
                assert isinstance(transport.get_protocol(), Recorder)
            assert source.max_size == 256 * 1024
            assert target.can_write_eof()
            assert hasattr(target, "abort") and not hasattr(source, "abort")
            source.close()
            target.close()
            await settle()
            assert (source._pipe, target._pipe) == (None, None)
            assert (source.get_protocol(), target.get_protocol()) == (None, None)
            return names

    assert (
        run(main())
        == {
            "asyncio": ("_UnixReadPipeTransport", "_UnixWritePipeTransport"),
            "fastloop": ("ReadPipeTransport", "WritePipeTransport"),
        }[loop_kind]
    )


def test_reprs(run):
    found = []

    def note(*transports):
        for transport in transports:
            text = repr(transport).replace("_Unix", "")
            found.append(re.sub(r"fd=\d+", "fd=N", text))

    async def main():
        with pipe() as (reader, writer):
            source, _ = await reading(reader)
            target, _ = await writing(writer)
            note(source, target)
            source.pause_reading()
            target.write(bytes(1 << 20))
            target.get_write_buffer_size()
            note(source)
            assert "polling bufsize=" in repr(target)
            target.abort()
            source.close()
            note(source, target)
            await settle()
            note(source, target)

    run(main())
    assert found == [
        "<ReadPipeTransport fd=N polling>",
        "<WritePipeTransport fd=N idle bufsize=0>",
        "<ReadPipeTransport fd=N idle>",
        "<ReadPipeTransport closing fd=N idle>",
        "<WritePipeTransport closing fd=N idle bufsize=0>",
        "<ReadPipeTransport closed fd=N closed>",
        "<WritePipeTransport closed fd=N closed>",
    ]


def test_what_is_refused_stays_open(run, unraisable, tmp_path):
    texts = []

    async def main():
        (tmp_path / "regular").write_text("x")
        with open(tmp_path / "regular", "rb+", 0) as file:
            for connect in (reading, writing):
                with pytest.raises(ValueError) as caught:
                    await connect(file)
                texts.append(str(caught.value))
            assert file.read() == b"x"
        for connect in (reading, writing):
            with pytest.raises(ValueError, match="closed file"):
                await connect(file)
            with pytest.raises(AttributeError):
                await connect(5)

    run(main())
    unraisable.take()  # asyncio's finalizers of what was not finished
    assert texts == [
        "Pipe transport is for pipes/sockets only.",
        "Pipe transport is only for pipes, sockets and character devices",
    ]


@pytest.mark.parametrize("connect", [reading, writing])
def test_a_closed_sockets_descriptor_is_a_bad_one(run, unraisable, connect):
    async def main():
        left, right = socket.socketpair()
        left.close()
        with right, pytest.raises(OSError) as caught:
            await connect(left)
        return caught.value.errno

    assert run(main()) == errno.EBADF
    gc.collect()
    unraisable.take()  # asyncio's finalizers of what was not finished


def test_a_null_device_is_written_to(run):
    async def main():
        with open("/dev/null", "wb", 0) as null:
            transport, protocol = await writing(null)
            transport.write(b"gone")
            assert transport.get_write_buffer_size() == 0
            transport.close()
            return await protocol.closed

    assert run(main()) is None


def test_a_device_that_cannot_be_polled(run, logs):
    """The error is reported; the transport is there, and reads nothing."""

    async def main():
        with open("/dev/null", "rb", 0) as null:
            transport, protocol = await reading(null)
            transport.close()
            await protocol.closed

    run(main())
    assert "PermissionError" in logs.take_text()


def test_both_directions_over_one_descriptor(run):
    async def main():
        with terminal() as (ours, theirs):
            source, received = await reading(ours)
            copy = os.fdopen(ours.fileno(), "wb", 0, closefd=False)
            target, _ = await writing(copy)
            target.write(b"to them")
            await asyncio.sleep(0)
            assert os.read(theirs.fileno(), 100) == b"to them"
            theirs.write(b"to us")
            await until(lambda: received.data == b"to us")
            # More than it holds, so that both are watched.
            target.write(bytes(1 << 18))
            assert target.get_write_buffer_size() > 0
            theirs.write(b" again")
            await until(lambda: received.data == b"to us again")
            source.pause_reading()
            source.resume_reading()
            theirs.write(b" and again")
            await until(lambda: received.data == b"to us again and again")
            target.abort()
            source.close()
            await settle()

    run(main())


def test_the_context_of_the_callbacks(run):
    variable = contextvars.ContextVar("variable", default="none")
    seen = []

    class Protocol(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            seen.append(("made", variable.get()))

        def data_received(self, data):
            seen.append(("data", variable.get()))

        def eof_received(self):
            seen.append(("eof", variable.get()))

        def connection_lost(self, exc):
            seen.append(("lost", variable.get()))
            super().connection_lost(exc)

    async def main():
        with pipe() as (reader, writer):
            variable.set("at connecting")
            _, protocol = await reading(reader, Protocol)
            variable.set("later")
            writer.write(b"x")
            await settle()
            writer.close()
            await protocol.closed

    run(main())
    assert seen == [(name, "at connecting") for name in ("made", "data", "eof", "lost")]


# ---- reading ----


def test_much_is_read_in_order(run):
    payload = random.Random(5).randbytes(3_000_000)

    async def main():
        with pipe() as (reader, writer):
            _, protocol = await reading(reader)
            target, _ = await writing(writer)
            for start in range(0, len(payload), 70_001):
                target.write(payload[start : start + 70_001])
                if start % 3:
                    await asyncio.sleep(0)
            target.close()
            await protocol.closed
            return bytes(protocol.data)

    assert run(main()) == payload


def test_the_end(run):
    """eof_received's answer keeps nothing open, and both come once, in order."""

    class Protocol(Recorder):
        def eof_received(self):
            super().eof_received()
            return True

    async def main():
        with pipe() as (reader, writer):
            transport, protocol = await reading(reader, Protocol)
            writer.write(b"last")
            writer.close()
            await protocol.closed
            transport.close()
            await settle()
            return protocol.calls

    assert run(main()) == [
        "connection_made",
        "data_received",
        "eof_received",
        "connection_lost",
    ]


@needs_pausing
def test_paused_at_the_end(run):
    async def main():
        with pipe() as (reader, writer):
            transport, protocol = await reading(reader)
            transport.pause_reading()
            transport.pause_reading()
            assert not transport.is_reading()
            writer.write(b"last")
            writer.close()
            await asyncio.sleep(0.01)
            assert protocol.calls == ["connection_made"]
            transport.resume_reading()
            transport.resume_reading()
            assert transport.is_reading()
            await protocol.closed
            assert not transport.is_reading()
            return bytes(protocol.data)

    assert run(main()) == b"last"


@pytest.mark.parametrize("what", ["close", "pause_reading", "set_protocol", "raise"])
@pytest.mark.parametrize("debug", [False, True])
def test_inside_data_received(run, logs, what, debug):
    class Protocol(Recorder):
        def data_received(self, data):
            super().data_received(data)
            if what == "raise":
                raise ValueError("on purpose")
            if what == "set_protocol":
                other = Recorder()
                others.append(other)
                self.transport.set_protocol(other)
            else:
                getattr(self.transport, what)()

    others = []

    async def main():
        with pipe() as (reader, writer):
            transport, protocol = await reading(reader, Protocol)
            writer.write(b"one")
            await until(lambda: protocol.data)
            with contextlib.suppress(BrokenPipeError):
                writer.write(b"two")
            await asyncio.sleep(0.01)
            if what == "close":
                await protocol.closed
            transport.close()
            await settle()
            return bytes(protocol.data), [bytes(other.data) for other in others]

    data, rest = run(main(), debug=debug)
    assert data == (b"onetwo" if what == "raise" else b"one")
    assert rest == ([b"two"] if what == "set_protocol" else [])
    text = logs.take_text()
    assert text.count("ValueError: on purpose") == (2 if what == "raise" else 0)


def test_a_terminal_that_hangs_up(run):
    """EIO is how that shows, and no error to report."""

    async def main():
        with terminal() as (ours, theirs):
            _, protocol = await reading(ours)
            theirs.close()
            exc = await protocol.closed
            return exc.errno

    assert run(main()) == errno.EIO


def test_a_file_closed_behind_our_back(run, logs):
    """Whatever has its number by then is not read."""

    async def main():
        with terminal() as (ours, theirs):
            transport, protocol = await reading(ours)
            number = ours.fileno()
            ours.close()
            read, write = os.pipe()
            os.write(write, b"not for you")
            if read != number:
                os.dup2(read, number)
                os.close(read)
            with contextlib.suppress(OSError):
                theirs.write(b"x")
            await asyncio.sleep(0.01)
            transport.close()
            await protocol.closed
            rest = os.read(number, 100)
            os.close(number)
            os.close(write)
            return bytes(protocol.data), rest

    data, rest = run(main())
    logs.take()
    assert (data, rest) == (b"", b"not for you")


# ---- the end ----


@pytest.mark.parametrize("connect", [reading, writing])
def test_a_pipe_that_nobody_closed(run, connect):
    async def main():
        with pipe() as ends:
            file = ends[connect is writing]
            transport, _ = await connect(file)
            if connect is reading:
                transport.pause_reading()
            return transport, file

    transport, _ = run(main())
    with pytest.warns(ResourceWarning, match="unclosed transport <.*PipeTransport"):
        del transport
        gc.collect()


@pytest.mark.parametrize("connect", [reading, writing])
def test_a_file_taken_from_its_transport(run, connect):
    """It stays open, and nobody complains."""

    async def main():
        with pipe() as ends:
            file = ends[connect is writing]
            transport, protocol = await connect(file)
            loop = asyncio.get_running_loop()
            loop._remove_reader(file.fileno())
            transport._pipe = None
            assert "closed" in repr(transport)
            del transport
            gc.collect()
            assert not file.closed
            return protocol.calls

    assert run(main()) == ["connection_made"]


def test_connection_lost_that_raises(run, logs):
    class Protocol(Recorder):
        def connection_lost(self, exc):
            super().connection_lost(exc)
            raise ValueError("on purpose")

    async def main():
        with pipe() as (reader, writer):
            for connect, file in ((reading, reader), (writing, writer)):
                transport, protocol = await connect(file, Protocol)
                transport.close()
                await protocol.closed
                await settle()
                assert file.closed

    run(main())
    assert logs.take_text().count("ValueError: on purpose") == 2


def test_a_waiter_that_is_cancelled(run):
    """What was made is closed, once."""

    async def main():
        with pipe() as (reader, writer):
            for connect, file in ((reading, reader), (writing, writer)):
                protocols = []

                def factory(protocols=protocols):
                    protocols.append(Recorder())
                    return protocols[0]

                task = asyncio.ensure_future(connect(file, factory))
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                await protocols[0].closed
                assert file.closed
                assert protocols[0].calls == ["connection_made", "connection_lost"]

    run(main())


def test_a_watch_of_ones_own(loop_kind, run):
    """A pipe's fd is its transport's, as a socket's is: asyncio gives it away."""

    async def main():
        loop = asyncio.get_running_loop()
        with pipe() as (reader, writer):
            transport, protocol = await reading(reader)
            try:
                loop.add_reader(reader.fileno(), print)
                outcome = "taken"
            except FileExistsError:
                outcome = "refused"
            writer.write(b"x")
            if outcome == "refused":
                await until(lambda: protocol.data == b"x")
            loop.remove_reader(reader.fileno())
            transport.close()
            await protocol.closed
            return outcome

    assert run(main()) == {"asyncio": "taken", "fastloop": "refused"}[loop_kind]


def test_a_pipe_that_cannot_be_watched_is_lost(run, loop_kind):
    """Standard input may be the null device, which epoll refuses."""
    reports = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(context))
        with open(os.devnull, "rb", 0) as file:
            transport, protocol = await reading(file)
            await settle()
            closing = transport.is_closing()
            transport.close()
            await protocol.closed
        return closing

    assert run(main()) is (loop_kind == "fastloop")
    assert [type(report["exception"]) for report in reports] == [PermissionError]


def test_no_descriptor_is_left(run, tmp_path):
    async def main():
        counts = []
        for _ in range(3):
            for kind in KINDS_OF_PIPES:
                folder = tmp_path / f"{len(counts)}"
                folder.mkdir()
                with kind(folder) as (reader, writer):
                    source, received = await reading(reader)
                    target, sent = await writing(writer)
                    target.write(b"x")
                    target.close()
                    source.close()
                    await asyncio.gather(received.closed, sent.closed)
                counts.append(len(os.listdir("/proc/self/fd")))
        return counts

    assert len(set(run(main()))) == 1
