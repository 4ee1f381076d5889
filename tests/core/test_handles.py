"""Handle and TimerHandle, as users and libraries see them."""

import asyncio
import contextvars
import copy
import gc
import itertools
import sys
import weakref

import pytest

from tests.support import outcome, plain, run_once, run_until


def callback(*args):
    return args


@pytest.fixture(params=["call_soon", "call_soon_threadsafe", "call_later", "call_at"])
def handle(loop, request):
    method = getattr(loop, request.param)
    delay = (1000,) if request.param in ("call_later", "call_at") else ()
    return method(*delay, callback, 1, "two")


def test_types(handle):
    assert isinstance(handle, asyncio.Handle)
    assert isinstance(handle, asyncio.events.Handle)
    assert isinstance(handle, asyncio.TimerHandle) == hasattr(handle, "when")


def test_private_attributes_that_libraries_read(handle):
    assert handle._callback is callback
    assert handle._args == (1, "two")
    assert handle._cancelled is False
    assert handle._source_traceback is None
    assert isinstance(handle._context, contextvars.Context)
    assert handle._repr is None


def test_private_attributes_after_cancel(handle):
    handle.cancel()
    assert handle._callback is None
    assert handle._args is None
    assert handle._cancelled is True
    assert handle.cancelled() is True


@pytest.mark.parametrize("way", ["call_soon", "call_soon_threadsafe", "call_later"])
def test_a_callback_that_cancels_itself_and_fails_is_not_named(loop, way):
    reports = []

    def note(loop, context):
        handle = context["handle"]
        reports.append((context["message"], handle._callback, handle._args))
        loop.stop()

    def failing(*_):
        handle.cancel()
        assert handle._callback is None
        raise ValueError

    loop.set_exception_handler(note)
    handle = getattr(loop, way)(*[0] * (way == "call_later"), failing, 1)
    loop.run_forever()
    assert reports == [("Exception in callback None()", None, None)]


def test_cancel_returns_nothing(handle):
    assert handle.cancel() is None
    assert handle.cancel() is None


def test_the_loop_is_known(loop):
    assert loop.call_soon(callback)._loop is loop
    assert loop.call_later(5, callback)._loop is loop


def test_the_context(loop):
    context = contextvars.copy_context()
    handle = loop.call_soon(callback, context=context)
    assert handle._context is context
    if hasattr(asyncio.Handle, "get_context"):
        assert handle.get_context() is context


def test_repr_shows_the_callback(handle):
    text = repr(handle)
    assert "callback(" in text  # 3.13 hides the arguments outside debug mode
    assert "test_handles.py:" in text
    assert text.startswith(f"<{type(handle).__name__}")
    assert text.endswith(">")


def test_repr_is_asyncios(loop, loop_factory):
    """Class, state, callback and its place: the same text on both loops."""

    class Thing:
        def method(self):
            pass

    def texts(loop):
        soon = loop.call_soon(callback, [1], "x" * 100)
        later = loop.call_at(123.5, callback)
        method = loop.call_soon(Thing.method, 5)
        builtin = loop.call_soon(print, 5)
        yield from (repr(soon), repr(later), repr(method), repr(builtin))
        soon.cancel()
        later.cancel()
        yield from (repr(soon), repr(later))
        method.cancel()
        builtin.cancel()

    asyncios = asyncio.new_event_loop()
    expected = [plain(text) for text in texts(asyncios)]
    asyncios.close()
    assert [plain(text) for text in texts(loop)] == expected
    assert expected[1].startswith("<TimerHandle when=123.5 callback() at ")
    assert expected[5].startswith("<TimerHandle cancelled when=123.5")


def test_repr_of_a_callback_whose_repr_raises(loop):
    class Bad:
        def __call__(self):
            pass

        def __repr__(self):
            raise ValueError("no text")

    handle = loop.call_soon(Bad())
    with pytest.raises(ValueError, match="no text"):
        repr(handle)
    run_once(loop)


def test_run_by_hand(loop):
    """Some libraries call the private method to run a callback themselves."""
    seen = []
    handle = loop.call_soon(seen.append, 1)
    handle._run()
    assert seen == [1]
    run_once(loop)
    assert seen == [1, 1]


def test_run_by_hand_uses_the_context(loop):
    number = contextvars.ContextVar("number", default=0)
    context = contextvars.copy_context()
    handle = loop.call_soon(number.set, 3, context=context)
    handle._run()
    assert context[number] == 3
    assert number.get() == 0
    handle.cancel()


def test_weakrefs(handle):
    ref = weakref.ref(handle)
    assert ref() is handle


def test_the_loop_alone_keeps_a_handle(loop):
    for handle in (loop.call_soon(callback), loop.call_later(0, callback)):
        ref = weakref.ref(handle)
        del handle
        gc.collect()
        assert ref() is not None
    del ref
    run_once(loop)


def test_a_cancelled_handle_is_freed_with_its_loop(loop):
    handle = loop.call_later(1000, callback)
    ref = weakref.ref(handle)
    handle.cancel()
    del handle
    loop.close()
    gc.collect()
    assert ref() is None


def test_hash_and_equality_of_handles(loop):
    one, two = loop.call_soon(callback), loop.call_soon(callback)
    assert one == one
    assert one != two
    assert len({one, two}) == 2


def test_timer_handles_compare_by_deadline(loop):
    early = loop.call_at(1e9, callback)
    late = loop.call_at(1e9 + 1, callback)
    assert early < late
    assert early <= late
    assert late > early
    assert late >= early
    assert early != late
    assert not early > late
    assert not late <= early
    assert sorted([late, early]) == [early, late]
    early.cancel()
    late.cancel()


def test_timer_handles_equal_by_value(loop):
    one = loop.call_at(1e9, callback, 1)
    same = loop.call_at(1e9, callback, 1)
    other_args = loop.call_at(1e9, callback, 2)
    other_callback = loop.call_at(1e9, print, 1)
    assert one == same
    assert one <= same
    assert one >= same
    assert hash(one) == hash(same) == hash(1e9)
    assert one != other_args
    assert one != other_callback
    assert not one < other_args
    assert not one <= other_args
    same.cancel()
    assert one != same
    for handle in (one, other_args, other_callback):
        handle.cancel()


def test_timer_handles_and_strangers(loop):
    handle = loop.call_at(1e9, callback)
    for other in (None, 1e9, "x", loop.call_soon(int)):
        assert handle != other
        for compare in ("__lt__", "__le__", "__gt__", "__ge__", "__eq__"):
            assert getattr(handle, compare)(other) is NotImplemented
        with pytest.raises(TypeError):
            handle < other  # noqa: B015
    handle.cancel()


def test_timer_handles_beside_asyncios_own(loop):
    """asyncio.TimerHandle made by hand compares with the loop's."""
    ours = loop.call_at(1e9, callback)
    theirs = asyncio.TimerHandle(1e9 + 1, callback, (), loop)
    assert ours < theirs
    assert theirs > ours
    assert sorted([theirs, ours]) == [ours, theirs]
    assert ours == asyncio.TimerHandle(1e9, callback, (), loop)
    ours.cancel()


def test_handles_made_by_hand(loop):
    """asyncio.Handle is public, and runs with any loop."""
    seen = []
    handle = asyncio.Handle(seen.append, (1,), loop)
    handle._run()
    assert seen == [1]
    handle.cancel()
    assert handle.cancelled()
    timer = asyncio.TimerHandle(5.0, seen.append, (2,), loop)
    timer.cancel()
    assert timer.when() == 5.0


def test_an_asyncio_timer_handle_sorts_into_the_loop(loop):
    times = [3.0, 1.0, 2.0]
    handles = [loop.call_at(when, callback) for when in times]
    assert [handle.when() for handle in sorted(handles)] == sorted(times)
    for handle in handles:
        handle.cancel()


def test_a_handle_cannot_be_copied_into_two(loop):
    handle = loop.call_soon(callback)
    kind, *_ = outcome(copy.copy, handle)
    if kind == "returned":
        # asyncio's slots are copied: the copy is another, unscheduled handle.
        assert copy.copy(handle) is not handle
    run_once(loop)


def test_handles_are_garbage_collected_with_their_cycle(loop):
    class Thing:
        pass

    thing = Thing()
    thing.handle = loop.call_soon(callback, thing)
    gone = weakref.ref(thing)
    run_once(loop)
    del thing
    gc.collect()
    assert gone() is None


def test_cancel_in_every_order(loop):
    for order in itertools.permutations(range(4)):
        seen = []
        now = loop.time() - 1
        handles = [loop.call_at(now + n / 10, seen.append, n) for n in range(4)]
        for n in order[:3]:
            handles[n].cancel()
        run_once(loop)
        assert seen == [order[3]]


class Runs:
    """No context, but with what the loop asks of one."""

    def __init__(self):
        self.calls = []

    def run(self, callback, *args):
        self.calls.append(args)
        return callback(*args)


@pytest.mark.parametrize("how", ["call_soon", "call_later", "call_soon_threadsafe"])
@pytest.mark.parametrize("n_args", [0, 2, 5])
def test_a_context_of_another_class(loop, how, n_args):
    context, seen = Runs(), []
    delay = (0,) if how == "call_later" else ()
    args = tuple(range(n_args))
    getattr(loop, how)(*delay, lambda *args: seen.append(args), *args, context=context)
    run_until(loop, lambda: seen)
    assert seen == context.calls == [args]


def test_a_context_that_cannot_run_anything(loop):
    reports = []
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    loop.call_soon(print, context=object())
    future = loop.create_future()
    future.add_done_callback(print, context=5)
    future.set_result(None)
    run_once(loop)
    run_once(loop)
    assert [str(report["exception"]) for report in reports] == [
        "'object' object has no attribute 'run'",
        "'int' object has no attribute 'run'",
    ]


def test_a_task_with_a_context_of_another_class(loop):
    context = Runs()

    async def twice():
        await asyncio.sleep(0)
        future = loop.create_future()
        loop.call_soon(future.set_result, "done")
        return await future

    coro = twice()
    if sys.version_info >= (3, 15):  # its tasks want a Context
        name = f"{Runs.__module__}.Runs"
        with pytest.raises(TypeError, match=rf"Context was expected, got {name}$"):
            loop.create_task(coro, context=context)
        return coro.close()
    assert loop.run_until_complete(loop.create_task(coro, context=context)) == "done"
    assert len(context.calls) == 3


def test_handles_of_another_class(loop):
    """asyncio's own, which a program gives to the loop: cancelled, they do not run."""
    reports, seen = [], []
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    handles = [asyncio.Handle(seen.append, (i,), loop) for i in range(3)]
    handles[0].cancel()
    for handle in handles:
        loop._add_callback(handle)
    handles[1].cancel()
    run_once(loop)
    assert seen == [2]
    assert reports == []
    with pytest.raises(AttributeError, match="_cancelled"):
        loop._add_callback(5)
