"""Subprocesses and pipes."""

import asyncio
import contextlib
import os
import signal
import stat
import sys
import threading

import pytest

from tests.net.helpers import Recorder
from tests.support import until

PIPE = asyncio.subprocess.PIPE
CAT = "import sys; sys.stdout.write(sys.stdin.read())"


async def python(code, *args, **options):
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *args, **options
    )


def test_exec_and_communicate(run):
    async def main():
        process = await python(CAT, stdin=PIPE, stdout=PIPE)
        out, err = await process.communicate(b"hello")
        return out, err, process.returncode

    assert run(main()) == (b"hello", None, 0)


def test_shell(run):
    async def main():
        process = await asyncio.create_subprocess_shell(
            "echo out; echo err >&2; exit 3", stdout=PIPE, stderr=PIPE
        )
        return *await process.communicate(), process.returncode

    assert run(main()) == (b"out\n", b"err\n", 3)


def test_much_data_both_ways(run):
    payload = b"0123456789abcde\n" * 40_000

    async def main():
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        out, _ = await process.communicate(payload)
        return out == payload

    assert run(main())


def test_line_by_line(run):
    async def main():
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        lines = []
        for n in range(5):
            process.stdin.write(b"%d\n" % n)
            await process.stdin.drain()
            lines.append(await process.stdout.readline())
        process.stdin.close()
        await process.wait()
        return lines

    assert run(main()) == [b"0\n", b"1\n", b"2\n", b"3\n", b"4\n"]


def test_many_at_once(run):
    async def one(n):
        process = await asyncio.create_subprocess_exec("sh", "-c", f"exit {n}")
        return await process.wait()

    async def main():
        return await asyncio.gather(*(one(n) for n in range(10)))

    assert run(main()) == list(range(10))


@pytest.mark.parametrize("how", ["terminate", "kill", "send_signal"])
def test_signals(run, how):
    async def main():
        process = await asyncio.create_subprocess_exec("sleep", "60")
        args = (signal.SIGHUP,) if how == "send_signal" else ()
        getattr(process, how)(*args)
        return await process.wait()

    expected = {"terminate": "SIGTERM", "kill": "SIGKILL", "send_signal": "SIGHUP"}
    assert run(main()) == -getattr(signal, expected[how])


def test_wait_twice_and_after_the_end(run):
    async def main():
        process = await asyncio.create_subprocess_exec("true")
        first = await asyncio.gather(process.wait(), process.wait())
        with pytest.raises(ProcessLookupError):
            process.terminate()
        return first, await process.wait(), process.returncode

    assert run(main()) == ([0, 0], 0, 0)


def test_a_wait_with_a_time_limit(run):
    async def main():
        process = await asyncio.create_subprocess_exec("sleep", "60")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.wait(), 0.01)
        process.kill()
        return await process.wait()

    assert run(main()) == -signal.SIGKILL


def test_a_program_that_is_not_there(run):
    async def main():
        with pytest.raises(FileNotFoundError):
            await asyncio.create_subprocess_exec("/no/such/program")

    run(main())


def test_stdio_is_a_pipe(run):
    """As in asyncio; a socket pair cannot be opened as /proc/self/fd/1."""

    async def main():
        code = (
            "import os, stat; "
            "print([stat.S_ISFIFO(os.fstat(n).st_mode) for n in (1, 2)]); "
            "open('/proc/self/fd/1', 'w').close()"
        )
        process = await python(code, stdout=PIPE, stderr=PIPE)
        return await process.communicate()

    assert run(main()) == (b"[True, True]\n", b"")


def test_stderr_to_stdout_and_devnull(run):
    async def main():
        process = await asyncio.create_subprocess_shell(
            "echo out; echo err >&2",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        return sorted(out.split())

    assert run(main()) == [b"err", b"out"]


def test_environment_and_folder(run, tmp_path):
    async def main():
        process = await asyncio.create_subprocess_shell(
            "pwd; echo $WORD", stdout=PIPE, cwd=tmp_path, env={"WORD": "given"}
        )
        out, _ = await process.communicate()
        return out.decode().split()

    assert run(main()) == [os.path.realpath(tmp_path), "given"]


def test_no_descriptor_reaches_the_child(run):
    async def main():
        process = await python(
            "import os; print(len(os.listdir('/proc/self/fd')))", stdout=PIPE
        )
        out, _ = await process.communicate()
        return int(out)

    assert run(main()) <= 4  # three, and the listing's own


def test_outside_the_main_thread(loop_factory):
    found = []

    def work():
        with asyncio.Runner(loop_factory=loop_factory) as runner:

            async def main():
                process = await python(CAT, stdin=PIPE, stdout=PIPE)
                out, _ = await process.communicate(b"from a thread")
                return out, process.returncode

            found.append(runner.run(main()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(b"from a thread", 0)]


def test_with_sigchld_ignored(loop_kind):
    from tests.support import child_says

    source = """
import asyncio, signal
signal.signal(signal.SIGCHLD, signal.SIG_DFL)
async def main():
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
    print(await process.wait())
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""
    assert child_says(loop_kind, source) == "7\n"


def test_a_child_that_outlives_its_reader(run):
    """The transport is closed while the child runs: it is killed and reaped."""

    async def main():
        process = await asyncio.create_subprocess_exec("sleep", "60", stdout=PIPE)
        process._transport.close()
        return await process.wait()

    assert run(main()) == -signal.SIGKILL


def test_a_cancelled_communicate(run):
    async def main():
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
        task = asyncio.ensure_future(process.communicate())
        # communicate() without input closes standard input, and cat ends.
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        return process.returncode

    assert run(main()) in (0, -signal.SIGKILL)


def test_a_protocol_of_ones_own(run):
    class Protocol(asyncio.SubprocessProtocol):
        def __init__(self):
            self.calls = []
            self.done = asyncio.get_running_loop().create_future()

        def connection_made(self, transport):
            self.calls.append("connection_made")

        def pipe_data_received(self, fd, data):
            self.calls.append((fd, data))

        def pipe_connection_lost(self, fd, exc):
            self.calls.append(("lost", fd))

        def process_exited(self):
            self.calls.append("exited")

        def connection_lost(self, exc):
            self.done.set_result(None)

    async def main():
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            Protocol, "echo", "hello", stdin=None, stderr=None
        )
        assert transport.get_pid() > 0
        assert transport.get_pipe_transport(1) is not None
        assert transport.get_pipe_transport(0) is None
        await protocol.done
        code = transport.get_returncode()
        transport.close()
        return protocol.calls, code

    calls, code = run(main())
    assert code == 0
    assert calls[0] == "connection_made"
    assert (1, b"hello\n") in calls
    assert ("lost", 1) in calls
    assert "exited" in calls


def test_wrong_arguments(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pytest.raises(ValueError, match="cmd must be a string"):
            await loop.subprocess_shell(asyncio.SubprocessProtocol, 5)
        with pytest.raises(TypeError):
            await loop.subprocess_exec(asyncio.SubprocessProtocol, 5)
        for name in ("universal_newlines", "text"):
            with pytest.raises(ValueError, match=name.split("_")[0]):
                await loop.subprocess_exec(
                    asyncio.SubprocessProtocol, "true", **{name: True}
                )

    run(main())


# ---- pipes ----


@contextlib.contextmanager
def pipe():
    read, write = os.pipe()
    with os.fdopen(read, "rb", 0) as reader, os.fdopen(write, "wb", 0) as writer:
        yield reader, writer


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
        leader, follower = os.openpty()
        transport, protocol = await loop.connect_read_pipe(
            Recorder, os.fdopen(leader, "rb", 0)
        )
        os.write(follower, b"typed\n")
        await until(lambda: b"typed" in protocol.data)
        transport.close()
        await protocol.closed
        os.close(follower)

    run(main())
