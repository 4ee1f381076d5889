"""Callbacks that raise, the exception handlers, and what ends a run."""

import asyncio
import contextvars
import gc
import inspect
import signal
import socket
import weakref

import pytest

from tests.support import plain, run_once, run_until


class Boom(Exception):
    pass


def boom(*args):
    raise Boom("bang")


def collect(loop):
    """Sets a handler that keeps what it is told."""
    contexts = []
    loop.set_exception_handler(lambda loop, context: contexts.append((loop, context)))
    return contexts


def test_get_and_set(loop):
    def handler(loop, context):
        pass

    assert loop.get_exception_handler() is None
    assert loop.set_exception_handler(handler) is None
    assert loop.get_exception_handler() is handler
    loop.set_exception_handler(None)
    assert loop.get_exception_handler() is None


@pytest.mark.parametrize("rubbish", [5, "text", object()], ids=type)
def test_a_handler_must_be_callable(loop, rubbish):
    with pytest.raises(TypeError, match="A callable object or None is expected"):
        loop.set_exception_handler(rubbish)


@pytest.mark.parametrize("how", ["call_soon", "call_later", "call_soon_threadsafe"])
def test_the_handler_is_told(loop, how):
    contexts = collect(loop)
    seen = []
    delay = (0,) if how == "call_later" else ()
    handle = getattr(loop, how)(*delay, boom, 1)
    getattr(loop, how)(*delay, seen.append, "the next one runs")
    run_until(loop, lambda: seen)
    [(told, context)] = contexts
    assert told is loop
    assert set(context) == {"message", "exception", "handle"}
    assert context["handle"] is handle
    assert isinstance(context["exception"], Boom)
    assert context["message"].startswith("Exception in callback boom(")
    assert "test_exceptions.py:" in context["message"]


def test_the_traceback_shows_the_callback(loop):
    contexts = collect(loop)
    loop.call_soon(boom)
    run_once(loop)
    traceback = contexts[0][1]["exception"].__traceback__
    names = []
    while traceback:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert names[-1] == "boom"
    contexts.clear()


def test_the_default_handler_logs(loop, logs):
    loop.call_soon(boom, "argument")
    run_once(loop)
    [(level, text)] = logs.take()
    assert level == "ERROR"
    assert text.startswith("Exception in callback boom(")
    assert "\nhandle: <Handle boom(" in text
    assert "Traceback (most recent call last):" in text
    assert text.endswith("Boom: bang")


def test_the_default_handlers_words_are_asyncios(loop, logs):
    def words(loop):
        loop.call_soon(boom, "argument")
        loop.call_later(0, boom)
        run_once(loop)
        loop.default_exception_handler({"message": "hello", "b": 1, "a": [2]})
        loop.default_exception_handler({})
        loop.call_exception_handler({"message": "", "exception": Boom("no traceback")})
        return [plain(text.split("Traceback")[0]) for _, text in logs.take()]

    asyncios = asyncio.new_event_loop()
    expected = words(asyncios)
    asyncios.close()
    got = words(loop)
    strip = [text.split(" when=")[0] for text in got]
    assert strip == [text.split(" when=")[0] for text in expected]
    assert expected[2:4] == [
        "hello\na: [2]\nb: 1",
        "Unhandled exception in event loop",
    ]


def test_call_exception_handler_by_hand(loop):
    contexts = collect(loop)
    given = {"message": "by hand", "anything": 5}
    assert loop.call_exception_handler(given) is None
    assert contexts == [(loop, given)]
    assert contexts[0][1] is given


def test_a_handler_may_defer_to_the_default(loop, logs):
    loop.set_exception_handler(
        lambda loop, context: loop.default_exception_handler(context)
    )
    loop.call_soon(boom)
    run_once(loop)
    assert "Boom: bang" in logs.take_text()


def test_a_handler_that_raises_is_logged(loop, logs):
    def handler(loop, context):
        raise LookupError("in the handler")

    loop.set_exception_handler(handler)
    seen = []
    loop.call_soon(boom)
    loop.call_soon(seen.append, 1)
    run_once(loop)
    [(level, text)] = logs.take()
    assert level == "ERROR"
    assert text.startswith("Unhandled error in exception handler")
    assert "LookupError: in the handler" in text
    assert seen == [1]


def test_a_default_handler_that_raises_is_logged(loop, loop_factory, logs):
    class Broken(type(loop)):
        def default_exception_handler(self, context):
            raise LookupError("in the default handler")

    broken = Broken()
    seen = []
    broken.call_soon(boom)
    broken.call_soon(seen.append, 1)
    run_once(broken)
    assert "Exception in default exception handler" in logs.take_text()
    broken.set_exception_handler(boom)
    broken.call_soon(boom)
    broken.call_soon(seen.append, 2)
    run_once(broken)
    assert "while handling an unexpected error" in logs.take_text()
    assert seen == [1, 2]
    broken.close()


def test_an_overridden_default_handler_is_used(loop):
    contexts = []

    class Mine(type(loop)):
        def default_exception_handler(self, context):
            contexts.append(context["message"])

    mine = Mine()
    mine.call_soon(boom)
    run_once(mine)
    mine.close()
    assert len(contexts) == 1


def test_an_overridden_call_exception_handler_is_used(loop):
    contexts = []

    class Mine(type(loop)):
        def call_exception_handler(self, context):
            contexts.append(context["message"])

    mine = Mine()
    mine.call_soon(boom)
    run_once(mine)
    mine.close()
    loop.call_exception_handler = lambda context: contexts.append("assigned")
    loop.call_soon(boom)
    run_once(loop)
    assert contexts[0].startswith("Exception in callback boom(")
    assert contexts[1] == "assigned"


def test_the_handlers_context_variables(loop):
    """From 3.12 on the handler runs in the context of what failed."""
    number = contextvars.ContextVar("number", default=0)
    seen = {}

    def values(loop):
        found = []
        loop.set_exception_handler(lambda loop, context: found.append(number.get()))
        context = contextvars.copy_context()
        context.run(number.set, 5)
        loop.call_soon(boom, context=context)
        run_once(loop)
        loop.call_exception_handler({"message": "by hand"})
        return found

    asyncios = asyncio.new_event_loop()
    seen["asyncio"] = values(asyncios)
    asyncios.close()
    assert values(loop) == seen["asyncio"]


def test_a_cancelled_error_from_a_callback_is_reported(loop):
    contexts = collect(loop)

    def cancelled():
        raise asyncio.CancelledError

    loop.call_soon(cancelled)
    run_once(loop)
    assert isinstance(contexts[0][1]["exception"], asyncio.CancelledError)


def test_a_base_exception_of_ones_own_is_reported(loop):
    class Mine(BaseException):
        pass

    def raise_it():
        raise Mine

    contexts = collect(loop)
    seen = []
    loop.call_soon(raise_it)
    loop.call_soon(seen.append, 1)
    run_once(loop)
    assert isinstance(contexts[0][1]["exception"], Mine)
    assert seen == [1]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("how", ["soon", "later", "reader", "task", "done callback"])
def test_what_ends_a_run_keeps_the_rest(loop, kind, how):
    """KeyboardInterrupt and SystemExit leave at once; nothing queued is lost."""
    seen = []
    left, right = socket.socketpair()

    def leave(*args):
        loop.remove_reader(left)
        raise kind

    async def leaver():
        leave()

    task = None
    if how == "later":
        loop.call_later(0, leave)
    elif how == "reader":
        right.send(b"x")
        loop.add_reader(left, leave)
    elif how == "task":
        task = loop.create_task(leaver())
    elif how == "done callback":
        future = loop.create_future()
        future.add_done_callback(leave)
        future.set_result(None)
    else:
        loop.call_soon(leave)
    for n in range(3):
        if how in ("later", "reader"):
            loop.call_later(0, seen.append, n)
        else:
            loop.call_soon(seen.append, n)
    with pytest.raises(kind):
        loop.run_forever()
    assert not loop.is_running()
    assert seen == []
    run_until(loop, lambda: len(seen) == 3)
    assert seen == [0, 1, 2]
    if task:
        assert isinstance(task.exception(), kind)
    left.close()
    right.close()


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_run_until_complete_that_ends_so(loop, kind, logs):
    async def main():
        raise kind(3)

    with pytest.raises(kind):
        loop.run_until_complete(main())
    gc.collect()
    assert logs.take() == []
    assert loop.run_until_complete(asyncio.sleep(0, 5)) == 5


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exception_handler_that_ends_the_run(loop, kind):
    def handler(loop, context):
        raise kind

    loop.set_exception_handler(handler)
    seen = []
    loop.call_soon(boom)
    loop.call_soon(seen.append, 1)
    with pytest.raises(kind):
        run_once(loop)
    assert seen == []
    run_once(loop)
    assert seen == [1]


def test_keyboard_interrupt_in_run_cancels_the_main_task(run):
    seen = []

    async def main():
        try:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(KeyboardInterrupt):
        run(main())
    assert seen == ["cancelled"]


def test_an_exception_never_retrieved(loop, logs):
    future = loop.create_future()
    future.set_exception(Boom("lost"))
    del future
    gc.collect()
    text = logs.take_text()
    assert text.startswith("Future exception was never retrieved")
    assert "Boom: lost" in text

    async def main():
        raise Boom("lost too")

    task = loop.create_task(main())
    run_once(loop)
    del task
    gc.collect()
    text = logs.take_text()
    assert text.startswith("Task exception was never retrieved")
    assert "Boom: lost too" in text


def test_a_task_destroyed_while_pending(loop_factory, logs):
    loop = loop_factory()

    async def main():
        await loop.create_future()

    contexts = collect(loop)
    task = loop.create_task(main(), name="forgotten")
    run_once(loop)
    del task
    gc.collect()
    [(_, context)] = contexts
    assert context["message"] == "Task was destroyed but it is pending!"
    assert context["task"].get_name() == "forgotten"
    contexts.clear()
    del context
    loop.close()


def test_a_failed_callbacks_exception_is_freed(loop):
    errors = []

    def fail():
        error = Boom("short-lived")
        errors.append(weakref.ref(error))
        raise error

    loop.set_exception_handler(lambda loop, context: None)
    loop.call_soon(fail)
    run_once(loop)
    gc.collect()
    assert errors[0]() is None


def test_signature_of_the_handlers(loop):
    for name in ("call_exception_handler", "default_exception_handler"):
        assert list(inspect.signature(getattr(loop, name)).parameters) == ["context"]
