"""call_soon, call_later, call_at: what runs, in which order, in which context."""

import asyncio
import contextvars
import gc
import inspect
import weakref

import pytest

from tests.support import run_once, run_until

number = contextvars.ContextVar("number", default=0)


def schedulers(loop):
    """Each way to schedule, as f(callback, *args, **kwargs)."""
    return {
        "call_soon": loop.call_soon,
        "call_soon_threadsafe": loop.call_soon_threadsafe,
        "call_later": lambda *args, **kwargs: loop.call_later(0, *args, **kwargs),
        "call_at": lambda *args, **kwargs: loop.call_at(loop.time(), *args, **kwargs),
    }


@pytest.fixture(params=["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
def schedule(loop, request):
    return schedulers(loop)[request.param]


def test_callbacks_run_in_the_order_of_calls(loop, schedule):
    seen = []
    for n in range(100):
        schedule(seen.append, n)
    run_until(loop, lambda: len(seen) == 100)
    assert seen == list(range(100))


@pytest.mark.parametrize("n_args", range(8))
def test_arguments_arrive(loop, schedule, n_args):
    seen = []
    args = tuple(object() for _ in range(n_args))
    schedule(lambda *got: seen.append(got), *args)
    run_until(loop, lambda: seen)
    assert seen == [args]


def test_the_handle_is_returned(schedule):
    handle = schedule(print)
    assert isinstance(handle, asyncio.Handle)
    assert not handle.cancelled()
    handle.cancel()


def test_timers_return_timer_handles(loop):
    for handle in (loop.call_later(5, print), loop.call_at(5, print)):
        assert isinstance(handle, asyncio.TimerHandle)
        handle.cancel()
    assert not isinstance(loop.call_soon(int), asyncio.TimerHandle)


def test_a_cancelled_callback_does_not_run(loop, schedule):
    seen = []
    handle = schedule(seen.append, "cancelled")
    schedule(seen.append, "kept")
    handle.cancel()
    handle.cancel()
    run_until(loop, lambda: seen)
    run_once(loop)
    assert seen == ["kept"]
    assert handle.cancelled()


def test_a_callback_cancels_a_later_one_of_its_iteration(loop):
    seen = []
    loop.call_soon(lambda: second.cancel())
    second = loop.call_soon(seen.append, "second")
    loop.call_soon(seen.append, "third")
    run_once(loop)
    assert seen == ["third"]


def test_a_callback_cancels_itself(loop):
    seen = []

    def callback():
        handle.cancel()
        seen.append(handle.cancelled())

    handle = loop.call_soon(callback)
    run_once(loop)
    assert seen == [True]


def test_a_timer_cancels_itself_and_its_neighbour(loop):
    seen = []
    when = loop.time()

    def callback():
        seen.append("first")
        first.cancel()
        second.cancel()

    first = loop.call_at(when, callback)
    second = loop.call_at(when, seen.append, "second")
    loop.call_at(when, seen.append, "third")
    run_until(loop, lambda: "third" in seen)
    assert seen == ["first", "third"]


def test_cancel_frees_the_callback_and_its_arguments(schedule):
    class Thing:
        def method(self):
            raise AssertionError("must not run")

    callback, argument = Thing(), Thing()
    gone = [weakref.ref(callback), weakref.ref(argument)]
    handle = schedule(callback.method, argument)
    handle.cancel()
    del callback, argument
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def test_a_run_callback_is_freed(loop, schedule):
    class Thing:
        pass

    thing, seen = Thing(), []
    gone = weakref.ref(thing)
    schedule(lambda thing: seen.append(1), thing)
    run_until(loop, lambda: seen)
    del thing
    run_once(loop)
    gc.collect()
    assert gone() is None


def test_what_a_callback_schedules_runs_in_the_next_iteration(loop):
    seen = []

    def again(n):
        seen.append(n)
        loop.call_soon(again, n + 1)

    loop.call_soon(again, 0)
    for n in range(5):
        run_once(loop)
        assert seen == list(range(n + 1))


def test_the_context_is_the_callers_copy(loop, schedule):
    seen = []

    def callback():
        seen.append(number.get())
        number.set(99)

    number.set(1)
    schedule(callback)
    number.set(2)
    schedule(callback)
    run_until(loop, lambda: len(seen) == 2)
    assert seen == [1, 2]
    assert number.get() == 2
    number.set(0)


def test_the_context_can_be_given(loop, schedule):
    context = contextvars.copy_context()
    context.run(number.set, 7)
    seen = []
    schedule(lambda: seen.append(number.get()), context=context)
    schedule(lambda: number.set(8), context=context)
    schedule(lambda: seen.append(number.get()), context=None)
    run_until(loop, lambda: len(seen) == 2)
    assert seen == [7, 0]
    assert context[number] == 8


def test_one_context_for_many_callbacks(loop):
    context = contextvars.copy_context()
    for _ in range(5):
        loop.call_soon(lambda: number.set(number.get() + 1), context=context)
    run_once(loop)
    assert context[number] == 5
    assert number.get() == 0


def test_the_arguments_of_partials_and_methods(loop, schedule):
    class Counter:
        total = 0

        def add(self, n, m):
            self.total += n * m

        @classmethod
        def bump(cls, n):
            cls.total += n

        def __call__(self, n):
            self.total += n

    counter = Counter()
    schedule(counter.add, 2, 3)
    schedule(counter, 4)
    run_until(loop, lambda: counter.total == 10)
    schedule(Counter.bump, 5)
    run_until(loop, lambda: Counter.total == 5)


@pytest.mark.parametrize("name", ["call_soon", "call_soon_threadsafe"])
def test_wrong_arguments_of_call_soon(loop, name):
    method = getattr(loop, name)
    with pytest.raises(TypeError, match="callback"):
        method()
    with pytest.raises(TypeError, match="contxt"):
        method(print, contxt=None)
    with pytest.raises(TypeError):
        method(print, callback=print)


@pytest.mark.parametrize("name", ["call_later", "call_at"])
def test_wrong_arguments_of_timers(loop, name):
    method = getattr(loop, name)
    for args in ((), (1,)):
        with pytest.raises(TypeError):
            method(*args)
    with pytest.raises(TypeError, match=r"must not be None|cannot be None"):
        method(None, print)
    with pytest.raises(TypeError, match="contxt"):
        method(1, print, contxt=None)
    assert list(loop._scheduled) == []


def test_arguments_by_keyword(loop):
    seen = []
    loop.call_soon(callback=lambda: seen.append("soon"))
    loop.call_soon_threadsafe(callback=lambda: seen.append("threadsafe"))
    loop.call_later(delay=0, callback=lambda: seen.append("later"))
    loop.call_at(when=loop.time(), callback=lambda: seen.append("at"))
    run_until(loop, lambda: len(seen) == 4)
    assert sorted(seen) == ["at", "later", "soon", "threadsafe"]


def test_signatures_can_be_read(loop):
    for name in ("call_soon", "call_later", "call_at", "call_soon_threadsafe"):
        parameters = inspect.signature(getattr(loop, name)).parameters
        assert parameters["context"].default is None
        assert parameters["context"].kind is inspect.Parameter.KEYWORD_ONLY
        assert "callback" in parameters


def test_time_is_monotonic_seconds(loop):
    import time

    before = time.monotonic()
    now = loop.time()
    after = time.monotonic()
    assert type(now) is float
    assert before <= now <= after


def test_ten_thousand_callbacks_in_one_iteration(loop):
    seen = []
    for n in range(10_000):
        loop.call_soon(seen.append, n)
    run_once(loop)
    assert seen == list(range(10_000))


def test_the_queue_grows_while_it_drains(loop):
    seen = []

    def spread(n):
        seen.append(n)
        if n:
            for _ in range(3):
                loop.call_soon(spread, n - 1)

    loop.call_soon(spread, 6)
    run_until(loop, lambda: len(seen) == sum(3**k for k in range(7)), pause_s=0)
    assert seen == sorted(seen, reverse=True)
