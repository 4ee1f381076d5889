"""Helpers of the behaviour tests."""

import asyncio
import os
import pathlib
import re
import subprocess
import sys
import time
import types

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent

# How many times slower than others this machine is (tools/arm64.sh): what must have
# happened by a time has as much more.
SLOWER = float(os.environ.get("FASTLOOP_TESTS_SLOWER", "1"))

# Defines new_event_loop in a child process, for each kind of loop.
PREAMBLE = {
    "asyncio": "from asyncio import new_event_loop\n",
    "fastloop": "from fastloop import new_event_loop\n",
}


def lasting_repr(value):
    """repr() without the address, to name a parameter the same in every run."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def child_env(**changes):
    """The environment for a child Python that can import this tree's package."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHONASYNCIO")}
    path = [str(ROOT), env.get("PYTHONPATH", "")]
    env["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    env.update(changes)
    return env


def child_args(kind, source, *args, flags=("-W", "error")):
    """The command that runs this source with new_event_loop defined."""
    return [sys.executable, *flags, "-c", PREAMBLE[kind] + source, *args]


def run_child(kind, source, *args, flags=("-W", "error"), timeout=20, **env):
    """Runs the source in a Python of its own; the CompletedProcess, as text."""
    return subprocess.run(
        child_args(kind, source, *args, flags=flags),
        env=child_env(**env),
        capture_output=True,
        text=True,
        timeout=timeout * SLOWER,
        check=False,
    )


def child_says(kind, source, *args, **options):
    """The standard output of a child that must end well and complain of nothing."""
    done = run_child(kind, source, *args, **options)
    assert (done.returncode, without_note(done.stderr)) == (0, "")
    return done.stdout


NOTE = (
    "fastloop does not know this asyncio's Task and Future:"
    " tasks and futures are asyncio's own.\n"
)


STOCK_TYPES = os.environ.get("FASTLOOP_STOCK_TYPES") == "1"
# Debian 12 has 3.11.2.
late_3_11 = pytest.mark.skipif(
    sys.version_info < (3, 11, 7), reason="asyncio did this otherwise in early 3.11"
)
own_types = pytest.mark.skipif(STOCK_TYPES, reason="this run uses asyncio's types")


def without_note(stderr):
    """The text less what debug mode says of stock types, if this run asks for them."""
    if STOCK_TYPES:
        return stderr.replace(NOTE, "")
    return stderr


def open_terminal():
    """os.openpty(); a test on a machine without terminals is passed over."""
    try:
        return os.openpty()
    except OSError:
        if os.path.exists("/dev/pts/ptmx"):
            raise
        pytest.skip("there is no /dev/pts")


def wait_asleep(pid):
    """Returns once the main thread of the process sleeps in a system call."""
    stat = pathlib.Path(f"/proc/{pid}/stat")
    for _ in range(int(1000 * SLOWER)):
        if stat.read_text().rpartition(")")[2].split()[0] == "S":
            return
        time.sleep(0.002)
    raise AssertionError(f"process {pid} does not sleep")


def run_once(loop):
    """One iteration: what is ready now runs, what it schedules does not."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def run_until(loop, condition, *, at_most=1000, pause_s=0.001):
    """Iterates until the condition holds; how many iterations it took."""
    for count in range(1, at_most + 1):
        run_once(loop)
        if condition():
            return count
        time.sleep(pause_s)
    raise AssertionError(f"still not so after {at_most} iterations")


@types.coroutine
def counted(coroutine, at, give_up):
    """Awaits the coroutine; calls give_up() when it waits for the at-th time."""
    go_on, value = coroutine.send, None
    while True:
        try:
            waits_for = go_on(value)
        except StopIteration as stop:
            return stop.value
        at -= 1
        if at == 0:
            give_up()
        try:
            value = yield waits_for
            go_on = coroutine.send
        except BaseException as exc:
            go_on, value = coroutine.throw, exc


async def until(condition, *, timeout=5):
    """Lets the loop go on until the condition holds."""
    async with asyncio.timeout(timeout * SLOWER):
        while not condition():
            await asyncio.sleep(0.001)


def outcome(call, *args, **kwargs):
    """What a call did, in a form to compare: its result or its exception."""
    try:
        return "returned", call(*args, **kwargs)
    except Exception as exc:
        return "raised", type(exc), plain(str(exc))


# What ours says after asyncio's words (docs/differences-from-asyncio.md).
ADDED = (
    " (it may run inside itself by loop.run_nested(), or after nest_asyncio.apply())"
)


def plain(text):
    """The text without what may differ between two loops: addresses, class names."""
    text = text.replace(ADDED, "")
    text = re.sub(r"0x[0-9a-f]+", "0x...", text)
    return re.sub(r"<(_UnixSelectorEventLoop|fastloop.Loop|Loop) ", "<LOOP ", text)


# AddressSanitizer makes all code slower and keeps freed memory for a while; valgrind,
# which preloads its vgpreload_core, too.
not_sanitized = pytest.mark.skipif(
    any(name in os.environ.get("LD_PRELOAD", "") for name in ("libasan", "vgpreload")),
    reason="says nothing of an ordinary build",
)
# qemu runs vfork as fork: the parent does not hear what becomes of the child.
spawn_tells = pytest.mark.skipif(
    os.environ.get("FASTLOOP_TESTS_EMULATED") == "1",
    reason="under qemu posix_spawn does not tell that there is no program",
)
at_speed = pytest.mark.skipif(SLOWER > 1, reason="a machine this slow cannot show it")
