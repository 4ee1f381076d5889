"""Subprocesses and pipes."""

import asyncio
import contextlib
import errno
import os
import pathlib
import signal
import sys
import threading
import warnings

import pytest

from tests.conftest import factory_of, open_fds
from tests.net.helpers import children
from tests.support import child_says, run_child, spawn_tells

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


@spawn_tells
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


# ---- how a child's end is heard ----


def test_no_zombies_and_no_descriptors(run):
    async def main():
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
        before = os.listdir("/proc/self/fd")
        others = children()
        for _ in range(20):
            process = await asyncio.create_subprocess_exec(
                "cat", stdin=PIPE, stdout=PIPE, stderr=PIPE
            )
            await process.communicate(b"hello")
            assert children() <= others
        await asyncio.sleep(0)
        return before, os.listdir("/proc/self/fd")

    before, after = run(main())
    assert len(before) == len(after)


# asyncio 3.11 waits in a thread, which may be the first to get the status.
by_pidfd = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="asyncio has no pidfd by default"
)


async def told_to_exit_with_3():
    """A process that ends in this step, and its Popen object."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", "read line; exit 3", stdin=PIPE
    )
    popen = process._transport.get_extra_info("subprocess")
    os.write(popen.stdin.fileno(), b"\n")
    return process, popen


@by_pidfd
def test_a_child_that_somebody_else_reaped(run, logs):
    async def main():
        process, popen = await told_to_exit_with_3()
        os.waitpid(popen.pid, 0)
        return await process.wait()

    assert run(main()) == 255
    text = logs.take_text()
    assert "exit status already read:  will report returncode 255" in text


@by_pidfd
def test_a_child_whose_popen_object_has_its_status(loop_kind, run, logs):
    """asyncio's own transport.close() asks that object, and loses the status."""

    async def main():
        process, popen = await told_to_exit_with_3()
        popen.wait()
        return await process.wait()

    if loop_kind == "asyncio":
        assert run(main()) == 255
        assert "returncode 255" in logs.take_text()
    else:
        assert run(main()) == 3


def test_a_child_waited_for_by_another_thread(fast_kind):
    """The status is asked for while that thread is about to note it."""

    async def main():
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", "read line; exit 3", stdin=PIPE
        )
        popen = process._transport.get_extra_info("subprocess")
        waiting = asyncio.create_task(asyncio.to_thread(popen.wait))
        await asyncio.sleep(0.01)
        process.stdin.close()
        return await asyncio.gather(process.wait(), waiting)

    with asyncio.Runner(loop_factory=factory_of(fast_kind)) as runner:
        for _ in range(20):
            assert runner.run(main()) == [3, 3]


@by_pidfd
def test_sigchld_ignored(loop_kind):
    """The kernel throws the status away, here before the loop can look. asyncio
    fails then, as only fastloop has a second way to wait."""
    source = """
import asyncio, os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
pidfd_open = os.pidfd_open
def pidfd_open_late(pid, flags=0):
    while pid != os.getpid() and os.path.exists(f"/proc/{pid}"):
        time.sleep(0.001)
    return pidfd_open(pid, flags)
os.pidfd_open = pidfd_open_late
async def main():
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 7")
    print(await process.wait())
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""
    done = run_child(loop_kind, source)
    if loop_kind == "asyncio":
        assert "ProcessLookupError" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, "255\n")
        assert "will report returncode 255" in done.stderr


def test_loops_in_many_threads(loop_factory):
    found = []

    async def one(n):
        process = await asyncio.create_subprocess_exec("sh", "-c", f"exit {n}")
        return await process.wait()

    async def main(base):
        return await asyncio.gather(*(one(base + n) for n in range(5)))

    def work(base):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            found.append(runner.run(main(base)))

    threads = [threading.Thread(target=work, args=(10 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [[10 * n + m for m in range(5)] for n in range(4)]


@pytest.mark.parametrize("reason", ["ENOSYS", "EPERM", "EMFILE"])
def test_a_kernel_without_pidfds(fast_kind, monkeypatch, reason):
    """Another watcher takes over, also if only this once the kernel has none."""
    loop = factory_of(fast_kind)()
    others = children()

    def refuse(pid, flags=0):
        raise OSError(getattr(errno, reason), os.strerror(getattr(errno, reason)))

    monkeypatch.setattr(os, "pidfd_open", refuse)

    async def main():
        process = await asyncio.create_subprocess_exec("sh", "-c", "exit 5")
        return await process.wait()

    try:
        assert loop.run_until_complete(main()) == 5
    finally:
        loop.close()
    assert children() <= others


def test_a_loop_closed_while_a_child_runs(fast_kind, logs):
    """asyncio's pidfd stays open for ever, and its thread takes the status."""
    loop = factory_of(fast_kind)()
    before = open_fds()

    async def main():
        transport, _ = await loop.subprocess_exec(
            asyncio.SubprocessProtocol,
            "sleep",
            "60",
            stdin=None,
            stdout=None,
            stderr=None,
        )
        return transport

    transport = loop.run_until_complete(main())
    popen = transport.get_extra_info("subprocess")
    loop.close()
    # Less the loop's own.
    assert open_fds().items() <= before.items()
    popen.kill()
    assert popen.wait() == -signal.SIGKILL
    transport.close()
    if sys.version_info < (3, 12):
        for thread in set(threading.enumerate()) - {threading.current_thread()}:
            thread.join(10)
        assert f"that handles pid {popen.pid} is closed" in logs.take_text()


@pytest.mark.parametrize("pipes", ["", "stdin=-1, stdout=-1,"])
def test_a_child_left_behind_by_its_loop(loop_kind, pipes):
    """Up to 3.11 it lives on, as its transport does; then it dies with that."""
    source = f"""
import asyncio, gc, os, signal, time
def lives(pid):
    try:
        stat = open(f"/proc/{{pid}}/stat").read()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"
async def main():
    process = await asyncio.create_subprocess_exec("sleep", "60", {pipes})
    return process.pid
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    pid = runner.run(main())
gc.collect()
for _ in range(20):
    if not lives(pid):
        break
    time.sleep(0.01)
alive = lives(pid)
print("alive" if alive else "killed", flush=True)
if alive:
    os.kill(pid, signal.SIGKILL)
os._exit(0)
"""
    done = run_child(loop_kind, source, flags=())
    if sys.version_info < (3, 12):
        assert (done.stdout, done.stderr) == ("alive\n", "")
    elif done.stderr == "":
        assert done.stdout == "killed\n"
    else:  # the asyncio of early releases stumbles over the pipes
        assert pipes
        assert "RuntimeError: Event loop is closed" in done.stderr


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="its transport dies, and kills it, from 3.12 on"
)
@pytest.mark.parametrize("how", ["at the end", "before"])
def test_a_child_of_a_loop_that_is_dropped_unclosed(loop_kind, how):
    """It lives on: asyncio's thread holds its transport, and its loop."""
    source = f"""
import asyncio, gc
loop = new_event_loop()
async def main():
    process = await asyncio.create_subprocess_exec("sleep", "60", stdout=-3, stderr=-3)
    return process.pid
pid = loop.run_until_complete(main())
if {how!r} == "before":
    del loop
    gc.collect()
    gc.collect()
print(pid, flush=True)
"""
    done = run_child(loop_kind, source, flags=())
    pid = int(done.stdout)
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    assert stat.rpartition(")")[2].split()[0] in "RS"
    os.kill(pid, signal.SIGKILL)
    assert done.stderr == ""


def test_a_spawn_that_is_cancelled(run):
    """The child is killed and reaped before the cancellation goes on."""

    async def main():
        loop = asyncio.get_running_loop()
        others = children()
        task = loop.create_task(
            loop.subprocess_exec(asyncio.SubprocessProtocol, "sleep", "60")
        )
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert children() <= others

    run(main())


# ---- the policy's child watcher, up to Python 3.13 ----

has_child_watchers = pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="child watchers are gone"
)


@pytest.fixture
def policy():
    """asyncio's policy, whose child watcher the test may set."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        policy = asyncio.DefaultEventLoopPolicy()
        asyncio.set_event_loop_policy(policy)
        yield policy
        policy.set_child_watcher(None)
        asyncio.set_event_loop_policy(None)


async def exits_with_5():
    process = await asyncio.create_subprocess_exec("sh", "-c", "exit 5")
    return await process.wait()


@has_child_watchers
def test_a_watcher_of_ones_own(run, policy):
    calls = []

    class Watcher(asyncio.ThreadedChildWatcher):
        def add_child_handler(self, pid, callback, *args):
            calls.append(pid)
            super().add_child_handler(pid, callback, *args)

    policy.set_child_watcher(Watcher())
    assert run(exits_with_5()) == 5
    assert len(calls) == 1


@has_child_watchers
@pytest.mark.parametrize("name", ["SafeChildWatcher", "MultiLoopChildWatcher"])
def test_the_watchers_of_asyncio(run, policy, name):
    watcher = getattr(asyncio, name)()
    policy.set_child_watcher(watcher)

    async def main():
        watcher.attach_loop(asyncio.get_running_loop())
        try:
            return await exits_with_5()
        finally:
            watcher.close()

    assert run(main()) == 5


@has_child_watchers
def test_a_watcher_that_is_not_active(run, policy):
    class Watcher(asyncio.ThreadedChildWatcher):
        def is_active(self):
            return False

    policy.set_child_watcher(Watcher())
    with pytest.raises(RuntimeError, match="is not activated"):
        run(exits_with_5())


@has_child_watchers
def test_a_policy_without_watchers(run):
    class Policy(asyncio.DefaultEventLoopPolicy):
        def get_child_watcher(self):
            raise NotImplementedError

    asyncio.set_event_loop_policy(Policy())
    try:
        with pytest.raises(NotImplementedError):
            run(exits_with_5())
    finally:
        asyncio.set_event_loop_policy(None)


@has_child_watchers
def test_no_thread_waits_for_a_child(fast_kind, policy):
    """asyncio starts one for each child on 3.11."""

    async def main():
        process = await asyncio.create_subprocess_exec("cat", stdin=PIPE)
        threads = threading.active_count()
        process.stdin.close()
        await process.wait()
        return threads

    before = threading.active_count()
    with asyncio.Runner(loop_factory=factory_of(fast_kind)) as runner:
        assert runner.run(main()) == before
