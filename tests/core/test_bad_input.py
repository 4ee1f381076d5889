"""Misuse: the same exceptions and reports on both loops, and never worse.

Each case is a function of a loop. What it returns or raises, and what reaches the
loop's exception handler, must be what asyncio of the running Python makes of it.
"""

import asyncio
import gc
import math
import os
import socket
import sys
import weakref

import pytest

from tests.conftest import factory_of
from tests.support import outcome, plain, run_child, run_once

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def attempts(*calls):
    return [outcome(call) for call in calls]


def do_nothing():
    pass


def run_again(loop):
    """Not run_forever: asyncio 3.13.0 forgets that it runs when that is refused."""
    return loop.run_until_complete(loop.create_future())


async def coroutine_function():
    pass


# ---- callables and arguments ----


@case
def no_callables(loop):
    for rubbish in (5, None, "text", object):
        loop.call_soon(rubbish)
        loop.call_later(0, rubbish)
        loop.call_soon_threadsafe(rubbish)
    run_once(loop)


@case
def coroutine_functions_as_callbacks(loop):
    with pytest.warns(RuntimeWarning, match="never awaited"):
        loop.call_soon(coroutine_function)
        run_once(loop)
        gc.collect()


@case
def coroutines_as_callbacks(loop):
    coroutine = coroutine_function()
    loop.call_soon(coroutine)
    run_once(loop)
    coroutine.close()


@case
def callbacks_called_with_wrong_arguments(loop):
    loop.call_soon(do_nothing, 1)
    loop.call_soon(lambda a, b: None, 1)
    loop.call_later(0, do_nothing, 1, 2)
    run_once(loop)


@case
def executors(loop):
    return attempts(
        lambda: loop.set_default_executor(5),
        lambda: loop.set_default_executor(None),
        lambda: loop.run_in_executor(5, do_nothing),
        lambda: loop.run_in_executor(),
    )[:3]


@case
def task_factories(loop):
    return attempts(
        lambda: loop.set_task_factory(5),
        lambda: loop.set_task_factory(do_nothing),
        lambda: loop.set_task_factory(None),
    )


@case
def exception_handlers(loop):
    return attempts(
        lambda: loop.set_exception_handler(5),
        lambda: loop.set_exception_handler(None),
    )


# ---- the loop's state ----


@case
def a_closed_loop(loop):
    loop.close()
    coroutine = coroutine_function()
    found = attempts(
        lambda: loop.call_soon(do_nothing),
        lambda: loop.call_later(1, do_nothing),
        lambda: loop.call_at(1, do_nothing),
        lambda: loop.call_soon_threadsafe(do_nothing),
        lambda: loop.run_forever(),
        lambda: loop.run_until_complete(coroutine),
        lambda: loop.create_task(coroutine),
        lambda: loop.run_in_executor(None, do_nothing),
        lambda: loop.add_reader(0, do_nothing),
        lambda: loop.remove_reader(0),
        lambda: loop.add_writer(0, do_nothing),
        lambda: loop.remove_writer(0),
        lambda: loop.add_signal_handler(10, do_nothing),
        lambda: loop.remove_signal_handler(10),
        lambda: loop.stop(),
        lambda: loop.close(),
        lambda: loop.is_running(),
        lambda: loop.set_debug(True),
        lambda: loop.get_debug(),
    )
    coroutine.close()
    return found


@case
def running_again(loop):
    found = []
    loop.call_soon(
        lambda: found.extend(
            attempts(
                lambda: run_again(loop),
                loop.close,
            )
        )
    )
    run_once(loop)
    found.append(loop.is_closed())
    return found


@case
def running_another(loop):
    other = type(loop)()
    found = []
    loop.call_soon(
        lambda: found.extend(attempts(lambda: run_again(other), other.close))
    )
    run_once(loop)
    other.close()
    return found


@case
def a_callback_that_closes_the_loop(loop):
    loop.call_soon(lambda: loop.close())
    loop.call_later(0, lambda: loop.close())
    run_once(loop)
    return loop.is_closed()


@case
def a_callback_that_raises_after_stopping(loop):
    seen = []

    def callback():
        loop.stop()
        raise ValueError("after stop")

    loop.call_soon(callback)
    loop.call_soon(seen.append, 1)
    loop.run_forever()
    return seen


@case
def a_finalizer_that_runs_the_loop(loop):
    found = []

    class Runs:
        def __del__(self):
            found.extend(attempts(lambda: run_again(loop), loop.close))

    loop.call_soon(lambda thing: None, Runs())
    run_once(loop)
    handle = loop.call_soon(lambda thing: None, Runs())
    loop.call_soon(lambda: None)
    loop.call_soon(loop.stop)
    loop.call_soon(handle.cancel)
    loop.run_forever()
    return found


@case
def a_finalizer_that_runs_the_idle_loop(loop):
    seen = []

    class Runs:
        def __del__(self):
            loop.call_soon(seen.append, "nested")
            run_once(loop)
            seen.append("ran")

    loop.call_soon(lambda thing: None, Runs()).cancel()
    loop.call_later(100, lambda thing: None, Runs()).cancel()
    return seen, outcome(loop.run_until_complete, asyncio.sleep(0))


@case
def a_finalizer_that_uses_the_loop(loop):
    seen = []

    class Uses:
        def __del__(self):
            loop.call_soon(seen.append, "soon")
            loop.call_later(0, seen.append, "later")
            loop.call_later(100, seen.append, "never").cancel()
            loop.stop()

    loop.call_soon(lambda thing: None, Uses())
    loop.call_later(0, lambda thing: None, Uses())
    loop.call_later(50, lambda thing: None, Uses()).cancel()
    for _ in range(4):
        run_once(loop)
    return sorted(seen)


@case
def a_repr_that_uses_the_loop(loop):
    seen = []

    class Speaks:
        def __call__(self):
            raise ValueError("on purpose")

        def __repr__(self):
            seen.extend(attempts(lambda: run_again(loop), loop.close))
            loop.call_soon(seen.append, "called")
            return "<speaks>"

    loop.call_soon(Speaks())
    run_once(loop)
    run_once(loop)
    return seen


@case
def a_repr_that_raises(loop):
    class Silent:
        def __call__(self):
            raise ValueError("on purpose")

        def __repr__(self):
            raise LookupError("no text")

    loop.call_soon(Silent())
    return outcome(run_once, loop), outcome(run_once, loop)


@case
def an_exception_whose_text_raises(loop):
    class Mute(Exception):
        def __str__(self):
            raise LookupError("no text")

    def callback():
        raise Mute

    handled = []
    loop.set_exception_handler(lambda loop, context: handled.append(context["handle"]))
    loop.call_soon(callback)
    run_once(loop)
    return len(handled)


@case
def stop_with_arguments(loop):
    return [
        outcome(call)[:2]
        for call in (
            lambda: loop.stop(1),
            lambda: loop.close(now=True),
            lambda: loop.is_running(1),
            lambda: loop.time(1),
            lambda: loop.run_forever(1),
            lambda: loop.run_until_complete(),
            lambda: loop.call_exception_handler(),
        )
    ]


# ---- timers ----


@case
def delays(loop):
    found = attempts(
        lambda: loop.call_later(None, do_nothing),
        lambda: loop.call_at(None, do_nothing),
        lambda: loop.call_later("1", do_nothing),
    )
    seen = []
    for delay in (-1, -1e300, -math.inf, 0, -0.0, math.nan):
        loop.call_later(delay, seen.append, str(delay))
    for delay in (1e300, math.inf):
        loop.call_later(delay, seen.append, str(delay))
    run_once(loop)
    run_once(loop)
    return found, sorted(name for name in seen if name != "nan")


@case
def sleeping_for_strange_times(loop):
    async def main():
        found = []
        for delay in (-1, -math.inf, 0, 0.0, False):
            found.append(await asyncio.sleep(delay, "slept"))
        if sys.version_info >= (3, 13):  # before, its heap's order decided
            try:
                await asyncio.sleep(math.nan)
            except ValueError as exc:
                found.append(type(exc))
        return found

    return loop.run_until_complete(asyncio.wait_for(main(), 5))


# ---- file descriptors ----


@case
def fds(loop):
    with open(os.devnull) as devnull, open(__file__) as regular:
        closed = socket.socket()
        closed.close()
        read, write = os.pipe()
        os.close(read)
        os.close(write)
        found = []
        for fd in (-1, -7, None, "0", 1.5, closed, regular, regular.fileno(), read):
            for name in ("add_reader", "add_writer"):
                found.append(outcome(getattr(loop, name), fd, do_nothing))
            for name in ("remove_reader", "remove_writer"):
                found.append(outcome(getattr(loop, name), fd))
        found.append(outcome(loop.remove_reader, devnull)[0])
    return [
        (*entry[:2], "") if entry[0] == "raised" and "TextIO" in entry[2] else entry
        for entry in found
        if isinstance(entry, tuple)
    ]


@case
def an_fd_closed_while_watched(loop):
    run_once(loop)
    left, right = socket.socketpair()
    fd = left.fileno()
    loop.add_reader(left, do_nothing)
    right.send(b"x")
    left.close()
    run_once(loop)
    found = attempts(lambda: loop.remove_reader(fd), lambda: loop.remove_reader(fd))
    right.close()
    return found


# ---- coroutines and futures ----


@case
def awaiting_rubbish(loop):
    class Rubbish:
        def __await__(self):
            yield 5

    async def main():
        await Rubbish()

    return outcome(loop.run_until_complete, main())


@case
def awaiting_another_loops_future(loop):
    other = type(loop)()

    async def main():
        await other.create_future()

    found = outcome(loop.run_until_complete, main())
    other.close()
    return found[0], found[1], "attached to a different loop" in found[2]


@case
def awaiting_oneself(loop):
    async def main():
        await asyncio.current_task()

    kind, error, text = outcome(loop.run_until_complete, main())
    return kind, error, text.split(":")[0]


@case
def one_coroutine_twice(loop):
    coroutine = coroutine_function()
    loop.run_until_complete(coroutine)
    return outcome(loop.run_until_complete, coroutine)


@case
def rubbish_to_run(loop):
    return attempts(
        lambda: loop.run_until_complete(None),
        lambda: loop.run_until_complete(coroutine_function),
        lambda: loop.run_until_complete(5),
    )


def tell(name, kind):
    """What a case does on a new loop of this kind, ready to be compared."""
    reports = []

    def handler(loop, context):
        exc = context.get("exception")
        reports.append((plain(context["message"]), type(exc), plain(str(exc))))

    loop = factory_of(kind)()
    loop.set_exception_handler(handler)
    try:
        found = outcome(CASES[name], loop)
    finally:
        loop.close()
    return found, reports


@pytest.mark.parametrize("name", CASES)
def test_as_asyncio(name, loop_kind):
    expected = tell(name, "asyncio")
    assert tell(name, loop_kind) == expected
    # A mistake in a case itself would look the same on both loops.
    assert expected[0][0] == "returned" or name == "a_repr_that_raises", expected


def test_a_callback_that_cancels_itself_and_raises(loop):
    contexts = []
    loop.set_exception_handler(lambda loop, context: contexts.append(context))

    def callback():
        handle.cancel()
        raise ValueError("cancelled and wrong")

    handle = loop.call_soon(callback)
    run_once(loop)
    [context] = contexts
    assert context["handle"] is handle
    assert str(context["exception"]) == "cancelled and wrong"
    contexts.clear()


def test_what_is_no_context(loop):
    """Refused, or reported when the callback's turn comes; the next one runs."""
    contexts, seen = [], []
    loop.set_exception_handler(lambda loop, context: contexts.append(context))
    refused = outcome(loop.call_soon, do_nothing, context=5)[0] == "raised"
    loop.call_soon(seen.append, 1)
    run_once(loop)
    assert seen == [1]
    assert refused or len(contexts) == 1


def test_what_the_cases_find():
    """A few answers in full, so that the comparison above is of something."""
    (_, found), _ = tell("running_again", "asyncio")
    assert found[0] == (
        "raised",
        RuntimeError,
        "This event loop is already running",
    )
    _, reports = tell("coroutines_as_callbacks", "asyncio")
    assert reports[0][1:] == (TypeError, "'coroutine' object is not callable")
    (_, found), _ = tell("a_finalizer_that_runs_the_loop", "asyncio")
    assert [entry[1] for entry in found] == [RuntimeError] * 4


def test_no_callback_is_lost_to_those_that_misbehave(loop):
    """Every well-behaved callback runs exactly once, in order."""
    seen = []
    loop.set_exception_handler(lambda loop, context: None)

    def misbehave(n):
        match n % 5:
            case 0:
                raise ValueError
            case 1:
                loop.stop()
            case 2:
                loop.call_soon(handles[n + 1].cancel)
            case 3:
                outcome(run_again, loop)
            case 4:
                outcome(loop.close)

    handles = {}
    for n in range(200):
        handles[n] = loop.call_soon(misbehave, n)
        loop.call_soon(seen.append, n)
    for _ in range(5):
        run_once(loop)
    assert seen == list(range(200))


def test_run_forever_from_a_callback_changes_nothing(fast_loop):
    loop, seen = fast_loop, []

    def callback():
        seen.append(outcome(loop.run_forever)[1])
        seen.append((loop.is_running(), asyncio.get_running_loop() is loop))
        seen.append(outcome(loop.close)[1])

    loop.call_soon(callback)
    run_once(loop)
    assert seen == [RuntimeError, (True, True), RuntimeError]


def test_deep_recursion_in_a_callback(loop):
    def dive():
        dive()

    contexts = []
    loop.set_exception_handler(lambda loop, context: contexts.append(context))
    seen = []
    loop.call_soon(dive)
    loop.call_soon(seen.append, 1)
    run_once(loop)
    assert isinstance(contexts[0]["exception"], RecursionError)
    assert seen == [1]
    contexts.clear()


def test_out_of_file_descriptors(loop_kind):
    """A loop that can't be made says so; one that runs goes on."""
    source = """
import asyncio, os, resource, socket
loop = new_event_loop()
loop.call_soon(loop.stop)
loop.run_forever()
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
taken = []
try:
    while True:
        taken.append(os.dup(0))
except OSError as exc:
    print(exc.strerror)
try:
    new_event_loop()
except OSError as exc:
    print(exc.strerror)
print(loop.run_until_complete(asyncio.sleep(0.001, "fine")))
for fd in taken:
    os.close(fd)
loop.close()
"""
    done = run_child(loop_kind, source, flags=())
    assert done.stdout == "Too many open files\n" * 2 + "fine\n"
    assert done.returncode == 0


def test_closing_the_loops_own_fds_is_an_error_not_a_crash(loop_kind):
    source = """
import asyncio, os
loop = new_event_loop()
loop.call_soon(loop.stop)
loop.run_forever()
for fd in range(3, 20):
    try:
        os.close(fd)
    except OSError:
        pass
try:
    loop.run_until_complete(asyncio.sleep(0.001))
except (OSError, ValueError) as exc:
    pass
print("alive")
"""
    done = run_child(loop_kind, source, flags=())
    assert done.stdout == "alive\n"
    assert done.returncode == 0


def test_the_core_types_cannot_be_made_by_hand(fast_loop):
    """No door into the internals: a TypeError, or an object that works."""
    import fastloop._core
    from fastloop import aio

    public = {"EventLoop", "Task", "Future", "_AsCompletedIterator", *vars(aio)}
    for name, kind in vars(fastloop._core).items():
        if isinstance(kind, type) and name not in public:
            assert outcome(kind)[0] == "raised", name


def test_the_base_type_alone(fast_loop):
    """_core.EventLoop without its Python half must not crash either."""
    import fastloop._core

    found = outcome(fastloop._core.EventLoop)
    if found[0] == "returned":
        base = found[1]
        gone = weakref.ref(base) if hasattr(base, "__weakref__") else None
        for name in ("call_soon", "call_later", "run_forever", "stop", "time"):
            outcome(getattr(base, name))
        outcome(base.close)
        del base, found
        gc.collect()
        assert gone is None or gone() is None
