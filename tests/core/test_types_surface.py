"""Where the members of Future and Task come from, and calls that go round them."""

import asyncio
import contextvars
import gc
import subprocess
import sys
import types
import weakref

import pytest

import fastloop
from tests.support import NOTE, SLOWER, child_args, child_env, child_says, own_types

pytestmark = own_types

PAIRS = [(fastloop.Future, asyncio.Future), (fastloop.Task, asyncio.Task)]
# Of object, or made by the type itself.
NOT_A_MEMBER = {"__doc__", "__module__", "__new__", "__dict__", "__weakref__"}


def members(kind):
    """The names that this type of asyncio's, or a base of it, defines."""
    defined = {}
    for base in reversed(kind.__mro__[:-1]):
        defined.update(vars(base))
    return sorted(defined.keys() - NOT_A_MEMBER)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_every_member_is_ours_and_in_c(ours, theirs):
    for name in members(theirs):
        owner = next(base for base in ours.__mro__ if name in vars(base))
        assert owner is ours, f"{name} is {owner}'s"
        assert not isinstance(vars(ours)[name], types.FunctionType), name
    assert "__new__" in vars(ours)
    assert ours.__new__ is not theirs.__new__


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_nothing_is_added(ours, theirs):
    assert vars(ours).keys() - set(members(theirs)) <= NOT_A_MEMBER


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_the_types_themselves(ours, theirs):
    assert issubclass(ours, theirs)
    assert ours.__module__ == "fastloop"
    assert ours.__doc__
    assert not issubclass(fastloop.Task, fastloop.Future)
    with pytest.raises(TypeError, match="immutable type"):
        ours.result = None
    for name in members(theirs):
        if not name.startswith("_"):
            assert getattr(ours, name).__doc__, name


def test_the_loop_hands_them_out(loop_factory):
    loop = loop_factory()
    if isinstance(loop, fastloop.Loop):

        async def nothing():
            pass

        task = loop.create_task(nothing())
        assert type(task) is fastloop.Task
        assert type(loop.create_future()) is fastloop.Future
        loop.run_until_complete(task)
    loop.close()


def unbound_calls():
    """(name, call) of everything asyncio's types can do to an instance."""
    for theirs in (asyncio.Future, asyncio.Task):
        for name in members(theirs):
            member = next(vars(b)[name] for b in theirs.__mro__ if name in vars(b))
            if name in ("__init__", "__class_getitem__"):
                continue
            label = f"{theirs.__name__}.{name}"
            if isinstance(member, types.GetSetDescriptorType):
                yield label, member.__get__
                yield label + "=", lambda subject, m=member: m.__set__(subject, False)
            else:
                yield label, member
                yield label + "(x)", lambda subject, m=member: m(subject, ValueError())


def subjects(loop):
    """Futures and tasks of ours in every state."""

    async def nothing():
        pass

    async def forever():
        await loop.create_future()

    pending, result, failed, cancelled = (fastloop.Future(loop=loop) for _ in range(4))
    result.set_result(1)
    failed.set_exception(ValueError())
    failed.exception()
    cancelled.cancel()
    done, ready, waiting = (
        fastloop.Task(coro(), loop=loop) for coro in (nothing, nothing, forever)
    )
    loop.call_soon(loop.stop)
    loop.run_forever()
    ready = fastloop.Task(nothing(), loop=loop)
    raw = fastloop.Task.__new__(fastloop.Task), fastloop.Future.__new__(fastloop.Future)
    return [pending, result, failed, cancelled, done, ready, waiting, *raw]


def test_unbound_calls_of_asyncios_methods_never_crash(loop):
    loop.set_exception_handler(lambda loop, context: None)
    for _, call in unbound_calls():
        for subject in subjects(loop):
            try:
                call(subject)
            except (TypeError, RuntimeError, asyncio.InvalidStateError):
                pass
            except (AttributeError, asyncio.CancelledError, ValueError):
                pass
            if isinstance(subject, fastloop.Task):
                subject._log_destroy_pending = False
                if subject._coro is not None:
                    subject._coro.close()
        loop.call_soon(loop.stop)
        loop.run_forever()
        gc.collect()


def test_base_init_on_ours(loop):
    """asyncio's __init__ on our object, before or while it is in use."""

    async def nothing():
        pass

    future = fastloop.Future(loop=loop)
    task = fastloop.Task(nothing(), loop=loop)
    for made in future, task:
        if sys.version_info >= (3, 15):
            with pytest.raises(RuntimeError, match="object is already initialized"):
                asyncio.Future.__init__(made, loop=loop)
        else:
            asyncio.Future.__init__(made, loop=loop)
    future.set_result(1)
    assert loop.run_until_complete(future) == 1
    loop.run_until_complete(task)


def test_private_attributes_that_libraries_read(kit):
    future = kit.future()

    async def wait():
        await future

    task = kit.task(wait(), context=contextvars.copy_context())
    kit.turn()
    assert task._fut_waiter is future
    assert not task._fut_waiter.done()
    assert task._must_cancel is False
    ((wakeup, context),) = future._callbacks
    assert wakeup.__self__ is task
    assert isinstance(context, contextvars.Context)
    assert future.remove_done_callback(wakeup) == 1
    future.add_done_callback(wakeup, context=context)
    assert task._loop is kit.loop
    assert task._coro.cr_code is wait.__code__
    task._log_destroy_pending = False
    assert task._log_destroy_pending is False
    task.add_done_callback(print)
    assert task._callbacks[0][0] is print
    task.remove_done_callback(print)
    future.set_exception(KeyError("k"))
    assert isinstance(future._exception, KeyError)
    assert future._result is None
    kit.turn()
    assert task._state == "FINISHED"
    assert isinstance(task._exception, KeyError)
    assert task._log_traceback is True
    task._log_traceback = False


def test_private_attributes_of_a_cancelled_task(kit):
    """In each state, and which of them can be set."""

    def look():
        waits = None if task._fut_waiter is None else task._fut_waiter.cancelled()
        return task._state, waits, task._must_cancel, task._cancel_message

    def can_set(name, value):
        try:
            setattr(task, name, value)
        except AttributeError:
            return False
        return True

    async def wait():
        await kit.future()

    seen = []
    task = kit.task(wait())
    seen.append(look())
    kit.turn()
    seen.append(look())
    task.cancel("message")
    seen.append(look())
    assert not can_set("_must_cancel", True)
    assert not can_set("_fut_waiter", None)
    assert not can_set("_coro", None)
    assert not can_set("_loop", None)
    assert can_set("_cancel_message", "another")
    kit.turn()
    seen.append(look())
    assert seen == [
        ("PENDING", None, False, None),
        ("PENDING", False, False, None),
        ("PENDING", True, False, None),  # the message is with the future
        ("CANCELLED", None, False, None),
    ]
    error = task._make_cancelled_error()
    assert type(error) is asyncio.CancelledError
    early = kit.task(wait())
    early.cancel()
    assert early._must_cancel is True
    kit.turn()
    assert early._must_cancel is False


def test_attributes_of_ones_own_on_a_task(kit):
    """Monitors keep theirs there; neither type shows them in a __dict__."""

    async def nothing():
        pass

    task = kit.task(nothing())
    task._orig_coro = task._started_at = 5
    assert (task._orig_coro, task._started_at) == (5, 5)
    del task._started_at
    assert not hasattr(task, "_started_at")
    assert not hasattr(task, "__dict__")
    assert {task: 1}[task] == 1
    assert weakref.ref(task)() is task
    kit.run(task)
    assert task._orig_coro == 5


def test_asyncios_dictionary_of_current_tasks(kit):
    """Profilers read it; 3.14 has the current task elsewhere."""
    seen = []

    async def look():
        seen.append(dict(asyncio.tasks._current_tasks))
        await asyncio.sleep(0)
        seen.append(dict(asyncio.tasks._current_tasks))

    task = kit.task(look())
    kit.run(task)
    if sys.version_info < (3, 14):
        assert seen == [{kit.loop: task}] * 2
    else:
        assert seen == [{}, {}]
    assert kit.loop not in asyncio.tasks._current_tasks
    if sys.version_info >= (3, 12):
        assert task not in asyncio.tasks._eager_tasks


def test_run_until_complete_adds_asyncios_own_callback(kit):
    seen = []

    async def look():
        await asyncio.sleep(0)
        seen.extend(callback for callback, _ in asyncio.current_task()._callbacks)

    kit.run(look())
    assert seen == [asyncio.base_events._run_until_complete_cb]


def test_source_traceback_items_can_be_deleted(kit):
    kit.loop.set_debug(True)
    future = kit.future()
    count = len(future._source_traceback)
    del future._source_traceback[-1]
    assert len(future._source_traceback) == count - 1
    kit.loop.set_debug(False)


def test_unbound_set_exception_on_a_task(kit):
    """As some debuggers do it: it ends the task, and its next step is reported."""

    async def nothing():
        pass

    coro = nothing()
    task = kit.task(coro)
    asyncio.Future.set_exception(task, ValueError())
    with kit.reports() as reports, pytest.raises(ValueError):
        kit.run(task)
    assert "already done" in str(reports[0]["exception"])
    coro.close()


INTERPRETER_EXIT = """
import asyncio, fastloop, sys

async def wait(kept):
    await asyncio.get_running_loop().create_future()

loop = fastloop.new_event_loop()
task = fastloop.Task(wait(1), loop=loop)
loop.call_soon(loop.stop)
loop.run_forever()
task._log_destroy_pending = False
sys.modules["kept"] = task
future = fastloop.Future(loop=loop)
future.me = future
ready = fastloop.Task(wait(2), loop=loop)
ready._log_destroy_pending = False
ready.get_coro().close()
print("end", flush=True)
"""


def test_tasks_alive_at_interpreter_exit():
    assert child_says("fastloop", INTERPRETER_EXIT, flags=("-W", "ignore")) == "end\n"


STOCK = """
import asyncio, fastloop
assert fastloop.Task is asyncio.Task and fastloop.Future is asyncio.Future

async def main():
    loop = asyncio.get_running_loop()
    assert type(loop).__module__.startswith("fastloop")
    task = loop.create_task(asyncio.sleep(0, 5))
    assert type(task) is asyncio.Task, type(task)
    assert type(loop.create_future()) is asyncio.Future
    assert asyncio.current_task() in asyncio.all_tasks()
    async with asyncio.timeout(5):
        return await task

print(fastloop.run(main()))
"""


def test_the_switch_to_stock_types():
    assert child_says("asyncio", STOCK, FASTLOOP_STOCK_TYPES="1") == "5\n"


def test_the_switch_tells_in_debug_mode():
    done = subprocess.run(
        child_args("asyncio", "import fastloop"),
        env=child_env(FASTLOOP_STOCK_TYPES="1", PYTHONASYNCIODEBUG="1"),
        capture_output=True,
        text=True,
        timeout=20 * SLOWER,
        check=True,
    )
    assert done.stderr == NOTE
