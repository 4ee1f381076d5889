"""asyncio's methods and getters, called by their full name on our objects.

`asyncio.Task.cancel(task)`, `map(asyncio.Task.result, tasks)`: they do what the bound
ones do. Every member of asyncio's types is found by looking, and tried on objects in
every state; what it answers, what the object and whoever waits for it are then, is
compared with what the bound one does on another of its like.
"""

import asyncio
import contextvars
import gc
import io
import re
import signal
import types
import weakref

import pytest

import fastloop
from tests.core.conftest import Kit
from tests.support import child_says, not_sanitized, own_types

pytestmark = own_types

# Of object, or made by the type itself.
OF_OBJECT = (set(dir(object)) | {"__dict__", "__weakref__", "__module__"}) - {
    "__repr__"
}
# Of the class; __init__ has a test of its own.
ELSEWHERE = {"__class_getitem__", "__init__"}


def arguments(name, subject):
    """What to give the method of that name, beside the object; a list of tries."""

    def told(future):
        pass

    return {
        "set_result": [(1,)],
        "set_exception": [(ValueError("set"),)],
        "add_done_callback": [(subject.seen.append,)],
        "remove_done_callback": [(subject.callback,), (told,)],
        "cancel": [(), ("why",)],
        "set_name": [("other",)],
        "print_stack": [()],
        "get_stack": [()],
    }.get(name, [()])


class Subject:
    """An object in some state, and somebody who waits for it."""

    def __init__(self, kit, kind, state):
        self.kit, self.seen, self.told, self.waited = kit, [], [], None
        self.gate = kit.future()
        self.callback = self.told.append
        self.object = getattr(self, kind)(state)
        self.object.add_done_callback(self.callback)
        self.waiter = kit.task(self.wait())
        self.second = kit.task(self.wait())
        kit.turn(3)

    def future(self, state):
        future = self.kit.future()
        if state == "finished":
            future.set_result(7)
        elif state == "failed":
            future.set_exception(KeyError("failed"))
        elif state == "cancelled":
            future.cancel("cancelled")
        return future

    def task(self, state):
        async def run():
            if state == "finished":
                return 7
            if state == "failed":
                raise KeyError("failed")
            return await self.gate

        task = self.kit.task(run(), name="subject")
        if state == "cancelled":
            self.kit.turn(2)
            task.cancel("cancelled")
        if state != "fresh":
            self.kit.turn(3)
        return task

    async def wait(self):
        try:
            self.seen.append(await self.object)
        except BaseException as error:
            self.seen.append(shown(error))

    def end(self):
        """Let everybody go on; what they saw then."""
        self.kit.turn(3)
        after = [shown(self.object)]
        if not self.gate.done():
            self.gate.set_result(9)
        self.kit.turn(3)
        if not self.object.done():
            self.object.set_result(9)
        self.kit.turn(4)
        assert self.waiter.done()
        assert self.second.done()
        if not self.object.cancelled():
            self.object.exception()
        return [*after, shown(self.object), *map(shown, self.seen), len(self.told)]


def shown(value):
    """repr without what differs from object to object."""
    if isinstance(value, list):
        return list(map(shown, value))
    text = re.sub(r"0x[0-9a-f]+", "0x", repr(value))
    return re.sub(r"Task-\d+", "Task-N", text)


def answer(call, *args):
    try:
        value = call(*args)
    except BaseException as error:
        return type(error), shown(error)
    if isinstance(value, fastloop.Task | fastloop.Future | asyncio.Future):
        return shown(value)
    if hasattr(value, "send"):
        return "an iterator"
    return shown(value)


def members(kind):
    found = {}
    for base in reversed(kind.__mro__[:-1]):
        found.update(vars(base))
    return {k: v for k, v in found.items() if k not in OF_OBJECT}


def cases():
    for kind, stock in ("future", asyncio.Future), ("task", asyncio.Task):
        for state in ("pending", "fresh", "finished", "failed", "cancelled"):
            if kind == "future" and state == "fresh":
                continue
            for name in sorted(members(stock).keys() - ELSEWHERE):
                yield kind, state, name


def calls(name, bound, subject):
    """Pairs of a call and its arguments, by the full name or bound."""
    stock = asyncio.Task if isinstance(subject.object, asyncio.Task) else asyncio.Future
    member = members(stock)[name]
    if isinstance(member, types.GetSetDescriptorType | property):
        if bound:
            yield lambda: getattr(subject.object, name), ()
        else:
            yield lambda: member.__get__(subject.object), ()
        return
    for args in arguments(name, subject):
        if bound:
            yield getattr(subject.object, name), args
        else:
            yield getattr(stock, name), (subject.object, *args)


def story(kit, kind, state, name, bound, which):
    subject = Subject(kit, kind, state)
    told = []
    call, args = list(calls(name, bound, subject))[which]
    if name == "print_stack":
        out = io.StringIO()
        told.append(answer(lambda *a: call(*a, file=out), *args))
        told.append(len(out.getvalue().splitlines()))
    else:
        told.append(answer(call, *args))
    return told + subject.end()


@pytest.mark.parametrize(("kind", "state", "name"), list(cases()))
def test_as_the_bound_one(kit, kind, state, name):
    if kit.ours and name == "_callbacks" and state in ("pending", "fresh"):
        pytest.skip("differs: test_a_waiting_task_is_the_callback")
    with kit.reports() as reports:
        for which in range(len(arguments(name, Subject(kit, kind, "finished")))):
            bound = story(kit, kind, state, name, True, which)
            n_reports = len(reports)
            unbound = story(kit, kind, state, name, False, which)
            assert unbound == bound
            assert len(reports) == 2 * n_reports
            reports.clear()


def test_who_waits_is_seen_alike_by_both_names(kit):
    future = kit.future()

    async def wait():
        return await future

    tasks = [kit.task(wait()) for _ in range(3)]
    kit.turn()
    shown = future._callbacks
    found = asyncio.Future._callbacks.__get__(future)
    assert found == shown
    assert [callback.__self__ for callback, _ in found] == tasks
    assert all(callable(callback) for callback, _ in found)
    for callback, _ in (*found[:2], shown[2]):
        assert asyncio.Future.remove_done_callback(future, callback) == 1
    assert future._callbacks is None
    for callback, context in shown:
        future.add_done_callback(callback, context=context)
    asyncio.Future.set_result(future, 1)
    assert [kit.run(task) for task in tasks] == [1, 1, 1]


def test_ours_takes_out_who_waits(kit):
    future = kit.future()

    async def wait():
        return await future

    tasks = [kit.task(wait()) for _ in range(3)]
    kit.turn()
    found = asyncio.Future._callbacks.__get__(future)
    for callback, _ in found:
        assert future.remove_done_callback(callback) == 1
    assert asyncio.Future._callbacks.__get__(future) is None
    for callback, context in found:
        asyncio.Future.add_done_callback(future, callback, context=context)
    future.set_result(1)
    assert [kit.run(task) for task in tasks] == [1, 1, 1]


@pytest.mark.parametrize("look", ["hold", "weakly"])
def test_a_wake_up_that_somebody_holds_stays_its_tasks(kit, look):
    """Ours are used again, but for those."""

    async def wait(*futures):
        for future in futures:
            await future

    first, second = kit.future(), kit.future()
    task = kit.task(wait(first, second))
    kit.turn()
    seen = first._callbacks[0][0]
    held = seen if look == "hold" else weakref.ref(seen)
    del seen
    first.set_result(None)
    kit.turn(2)
    others = [kit.future() for _ in range(5)]
    tasks = [kit.task(wait(other)) for other in others]
    kit.turn()
    if look == "hold":
        assert held.__self__ is task
    else:
        assert held() is None or held().__self__ is task
    assert second._callbacks[0][0].__self__ is task
    for other, waiter in zip(others, tasks, strict=True):
        ((callback, _),) = other._callbacks
        assert callback.__self__ is waiter
        assert callback is not held
        other.set_result(None)
    second.set_result(None)
    for waiter in (task, *tasks):
        kit.run(waiter)


def test_what_waits_after_a_freeze_is_collected_all_the_same(kit):
    """gc.freeze() keeps what is there by then, and no task that is made later."""

    async def wait(future):
        await future

    future = kit.future()
    task = kit.task(wait(future))
    kit.turn()
    future.set_result(None)
    kit.run(task)
    gc.freeze()
    try:
        task = kit.task(wait(kit.future()))
        task._log_destroy_pending = False
        gone = weakref.ref(task)
        kit.turn()
        del task
        gc.collect()
        assert gone() is None
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("how", ["set_result", "set_exception", "cancel"])
@pytest.mark.parametrize("debug", [False, True])
def test_all_who_wait_are_woken_in_order(kit, how, debug):
    future, seen = kit.future(), []

    async def wait(number):
        try:
            seen.append((number, await future))
        except BaseException as error:
            seen.append((number, type(error)))

    tasks = [kit.task(wait(number)) for number in range(3)]
    kit.turn()
    future.add_done_callback(lambda future: seen.append("told"))
    tasks.append(kit.task(wait(3)))
    kit.turn()
    kit.loop.set_debug(debug)
    args = {"set_result": (7,), "set_exception": (KeyError(),), "cancel": ()}[how]
    getattr(asyncio.Future, how)(future, *args)
    kit.turn()
    kit.loop.set_debug(False)
    what = {"set_result": 7, "set_exception": KeyError}.get(how, asyncio.CancelledError)
    assert seen == [(0, what), (1, what), (2, what), "told", (3, what)]


def test_call_soon_replaced_while_a_task_waits(kit):
    future, calls = kit.future(), []

    async def wait():
        return await future

    task = kit.task(wait())
    kit.turn()
    call_soon = kit.loop.call_soon

    def spy(callback, *args, context=None):
        calls.append(args)
        return call_soon(callback, *args, context=context)

    kit.loop.call_soon = spy
    asyncio.Future.set_result(future, 1)
    del kit.loop.call_soon
    assert calls == [(future,)]
    assert kit.run(task) == 1


@pytest.mark.parametrize("how", ["set_result", "set_exception", "cancel"])
@pytest.mark.parametrize("full_name", [False, True])
def test_a_call_soon_in_python_can_call_what_wakes(kit, how, full_name):
    """It is not handed on, but called by a function of the program's."""
    future, called = kit.future(), []

    async def wait():
        try:
            return await future
        except BaseException as error:
            return type(error)

    tasks = [kit.task(wait()) for _ in range(3)]
    kit.turn()
    call_soon = kit.loop.call_soon

    def spy(callback, *args, context=None):
        def run():
            called.append(callable(callback))
            callback(*args)

        return call_soon(run, context=context)

    kit.loop.call_soon = spy
    args = {"set_result": (7,), "set_exception": (KeyError(),), "cancel": ()}[how]
    if full_name:
        getattr(asyncio.Future, how)(future, *args)
    else:
        getattr(future, how)(*args)
    del kit.loop.call_soon
    kit.turn()
    what = {"set_result": 7, "set_exception": KeyError}.get(how, asyncio.CancelledError)
    assert called == [True] * 3
    assert [kit.run(task) for task in tasks] == [what] * 3


class Delegating:
    """Awaits a future by the full name of asyncio's method."""

    def __init__(self, future, how):
        self.future, self.how = future, how

    def __await__(self):
        if self.how == "iter":
            return (yield from asyncio.Future.__iter__(self.future))
        return (yield from asyncio.Future.__await__(self.future))


@pytest.mark.parametrize("how", ["iter", "await"])
@pytest.mark.parametrize("end", ["set_result", "set_exception", "cancel"])
def test_awaited_by_full_name(kit, how, end):
    future = kit.future()
    seen = []

    async def wait():
        try:
            seen.append(await Delegating(future, how))
        except BaseException as error:
            seen.append(type(error))

    tasks = [kit.task(wait()) for _ in range(3)]
    kit.turn()
    assert len(asyncio.Future._callbacks.__get__(future)) == 3
    args = {"set_result": (7,), "set_exception": (KeyError(),), "cancel": ()}[end]
    getattr(asyncio.Future, end)(future, *args)
    kit.turn(2)
    what = {"set_result": 7, "set_exception": KeyError}.get(end, asyncio.CancelledError)
    assert seen == [what] * 3
    assert all(task.done() for task in tasks)


SETTERS = {
    "_log_traceback": [False, True],
    "_asyncio_future_blocking": [True, False],
    "_cancel_message": ["other", None],
    "_log_destroy_pending": [False, True],
    "_source_traceback": [None],
}


@pytest.mark.parametrize("state", ["pending", "finished", "failed", "cancelled"])
@pytest.mark.parametrize("kind", ["future", "task"])
@pytest.mark.parametrize("name", SETTERS)
def test_setters_as_the_bound_ones(kit, kind, state, name):
    stock = asyncio.Task if kind == "task" else asyncio.Future
    member = members(stock).get(name)
    if member is None:
        pytest.skip("there is no such attribute")
    for value in [*SETTERS[name], "deleted"]:
        stories = []
        for bound in True, False:
            subject = Subject(kit, kind, state)
            if value == "deleted":
                call = [lambda op: delattr(op, name), member.__delete__][not bound]
                told = answer(call, subject.object)
            elif bound:
                told = answer(setattr, subject.object, name, value)
            else:
                told = answer(member.__set__, subject.object, value)
            if isinstance(told, tuple):
                told = told[0]  # the error's words name the type
            read = answer(getattr, subject.object, name)
            assert read == answer(member.__get__, subject.object)
            stories.append([told, read, *subject.end()])
        assert stories[0] == stories[1]


ON_A_TASK = {
    "set_result": (3,),
    "set_exception": (ValueError,),  # one that is kept would keep who it came by
    "cancel": ("why",),
    "result": (),
    "exception": (),
    "done": (),
    "cancelled": (),
    "__repr__": (),
    "__del__": (),
    "_make_cancelled_error": (),
}


def futures_method_on_a_task(kit, name, state):
    gate = kit.future()
    seen = []

    async def run():
        if state == "failed":
            raise KeyError("failed")
        return 7 if state == "finished" else await gate

    async def wait():
        try:
            seen.append(shown(await task))
        except BaseException as error:
            seen.append(shown(error))

    with kit.reports() as reports:
        coro = run()
        task = kit.task(coro, name="subject")
        kit.turn(0 if state == "fresh" else 2)
        if state == "cancelled":
            task.cancel("cancelled")
            kit.turn(2)
        waiter = kit.task(wait())
        if state != "fresh":
            kit.turn()
        told = [answer(getattr(asyncio.Future, name), task, *ON_A_TASK[name])]
        kit.turn(4)
        told += [answer(task.result), answer(task.done), waiter.done()]
        if not gate.done():
            gate.set_result(9)
        kit.turn(4)
        told += [answer(task.result), *seen]
        told += [(type(r.get("exception")), "task" in r) for r in reports]
        reports.clear()
    kit.run(waiter)
    coro.close()
    return [re.sub(r"fastloop\.|_asyncio\.", "", str(each)) for each in told]


@pytest.mark.parametrize("name", ON_A_TASK)
def test_futures_own_methods_on_a_task(kit, name):
    """They pass by what a task has in their place, with what follows in asyncio."""
    plain = Kit("asyncio", "asyncio")
    for state in "fresh", "pending", "finished", "failed", "cancelled":
        expected = futures_method_on_a_task(plain, name, state)
        assert futures_method_on_a_task(kit, name, state) == expected
    plain.loop.close()


def test_who_waits_comes_with_his_context(kit):
    future = kit.future()
    variable = contextvars.ContextVar("variable")
    contexts = [contextvars.copy_context() for _ in range(3)]

    async def wait():
        return await future

    tasks = []
    for n, context in enumerate(contexts):
        context.run(variable.set, n)
        tasks.append(context.run(kit.task, wait()))
    kit.turn()
    for found in future._callbacks, asyncio.Future._callbacks.__get__(future):
        assert [context[variable] for _, context in found] == [0, 1, 2]
    future.set_result(None)
    for task in tasks:
        kit.run(task)


MEMORY = """
import asyncio, gc, tracemalloc
loop = new_event_loop()
N = 2000

async def wait(future):
    await future

def used(make):
    gc.collect()
    kept = [None] * N
    before = tracemalloc.get_traced_memory()[0]
    for n in range(N):
        kept[n] = make(n)
    loop.call_soon(loop.stop)
    loop.run_forever()
    gc.collect()
    return kept, (tracemalloc.get_traced_memory()[0] - before) / N

loop.run_until_complete(asyncio.sleep(0))
tracemalloc.start()
futures, of_future = used(lambda n: loop.create_future())
names = [f"task {n}" for n in range(N)]
coros = [wait(future) for future in futures]
tasks, of_task = used(lambda n: loop.create_task(coros[n], name=names[n]))
tracemalloc.stop()
print(of_future, of_task)
for future in futures:
    future.set_result(None)
loop.run_until_complete(asyncio.gather(*tasks))
loop.close()
"""


@not_sanitized
def test_they_take_no_more_memory_than_asyncios(fast_kind):
    """Pending futures, and tasks that wait for one each; bytes of Python's own."""
    ours = list(map(float, child_says("fastloop", MEMORY).split()))
    asyncios = list(map(float, child_says("asyncio", MEMORY).split()))
    for mine, theirs in zip(ours, asyncios, strict=True):
        assert mine <= theirs * 1.01, (ours, asyncios)


def test_a_task_that_waits_for_nothing_is_no_callback(kit):
    """It can't be called, and is not stepped by mistake."""
    future, gate, steps = kit.future(), kit.future(), []

    async def wait():
        steps.append(1)
        await gate
        steps.append(2)

    task = kit.task(wait())
    kit.turn()
    with kit.reports() as reports:
        future.add_done_callback(task)
        future.set_result(1)
        kit.turn(2)
    assert isinstance(reports[0]["exception"], TypeError)
    assert "not callable" in str(reports[0]["exception"])
    assert not callable(task)
    assert steps == [1]
    gate.set_result(None)
    kit.run(task)


def test_begun_again_by_asyncio(kit):
    """asyncio.Task.__init__ on a task of ours: asyncio's own steps drive it then."""
    gate, seen = kit.future(), []

    async def first():
        seen.append("first")

    async def second():
        seen.append(await gate)
        await asyncio.sleep(0)
        return "done"

    task = kit.task(first())
    kit.run(task)
    coro = second()
    try:
        asyncio.Task.__init__(task, coro, loop=kit.loop)
    except RuntimeError as error:  # since 3.15
        assert "already initialized" in str(error)
        return coro.close()
    kit.turn()
    asyncio.Future.set_result(gate, 7)
    assert kit.run(task) == "done"
    assert seen[-1] == 7


def test_default_names_are_of_one_count(kit):
    async def nothing():
        pass

    tasks = []
    for _ in range(4):
        tasks.append(kit.task(nothing()))
        tasks.append(asyncio.Task(nothing(), loop=kit.loop))
    names = [task.get_name() for task in tasks]
    assert names == [asyncio.Task.get_name(task) for task in tasks]
    numbers = [int(name.removeprefix("Task-")) for name in names]
    assert numbers == list(range(numbers[0], numbers[0] + 8))
    kit.turn(2)


def run_once(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


# What is asyncio's own there: a library's subclass says asyncio.BaseEventLoop.
LOOPS = asyncio.BaseEventLoop, asyncio.SelectorEventLoop


@pytest.mark.parametrize("cls", LOOPS)
def test_a_loops_callbacks(loop, cls):
    seen = []
    cls.call_at(loop, loop.time() + 0.1, seen.append, "last")
    cls.call_at(loop, 0, seen.append, "at")
    gone = cls.call_at(loop, 0, seen.append, "cancelled")
    cls.call_soon_threadsafe(loop, seen.append, "thread")
    cls.call_soon(loop, seen.append, "soon")
    cls._add_callback(loop, loop.call_soon(seen.append, "twice"))
    gone.cancel()
    loop.call_later(0.2, cls.stop, loop)
    cls.run_forever(loop)
    assert seen == ["thread", "soon", "twice", "twice", "at", "last"]


@pytest.mark.parametrize("cls", LOOPS)
def test_a_loop_is_closed(loop, cls):
    timer = weakref.ref(loop.call_later(60, print))
    loop.run_until_complete(loop.run_in_executor(None, int))
    cls.close(loop)
    assert loop.is_closed()
    assert cls.is_closed(loop)
    gc.collect()
    assert timer() is None
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.call_soon(print)
    if cls is asyncio.BaseEventLoop and not isinstance(loop, fastloop.Loop):
        # it leaves what asyncio's selector loop has besides
        loop._closed = False
        loop.close()


def test_a_loops_signal_handlers(loop):
    seen = []
    asyncio.SelectorEventLoop.add_signal_handler(loop, signal.SIGUSR1, seen.append, 1)
    loop.call_soon(signal.raise_signal, signal.SIGUSR1)
    loop.call_later(0.1, loop.stop)
    loop.run_forever()
    assert seen == [1]
    assert asyncio.SelectorEventLoop.remove_signal_handler(loop, signal.SIGUSR1)
    asyncio.SelectorEventLoop.add_signal_handler(loop, signal.SIGUSR1, seen.append, 1)
    asyncio.SelectorEventLoop.close(loop)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


@pytest.mark.parametrize("debug", [False, True])
def test_handles(loop, debug):
    loop.set_debug(debug)
    seen = []
    for make in (
        loop.call_soon,
        loop.call_soon_threadsafe,
        lambda *call: loop.call_later(0, *call),
    ):
        make(asyncio.Handle._run, make(seen.append, "run"))
        handle = make(seen.append, "cancelled")
        assert not asyncio.Handle.cancelled(handle)
        asyncio.Handle.cancel(handle)
        asyncio.Handle.cancel(handle)
        assert asyncio.Handle.cancelled(handle)
        assert handle.cancelled()
        assert handle._callback is None
        assert handle._args is None
        assert "append" in repr(handle) if debug else "append" not in repr(handle)
        run_once(loop)
    run_once(loop)
    run_once(loop)
    assert seen == ["run"] * 6


def test_timers(loop):
    timer = loop.call_later(60, print)
    assert asyncio.TimerHandle.when(timer) == timer.when()
    asyncio.TimerHandle.cancel(timer)
    assert timer.cancelled()
    assert asyncio.TimerHandle.__eq__(timer, timer)
    assert hash(timer) == asyncio.TimerHandle.__hash__(timer)


def test_no_larger_than_asyncios(kit):
    ours = fastloop.Future(loop=kit.loop)
    assert ours.__sizeof__() == asyncio.Future(loop=kit.loop).__sizeof__()
    assert fastloop.Task.__basicsize__ <= asyncio.Task.__basicsize__ + 16
