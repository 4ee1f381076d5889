"""Future, of asyncio and of fastloop, on loops of both."""

import asyncio
import contextvars
import gc
import sys
import traceback
import weakref

import pytest

from tests.support import own_types, run_once

number = contextvars.ContextVar("number", default=0)


class Failing(Exception):
    """An exception that is hard to look at."""

    def __repr__(self):
        raise ValueError("no repr")


def test_a_new_future_is_pending(kit):
    future = kit.future()
    assert not future.done()
    assert not future.cancelled()
    assert future.get_loop() is kit.loop
    assert future._state == "PENDING"
    assert future._loop is kit.loop
    assert future._callbacks is None
    assert future._result is None
    assert future._exception is None
    assert future._log_traceback is False
    assert future._source_traceback is None
    assert future._cancel_message is None
    assert future._asyncio_future_blocking is False
    with pytest.raises(asyncio.InvalidStateError, match="Result is not set"):
        future.result()
    with pytest.raises(asyncio.InvalidStateError, match="Exception is not set"):
        future.exception()


def test_result(kit):
    future = kit.future()
    future.set_result([1])
    assert future.done()
    assert future.result() == [1]
    assert future.exception() is None
    assert future._state == "FINISHED"
    assert future._result == [1]
    with pytest.raises(asyncio.InvalidStateError, match="invalid state"):
        future.set_result(2)
    with pytest.raises(asyncio.InvalidStateError, match="invalid state"):
        future.set_exception(ValueError())
    assert future.cancel() is False


def test_exception(kit):
    future = kit.future()
    error = ValueError("x")
    future.set_exception(error)
    assert future._exception is error
    assert future._log_traceback is True
    assert future.exception() is error
    assert future._log_traceback is False
    for _ in range(2):
        with pytest.raises(ValueError, match="x") as caught:
            future.result()
        assert caught.value is error


def test_exception_from_a_class(kit):
    future = kit.future()
    future.set_exception(KeyError)
    assert isinstance(future.exception(), KeyError)


@pytest.mark.parametrize("rubbish", [1, "text", int, None])
def test_what_is_no_exception(kit, rubbish):
    future = kit.future()
    with pytest.raises(TypeError, match="invalid exception object"):
        future.set_exception(rubbish)
    assert not future.done()


def test_an_exception_class_that_fails(kit):
    class Broken(Exception):
        def __init__(self):
            raise LookupError("cannot be made")

    future = kit.future()
    with pytest.raises(LookupError):
        future.set_exception(Broken)
    assert not future.done()


def test_an_exception_class_that_finishes_the_future(kit):
    future = kit.future()

    class Sneaky(Exception):
        def __init__(self):
            future.set_result(1)

    with pytest.raises(asyncio.InvalidStateError):
        future.set_exception(Sneaky)
    assert future.result() == 1


def test_stop_iteration_cannot_be_raised_into_a_future(kit):
    future = kit.future()
    reference = asyncio.Future(loop=kit.loop)
    try:
        reference.set_exception(StopIteration(1))
    except TypeError as error:
        with pytest.raises(TypeError, match=str(error)):
            future.set_exception(StopIteration(1))
        assert not future.done()
        return
    future.set_exception(StopIteration(1))
    assert str(reference.exception()) == str(future.exception())
    error = future.exception()
    assert type(error) is RuntimeError
    assert isinstance(error.__cause__, StopIteration)
    assert error.__cause__ is error.__context__


def test_traceback_does_not_grow(kit):
    future = kit.future()
    try:
        raise ValueError("x")
    except ValueError as error:
        future.set_exception(error)

    def length():
        try:
            future.result()
        except ValueError as error:
            return len(traceback.extract_tb(error.__traceback__))

    assert [length() for _ in range(2)] == [2, 1]


def test_cancel(kit):
    future = kit.future()
    assert future.cancel() is True
    assert future.cancelled()
    assert future.done()
    assert future._state == "CANCELLED"
    assert future.cancel() is False
    for ask in (future.result, future.exception):
        with pytest.raises(asyncio.CancelledError) as caught:
            ask()
        assert caught.value.args == ()


@pytest.mark.parametrize("how", [("why",), {"msg": "why"}])
def test_cancel_message(kit, how):
    future = kit.future()
    assert future.cancel(**how) if isinstance(how, dict) else future.cancel(*how)
    assert future._cancel_message == "why"
    with pytest.raises(asyncio.CancelledError) as caught:
        future.result()
    assert caught.value.args == ("why",)
    future._cancel_message = "because"
    assert future._make_cancelled_error().args == ("because",)


def test_wrong_arguments(kit):
    future = kit.future()
    for wrong in (
        lambda: future.cancel("a", "b"),
        lambda: future.cancel(message="a"),
        lambda: future.cancel("a", msg="b"),
        lambda: future.add_done_callback(),
        lambda: future.add_done_callback(print, 1),
        lambda: future.add_done_callback(print, ctx=None),
        lambda: future.set_result(),
        lambda: future.result(1),
        lambda: kit.Future(kit.loop),
        lambda: kit.Future(loops=kit.loop),
    ):
        with pytest.raises(TypeError):
            wrong()


def test_callbacks_run_soon_in_order_with_the_future(kit):
    future, told = kit.future(), []
    for i in range(6):
        future.add_done_callback(lambda f, i=i: told.append((i, f)))
    assert len(future._callbacks) == 6
    future.set_result(None)
    assert told == []
    assert future._callbacks is None
    kit.turn()
    assert told == [(i, future) for i in range(6)]
    future.add_done_callback(lambda f: told.append("late"))
    assert told[-1] != "late"
    kit.turn()
    assert told[-1] == "late"


def test_callbacks_run_in_their_context(kit):
    future, seen = kit.future(), []
    context = contextvars.copy_context()
    context.run(number.set, 7)
    future.add_done_callback(lambda f: seen.append(number.get()), context=context)
    number.set(3)
    future.add_done_callback(lambda f: seen.append(number.get()))
    number.set(4)
    pairs = future._callbacks
    assert [type(pair) for pair in pairs] == [tuple, tuple]
    assert pairs[0][1] is context
    future.set_result(None)
    kit.turn()
    assert seen == [7, 3]


def test_remove_done_callback(kit):
    future, told = kit.future(), []

    def add(future):
        told.append("add")

    def other(future):
        told.append("other")

    for callback in (add, other, add, add, other):
        future.add_done_callback(callback)
    assert future.remove_done_callback(add) == 3
    assert future.remove_done_callback(add) == 0
    assert [callback for callback, _ in future._callbacks] == [other, other]
    future.set_result(None)
    kit.turn()
    assert told == ["other", "other"]
    assert future.remove_done_callback(other) == 0


class Evil:
    """A callback whose comparison does things."""

    def __init__(self, action):
        self.action = action

    def __call__(self, future):
        pass

    def __eq__(self, other):
        self.action()
        return False

    __hash__ = None


def test_comparison_that_changes_the_callbacks(kit):
    future, refills = kit.future(), []

    def refill():
        if len(refills) < 5:
            refills.append(1)
            future.remove_done_callback(print)
            future.add_done_callback(print)

    for _ in range(3):
        future.add_done_callback(print)
    future.add_done_callback(Evil(refill))
    for _ in range(3):
        future.add_done_callback(print)
    future.remove_done_callback(object())


def test_comparison_that_finishes_the_future(kit):
    future = kit.future()
    future.add_done_callback(lambda f: None)
    future.add_done_callback(Evil(lambda: future.done() or future.set_result(1)))
    future.add_done_callback(lambda f: None)
    future.remove_done_callback(object())
    kit.turn()
    assert future.result() == 1


def test_comparison_that_raises(kit):
    def fail():
        raise LookupError("no")

    future = kit.future()
    future.add_done_callback(Evil(fail))
    with pytest.raises(LookupError):
        future.remove_done_callback(object())


def test_callbacks_that_turn_on_their_future(kit):
    future, told = kit.future(), []

    def meddle(f):
        told.append(f.cancel())
        with pytest.raises(asyncio.InvalidStateError):
            f.set_result(2)
        f.add_done_callback(lambda f: told.append("again"))
        f.remove_done_callback(meddle)

    future.add_done_callback(meddle)
    future.set_result(1)
    del future
    kit.turn(2)
    assert told == [False, "again"]


def test_a_callback_that_raises_is_reported(kit):
    future, told = kit.future(), []

    def fail(f):
        raise ZeroDivisionError

    future.add_done_callback(fail)
    future.add_done_callback(told.append)
    with kit.reports() as reports:
        future.set_result(None)
        kit.turn()
    assert [type(report["exception"]) for report in reports] == [ZeroDivisionError]
    assert "test_a_callback_that_raises_is_reported" in reports[0]["message"]
    assert told == [future]


def test_awaiting(kit):
    async def wait(future):
        return await future

    future = kit.future()
    kit.loop.call_soon(future.set_result, 5)
    assert kit.run(wait(future)) == 5
    assert kit.run(wait(future)) == 5
    failed = kit.future()
    kit.loop.call_soon(failed.set_exception, KeyError("k"))
    with pytest.raises(KeyError):
        kit.run(wait(failed))
    cancelled = kit.future()
    kit.loop.call_soon(cancelled.cancel, "stop")
    with pytest.raises(asyncio.CancelledError):
        kit.run(wait(cancelled))


def test_many_tasks_await_one_future(kit):
    future = kit.future()

    async def wait(i):
        return i, await future

    tasks = [kit.task(wait(i)) for i in range(7)]
    kit.turn()
    assert len(future._callbacks) == 7
    assert all(task._fut_waiter is future for task in tasks)
    future.set_result("x")
    assert [kit.run(task) for task in tasks] == [(i, "x") for i in range(7)]


def test_the_iterator_by_hand(kit):
    future = kit.future()
    steps = future.__await__()
    assert iter(steps) is steps
    assert next(steps) is future
    assert future._asyncio_future_blocking is True
    with pytest.raises(RuntimeError, match="await wasn't used with future"):
        steps.send(None)
    future.set_result((1, 2))
    with pytest.raises(StopIteration) as stop:
        steps.send("ignored")
    assert stop.value.value == (1, 2)
    other = iter(kit.future())
    next(other)
    with pytest.raises(KeyError):
        other.throw(KeyError("k"))
    last = kit.future().__await__()
    assert last.close() is None
    with pytest.raises(TypeError):
        kit.future().__await__().throw(1)


@pytest.mark.filterwarnings("ignore:the .type, exc, tb. signature")
@pytest.mark.parametrize("arguments", [(), (None,)])
def test_what_is_thrown_with_its_type_keeps_the_traceback_a_generator_keeps(
    kit, arguments
):
    def depths(make_steps):
        known = KeyError("k")
        with pytest.raises(KeyError):
            raise known
        for _ in range(2):
            with pytest.raises(KeyError) as caught:
                make_steps().throw(KeyError, known, *arguments)
            assert caught.value is known
            yield len(list(traceback.walk_tb(known.__traceback__)))

    def generator():
        yield

    # A generator that has not begun stands in the traceback itself, once a throw. Which
    # release keeps the frames before differs: 3.14.8 does, 3.13.0 does not.
    first, second = depths(generator)
    assert (first, second) in ((2, 2), (3, 5))
    kept = first > 2
    assert list(depths(lambda: kit.future().__await__())) == (
        [2, 3] if kept else [1, 1]
    )


def test_blocking_can_be_set(kit):
    future = kit.future()
    future._asyncio_future_blocking = 1
    assert future._asyncio_future_blocking is True
    with pytest.raises(AttributeError):
        del future._asyncio_future_blocking


def test_log_traceback_can_only_be_cleared(kit):
    future = kit.future()
    with pytest.raises(ValueError, match="can only be set to False"):
        future._log_traceback = True
    future._log_traceback = False
    with pytest.raises(AttributeError):
        del future._log_traceback


def test_repr(kit):
    future = kit.future()
    assert repr(future) == "<Future pending>"
    future.add_done_callback(print)
    assert repr(future).startswith("<Future pending cb=[print")
    future.remove_done_callback(print)
    future.set_result("r" * 100)
    assert repr(future).startswith("<Future finished result='rrr")
    cancelled = kit.future()
    cancelled.cancel()
    assert repr(cancelled) == "<Future cancelled>"
    selfish = kit.future()
    selfish.set_result([selfish])
    assert "Future finished" in repr(selfish)


def test_never_retrieved(kit):
    with kit.reports() as reports:
        future = kit.future()
        future.set_exception(ValueError("lost"))
        del future
        gc.collect()
    (report,) = reports
    assert report["message"] == "Future exception was never retrieved"
    assert str(report["exception"]) == "lost"
    assert repr(report["future"]) == "<Future finished exception=ValueError('lost')>"
    reports.clear()


@pytest.mark.parametrize("ask", ["result", "exception", "cancel"])
def test_retrieved_in_time(kit, ask):
    with kit.reports() as reports:
        future = kit.future()
        future.set_exception(ValueError("seen"))
        try:
            getattr(future, ask)()
        except ValueError:
            pass
        del future
        gc.collect()
    assert reports == []


def test_a_report_can_resurrect_the_future(kit):
    kept = []
    kit.loop.set_exception_handler(lambda loop, context: kept.append(context["future"]))
    future = kit.future()
    future.set_exception(ValueError("lost"))
    del future
    gc.collect()
    (future,) = kept
    assert isinstance(future.exception(), ValueError)
    kit.loop.set_exception_handler(None)
    kept.clear()


def test_a_report_that_fails_is_unraisable(kit, unraisable, monkeypatch):
    class Handler(BaseException):
        pass

    def handler(loop, context):
        raise SystemExit("from the handler")

    kit.loop.set_exception_handler(handler)
    future = kit.future()
    future.set_exception(ValueError("lost"))
    del future
    gc.collect()
    assert "SystemExit: from the handler" in "".join(unraisable.take())
    kit.loop.set_exception_handler(None)


def test_source_traceback_in_debug_mode(kit):
    kit.loop.set_debug(True)
    future = kit.future()
    names = [frame.name for frame in future._source_traceback]
    assert "test_source_traceback_in_debug_mode" in names
    assert "created at" in repr(future)
    with kit.reports() as reports:
        future.set_exception(ValueError())
        del future
        gc.collect()
    assert "source_traceback" in reports[0]
    reports.clear()
    kit.loop.set_debug(False)


def test_uninitialised(kit):
    future = kit.Future.__new__(kit.Future)
    stock = asyncio.Future.__new__(asyncio.Future)
    for ask in (
        lambda f: f.result(),
        lambda f: f.exception(),
        lambda f: f.set_result(1),
        lambda f: f.set_exception(ValueError()),
        lambda f: f.cancel(),
        lambda f: f.cancelled(),
        lambda f: f.done(),
        lambda f: f.get_loop(),
        lambda f: f.add_done_callback(print),
        lambda f: f.remove_done_callback(print),
        lambda f: f._state,
        lambda f: f._loop,
        lambda f: f._callbacks,
        lambda f: f._result,
        lambda f: f._exception,
        lambda f: f._log_traceback,
        lambda f: f._source_traceback,
        lambda f: f._cancel_message,
        lambda f: f._asyncio_future_blocking,
        lambda f: setattr(f, "_asyncio_future_blocking", True),
        lambda f: repr(f),
        lambda f: iter(f),
        lambda f: f.__await__(),
        lambda f: f.__del__(),
    ):
        assert said(ask, future) == said(ask, stock)


def said(ask, subject):
    try:
        return ask(subject)
    except Exception as error:
        return type(error), str(error)


def test_init_again(kit):
    def said_by(future):
        future.set_result(1)
        answer = said(lambda f: f.__init__(loop=kit.loop), future)
        return str(answer).replace("fastloop", "_asyncio"), future.done()

    assert said_by(kit.future()) == said_by(asyncio.Future(loop=kit.loop))


def test_a_subclass(kit):
    class Sub(kit.Future):
        def cancel(self, msg=None):
            cancelled.append(msg)
            return super().cancel(msg)

        @property
        def _must_not_matter(self):
            return 1

    cancelled = []
    future = Sub(loop=kit.loop)
    future.note = "x"

    async def wait():
        await future

    task = kit.task(wait())
    kit.turn()
    task.cancel("m")
    with pytest.raises(asyncio.CancelledError):
        kit.run(task)
    assert cancelled == ["m"]
    assert future.note == "x"
    assert repr(future) == "<Sub cancelled>"


def test_a_subclass_that_skips_init(kit):
    class Sub(kit.Future):
        def __init__(self):
            pass

    future = Sub()
    with pytest.raises(RuntimeError, match="not initialized"):
        future.set_result(1)
    assert future.done() is False

    async def wait():
        await future

    with pytest.raises(RuntimeError, match="not initialized"):
        kit.run(wait())


def test_attributes_weakrefs_and_hash(kit):
    future = kit.future()
    future.anything = 1
    assert future.anything == 1
    gone = []
    reference = weakref.ref(future, lambda r: gone.append(1))
    assert reference() is future
    assert {future: 1}[future] == 1
    del future
    gc.collect()
    assert gone == [1]
    assert reference() is None


def test_generic_alias(kit):
    assert kit.Future[int].__args__ == (int,)
    assert kit.Task[int].__origin__ is kit.Task


def test_cycles_are_collected(kit):
    def make(link):
        future = kit.future()
        link(future)
        return weakref.ref(future)

    class Error(Exception):
        pass

    def through_exception(future):
        error = Error()
        error.future = future
        future.set_exception(error)
        future.exception()

    def through_context(future):
        variable = contextvars.ContextVar("variable")
        context = contextvars.copy_context()
        context.run(variable.set, future)
        future.add_done_callback(print, context=context)

    references = [
        make(link)
        for link in (
            lambda f: f.set_result(f),
            lambda f: setattr(f, "me", f),
            lambda f: f.add_done_callback(f.set_result),
            lambda f: [f.add_done_callback(lambda _, f=f: f) for _ in range(5)],
            lambda f: f.cancel(f),
            lambda f: setattr(f, "steps", f.__await__()),
            through_exception,
            through_context,
        )
    ]
    gc.collect()
    assert [r() for r in references] == [None] * len(references)


def test_cancel_from_a_finalizer(kit):
    future = kit.future()

    class Canceller:
        def __del__(self):
            future.cancel("dying")

    future.add_done_callback(print, context=contextvars.copy_context())
    future.remove_done_callback(print)
    holder = Canceller()
    future.holder = holder
    del holder
    del future.holder
    assert future.cancelled()


def test_a_loop_that_is_closed(kit):
    future = kit.future()
    future.add_done_callback(print)
    kit.loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        future.set_result(1)
    assert future.done()
    with pytest.raises(RuntimeError, match="closed"):
        future.add_done_callback(print)


def test_isinstance_and_isfuture(kit):
    future = kit.future()
    assert isinstance(future, asyncio.Future)
    assert asyncio.isfuture(future)
    assert asyncio.ensure_future(future) is future
    assert asyncio.wrap_future(future) is future


def test_a_patched_call_soon_is_called(kit):
    calls, call_soon = [], kit.loop.call_soon

    def spy(callback, *args, context=None):
        calls.append((callback, args))
        return call_soon(callback, *args, context=context)

    kit.loop.call_soon = spy
    future = kit.future()
    future.add_done_callback(print)
    future.remove_done_callback(print)
    told = []
    future.add_done_callback(told.append)
    future.set_result(1)
    del kit.loop.call_soon
    assert [args for _, args in calls] == [(future,)]
    kit.turn()
    assert told == [future]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="3.14 brought awaited-by")
def test_awaited_by(kit):
    future = kit.future()
    assert future._asyncio_awaited_by is None

    async def wait():
        await future

    tasks = {kit.task(wait()) for _ in range(3)}
    kit.turn()
    assert future._asyncio_awaited_by == tasks
    future.set_result(1)
    kit.turn()
    assert not future._asyncio_awaited_by


class Garbage:
    """A cycle that adds a callback to a future when it is collected."""

    def __init__(self, future, called):
        self.itself, self.future, self.called = self, future, called

    def __del__(self):
        self.future.add_done_callback(lambda _: self.called.append("garbage's"))


@own_types
def test_garbage_that_adds_a_callback_while_one_is_added(fast_loop):
    """No callback of the three is lost, wherever the collector comes in.

    asyncio's own loses the garbage's on releases that collect inside allocations.
    """
    loop = fast_loop
    thresholds = gc.get_threshold()
    for n in range(1, 40):
        called = []
        future = loop.create_future()
        future.add_done_callback(lambda _, called=called: called.append("first"))
        gc.collect()
        Garbage(future, called)
        gc.set_threshold(n)
        future.add_done_callback(lambda _, called=called: called.append("second"))
        gc.set_threshold(*thresholds)
        gc.collect()
        future.set_result(None)
        run_once(loop)
        assert sorted(called) == ["first", "garbage's", "second"]
