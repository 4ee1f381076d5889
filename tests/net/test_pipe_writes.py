"""What is written to pipes."""

import asyncio
import fcntl
import os
import random
import select
import signal
import subprocess
import sys
import termios

import pytest

from tests.net.helpers import Recorder, settle
from tests.net.pipes import (
    KINDS_OF_PIPES,
    anonymous,
    named,
    pipe,
    sockets,
    terminals,
    writing,
)
from tests.support import SLOWER, child_args, child_env, until


def test_each_write_is_sent_at_once(run):
    """In a pipe of packets each write is one."""

    async def main():
        read, write = os.pipe2(os.O_DIRECT)
        with os.fdopen(read, "rb", 0) as reader, os.fdopen(write, "wb", 0) as writer:
            transport, protocol = await writing(writer)
            for piece in (b"one ", b"two ", b"three"):
                transport.write(piece)
            found = [os.read(reader.fileno(), 100) for _ in range(3)]
            transport.close()
            await protocol.closed
            return found

    assert run(main()) == [b"one ", b"two ", b"three"]


@pytest.mark.parametrize("kind", KINDS_OF_PIPES)
def test_who_reads_between_two_writes_finds_the_first(run, tmp_path, kind):
    """In each step, as often as it writes twice."""

    async def main():
        with kind(tmp_path) as (reader, writer):
            transport, protocol = await writing(writer)
            os.set_blocking(reader.fileno(), False)
            for _ in range(3):
                for piece in (b"head", b"body"):
                    transport.write(piece)
                    assert os.read(reader.fileno(), 100) == piece
                await asyncio.sleep(0)
            transport.abort()
            await protocol.closed

    run(main())


SHARED = """
import asyncio, os, subprocess
async def main():
    loop = asyncio.get_running_loop()
    stdout = os.fdopen(os.dup(1), "wb", 0)
    transport, _ = await loop.connect_write_pipe(asyncio.Protocol, stdout)
    for _ in range(2):
        transport.write(b"a")
        transport.write(b"b")
        print("c", end="", flush=True)
        transport.writelines([b"d", b"e"])
        subprocess.run(["printf", "f"], check=True)
        transport.write(bytearray(b"g"))
        os.write(1, b"h")
        pid = os.fork()
        if pid == 0:
            transport.write(b"i")
            os._exit(0)
        os.waitpid(pid, 0)
        transport.write(b"j")
        await asyncio.sleep(0)
    transport.write(b"bye")
    os._exit(0)
new_event_loop().run_until_complete(main())
"""


@pytest.mark.parametrize("kind", [anonymous, named, sockets, terminals])
def test_the_order_on_a_stdout_that_others_have_too(loop_kind, tmp_path, kind):
    whole = b"abcdefghij" * 2 + b"bye"
    with kind(tmp_path) as (reader, writer):
        command = child_args(loop_kind, SHARED, flags=("-W", "ignore"))
        done = subprocess.run(
            command,
            env=child_env(),
            stdout=writer,
            stderr=subprocess.PIPE,
            timeout=20 * SLOWER,
        )
        got = b""
        # a terminal hands on by a thread of the kernel's, in parts on a busy machine
        while len(got) < len(whole) and select.select([reader], [], [], 5 * SLOWER)[0]:
            got += os.read(reader.fileno(), 100)
    assert (got, done.stderr) == (whole, b"")


@pytest.mark.parametrize("how", ["send_signal", "terminate", "kill"])
def test_a_child_is_sent_its_input_before_a_signal(run, how):
    async def main():
        process = await asyncio.create_subprocess_exec("sleep", "60", stdin=-1)
        popen = process._transport.get_extra_info("subprocess")
        process.stdin.write(b"hello")
        getattr(process, how)(*([signal.SIGTERM] if how == "send_signal" else []))
        waiting = fcntl.ioctl(popen.stdin.fileno(), termios.FIONREAD, bytes(4))
        await process.wait()
        return int.from_bytes(waiting, sys.byteorder)

    assert run(main()) == 5


def test_what_is_sent_is_what_was_written(run):
    async def main():
        with pipe() as (reader, writer):
            transport, protocol = await writing(writer)
            buffer = bytearray(b"before")
            transport.write(buffer)
            buffer[:] = b"after!"
            view = memoryview(bytearray(200_000))
            transport.write(view)
            view[:] = b"x" * len(view)
            data = b"y" * 10
            transport.write(memoryview(data)[2:5])
            transport.close()
            del data
            got = await asyncio.to_thread(reader.readall)
            await protocol.closed
            return got

    # asyncio 3.12 and later keep a view of what did not go at once.
    got = run(main())
    assert got[:6] == b"before"
    assert got[-3:] == b"yyy"
    assert len(got) == 200_009


@pytest.mark.parametrize("data", ["text", None, 5, [b"x"]], ids=repr)
def test_what_cannot_be_written(run, data):
    async def main():
        with pipe() as (_, writer):
            transport, protocol = await writing(writer)
            with pytest.raises(AssertionError) as caught:
                transport.write(data)
            transport.close()
            await protocol.closed
            return str(caught.value)

    assert run(main()) == repr(data)


def test_nothing_is_written(run):
    async def main():
        with pipe() as (_, writer):
            transport, protocol = await writing(writer)
            for nothing in (b"", bytearray(), memoryview(b"")):
                transport.write(nothing)
            transport.writelines([])
            assert transport.get_write_buffer_size() == 0
            transport.close()
            await protocol.closed
            return protocol.calls

    assert run(main()) == ["connection_made", "connection_lost"]


def test_closing_sends_the_rest(run):
    payload = random.Random(6).randbytes(1_000_000)

    async def main():
        for end in ("close", "write_eof"):
            with pipe() as (reader, writer):
                transport, protocol = await writing(writer)
                transport.write(payload)
                getattr(transport, end)()
                assert transport.is_closing()
                transport.write(b"too late")
                transport.close()
                got = await asyncio.to_thread(reader.readall)
                assert got == payload
                assert await protocol.closed is None
                assert protocol.calls.count("connection_lost") == 1

    run(main())


def test_aborting_drops_the_rest(run):
    async def main():
        with pipe() as (reader, writer):
            transport, protocol = await writing(writer)
            transport.write(bytes(1_000_000))
            transport.abort()
            assert await protocol.closed is None
            transport.close()
            await settle()
            return len(reader.readall()), protocol.calls.count("connection_lost")

    length, lost = run(main())
    assert 0 < length < 1_000_000
    assert lost == 1


def test_aborting_twice(run, loop_kind, logs):
    """asyncio calls connection_lost once more, on a protocol that is gone."""

    async def main():
        with pipe() as (_, writer):
            transport, protocol = await writing(writer)
            transport.abort()
            transport.abort()
            transport.close()
            await protocol.closed
            await settle()
            return protocol.calls

    assert run(main()) == ["connection_made", "connection_lost"]
    text = logs.take_text()
    assert ("'NoneType' object has no attribute" in text) == (loop_kind == "asyncio")


def test_flow_control(run):
    async def main():
        with pipe() as (reader, writer):
            transport, protocol = await writing(writer)
            assert transport.get_write_buffer_limits() == (16384, 65536)
            transport.set_write_buffer_limits(high=1000, low=100)
            assert transport.get_write_buffer_limits() == (100, 1000)
            transport.write(bytes(100_000))
            assert transport.get_write_buffer_size() > 1000
            assert protocol.calls[-1] == "pause_writing"
            transport.write(bytes(10))
            got = 0
            while got < 100_010:
                got += len(await asyncio.to_thread(os.read, reader.fileno(), 1 << 16))
            await until(lambda: protocol.calls[-1] == "resume_writing")
            assert transport.get_write_buffer_size() == 0
            transport.close()
            await protocol.closed
            return protocol.calls

    assert run(main()) == [
        "connection_made",
        "pause_writing",
        "resume_writing",
        "connection_lost",
    ]


def test_writing_resumes_at_the_mark(run, loop_kind):
    sizes = []

    class Protocol(Recorder):
        def resume_writing(self):
            super().resume_writing()
            sizes.append(self.transport.get_write_buffer_size())

    async def main():
        with pipe() as (reader, writer):
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
            transport, protocol = await writing(writer, Protocol)
            transport.set_write_buffer_limits(high=6000, low=5000)
            transport.write(bytes(3 * 4096))
            transport.close()
            for _ in range(3):
                os.read(reader.fileno(), 4096)
                await settle()
            await protocol.closed

    run(main())
    assert sizes == [4096 if loop_kind == "fastloop" else 0]


@pytest.mark.parametrize("debug", [False, True])
def test_a_reader_that_leaves(run, tmp_path, debug):
    """With bytes that it did not read it is an error, else the end."""

    async def main():
        for kind in (anonymous, sockets):
            with kind(tmp_path) as (reader, writer):
                transport, protocol = await writing(writer)
                reader.close()
                assert await protocol.closed is None
            with kind(tmp_path) as (reader, writer):
                transport, protocol = await writing(writer)
                transport.write(bytes(1_000_000))
                assert transport.get_write_buffer_size() > 0
                reader.close()
                assert isinstance(await protocol.closed, BrokenPipeError)
                assert transport.is_closing()

    run(main(), debug=debug)


def test_a_reader_that_leaves_while_the_rest_is_sent(run):
    async def main():
        with pipe() as (reader, writer):
            transport, protocol = await writing(writer)
            transport.write(bytes(1_000_000))
            transport.close()
            reader.close()
            return await protocol.closed

    assert isinstance(run(main()), BrokenPipeError)


def test_a_reader_that_leaves_who_was_closed_as_it_was_made(run):
    class Closing(Recorder):
        error = None

        def connection_made(self, transport):
            super().connection_made(transport)
            transport.write(bytes(200_000))
            transport.write_eof()

        def connection_lost(self, exc):
            self.error = exc
            super().connection_lost(exc)

    async def main():
        loop = asyncio.get_running_loop()
        with pipe() as (reader, writer):
            _, protocol = await loop.connect_write_pipe(Closing, writer)
            reader.close()
            await protocol.closed
            return protocol.error

    error = run(main())
    assert type(error) is BrokenPipeError and error.args == ()  # it was told, not tried


def test_writing_to_nobody(run):
    """The error is connection_lost's alone."""

    async def main():
        with pipe() as (reader, writer):
            transport, protocol = await writing(writer)
            reader.close()
            transport.write(b"x")
            exc = await protocol.closed
            assert protocol.calls.count("connection_lost") == 1
            return exc

    assert isinstance(run(main()), BrokenPipeError)


def test_late_writes_are_counted(run, logs):
    async def main():
        with pipe() as (_, writer):
            transport, protocol = await writing(writer)
            transport.close()
            for _ in range(5):
                transport.write(b"x")
            assert logs.take() == []
            transport.write(b"x")
            await protocol.closed

    run(main())
    text = "pipe closed by peer or os.write(pipe, data) raised exception."
    assert logs.take() == [("WARNING", text)]


def test_a_write_that_failed_counts_as_late(run, logs):
    async def main():
        with pipe() as (reader, writer):
            transport, protocol = await writing(writer)
            reader.close()
            transport.write(bytearray(b"x"))  # sent at once, to nobody
            for _ in range(4):
                transport.write(b"x")
            assert logs.take() == []
            transport.write(b"x")
            await protocol.closed

    run(main())
    text = "pipe closed by peer or os.write(pipe, data) raised exception."
    assert logs.take() == [("WARNING", text)]


def test_a_buffer_that_cannot_be_had(run, logs):
    """A view with gaps: reported, and the end."""

    async def main():
        with pipe() as (_, writer):
            transport, protocol = await writing(writer)
            transport.write(memoryview(b"abcdef")[::2])
            return await protocol.closed

    assert isinstance(run(main()), BufferError)
    assert "Fatal write error on pipe transport" in logs.take_text()


def test_writing_from_inside_resume_writing(run):
    class Protocol(Recorder):
        def resume_writing(self):
            super().resume_writing()
            if self.calls.count("resume_writing") < 4:
                self.transport.write(bytes(300_000))

    async def main():
        with pipe() as (reader, writer):
            transport, protocol = await writing(writer, Protocol)
            transport.write(bytes(300_000))
            transport.get_write_buffer_size()
            got = 0
            while got < 1_200_000:
                got += len(await asyncio.to_thread(os.read, reader.fileno(), 1 << 16))
            await until(lambda: protocol.calls.count("resume_writing") == 4)
            transport.close()
            await protocol.closed
            return got, protocol.calls.count("pause_writing")

    assert run(main()) == (1_200_000, 4)


def test_closing_although_resume_writing_left_the_loop(fast_loop):
    class Protocol(Recorder):
        def resume_writing(self):
            raise SystemExit

    async def main():
        with pipe() as (reader, writer):
            transport, protocol = await writing(writer, Protocol)
            transport.set_write_buffer_limits(0)
            transport.write(bytes(100_000))
            transport.close()
            os.read(reader.fileno(), 100_000)
            await protocol.closed
            return writer.closed

    task = fast_loop.create_task(main())
    with pytest.raises(SystemExit):
        fast_loop.run_until_complete(task)
    assert fast_loop.run_until_complete(asyncio.wait_for(task, 5))
