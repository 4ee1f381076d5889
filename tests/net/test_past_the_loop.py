"""Writes that wait go before what the program does by itself, past the loop.

As far as Python tells of it, by audit events: children, files, signals, sockets. The
rest, and what the events cost, is listed among the differences.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.net.accepted import Accepted
from tests.support import child_says

TRUE = shutil.which("true")


def spawn(function, *args):
    return os.waitpid(function(TRUE, [TRUE], *args), 0)


def send_datagram(*_):
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as left,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as right,
    ):
        right.bind(("127.0.0.1", 0))
        left.sendto(b"x", right.getsockname())


def start_thread():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def fail_to_spawn():
    with contextlib.suppress(OSError):
        subprocess.run(["/there/is/no/such"])


ACTS = {
    "subprocess.run": lambda: subprocess.run([TRUE], check=True),
    "subprocess.run that fails": fail_to_spawn,
    "subprocess.check_output": lambda: subprocess.check_output([TRUE]),
    "os.system": lambda: os.system(TRUE),
    "os.popen": lambda: os.popen(TRUE).close(),
    "os.posix_spawn": lambda: spawn(os.posix_spawn, os.environ),
    "os.posix_spawnp": lambda: spawn(os.posix_spawnp, os.environ),
    "os.spawnv": lambda: os.spawnv(os.P_WAIT, TRUE, [TRUE]),
    "os.kill": lambda: os.kill(os.getpid(), 0),
    "signal.pthread_kill": lambda: signal.pthread_kill(threading.get_ident(), 0),
    "open": lambda: open(os.devnull).close(),
    "os.open": lambda: os.close(os.open(os.devnull, os.O_RDONLY)),
    "os.listdir": lambda: os.listdir("."),
    "fcntl": lambda: fcntl.fcntl(0, fcntl.F_GETFD),
    "socket.sendto": send_datagram,
    "socket.socket": lambda: socket.socket().close(),
}
if sys.version_info >= (3, 12):
    ACTS["Thread.start"] = start_thread
if sys.version_info >= (3, 13):
    ACTS["time.sleep"] = lambda: time.sleep(0)


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("how", sorted(ACTS))
def test_sent_before_what_the_program_does_itself(run, how):
    async def main():
        async with Accepted() as pair:
            pair.transport.write(b"x")
            ACTS[how]()
            return pair.arrived()

    assert run(main()) == b"x"


def in_the_pool(look, _):
    asyncio.get_running_loop().run_in_executor(None, look)


def in_another_loop(look, other):
    other.call_soon_threadsafe(look)


def as_a_task_of_another_loop(look, other):
    async def main():
        look()

    asyncio.run_coroutine_threadsafe(main(), other)


@pytest.mark.parametrize(
    "hand_over", [in_the_pool, in_another_loop, as_a_task_of_another_loop]
)
def test_sent_before_a_thread_that_waits_is_given_work(run, loop_factory, hand_over):
    """The thread runs before the step ends."""
    other = loop_factory()

    async def main():
        await asyncio.to_thread(int)  # the pool has a thread that is idle
        async with Accepted() as pair:
            seen, looked = [], threading.Event()

            def look():
                seen.append(pair.arrived())
                looked.set()

            for n in (b"1", b"2"):
                looked.clear()
                pair.transport.write(n)
                hand_over(look, other)
                assert looked.wait(10)
                await asyncio.sleep(0)
            return seen

    thread = threading.Thread(target=other.run_forever)
    thread.start()
    try:
        assert run(main()) == [b"1", b"2"]
    finally:
        other.call_soon_threadsafe(other.stop)
        thread.join()
        other.close()


def test_sent_before_another_hook_hears_of_it(run):
    """Hooks in Python come after ours."""
    seen, pairs = [], []

    def hook(event, args):
        if pairs and event == "os.listdir":
            seen.append(pairs[0].arrived())

    sys.addaudithook(hook)  # for good

    async def main():
        async with Accepted() as pair:
            pairs.append(pair)
            pair.transport.write(b"x")
            os.listdir(".")
            pairs.clear()

    run(main())
    assert seen == [b"x"]


def test_another_threads_doings_end_no_joining(fast_loop):
    acts = threading.Event()
    thread = threading.Thread(target=lambda: acts.wait() and os.listdir())
    thread.start()

    async def main():
        async with Accepted() as pair:
            pair.transport.write(b"head ")
            acts.set()
            thread.join()
            seen = [pair.arrived()]
            pair.transport.write(b"body")
            return [*seen, pair.arrived()]

    assert fast_loop.run_until_complete(main()) == [None, b"head body"]


def act_on_a_pipe():
    reading, writing = os.pipe()
    os.write(writing, b"x")
    os.close(reading)
    os.close(writing)


UNTOLD = {
    "os.write": act_on_a_pipe,
    "computing": lambda: sum(range(1000)),
    "print": lambda: print("between two writes"),
    "raise_signal": lambda: signal.raise_signal(signal.SIGCONT),
}


@pytest.mark.parametrize("act", UNTOLD.values(), ids=UNTOLD)
def test_what_python_does_not_tell_of_can_be_told(fast_loop, act):
    async def main():
        async with Accepted() as pair:
            pair.transport.write(b"x")
            act()
            return pair.arrived()

    assert fast_loop.run_until_complete(main()) is None


PRELUDE = """
import asyncio, os, socket, sys

class Protocol(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

async def connected(step):
    loop = asyncio.get_running_loop()
    made = []
    server = await loop.create_server(
        lambda: made.append(Protocol()) or made[-1], "127.0.0.1", 0
    )
    client = socket.create_connection(server.sockets[0].getsockname())
    client.setblocking(False)
    while not made:
        await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
        step(made[0].transport)
    await asyncio.sleep(0.01)
    client.recv(100)
    return made[0].transport, client, server

async def end(transport, client, server):
    transport.abort()
    await asyncio.sleep(0)
    client.close()
    server.close()
    await server.wait_closed()
"""

EXECS = """
async def main():
    twice = lambda t: (t.write(b"?"), t.write(b"?"))
    transport, client, server = await connected(twice)
    peer = os.dup(client.fileno())
    os.set_inheritable(peer, True)
    source = f"import os; print(os.read({peer}, 100).decode())"
    transport.write(b"QUIT")
    os.execv(sys.executable, [sys.executable, "-c", source])

with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""


def test_sent_before_the_process_becomes_another(loop_kind):
    """Without the drain that would have been better."""
    said = child_says(loop_kind, PRELUDE + EXECS, flags=("-W", "ignore"))
    assert said == "QUIT\n"


HEARD = """
heard = []
sys.addaudithook(lambda event, args: heard.append(event) if listening else None)
listening = False

async def main():
    global listening
    listening = True
    parts = await connected(lambda t: [t.write(b"?") for _ in range(int(sys.argv[1]))])
    listening = False
    parts[0].write(b"x")
    try:
        waits = parts[1].recv(100) != b"x"
    except BlockingIOError:
        waits = True
    print(waits, *(e for e in heard if e in ("sys.addaudithook", "fastloop.join")))
    await end(*parts)

with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("n", [1, 2])
def test_nothing_is_heard_of_before_a_connection_could_join(fast_kind, n):
    events = "True sys.addaudithook fastloop.join\n" if n == 2 else "False\n"
    assert child_says(fast_kind, PRELUDE + HEARD, str(n)) == events


REFUSING = (
    """
def refuse(event, args):
    if event == "sys.addaudithook":
        raise {}("no")
sys.addaudithook(refuse)
"""
    + HEARD
)


@pytest.mark.parametrize("error", ["RuntimeError", "LookupError", "KeyboardInterrupt"])
def test_where_a_hook_is_refused_nothing_waits(fast_kind, error):
    source = REFUSING.replace("{}", error)
    # the hook that notes what it hears is refused alike
    source = source.replace("sys.addaudithook(lambda", "(lambda")
    assert child_says(fast_kind, PRELUDE + source, "2") == "False\n"


MODULE_GONE = """
import subprocess
from fastloop import _core

async def main():
    parts = await connected(lambda t: (t.write(b"?"), t.write(b"?")))
    await end(*parts)

with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())

def at_end():
    subprocess.run([sys.executable, "-c", ""], check=True)

class Last:
    def __del__(self):
        os.system("true")

sys.last_of_all = Last()
import atexit
atexit.register(at_end)
"""


def test_the_hook_outlives_the_loop(fast_kind):
    assert child_says(fast_kind, PRELUDE + MODULE_GONE) == ""
