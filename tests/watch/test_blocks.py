"""fastloop.watch(): who blocks the loop, told while it does."""

import asyncio
import ctypes
import gc
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import fastloop

HERE = Path(__file__)
LIMIT_S = 0.05


@pytest.fixture
def blocks(fast_kind, logs):
    """The blocks that a watch has told of; each seen as (seconds, block)."""
    told = []
    with fastloop.watch(LIMIT_S, lambda block: told.append((time.monotonic(), block))):
        yield told
    logs.take()


def line_of(text):
    """The number of the line of this file that ends in a comment of that text."""
    for number, line in enumerate(HERE.read_text().splitlines(), 1):
        if line.endswith(f"# {text}"):
            return number
    raise LookupError(text)


def sleeps():
    time.sleep(0.4)  # sleeps


def computes():
    end = time.monotonic() + 0.4
    while time.monotonic() < end:
        pass  # computes


def matches():
    began = time.monotonic()
    text = "a" * 26 + "b"
    while time.monotonic() - began < 0.4:
        re.match(r"(a|aa)+$", text)  # matches


def sleeps_with_the_gil():
    ctypes.PyDLL(None).usleep(400_000)  # sleeps_with_the_gil


BLOCKERS = [sleeps, computes, matches, sleeps_with_the_gil]


async def in_a_task(blocker):
    async def blocking_task():
        blocker()

    await asyncio.create_task(blocking_task(), name="mine")


async def in_a_timer(blocker):
    done = asyncio.get_running_loop().create_future()

    def blocking_timer():
        blocker()
        done.set_result(None)

    asyncio.get_running_loop().call_later(0.001, blocking_timer)
    await done


async def in_a_reader(blocker):
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left, right = socket.socketpair()

    def blocking_reader():
        blocker()
        loop.remove_reader(left)
        done.set_result(None)

    with left, right:
        loop.add_reader(left, blocking_reader)
        right.send(b"x")
        await done


async def in_a_protocol(blocker):
    class BlockingProtocol(asyncio.Protocol):
        def data_received(self, data):
            blocker()
            done.set_result(None)

    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left, right = socket.socketpair()
    with right:
        transport, _ = await loop.create_connection(BlockingProtocol, sock=left)
        right.send(b"x")
        await done
        transport.close()


PLACES = {
    in_a_task: "mine (in_a_task.<locals>.blocking_task)",
    in_a_timer: "in_a_timer.<locals>.blocking_timer",
    in_a_reader: "in_a_reader.<locals>.blocking_reader",
    in_a_protocol: "a turn of _Stream",
}


def wait_for_end(blocks):
    end = time.monotonic() + 20
    while not (blocks and blocks[-1][1].ended) and time.monotonic() < end:
        time.sleep(0.01)
    return [block for _, block in blocks]


def innermost_here(block):
    """The line of this file that the block's stack ends with, and its function."""
    here = [frame for frame in block.stack if frame.filename == str(HERE)]
    return (here[-1].lineno, here[-1].name) if here else None


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("blocker", BLOCKERS, ids=lambda blocker: blocker.__name__)
def test_says_who_and_where(blocks, blocker, place):
    fastloop.run(place(blocker))
    first, *more = wait_for_end(blocks)
    assert not first.ended and more[-1].ended
    assert first.name.startswith(PLACES[place].removesuffix("_Stream"))
    # a loop that is new knows the rate of its clock to some parts of ten thousand
    assert LIMIT_S <= first.elapsed_s < more[-1].elapsed_s >= 0.39
    assert first.limit_s == LIMIT_S
    if blocker is sleeps_with_the_gil and sys.version_info[:2] in [(3, 13), (3, 14)]:
        return  # this Python has no way to look: the stack is that of a moment later
    if not (blocker is computes and "GIL" in first.kind):  # between two lines
        line, name = innermost_here(first)
        assert name.rpartition(".")[2] == blocker.__name__
        if blocker is not computes:
            assert line == line_of(blocker.__name__)


def test_a_name_is_no_line_of_its_own(blocks):
    """Of the block it is what the program said, of the log what can be shown."""

    async def blocking():
        time.sleep(0.2)

    async def main():
        await asyncio.create_task(blocking(), name="a\n\x1b[2Jforged")

    fastloop.run(main())
    for block in wait_for_end(blocks):
        assert block.name.startswith("a\n\x1b[2Jforged (")
        assert str(block).startswith("a??[2Jforged (")


def test_tells_while_it_lasts(blocks):
    """Of what leaves the GIL alone, from another thread, before it is over."""
    ended = []

    async def main():
        time.sleep(1.0)
        ended.append(time.monotonic())

    fastloop.run(main())
    wait_for_end(blocks)
    (told, first), *more = blocks
    assert told < ended[0] and first.kind == "off CPU" and not first.ended
    assert first.awake_share < 0.5
    assert [(block.again, block.ended) for _, block in more] == [
        (True, False),
        (True, True),
    ]
    assert more[0][0] < ended[0]
    assert "blocked the loop for" in str(first) and "time.sleep(1.0)" in str(first)


def run_child(program, *options, **environment):
    return subprocess.run(
        [sys.executable, *options, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("how", ["sleep", "compute"])
def test_writes_what_cannot_wait_for_the_gil(fast_kind, how):
    """To standard error; before it is over, or os._exit() would have been faster."""
    work = {
        "sleep": "ctypes.PyDLL(None).usleep(800_000)",
        "compute": "re.match('(a|aa)+$', 'a' * 60 + 'b')",
    }[how]
    program = (
        "import ctypes, fastloop, os, re, threading\n"
        "async def main():\n"
        f"    {work}\n"
        "    os._exit(7)\n"
        "fastloop.watch(0.05)\n"
        # what never gives the GIL up needs somebody to end it
        "fastloop.run(main())\n"
    )
    if how == "compute":
        program = "import signal\nsignal.alarm(5)\n" + program
    done = run_child(program)
    assert done.returncode == (7 if how == "sleep" else -signal.SIGALRM)
    what = "computes" if how == "compute" else "sleeps"
    assert f"by what {what} and holds the GIL" in done.stderr
    if how == "compute" or sys.version_info[:2] not in [(3, 13), (3, 14)]:
        line = 5 if how == "compute" else 3
        assert f'File "<string>", line {line} in main' in done.stderr
    if how == "sleep":
        assert "in clock_nanosleep" in done.stderr


def test_while_the_variables_of_a_task_die(fast_kind):
    """At its end, where C code alone runs: Python 3.13 reads no stack there."""
    program = (
        "import asyncio, fastloop, gc, time\n"
        "async def dies():\n"
        "    x = [{} for _ in range(1_500_000)]\n"
        "    await asyncio.sleep(0)\n"
        "async def main():\n"
        "    await asyncio.create_task(dies())\n"
        "gc.disable()\n"
        "blocks = []\n"
        "with fastloop.watch(0.01, blocks.append):\n"
        "    fastloop.run(main())\n"
        "    while not (blocks and blocks[-1].ended): time.sleep(0.01)\n"
        "print('told')\n"
    )
    done = run_child(program)
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr


def test_who_waits_for_the_gil_does_not_hold_it(fast_kind):
    """Nor is its stack read by others meanwhile: it could go on."""
    program = (
        "import ctypes, fastloop, threading, time\n"
        "def holds():\n"
        "    ctypes.PyDLL(None).usleep(800_000)\n"
        "async def main():\n"
        "    other = threading.Thread(target=holds)\n"
        "    other.start()\n"
        "    time.sleep(0.1)\n"
        "    other.join()\n"
        "blocks = []\n"
        "with fastloop.watch(0.2, blocks.append):\n"
        "    fastloop.run(main())\n"
        "    while not blocks: time.sleep(0.01)\n"
        "print(blocks[0].kind)\n"
    )
    done = run_child(program)
    assert done.stdout == "off CPU\n", done.stderr
    assert "so far while another thread holds the GIL\n" in done.stderr
    first = done.stderr.partition("so far")[2].partition("Task-1")[0]
    assert "File" not in first, done.stderr


def test_the_share_of_garbage_collection(blocks):
    async def main():
        gc.collect()
        keep = [[] for _ in range(100_000)]
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            gc.collect()
        keep.clear()

    fastloop.run(main())
    assert wait_for_end(blocks)[-1].gc_share > 0.2


def test_is_quiet_below_the_limit_and_when_stopped(fast_kind):
    told = []
    watch = fastloop.watch(5.0, told.append)
    fastloop.run(in_a_task(sleeps))
    watch.stop()
    watch.stop()
    fastloop.watch(0.01, told.append).stop()
    fastloop.run(in_a_task(sleeps))
    assert told == []


def test_time_asleep_is_no_block(blocks):
    fastloop.run(asyncio.sleep(4 * LIMIT_S))
    assert blocks == []


def test_a_watch_replaces_another(fast_kind, logs):
    first, second = [], []
    old = fastloop.watch(0.05, first.append)
    with fastloop.watch(0.06, second.append) as new:
        old.stop()
        fastloop.run(in_a_task(sleeps))
        end = time.monotonic() + 20
        while not (second and second[-1].ended) and time.monotonic() < end:
            time.sleep(0.01)
    assert new.limit_s == second[0].limit_s == 0.06
    assert not first
    assert "mine (in_a_task.<locals>.blocking_task)" in logs.take_text()


def test_a_loop_that_runs_already_is_watched(fast_kind, logs):
    told = []

    async def main():
        with fastloop.watch(0.05, told.append):
            await in_a_task(sleeps)
            while not (told and told[-1].ended):
                await asyncio.sleep(0.01)

    fastloop.run(main())
    assert told[0].name.startswith("mine")
    logs.take()


def test_a_loop_in_another_thread(blocks):
    thread = threading.Thread(target=lambda: fastloop.run(in_a_task(sleeps)))
    thread.start()
    thread.join()
    first, *_ = wait_for_end(blocks)
    assert innermost_here(first) == (line_of("sleeps"), "sleeps")


def test_what_on_block_raises_is_logged(fast_kind, logs):
    def on_block(block):
        raise ZeroDivisionError

    with fastloop.watch(0.05, on_block):
        fastloop.run(in_a_task(sleeps))
        end = time.monotonic() + 20
        text = ""
        while text.count("on_block failed") < 2 and time.monotonic() < end:
            time.sleep(0.01)
            text += logs.take_text()
    assert "ZeroDivisionError" in text


def test_on_block_may_stop_it(fast_kind, logs):
    stopped = threading.Event()

    def on_block(block):
        watch.stop()
        stopped.set()

    watch = fastloop.watch(0.05, on_block)
    fastloop.run(in_a_task(sleeps))
    assert stopped.wait(20)
    logs.take()


def test_a_signal_that_the_program_has_found_a_use_for(fast_kind):
    """It is sent no more, and its handler stays when the watch ends."""
    program = (
        "import fastloop, re, signal, time\n"
        "blocks, seen = [], []\n"
        "async def main():\n"
        "    began = time.monotonic()\n"
        "    while time.monotonic() - began < 0.4:\n"
        "        re.match('(a|aa)+$', 'a' * 25 + 'b')\n"
        "with fastloop.watch(0.05, blocks.append):\n"
        "    for number in range(signal.SIGRTMIN, signal.SIGRTMAX + 1):\n"
        "        signal.signal(number, lambda number, frame: seen.append(number))\n"
        "    fastloop.run(main())\n"
        "    while not blocks: time.sleep(0.01)\n"
        "print(seen)\n"
        "for number in range(signal.SIGRTMIN, signal.SIGRTMAX + 1):\n"
        "    signal.raise_signal(number)\n"
        "print(len(seen) == signal.SIGRTMAX - signal.SIGRTMIN + 1)\n"
    )
    done = run_child(program)
    assert done.stdout.splitlines() == ["[]", "True"], done


BLOCKED = """\
import fastloop, signal, subprocess, sys, threading, time

def blocked(pid="self"):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1], 16) for line in file if "SigBlk" in line)

def on_block(block):
    if block.ended:
        return
    told.append((
        blocked("thread-self"),
        int(subprocess.check_output(
            [sys.executable, "-c", "print(int(next(line.split()[1] for line in"
             " open('/proc/self/status') if 'SigBlk' in line), 16))"]
        )),
    ))

def main():
    told.clear()
    fastloop.run(blocks())
    while not told:
        time.sleep(0.01)
    return told[0]

async def blocks():
    time.sleep(0.2)

told = []
"""


def test_signals_in_on_block_are_those_of_the_main_thread(fast_kind):
    """So its child processes can be ended as usual; also after a change by the main
    thread, and while the threads of the watch that run no Python let none in."""
    program = BLOCKED + (
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])\n"
        "with fastloop.watch(0.05, on_block):\n"
        "    first = main()\n"
        "    print(first == (blocked(), blocked()), first[0] != 0)\n"
        "    signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGTERM])\n"
        "    print(main() == (1 << signal.SIGTERM - 1,) * 2)\n"
        "    import os\n"
        "    others = set(os.listdir('/proc/self/task')) - {str(os.getpid())}\n"
        "    end = time.monotonic() + 20\n"
        "    alarm = 1 << signal.SIGALRM - 1\n"
        "    while time.monotonic() < end and not all(\n"
        "        blocked(f'self/task/{one}') & alarm for one in others\n"
        "    ):\n"
        "        time.sleep(0.01)\n"
        "    print(len(others), time.monotonic() < end)\n"
    )
    done = run_child(program)
    assert done.stdout.splitlines() == ["True True", "True", "3 True"], done.stderr


def test_signals_find_the_program_while_on_block_runs(fast_kind):
    """None is lost, or ends what waits for it with sigwait()."""
    program = BLOCKED + (
        "import os\n"
        "seen = []\n"
        "signal.signal(signal.SIGALRM, lambda *args: seen.append('alarm'))\n"
        "signal.signal(signal.SIGUSR1, lambda *args: seen.append('user'))\n"
        "started, over = threading.Event(), threading.Event()\n"
        "def on_block(block):\n"
        "    if not started.is_set():\n"
        "        started.set()\n"
        "        over.wait(30)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "with fastloop.watch(0.05, on_block):\n"
        "    fastloop.run(blocks())\n"
        "    started.wait(30)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print(signal.sigwait([signal.SIGTERM]) == signal.SIGTERM)\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.1)\n"
        "    began = time.monotonic()\n"
        "    while seen != ['alarm'] and time.monotonic() - began < 20:\n"
        "        time.sleep(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGUSR1)\n"
        "    time.sleep(0)\n"
        "    print(seen)\n"
        "    over.set()\n"
    )
    done = run_child(program)
    assert done.stdout.splitlines() == ["True", "['alarm', 'user']"], done.stderr


@pytest.mark.parametrize("limit", [0, -1, 0.0001, float("nan"), float("inf")])
def test_limits_that_are_none(limit):
    with pytest.raises(ValueError, match="millisecond"):
        fastloop.watch(limit)


def test_on_block_must_be_callable():
    with pytest.raises(TypeError, match="on_block must be callable, not int"):
        fastloop.watch(1, 3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_goes_on_on_both_sides_of_a_fork(fast_kind, logs):
    with fastloop.watch(0.05):
        child = os.fork()
        if child == 0:
            told = []
            fastloop.watch(0.05, told.append)
            fastloop.run(in_a_task(sleeps))
            end = time.monotonic() + 10
            while not told and time.monotonic() < end:
                time.sleep(0.01)
            os._exit(33 if told else 1)
        fastloop.run(in_a_task(sleeps))
        end = time.monotonic() + 20
        text = ""
        while "in all" not in text and time.monotonic() < end:
            time.sleep(0.01)
            text += "\n" + logs.take_text()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 33
    assert "in all" in text


def test_no_system_call_of_the_programs_is_cut_short(blocks):
    """One that sleeps with the GIL is not sent a signal."""
    took = []

    async def main():
        began = time.monotonic()
        assert ctypes.PyDLL(None).usleep(300_000) == 0
        took.append(time.monotonic() - began)

    fastloop.run(main())
    assert took[0] >= 0.3
    wait_for_end(blocks)


PROGRAM = """\
import fastloop, time
async def main():
    time.sleep(0.3)
    time.sleep(0.0)
fastloop.run(main())
"""


def test_the_environment_starts_it():
    done = run_child(PROGRAM, FASTLOOP_WATCH="0.1")
    assert done.returncode == 0
    assert "Task-1 (main) has blocked the loop" in done.stderr
    assert run_child(PROGRAM, FASTLOOP_WATCH="0").stderr == ""
    assert (
        "FASTLOOP_WATCH='x' is ignored" in run_child(PROGRAM, FASTLOOP_WATCH="x").stderr
    )


@pytest.mark.parametrize("option", [["--watch", "0.1"], ["--watch=0.1"]])
def test_the_option_starts_it(option):
    done = run_child(PROGRAM, "-m", "fastloop", *option)
    assert done.returncode == 0
    assert "Task-1 (main) has blocked the loop" in done.stderr


@pytest.mark.parametrize("option", [["--watch"], ["--watch", "soon"], ["--debug=1"]])
def test_options_that_are_wrong(option):
    done = subprocess.run(
        [sys.executable, "-m", "fastloop", *option],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert "error: " in done.stderr


def test_rests_while_the_loop_does(fast_kind):
    """No context switch of any thread of the watch while the loop sleeps."""

    def switches():
        total = 0
        for thread in os.listdir("/proc/self/task"):
            if int(thread) != os.getpid():
                text = Path(f"/proc/self/task/{thread}/status").read_text()
                total += int(text.split("voluntary_ctxt_switches:")[1].split()[0])
        return total

    async def main():
        await asyncio.sleep(0.5)
        before = switches()
        await asyncio.sleep(1.0)
        return switches() - before

    with fastloop.watch(0.1):
        assert fastloop.run(main()) <= 4  # it may have to look twice after each wake-up
