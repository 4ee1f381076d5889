"""Ctrl-C and signal handlers."""

import asyncio
import collections.abc
import contextlib
import ctypes
import functools
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from tests.support import (
    SLOWER,
    child_args,
    child_env,
    child_says,
    run_child,
    run_once,
    wait_asleep,
)

IDLE = {
    "run_forever": "loop.run_forever()",
    "run_until_complete": "loop.run_until_complete(asyncio.sleep(60))",
    "timer": "loop.call_later(60, print); loop.run_forever()",
    "reader": "loop.add_reader(pair[0], print); loop.run_forever()",
    "busy": "loop.call_soon(spin); loop.run_forever()",
    "busy task": "loop.run_until_complete(busy())",
    "busy with a reader": (
        "loop.add_reader(pair[0], print); loop.run_until_complete(busy())"
    ),
}

CTRL_C = """
import asyncio, os, signal, socket, sys, threading, time
loop = new_event_loop()
pair = socket.socketpair()
def spin():
    loop.call_soon(spin)
async def busy():
    while True:
        await asyncio.sleep(0)
"""

# Sends the signal once the loop runs, from where the caller says.
SENDERS = {
    "thread": """
def send():
    os.kill(os.getpid(), signal.SIGINT)
loop.call_soon(lambda: threading.Timer(0.02, send).start())
""",
    "pthread_kill": """
main = threading.get_ident()
def send():
    signal.pthread_kill(main, signal.SIGINT)
loop.call_soon(lambda: threading.Timer(0.02, send).start())
""",
    "callback": """
loop.call_soon(lambda: loop.call_soon(signal.raise_signal, signal.SIGINT))
""",
    "outside": """
loop.call_soon(lambda: loop.call_soon(lambda: print("running", flush=True)))
""",
}

AFTERWARDS = """
except KeyboardInterrupt:
    print("interrupted", loop.is_running(), flush=True)
# It can be resumed: what is queued, timers, threads and readers still work.
seen = []
loop.call_soon(seen.append, "soon")
loop.call_later(0.01, seen.append, "later")
loop.remove_reader(pair[0])
pair[1].send(b"x")
loop.add_reader(pair[0], lambda: (pair[0].recv(1), seen.append("io")))
async def wait():
    while len(seen) < 3:
        await asyncio.sleep(0.001)
    await loop.run_in_executor(None, seen.append, "thread")
    await loop.shutdown_default_executor()
loop.run_until_complete(wait())
print(sorted(seen))
loop.remove_reader(pair[0])
for task in asyncio.all_tasks(loop):
    task.cancel()
loop.call_soon(loop.stop)
loop.run_forever()
loop.close()
pair[0].close()
pair[1].close()
"""


@contextlib.contextmanager
def child_started(kind, source):
    """A child that runs the source, its output piped; killed if it stays."""
    with subprocess.Popen(
        child_args(kind, source),
        env=child_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def interrupt(child, kind, *, busy=False):
    """Sends SIGINT once the child says that it runs."""
    assert child.stdout.readline() == "running\n"
    if kind == "asyncio" and not busy:
        # A signal between its last look and its sleep goes unnoticed.
        wait_asleep(child.pid)
    child.send_signal(signal.SIGINT)


ENDED = "interrupted False\n['io', 'later', 'soon', 'thread']\n"


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("idle", IDLE)
def test_ctrl_c(loop_kind, idle, sender):
    source = CTRL_C + SENDERS[sender] + f"try:\n    {IDLE[idle]}" + AFTERWARDS
    # asyncio's loop is Python: a signal in the midst of it may leave it "running".
    for _ in range(3 if loop_kind == "asyncio" else 1):
        with child_started(loop_kind, source) as child:
            if sender == "outside":
                interrupt(child, loop_kind, busy="busy" in idle)
            out, err = child.communicate(timeout=15 * SLOWER)
        if (out, err, child.returncode) == (ENDED, "", 0):
            break
    assert (out, err, child.returncode) == (ENDED, "", 0)


RUN = """
import asyncio, os, signal, threading
async def main():
    threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        await asyncio.sleep(60)
    finally:
        print("cleaned up", flush=True)
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""


def test_ctrl_c_ends_asyncio_run(loop_kind):
    done = run_child(loop_kind, RUN)
    assert done.stdout == "cleaned up\n"
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert done.returncode == -signal.SIGINT


def test_ctrl_c_from_outside_ends_asyncio_run(loop_kind):
    source = RUN.replace(
        "threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()",
        "print('running', flush=True)",
    )
    with child_started(loop_kind, source) as child:
        interrupt(child, loop_kind)
        out, err = child.communicate(timeout=20 * SLOWER)
    assert out == "cleaned up\n"
    assert err.endswith("KeyboardInterrupt\n")


def test_ctrl_c_in_the_middle_of_a_callback(loop):
    seen = []

    def callback():
        seen.append("before")
        signal.raise_signal(signal.SIGINT)
        seen.append("after")

    loop.call_soon(callback)
    loop.call_soon(seen.append, "next")
    with pytest.raises(KeyboardInterrupt):
        run_once(loop)
    assert seen == ["before"]
    run_once(loop)
    assert seen == ["before", "next"]


class Interrupt:
    """What ctypes makes the number of, after 20 ms that make the step a slow one; then
    it calls of_next(), since ctypes would lose an interrupt that comes there."""

    def __init__(self, of_next=None):
        self.of_next = of_next

    @property
    def _as_parameter_(self):
        time.sleep(0.02)
        if self.of_next is not None:
            self.of_next()
        return int(signal.SIGINT)


interrupt_slowly = ctypes.CDLL(None)["raise"]
interrupt_slowly.restype = None


class InC:
    """A coroutine whose first step ends in C, with a signal that nobody looked at."""

    def __init__(self):
        self.send = functools.partial(interrupt_slowly, Interrupt(self.end_next))

    def end_next(self):
        self.send = self.end

    def end(self, _):
        raise StopIteration

    def throw(self, *_):
        raise AssertionError

    def close(self):
        """Nothing to close."""

    def __await__(self):
        return self


collections.abc.Coroutine.register(InC)


@pytest.mark.parametrize("name", [None, "named"])
def test_ctrl_c_at_the_very_end_of_a_slow_task_step(loop, name):
    task = loop.create_task(InC(), name=name)
    loop.call_later(5, loop.stop)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    # It comes in the midst of asyncio's call_soon(): the task there waits for ever. In
    # ours it may come in the next step.
    task._log_destroy_pending = False
    assert not task.done() or isinstance(task.exception(), KeyboardInterrupt)


def test_ctrl_c_at_the_very_end_of_a_slow_callback(loop):
    loop.call_soon(interrupt_slowly, Interrupt())
    loop.call_later(5, loop.stop)
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()


def test_ten_interrupts(loop):
    for _ in range(10):
        loop.call_soon(signal.raise_signal, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
    assert loop.run_until_complete(asyncio.sleep(0.001, "fine")) == "fine"


@contextlib.contextmanager
def signalled_often(loop, number=signal.SIGUSR1):
    """Another thread sends the signal every 5 ms once the loop runs: SIGALRM is the
    test's time limit, and asyncio sleeps through a signal between its last look and
    its sleep."""

    def send():
        begun.wait()
        while not enough.wait(0.005):
            os.kill(os.getpid(), number)

    begun, enough = threading.Event(), threading.Event()
    thread = threading.Thread(target=send)
    thread.start()
    try:
        loop.call_soon(begun.set)
        yield
    finally:
        enough.set()
        begun.set()
        thread.join()


def test_a_python_handler_that_raises_ends_the_run(loop):
    class Usr1(BaseException):
        pass

    def handler(signum, frame):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        raise Usr1

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        with signalled_often(loop), pytest.raises(Usr1):
            loop.run_forever()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert not loop.is_running()
    assert loop.run_until_complete(asyncio.sleep(0, 1)) == 1


def test_a_python_handler_that_returns_does_not(loop):
    """EINTR is retried: the loop sleeps on after a signal's Python handler ran."""
    seen = []
    previous = signal.signal(signal.SIGUSR1, lambda *args: seen.append("signal"))
    try:
        with signalled_often(loop):
            loop.call_later(0.05, loop.stop)
            start = loop.time()
            loop.run_forever()
            assert loop.time() - start >= 0.05
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert seen  # how many, a busy machine decides


class TestAddSignalHandler:
    def test_it_is_called_in_the_loop(self, loop):
        seen = []

        def handler(*args):
            seen.append((args, asyncio.get_running_loop() is loop))
            loop.stop()

        assert loop.add_signal_handler(signal.SIGUSR1, handler, 1, "two") is None
        loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
        loop.run_forever()
        assert seen == [((1, "two"), True)]
        assert loop.remove_signal_handler(signal.SIGUSR1) is True

    def test_it_wakes_a_sleeping_loop(self, loop):
        loop.add_signal_handler(signal.SIGUSR1, loop.stop)
        timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
        loop.call_soon(timer.start)
        loop.run_forever()
        timer.join()

    def test_again_and_again(self, loop):
        seen = []

        def handler():
            seen.append(1)
            if len(seen) == 3:
                loop.stop()

        loop.add_signal_handler(signal.SIGUSR1, handler)
        with signalled_often(loop):
            loop.run_forever()
        assert len(seen) >= 3
        loop.remove_signal_handler(signal.SIGUSR1)

    def test_remove_says_whether_there_was_one(self, loop):
        assert loop.remove_signal_handler(signal.SIGUSR1) is False
        loop.add_signal_handler(signal.SIGUSR1, int)
        assert loop.remove_signal_handler(signal.SIGUSR1) is True
        assert loop.remove_signal_handler(signal.SIGUSR1) is False

    def test_remove_restores_the_default(self, loop):
        loop.add_signal_handler(signal.SIGUSR1, int)
        assert signal.getsignal(signal.SIGUSR1) is not signal.SIG_DFL
        loop.remove_signal_handler(signal.SIGUSR1)
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
        loop.add_signal_handler(signal.SIGINT, int)
        loop.remove_signal_handler(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_a_second_one_replaces_the_first(self, loop):
        seen = []
        loop.add_signal_handler(signal.SIGUSR1, seen.append, "first")
        loop.add_signal_handler(signal.SIGUSR1, seen.append, "second")
        loop.add_signal_handler(signal.SIGUSR2, loop.stop)
        loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
        loop.call_soon(os.kill, os.getpid(), signal.SIGUSR2)
        loop.run_forever()
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert seen == ["second"]
        loop.remove_signal_handler(signal.SIGUSR1)
        loop.remove_signal_handler(signal.SIGUSR2)

    def test_close_removes_them_all(self, loop):
        loop.add_signal_handler(signal.SIGUSR1, int)
        loop.add_signal_handler(signal.SIGUSR2, int)
        loop.close()
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL

    def test_sigint_handled_by_the_loop(self, loop):
        """No KeyboardInterrupt while a handler is set for SIGINT."""
        seen = []
        loop.add_signal_handler(signal.SIGINT, lambda: (seen.append(1), loop.stop()))
        loop.call_soon(os.kill, os.getpid(), signal.SIGINT)
        loop.run_forever()
        assert seen == [1]
        loop.remove_signal_handler(signal.SIGINT)
        loop.call_soon(signal.raise_signal, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()

    def test_a_handler_that_raises_is_reported(self, loop, logs):
        def handler():
            loop.stop()
            raise ValueError("in the handler")

        loop.add_signal_handler(signal.SIGUSR1, handler)
        loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
        loop.run_forever()
        loop.remove_signal_handler(signal.SIGUSR1)
        assert "ValueError: in the handler" in logs.take_text()

    def test_coroutines_are_refused(self, loop):
        async def handler():
            pass

        coroutine = handler()
        for rubbish in (handler, coroutine):
            with pytest.raises(TypeError, match="coroutines cannot be used"):
                loop.add_signal_handler(signal.SIGUSR1, rubbish)
        coroutine.close()
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
    def test_signals_that_cannot_be_caught(self, loop, number):
        with pytest.raises(RuntimeError, match=f"sig {number} cannot be ca") as caught:
            loop.add_signal_handler(number, int)
        assert caught.value.__cause__ is None
        assert type(caught.value.__context__) is OSError
        assert signal.set_wakeup_fd(-1) == -1

    @pytest.mark.parametrize("number", [0, -1, 65, 1000])
    def test_numbers_that_are_no_signals(self, loop, number):
        for method in (loop.remove_signal_handler, lambda n: None):
            with pytest.raises(ValueError, match="invalid signal number"):
                loop.add_signal_handler(number, int)
                method(number)

    @pytest.mark.parametrize("number", ["SIGINT", 1.5, None])
    def test_what_is_no_number(self, loop, number):
        with pytest.raises(TypeError, match="sig must be an int"):
            loop.add_signal_handler(number, int)
        with pytest.raises(TypeError, match="sig must be an int"):
            loop.remove_signal_handler(number)

    def test_only_in_the_main_thread(self, loop):
        caught = []

        def work():
            with pytest.raises((RuntimeError, ValueError)) as info:
                loop.add_signal_handler(signal.SIGUSR1, int)
            caught.append(str(info.value))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert "main thread" in caught[0]
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL

    def test_the_handles_are_listed(self, loop):
        """prompt_toolkit looks a handler up to put it back afterwards."""
        loop.add_signal_handler(signal.SIGUSR1, loop.stop, *())
        handle = loop._signal_handlers[signal.SIGUSR1]
        assert isinstance(handle, asyncio.Handle)
        assert handle._callback == loop.stop
        loop.remove_signal_handler(signal.SIGUSR1)
        assert signal.SIGUSR1 not in loop._signal_handlers

    def test_the_loop_of_the_process_in_signals_in_a_burst(self, loop):
        """Signals of one kind may merge, of two kinds none is lost."""
        seen = set()

        def handler(name):
            seen.add(name)
            if len(seen) == 2:
                loop.stop()

        loop.add_signal_handler(signal.SIGUSR1, handler, "one")
        loop.add_signal_handler(signal.SIGUSR2, handler, "two")

        def burst():
            for _ in range(200):
                signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGUSR2)

        loop.call_soon(burst)
        loop.run_forever()
        assert seen == {"one", "two"}
        loop.remove_signal_handler(signal.SIGUSR1)
        loop.remove_signal_handler(signal.SIGUSR2)

    def test_beside_a_busy_loop(self, loop):
        def spin():
            nonlocal spins
            spins += 1
            loop.call_soon(spin)

        spins = 0
        loop.add_signal_handler(signal.SIGUSR1, loop.stop)
        loop.call_soon(spin)
        with signalled_often(loop):
            loop.run_forever()
        loop.remove_signal_handler(signal.SIGUSR1)
        assert spins > 0


def test_another_wakeup_fd_is_left_alone(loop):
    """A loop without signal handlers gives back the wake-up fd it found."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    before = signal.set_wakeup_fd(left.fileno(), warn_on_full_buffer=False)
    try:
        run_once(loop)
        loop.run_until_complete(asyncio.sleep(0.001))
        loop.close()
    finally:
        after = signal.set_wakeup_fd(before)
    assert after == left.fileno()
    left.close()
    right.close()


def test_no_wakeup_fd_is_left_behind(loop):
    run_once(loop)
    assert signal.set_wakeup_fd(-1) == -1
    loop.add_signal_handler(signal.SIGUSR1, int)
    run_once(loop)
    loop.remove_signal_handler(signal.SIGUSR1)
    assert signal.set_wakeup_fd(-1) == -1
    loop.add_signal_handler(signal.SIGUSR1, int)
    loop.close()
    assert signal.set_wakeup_fd(-1) == -1


def test_signals_while_the_loop_does_not_run(loop):
    """The handler runs when the loop next does."""
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, 1)
    signal.raise_signal(signal.SIGUSR1)
    assert seen == []
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    assert seen == [1]
    loop.remove_signal_handler(signal.SIGUSR1)


def test_two_loops_one_after_the_other(loop_factory):
    for _ in range(2):
        loop = loop_factory()
        loop.add_signal_handler(signal.SIGUSR1, loop.stop)
        loop.call_soon(signal.raise_signal, signal.SIGUSR1)
        loop.run_forever()
        loop.close()


def test_a_loop_in_a_thread_leaves_signals_alone(loop_factory):
    """Ctrl-C goes to the main thread, whatever a loop in another one does."""
    ready = threading.Event()
    loops = []

    def work():
        loop = loop_factory()
        loops.append(loop)
        loop.call_soon(ready.set)
        loop.run_forever()
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(10)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
    loops[0].call_soon_threadsafe(loops[0].stop)
    thread.join()


def test_sigterm_ends_the_process(loop_kind):
    source = """
import os, signal
loop = new_event_loop()
loop.call_soon(os.kill, os.getpid(), signal.SIGTERM)
loop.run_forever()
"""
    assert run_child(loop_kind, source).returncode == -signal.SIGTERM


def test_a_graceful_end_by_sigterm(loop_kind):
    source = """
import asyncio, os, signal
async def main():
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    os.kill(os.getpid(), signal.SIGTERM)
    await end.wait()
    print("ended well")
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""
    assert child_says(loop_kind, source) == "ended well\n"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 closes without a word")
def test_handlers_left_at_exit(loop_kind):
    source = """
import signal
loop = new_event_loop()
loop.add_signal_handler(signal.SIGUSR1, print)
print("leaving")
"""
    done = run_child(loop_kind, source, flags=())
    assert (done.returncode, done.stdout) == (0, "leaving\n")


MANY = """
import signal, time
count = 0
def handler(*_):
    global count
    count += 1
def busy():
    end = time.monotonic() + 20
    while count < 2000 and time.monotonic() < end:
        pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    loop.call_soon(loop.stop)
signal.signal(signal.SIGALRM, handler)
loop = new_event_loop()
HANDLER
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
loop.call_soon(busy)
loop.run_forever()
loop.close()
print(count >= 2000)
"""


@pytest.mark.parametrize(
    "handler",
    [
        "",
        "loop.add_signal_handler(signal.SIGUSR1, print);"
        "loop.remove_signal_handler(signal.SIGUSR1)",
    ],
    ids=["never", "removed"],
)
def test_more_signals_than_the_wakeup_fd_holds(loop_kind, handler):
    assert child_says(loop_kind, MANY.replace("HANDLER", handler)) == "True\n"


FORMER_FD = """
import os, signal, socket
left, right = socket.socketpair()
left.setblocking(False)
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.set_wakeup_fd(left.fileno(), warn_on_full_buffer=False)
number = left.fileno()
if CLOSED:
    left.close()
    right.close()
loop = new_event_loop()
loop.call_soon(loop.stop)
loop.run_forever()
loop.close()
if not CLOSED:
    try:
        while True:
            left.send(bytes(65536))
    except BlockingIOError:
        pass
    os.kill(os.getpid(), signal.SIGUSR1)
    print(signal.set_wakeup_fd(-1) == number)
    left.close()
    right.close()
else:
    print("ran")
"""


@pytest.mark.parametrize("closed", [False, True])
def test_a_wakeup_fd_of_before(loop_kind, closed):
    said = child_says(loop_kind, FORMER_FD.replace("CLOSED", str(closed)))
    assert said == ("ran\n" if closed else "True\n")


def test_closing_in_another_thread(loop, caplog):
    """The handlers can't be taken back there; the loop is closed all the same."""
    loop.add_signal_handler(signal.SIGUSR1, print)
    seen = []

    def close():
        with pytest.raises(ValueError, match="main thread"):
            loop.close()
        seen.append(loop.is_closed())
        loop.close()

    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    assert seen == [True]
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon(print)


def test_closed_again_where_the_handlers_can_be_taken_back(loop):
    """Another thread's close() gave up at the first; the rest is undone by the next."""
    numbers = [signal.SIGUSR1, signal.SIGUSR2]
    for number in numbers:
        loop.add_signal_handler(number, print)

    def close():
        with pytest.raises(ValueError, match="main thread"):
            loop.close()

    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    loop.close()
    left = [signal.getsignal(number) for number in numbers]
    for number in numbers:
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    assert left[1] is signal.SIG_DFL
    assert len(loop._signal_handlers) == 0


def test_a_signal_between_two_callbacks_reaches_neither():
    """However many callbacks ran before it: what its handler raises ends the run, so
    that programs that spin and catch everything are ended as often as may be."""
    source = """
    import asyncio, ctypes, signal
    import fastloop

    class Interrupt(Exception):
        pass

    def handler(*_):
        raise Interrupt

    signal.signal(signal.SIGUSR1, handler)
    raise_in_c = getattr(ctypes.PyDLL(None), "raise")  # looks for no signal itself
    outcomes = []
    for n_before in range(20):
        loop = fastloop.new_event_loop()

        def catch(loop, context):
            outcomes.append("caught")
            loop.stop()

        def spin(n):
            if n:
                loop.call_soon(spin, n - 1)
            else:
                loop.call_soon(loop.call_soon, print, "another callback")
                loop.call_soon(raise_in_c, int(signal.SIGUSR1))

        loop.set_exception_handler(catch)
        loop.call_soon(spin, n_before)
        try:
            loop.run_forever()
        except Interrupt:
            outcomes.append("ended")
        loop.close()
    print(outcomes.count("ended"))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=60 * SLOWER,
    )
    assert done.stdout.split() == ["20"], done.stdout + done.stderr
