"""Methods that a subclass overrides, or that are assigned to a loop, are used."""

import asyncio
import gc
import socket
import threading

import pytest

from tests.support import run_once, run_until, until

NAMES = [
    "call_soon",
    "call_later",
    "call_at",
    "call_soon_threadsafe",
    "create_task",
    "create_future",
    "call_exception_handler",
    "time",
    "_add_reader",
    "_remove_reader",
    "_add_writer",
    "_remove_writer",
]


@pytest.fixture(params=["subclass", "instance"])
def spied(loop_factory, request):
    """A loop each of whose methods notes that it was called: (loop, calls)."""
    calls = []
    plain = loop_factory()
    plain.close()
    kind = type(plain)

    def spy(original, name):
        def method(*args, **kwargs):
            calls.append(name)
            return original(*args, **kwargs)

        return method

    if request.param == "subclass":
        spies = {name: spy(getattr(kind, name), name) for name in NAMES}
        loop = type("Spied", (kind,), spies)()
    else:
        loop = loop_factory()
        for name in NAMES:
            setattr(loop, name, spy(getattr(loop, name), name))
    calls.clear()
    yield loop, calls
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def noted(calls, name):
    """Whether this method was called since the last question."""
    found = name in calls
    calls.clear()
    return found


def test_run_until_complete_makes_its_task(spied):
    loop, calls = spied
    loop.run_until_complete(asyncio.sleep(0))
    assert noted(calls, "create_task")


def test_asyncio_functions_make_their_tasks(spied):
    loop, calls = spied

    async def main():
        calls.clear()
        await asyncio.create_task(asyncio.sleep(0))
        assert noted(calls, "create_task")
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
        assert noted(calls, "create_task")
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        assert noted(calls, "create_task")

    loop.run_until_complete(main())


def test_sleep_uses_call_later(spied):
    loop, calls = spied
    loop.run_until_complete(asyncio.sleep(0.001))
    assert "create_future" in calls
    assert noted(calls, "call_later")


def test_timeouts_use_call_at(spied):
    loop, calls = spied

    async def main():
        async with asyncio.timeout(10):
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert noted(calls, "call_at")


def test_call_later_uses_call_at_and_time(spied):
    loop, calls = spied
    loop.call_later(0, int)
    assert calls[:3] == ["call_later", "time", "call_at"]


def test_tasks_use_call_soon(spied):
    loop, calls = spied
    task = loop.create_task(asyncio.sleep(0))
    assert noted(calls, "call_soon")
    loop.run_until_complete(task)
    assert noted(calls, "call_soon")


def test_futures_use_call_soon(spied):
    loop, calls = spied
    future = loop.create_future()
    future.add_done_callback(lambda _: None)
    calls.clear()
    future.set_result(None)
    assert noted(calls, "call_soon")


def test_a_failed_callback_uses_call_exception_handler(spied, logs):
    loop, calls = spied
    loop.call_soon(lambda: 1 / 0)
    run_once(loop)
    assert noted(calls, "call_exception_handler")
    assert "ZeroDivisionError" in logs.take_text()


def test_watches_use_the_private_methods(spied):
    loop, calls = spied
    left, right = socket.socketpair()
    for name in ("add_reader", "add_writer"):
        getattr(loop, name)(left, int)
        assert noted(calls, f"_{name}")
    for name in ("remove_reader", "remove_writer"):
        assert getattr(loop, name)(left) is True
        assert noted(calls, f"_{name}")
    left.close()
    right.close()


def test_sock_methods_use_the_private_methods(spied):
    loop, calls = spied
    left, right = socket.socketpair()
    left.setblocking(False)

    async def main():
        waiting = asyncio.ensure_future(loop.sock_recv(left, 5))
        await asyncio.sleep(0)
        assert noted(calls, "_add_reader")
        right.send(b"hello")
        assert await waiting == b"hello"

    loop.run_until_complete(main())
    left.close()
    right.close()


def test_executors_use_call_soon_threadsafe(spied):
    loop, calls = spied
    loop.run_until_complete(loop.run_in_executor(None, int))
    assert noted(calls, "call_soon_threadsafe")


def test_the_clock_is_read_through_time(spied):
    loop, calls = spied
    loop.call_at(0, int)
    calls.clear()
    run_once(loop)
    assert noted(calls, "time")


def test_a_dropped_generator_uses_call_soon_threadsafe(spied):
    loop, calls = spied
    closed = []

    async def numbers():
        try:
            yield 1
        finally:
            closed.append(1)

    async def main():
        generator = numbers()
        await anext(generator)
        calls.clear()
        del generator
        gc.collect()
        assert noted(calls, "call_soon_threadsafe")
        await until(lambda: closed)

    loop.run_until_complete(main())


def test_call_soon_that_refuses(loop):
    """What an override raises reaches whoever wanted the callback."""

    def refuse(*args, **kwargs):
        raise LookupError("not now")

    future = loop.create_future()
    loop.call_soon = refuse
    with pytest.raises(LookupError, match="not now"):
        loop.call_soon(int)
    future.add_done_callback(int)
    with pytest.raises(LookupError, match="not now"):
        future.set_result(None)
    del loop.call_soon
    loop.call_soon(int)
    run_once(loop)


def test_an_override_that_delays(loop_factory):
    plain = loop_factory()
    plain.close()

    class Recorder(type(plain)):
        """Runs each callback one iteration later than asked."""

        def call_soon(self, callback, *args, context=None):
            ask = super().call_soon
            return ask(lambda: ask(callback, *args, context=context))

    loop = Recorder()

    async def main():
        results = await asyncio.gather(*(asyncio.sleep(0, n) for n in range(5)))
        await asyncio.sleep(0.001)
        return results

    assert loop.run_until_complete(main()) == list(range(5))
    loop.close()


def test_an_assignment_can_be_taken_back(loop):
    real = loop.time
    loop.time = lambda: 5.0
    assert loop.time() == 5.0
    assert loop.call_later(1, int).when() == 6.0
    del loop.time
    assert abs(loop.time() - real()) < 1
    seen = []
    loop.call_later(0.001, seen.append, 1)
    run_until(loop, lambda: seen)


def test_assigned_while_running(loop):
    calls = []

    async def main():
        real = loop.call_later

        def spy(delay, *args, **kwargs):
            calls.append(delay)
            return real(delay, *args, **kwargs)

        loop.call_later = spy
        await asyncio.sleep(0.001)
        loop.call_exception_handler = lambda context: calls.append(context["message"])
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        loop.create_task = lambda coro, **kwargs: (
            calls.append("task"),
            asyncio.Task(coro, loop=loop),
        )[1]
        await asyncio.ensure_future(asyncio.sleep(0))

    loop.run_until_complete(main())
    assert calls[0] == 0.001
    assert calls[1].startswith("Exception in callback ")
    assert calls[2:] == ["task"]
    for name in ("call_later", "call_exception_handler", "create_task"):
        delattr(loop, name)


def test_a_mixin_before_the_loop_class(loop_factory):
    plain = loop_factory()
    plain.close()
    seen = []

    class Mixin:
        def create_task(self, coro, **kwargs):
            seen.append("task")
            return super().create_task(coro, **kwargs)

        def close(self):
            seen.append("close")
            super().close()

    class Mixed(Mixin, type(plain)):
        pass

    with asyncio.Runner(loop_factory=Mixed) as runner:
        assert runner.run(asyncio.sleep(0, 5)) == 5
    assert seen[0] == "task"
    assert seen[-1] == "close"


def test_a_subclass_with_an_init_of_its_own(loop_factory):
    plain = loop_factory()
    plain.close()

    class Named(type(plain)):
        def __init__(self, name):
            super().__init__()
            self.name = name

    loop = Named("mine")
    assert loop.name == "mine"
    assert loop.run_until_complete(asyncio.sleep(0, 1)) == 1
    loop.close()


def test_a_subclass_that_forgets_the_base_init(loop_factory):
    """A clear error or a working loop, not a crash."""
    plain = loop_factory()
    plain.close()

    class Forgets(type(plain)):
        def __init__(self):
            pass

        def __del__(self):
            pass

    loop = Forgets()
    for use in (
        lambda: loop.call_soon(int),
        lambda: loop.call_later(0, int),
        lambda: loop.add_reader(0, int),
        lambda: loop.is_running(),
        lambda: loop.call_soon(loop.stop) and loop.run_forever(),
        lambda: loop.close(),
    ):
        try:
            use()
        except (AttributeError, RuntimeError, OSError, ValueError):
            pass


def test_slow_callback_duration_and_other_settings(loop):
    loop.slow_callback_duration = 5
    loop._exception_handler = None
    loop._thread_id  # noqa: B018
    loop._default_executor = None
    assert loop._debug is False
    assert loop._closed is False
    assert loop._stopping is False
    loop.stop()
    assert loop._stopping is True
    run_once(loop)
    assert loop._stopping is False


def test_thread_id_names_the_running_thread(loop):
    seen = []
    loop.call_soon(lambda: seen.append(loop._thread_id))
    run_once(loop)
    assert seen == [threading.get_ident()]
