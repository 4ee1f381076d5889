"""What fastloop does otherwise than asyncio on purpose, each beside asyncio's way.

The list with the reasons is docs/differences-from-asyncio.md; differences that have
their room elsewhere are tested there.
"""

import asyncio
import gc
import math
import os
import signal
import socket
import sys
import warnings
import weakref

import pytest

import fastloop
from tests.support import (
    at_speed,
    child_says,
    not_sanitized,
    own_types,
    run_child,
    run_once,
)


async def nothing():
    pass


@pytest.mark.parametrize("name", ["call_soon", "call_soon_threadsafe", "call_later"])
def test_a_pending_handle_does_not_keep_its_loop(loop_factory, loop_kind, name):
    loop = loop_factory()
    dead = weakref.ref(loop)
    handle = getattr(loop, name)(*((10,) if name == "call_later" else ()), int)
    if loop_kind == "fastloop":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it is left open
            del loop
            gc.collect()
        assert dead() is None or dead().is_closed()
        handle.cancel()
        assert handle.cancelled()
    else:
        del loop
        gc.collect()
        assert not dead().is_closed()
        handle.cancel()
        dead().close()


def test_a_patched_handle_run_is_not_called(loop, loop_kind, monkeypatch):
    ran, run_of_asyncio = [], asyncio.Handle._run

    def spy(handle):
        ran.append("spy")
        run_of_asyncio(handle)

    monkeypatch.setattr(asyncio.Handle, "_run", spy)
    loop.call_soon(ran.append, "callback")
    run_once(loop)
    if loop_kind == "fastloop":
        assert ran == ["callback"]
    else:
        assert ran[:2] == ["spy", "callback"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (asyncio.Handle, "cancel"),
        (asyncio.TimerHandle, "cancel"),
        (asyncio.TimerHandle, "when"),
        (asyncio.BaseTransport, "get_extra_info"),
        (asyncio.transports._FlowControlMixin, "set_write_buffer_limits"),
    ],
)
def test_what_is_patched_on_handles_and_transports(
    loop, loop_kind, pair, monkeypatch, kind, name
):
    called, original = [], getattr(kind, name)

    def spy(self, *args, **options):
        called.append(name)
        return original(self, *args, **options)

    monkeypatch.setattr(kind, name, spy)
    loop.call_soon(print).cancel()
    timer = loop.call_later(60, print)
    timer.when()
    timer.cancel()
    transport, _ = loop.run_until_complete(
        loop.create_connection(asyncio.Protocol, sock=pair[0])
    )
    transport.get_extra_info("peername")
    transport.set_write_buffer_limits(100)
    transport.abort()
    run_once(loop)
    assert bool(called) == (loop_kind == "asyncio")


def test_a_nan_deadline_is_due_at_once(fast_loop):
    """asyncio leaves its place to chance, and from 3.13 on cannot poll for it."""
    seen = []
    fast_loop.call_at(0, seen.append, "long ago")
    fast_loop.call_at(math.nan, seen.append, "nan")
    fast_loop.call_later(0, fast_loop.stop)
    fast_loop.run_forever()
    assert seen == ["nan", "long ago"]


def send_raw(loop, sock):
    sock.send(b"x")


def sleeps_until_read(loop, pair, *, busy, send=send_raw):
    """sleep(0)s from a send in a streak of that many to its reader's call."""
    left, right = pair
    seen = []
    loop.add_reader(left, lambda: seen.append(left.recv(1)))

    async def main():
        for _ in range(busy):
            await asyncio.sleep(0)
        sending = send(loop, right)
        if sending is not None:
            await sending
        sleeps = 0
        while not seen:
            await asyncio.sleep(0)
            sleeps += 1
        return sleeps

    sleeps = loop.run_until_complete(main())
    loop.remove_reader(left)
    return sleeps


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        yield left, right


@at_speed
@not_sanitized
def test_bytes_sent_in_a_busy_streak(loop, loop_kind, pair):
    """How many it takes depends on when the loop last polled, so several tries."""
    counts = []
    while len(counts) < 20 or (max(counts) <= 2 and len(counts) < 1000):
        counts.append(sleeps_until_read(loop, pair, busy=100 + len(counts)))
        if loop_kind == "asyncio" and len(counts) == 20:
            break
    assert (max(counts) > 2) is (loop_kind == "fastloop")


@own_types  # else the sock_ methods are asyncio's, too
def test_bytes_sent_by_the_loop_end_a_streak(loop, pair):
    """By a method of it or by a transport: it polls again as asyncio does."""
    pair[1].setblocking(False)

    def by_method(loop, sock):
        return loop.sock_sendall(sock, b"x")

    counts = [
        sleeps_until_read(loop, pair, busy=100 + i, send=by_method) for i in range(50)
    ]
    transport, _ = loop.run_until_complete(
        loop.create_connection(asyncio.Protocol, sock=pair[1])
    )

    def by_transport(loop, sock):
        transport.write(b"x")

    counts += [
        sleeps_until_read(loop, pair, busy=100 + i, send=by_transport)
        for i in range(50)
    ]
    transport.close()
    loop.run_until_complete(asyncio.sleep(0))
    assert max(counts) <= 2


def test_polling_in_every_iteration_on_request(loop, pair):
    """`_may_skip_polls` is the switch; asyncio, which knows none, always polls."""
    loop._may_skip_polls = False
    counts = [sleeps_until_read(loop, pair, busy=200) for _ in range(20)]
    assert max(counts) <= 2
    if isinstance(loop, fastloop.Loop):
        before = loop.stats()
        loop.run_until_complete(asyncio.sleep(0))
        after = loop.stats()
        assert after["polls"] - before["polls"] == (
            after["iterations"] - before["iterations"]
        )


NOTHING_TO_POLL_FOR = """
import asyncio

async def main():
    loop = asyncio.get_running_loop()
    before = loop.stats()
    for _ in range(100):
        await asyncio.sleep(0)
    return loop.stats()["polls"] - before["polls"]

with asyncio.Runner(loop_factory=new_event_loop) as runner:
    print(runner.run(main()))
"""


def test_no_polls_with_nothing_to_poll_for(fast_kind):
    """In a child, for no other thread may run."""
    assert child_says(fast_kind, NOTHING_TO_POLL_FOR) == "0\n"


@pytest.mark.parametrize("handled", [False, True])
def test_the_wakeup_fd_while_the_loop_runs(loop, loop_kind, handled):
    """Ours takes it before it first sleeps, if nobody has, until the run's end; as
    asyncio's it has it anyway while there are signal handlers."""
    seen = []

    def look():
        fd = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(fd)
        seen.append(fd >= 0)

    async def main():
        look()
        await asyncio.sleep(0)
        look()
        await asyncio.sleep(0.05)
        look()

    if handled:
        loop.add_signal_handler(signal.SIGUSR1, print)
    for _ in range(2):
        loop.run_until_complete(main())
    expected = [handled, handled, handled or loop_kind == "fastloop"]
    assert seen == expected * 2
    if handled:
        loop.remove_signal_handler(signal.SIGUSR1)
    assert signal.set_wakeup_fd(-1) == -1


def test_what_a_signal_handler_schedules_wakes_the_loop(loop, loop_kind):
    """asyncio sleeps on until something else is due."""
    ran_at = []

    def on_signal(*_):
        loop.call_soon(lambda: ran_at.append(loop.time()))

    old = signal.signal(signal.SIGALRM, on_signal)
    try:
        end = loop.call_later(1, loop.stop).when()
        loop.call_soon(signal.setitimer, signal.ITIMER_REAL, 0.02)
        loop.run_forever()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert (ran_at[0] < end) is (loop_kind == "fastloop")


def test_the_classes_are_fastloops(loop, loop_kind):
    handle, timer = loop.call_soon(int), loop.call_later(10, int)
    ours = loop_kind == "fastloop"
    assert (type(handle) is not asyncio.Handle) is ours
    assert (type(timer) is not asyncio.TimerHandle) is ours
    assert isinstance(handle, asyncio.Handle)
    assert isinstance(timer, asyncio.TimerHandle)
    timer.cancel()
    task, future = loop.create_task(nothing()), loop.create_future()
    ours = ours and fastloop.Task is not asyncio.Task
    assert (type(task) is not asyncio.Task) is ours
    assert (type(future) is not asyncio.Future) is ours
    assert isinstance(task, asyncio.Task)
    assert isinstance(future, asyncio.Future)
    loop.run_until_complete(task)


@own_types
def test_a_task_is_no_future_of_ours(kit):
    """asyncio's Task is a subclass of its Future, ours of asyncio's alone."""
    task = kit.task(nothing())
    assert isinstance(task, kit.Future) is not kit.ours
    assert isinstance(task, asyncio.Future)
    kit.run(task)


@own_types
def test_an_iterator_that_has_ended(kit):
    future = kit.future()
    future.set_result(1)
    iterator = iter(future)
    with pytest.raises(StopIteration) as info:
        iterator.send(None)
    assert info.value.value == 1
    if kit.ours:
        with pytest.raises(StopIteration) as info:
            iterator.send(None)
        assert info.value.value is None
    else:
        with pytest.raises((StopIteration, SystemError)) as info:
            iterator.send(None)
        assert getattr(info.value, "value", None) in (None, 1)


@own_types
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="3.14 has no such set")
def test_the_class_of_the_set_of_all_tasks(loop_kind):
    """Which one grows a subclass once a task of ours exists."""
    source = """
import asyncio
tasks = getattr(asyncio.tasks, "_scheduled_tasks", None)
if tasks is None:
    tasks = asyncio.tasks._all_tasks
async def main():
    print(asyncio.current_task() in tasks, type(tasks).__name__)
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""
    done = run_child(loop_kind, source)
    name = "_AllTasks" if loop_kind == "fastloop" else "WeakSet"
    assert (done.stdout, done.stderr) == (f"True {name}\n", "")


@pytest.mark.parametrize(
    "name, value",
    [
        ("_signal_handlers", []),
        ("_old_agen_hooks", {}),
        ("_clock_resolution", "1"),
        ("_scheduled", []),
    ],
)
def test_private_attributes_that_the_core_reads(loop, loop_kind, name, value):
    before = getattr(loop, name, None)
    if loop_kind == "fastloop":
        refusal = AttributeError if name == "_scheduled" else TypeError
        with pytest.raises(refusal):
            setattr(loop, name, value)
        assert getattr(loop, name, None) == before
    else:
        setattr(loop, name, value)
        assert getattr(loop, name) is value
        setattr(loop, name, before)


@own_types
def test_a_task_that_the_collector_takes_is_still_counted(loop, loop_kind):
    """In the callbacks of its own weak references; 3.14's asyncio counts it, too."""
    counts = []

    async def wait_for(future):
        await future

    async def main():
        gc.disable()
        try:
            future = loop.create_future()
            task = loop.create_task(wait_for(future))
            task._log_destroy_pending = False
            await asyncio.sleep(0)
            dead = weakref.ref(
                task, lambda _: counts.append(len(asyncio.all_tasks(loop)))
            )
            del task, future
            gc.collect()
        finally:
            gc.enable()
        assert dead() is None
        assert len(asyncio.all_tasks(loop)) == 1

    loop.run_until_complete(main())
    counted = loop_kind == "fastloop" or sys.version_info >= (3, 14)
    assert counts == [2 if counted else 1]


def test_private_methods_of_a_subclass(loop_factory, loop_kind):
    """asyncio's loop calls all of its own."""
    called = set()
    plain = loop_factory()
    plain.close()

    def told(name):
        def method(self, *args):
            called.add(name)
            return getattr(super(Own, self), name)(*args)

        return method

    seen = {"_run_once", "_check_callback"}
    unseen = {"_check_closed", "_write_to_self", "_timer_handle_cancelled"}
    members = {name: told(name) for name in seen | unseen}
    Own = type("Own", (type(plain),), members)
    loop = Own()
    loop.set_debug(True)
    loop.call_later(60, int).cancel()
    loop.call_soon_threadsafe(loop.stop)
    loop.run_forever()
    loop.close()
    assert called == (seen if loop_kind == "fastloop" else seen | unseen)


@pytest.mark.parametrize(
    "call",
    [
        lambda loop: loop.call_soon(),
        lambda loop: loop.create_future(1),
        lambda loop: loop.create_future().set_result(),
        lambda loop: loop.call_soon(int).cancel(1),
        lambda loop: loop.add_reader(),
    ],
    ids=["call_soon", "create_future", "set_result", "cancel", "add_reader"],
)
def test_a_wrong_number_of_arguments_is_a_type_error(loop, call):
    with pytest.raises(TypeError, match="argument"):
        call(loop)


def test_what_later_releases_do(fast_loop):
    async def main():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            with pytest.raises(RuntimeError, match="is used by transport"):
                await loop.create_connection(asyncio.Protocol, sock=ours)
            transport.close()
        read, write = os.pipe()
        pipe, _ = await loop.connect_read_pipe(
            asyncio.Protocol, os.fdopen(read, "rb", 0)
        )
        assert pipe.is_reading()
        pipe.close()
        os.close(write)
        datagrams, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        datagrams.pause_reading()
        assert not datagrams.is_reading()
        datagrams.close()
        await asyncio.sleep(0)

    fast_loop.run_until_complete(main())


def test_methods_are_builtin_ones(loop, loop_kind):
    if loop_kind == "fastloop":
        with pytest.raises(TypeError):
            weakref.WeakMethod(loop.stop)
    else:
        assert weakref.WeakMethod(loop.stop)() == loop.stop


def test_what_classes_can_be_made(loop_kind):
    kind = fastloop.Loop if loop_kind == "fastloop" else asyncio.SelectorEventLoop

    if loop_kind == "fastloop":
        with pytest.raises(TypeError, match="not safe"):
            object.__new__(kind)
        with pytest.raises(TypeError, match="lay-out conflict"):
            type("Both", (kind, dict), {})
    else:
        assert issubclass(type("Both", (kind, dict), {}), kind)


@own_types
def test_classes_in_the_place_of_asyncios(loop, loop_kind, monkeypatch):
    class Future(asyncio.Future):
        pass

    monkeypatch.setattr("asyncio.futures.Future", Future)
    ours = loop_kind == "fastloop"
    assert isinstance(loop.create_future(), Future) is not ours


def test_a_handles_parts_cannot_be_set(loop, loop_kind):
    handle, said = loop.call_soon(int), []
    if loop_kind == "fastloop":
        for name in ("_callback", "_args", "_context", "_loop"):
            with pytest.raises(AttributeError):
                setattr(handle, name, None)
    else:
        handle._callback = lambda: said.append("other")
    run_once(loop)
    assert said == ([] if loop_kind == "fastloop" else ["other"])


@own_types
def test_what_a_loop_does_itself_asks_no_subclass(loop_kind):
    asked = []

    class Loop(fastloop.Loop if loop_kind == "fastloop" else asyncio.SelectorEventLoop):
        def set_debug(self, enabled):
            asked.append("set_debug")
            super().set_debug(enabled)

        def get_debug(self):
            asked.append("get_debug")
            return super().get_debug()

        def is_closed(self):
            asked.append("is_closed")
            return super().is_closed()

        def remove_reader(self, fd):
            asked.append("remove_reader")
            return super().remove_reader(fd)

    async def main(loop, left, right):
        receiving = asyncio.ensure_future(loop.sock_recv(left, 1))
        await asyncio.sleep(0)
        right.send(b"x")
        return await receiving

    loop = Loop()
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        assert loop.run_until_complete(main(loop, left, right)) == b"x"
    loop.close()
    if loop_kind == "fastloop":
        assert "set_debug" not in asked
        assert "remove_reader" not in asked
    else:
        names = {"set_debug", "get_debug", "is_closed", "remove_reader"}
        assert set(asked) == names


def test_methods_put_into_a_loops_dictionary(loop, loop_kind):
    vars(loop)["time"] = lambda: 5.0
    handle = loop.call_later(1, int)
    assert (handle.when() == 6.0) is (loop_kind == "asyncio")
    handle.cancel()
    del vars(loop)["time"]


@own_types
def test_what_woke_a_task_may_die_in_its_step(loop, loop_kind):
    async def main():
        future = loop.create_future()
        loop.call_soon(future.set_result, 1)
        dead = weakref.ref(future)
        await future
        del future
        return dead() is None

    assert loop.run_until_complete(main()) is (loop_kind == "fastloop")
