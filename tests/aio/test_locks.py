"""Lock, Event, Semaphore, BoundedSemaphore and Condition, beside asyncio's."""

import abc
import asyncio
import collections
import copy
import gc
import inspect
import pickle
import re
import sys
import weakref
from unittest import mock

import pytest

import fastloop
from fastloop import aio

NAMES = ["Lock", "Event", "Semaphore", "BoundedSemaphore", "Condition"]


async def turns(number=3):
    for _ in range(number):
        await asyncio.sleep(0)


def without_address(text):
    return re.sub("0x[0-9a-f]+", "0x", text)


# ---- the classes ----


@pytest.mark.parametrize("name", NAMES)
def test_classes_are_asyncios_subclasses(name):
    ours, theirs = getattr(aio, name), getattr(asyncio, name)
    assert issubclass(ours, theirs)
    assert isinstance(ours(), theirs)
    assert ours.__name__ == ours.__qualname__ == theirs.__name__
    assert ours.__doc__
    assert type(ours) is type
    for member in vars(theirs):
        assert hasattr(ours, member), member


def test_bounded_semaphores_are_semaphores(mod):
    assert issubclass(mod.BoundedSemaphore, mod.Semaphore)


@pytest.mark.parametrize("name", NAMES)
def test_signatures(name):
    ours, theirs = getattr(aio, name), getattr(asyncio, name)
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    for member in dir(theirs):
        function = getattr(theirs, member)
        if not member.startswith("__") and inspect.isfunction(function):
            mine = getattr(ours, member)
            wanted = str(inspect.signature(function)).replace("(self", "(self, /")
            got = str(inspect.signature(mine))
            assert got in (wanted, str(inspect.signature(function))), member


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("Lock", "acquire"), ("Semaphore", "acquire"), ("Event", "wait"),
        ("Lock", "__aenter__"), ("Lock", "__aexit__"), ("Condition", "wait"),
        ("Condition", "wait_for"),
    ],
)  # fmt: skip
def test_coroutine_functions_are_known_as_such(mod, name, function):
    function = getattr(getattr(mod, name), function)
    assert inspect.iscoroutinefunction(function)
    if sys.version_info < (3, 14):  # which deprecates it
        assert asyncio.iscoroutinefunction(function)
    assert inspect.isroutine(function)
    assert function.__doc__ or function.__name__.startswith("__")
    assert function.__module__ == "asyncio.locks"
    assert re.fullmatch(r"<function [\w.]+ at 0x\w+>", repr(function))


def test_bound_methods(mod):
    lock = mod.Lock()
    assert inspect.ismethod(lock.acquire)
    assert lock.acquire.__self__ is lock
    assert lock.acquire.__func__ is mod.Lock.acquire
    assert lock.acquire == lock.acquire
    assert inspect.iscoroutinefunction(lock.acquire)


def test_a_mock_of_a_coroutine_function_is_awaitable(mod, run):
    async def main():
        lock = mod.Lock()
        with mock.patch.object(lock, "acquire") as fake:
            await lock.acquire()
            assert isinstance(fake, mock.AsyncMock)
            async with lock_like(lock):
                pass

    def lock_like(lock):
        lock._locked = True
        return lock

    run(main())


def test_functions_pickle_by_name():
    fastloop.accelerate()
    try:
        acquire = asyncio.Lock.acquire
        assert acquire is aio.Lock.acquire
        assert pickle.loads(pickle.dumps(acquire)) is acquire
    finally:
        fastloop.decelerate()


# ---- what is seen ----


def test_reprs(mod, run):
    async def main():
        lock, event, semaphore = mod.Lock(), mod.Event(), mod.Semaphore(2)
        condition, bounded = mod.Condition(), mod.BoundedSemaphore()
        things = (lock, event, semaphore, condition, bounded)
        seen = [without_address(repr(thing)) for thing in things]
        await lock.acquire()
        event_wait = asyncio.create_task(event.wait())
        waiting = asyncio.create_task(lock.acquire())
        async with condition, bounded, semaphore, semaphore:
            await turns()
            seen += [without_address(repr(thing)) for thing in things]
        lock.release()
        event.set()
        await waiting
        await event_wait
        seen += [without_address(repr(thing)) for thing in things]
        return seen

    kinds = ["Lock", "Event", "Semaphore", "Condition", "BoundedSemaphore"]
    states = [
        "unlocked", "unset", "unlocked, value:2", "unlocked", "unlocked, value:1",
        "locked, waiters:1", "unset, waiters:1", "locked", "locked", "locked",
        "locked", "set", "unlocked, value:2", "unlocked", "unlocked, value:1",
    ]  # fmt: skip
    assert run(main()) == [
        f"<asyncio.locks.{kind} object at 0x [{state}]>"
        for kind, state in zip(kinds * 3, states, strict=True)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_repr_of_one_that_is_not_plain(mod, name):
    thing = getattr(mod, name)()
    plain = repr(thing)
    thing.release = thing.set = thing.notify = thing.locked = lambda: False
    assert repr(thing) == plain


def test_repr_of_a_subclass(mod):
    class Mine(mod.Lock):
        pass

    assert re.fullmatch(r"<[\w.<>]+\.Mine object at 0x\w+ \[unlocked\]>", repr(Mine()))


def test_the_coroutine(mod, run):
    async def main():
        coro = mod.Lock().acquire()
        assert asyncio.iscoroutine(coro)
        assert inspect.isawaitable(coro)
        assert coro.__name__ == "acquire"
        assert coro.__qualname__ == "Lock.acquire"
        assert re.fullmatch(r"<coroutine object Lock.acquire at 0x\w+>", repr(coro))
        assert await asyncio.create_task(coro) is True
        with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
            await coro

    run(main())


def test_never_awaited(mod):
    with pytest.warns(RuntimeWarning, match="coroutine 'Lock.acquire' was never await"):
        mod.Lock().acquire()
        gc.collect()


def test_nothing_happens_before_it_is_awaited(mod, run):
    async def main():
        lock = mod.Lock()
        coro = lock.acquire()
        assert not lock.locked()
        coro.close()
        coro = lock.acquire()
        with pytest.raises(StopIteration) as stop:
            coro.send(None)
        assert stop.value.value is True
        assert lock.locked()

    run(main())


def test_thrown_into_and_closed_while_it_waits(mod, run):
    async def main():
        lock = mod.Lock()
        await lock.acquire()
        for end in ("throw", "close", "drop"):
            coro = lock.acquire()
            future = coro.send(None)
            assert list(lock._waiters) == [future]
            future._asyncio_future_blocking = False
            if end == "throw":
                with pytest.raises(ValueError, match="here"):
                    coro.throw(ValueError("here"))
            elif end == "close":
                coro.close()
            del coro
            gc.collect()
            assert list(lock._waiters) == []

    run(main())


# ---- private attributes ----


def test_attributes_of_a_lock(mod, run):
    async def main():
        lock = mod.Lock()
        assert (lock._locked, lock._waiters, lock._loop) == (False, None, None)
        lock._locked = True
        assert lock.locked()
        waiting = asyncio.create_task(lock.acquire())
        await turns()
        assert isinstance(lock._waiters, collections.deque)
        assert lock._loop is asyncio.get_running_loop()
        assert lock._waiters[0].done() is False
        lock._waiters[0].set_result(True)
        assert await waiting is True
        lock._waiters = collections.deque()
        lock._locked = 0
        assert lock.locked() == 0
        await lock.acquire()
        assert lock._locked is True
        lock._loop = None

    run(main())


def test_attributes_of_an_event(mod, run):
    async def main():
        event = mod.Event()
        assert event._value is False
        assert event._waiters == collections.deque()
        assert event._waiters is event._waiters
        future = asyncio.get_running_loop().create_future()
        event._waiters.append(future)
        event.set()
        assert await future is True
        event._value = False
        assert not event.is_set()
        event._value = "yes"
        assert event.is_set() == "yes"
        assert await event.wait() is True

    run(main())


def test_attributes_of_semaphores(mod, run):
    async def main():
        semaphore, bounded = mod.Semaphore(3), mod.BoundedSemaphore(2)
        assert (semaphore._value, semaphore._waiters) == (3, None)
        assert (bounded._value, bounded._bound_value) == (2, 2)
        semaphore._value = 1
        await semaphore.acquire()
        assert semaphore.locked()
        bounded._bound_value = 3
        bounded.release()
        with pytest.raises(ValueError, match="BoundedSemaphore released too many"):
            bounded.release()
        semaphore._value = 1.5
        await semaphore.acquire()
        assert semaphore._value == 0.5
        big = 1 << 80
        semaphore._value = big
        semaphore.release()
        assert semaphore._value == big + 1
        assert f"value:{big + 1}" in repr(semaphore)

    run(main())


def test_attributes_of_a_condition(mod, run):
    async def main():
        lock = mod.Lock()
        condition = mod.Condition(lock)
        assert condition._lock is lock
        assert condition._waiters == collections.deque()
        assert condition.acquire == lock.acquire
        assert condition.locked() is False
        condition.acquire = mock.AsyncMock()
        condition.release = mock.Mock()
        async with condition:
            condition.acquire.assert_awaited_once()
        condition.release.assert_called_once()

    run(main())


def test_a_condition_over_another_lock(mod, run):
    async def main():
        for lock in (asyncio.Lock(), aio.Lock(), mod.Semaphore(1), mod.Lock()):
            condition = mod.Condition(lock=lock)
            async with condition:
                assert lock.locked()
                condition.notify(n=2)
                condition.notify_all()
            with pytest.raises(RuntimeError, match="cannot notify on un-acquired lock"):
                condition.notify()
            with pytest.raises(RuntimeError, match="cannot wait on un-acquired lock"):
                await condition.wait()

    run(main())


def test_without_init(mod):
    class Mine(mod.Lock):
        def __init__(self):
            pass

    lock = Mine()
    with pytest.raises(AttributeError, match="_locked"):
        lock.locked()
    with pytest.raises(AttributeError, match="_locked"):
        repr(lock)
    with pytest.raises(AttributeError, match="_locked"):
        lock._locked  # noqa: B018


def test_other_attributes_weak_references_and_copies(mod):
    for name in NAMES[:4]:
        thing = getattr(mod, name)()
        thing.mine = 1
        assert weakref.ref(thing)() is thing
        assert hash(thing) == hash(thing)
        if name != "Event":
            clone = copy.copy(thing)
            assert (type(clone), clone.mine) == (type(thing), 1)
            assert clone.locked() == thing.locked()
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        clone = pickle.loads(pickle.dumps(mod.Semaphore(7), protocol))
        assert clone._value == 7


def test_init_again(mod, run):
    async def main():
        lock = mod.Lock()
        await lock.acquire()
        lock.__init__()
        assert not lock.locked()

    run(main())


def test_bad_arguments(mod):
    for name in ("Lock", "Event"):
        with pytest.raises(TypeError, match=r"takes 1 positional argument but 2"):
            getattr(mod, name)(1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'loop'"):
        mod.Lock(loop=None)
    with pytest.raises(ValueError, match="initial value must be >= 0"):
        mod.Semaphore(-1)
    with pytest.raises(TypeError, match="not supported between"):
        mod.Semaphore("1")
    with pytest.raises(RuntimeError, match=r"Lock is not acquired."):
        mod.Lock().release()
    with pytest.raises(TypeError, match=r"acquire\(\) takes 1 positional argument"):
        mod.Lock().acquire(1)
    assert mod.Semaphore(value=2)._value == 2


def test_cycles_are_collected(mod):
    class Seen:
        pass

    for name in NAMES:
        thing = getattr(mod, name)()
        thing.seen = Seen()
        gone = weakref.ref(thing.seen)
        if name == "Condition":
            thing._lock = thing
        else:
            thing._waiters = collections.deque([thing])
        del thing
        gc.collect()
        assert gone() is None, name


# ---- what is overridden is called ----


def test_overridden_in_a_subclass(mod, run):
    class Mine(mod.Lock):
        calls = ()

        async def acquire(self):
            self.calls += ("acquire",)
            return await super().acquire()

        def release(self):
            self.calls += ("release",)
            super().release()

        def _wake_up_first(self):
            self.calls += ("wake",)
            super()._wake_up_first()

    async def main():
        lock = Mine()
        async with lock:
            pass
        assert lock.calls == ("acquire", "release", "wake")

    run(main())


def test_overridden_in_an_instance(mod, run):
    async def main():
        lock, semaphore = mod.Lock(), mod.Semaphore()
        lock.release = mock.Mock()
        semaphore._wake_up_next = mock.Mock(return_value=False)
        async with lock:
            pass
        lock.release.assert_called_once_with()
        async with semaphore:
            pass
        semaphore._wake_up_next.assert_called_once_with()
        del lock.release
        lock.release()

    run(main())


def test_patched_in_the_class(mod, run):
    async def main():
        lock, event = mod.Lock(), mod.Event()
        async with lock:
            pass
        released = []
        with mock.patch.object(mod.Lock, "release", lambda self: released.append(self)):
            async with lock:
                pass
        assert released == [lock]
        lock.release()
        broken = mock.patch.object(mod.Event, "_get_loop", side_effect=ValueError)
        with broken, pytest.raises(ValueError):
            await event.wait()
        await asyncio.wait_for(lock.acquire(), 10)

    run(main())


def test_attributes_as_properties(mod, run):
    class Mine(mod.Semaphore):
        @property
        def _value(self):
            return self.level

        @_value.setter
        def _value(self, value):
            self.level = value

    async def main():
        semaphore = Mine(2)
        await semaphore.acquire()
        assert semaphore.level == 1
        semaphore.release()
        assert semaphore.level == 2

    run(main())


def test_with_other_bases(mod, run):
    class Named(abc.ABC):  # noqa: B024
        def __init__(self, name):
            self.name = name

    class Mine(mod.Lock, Named):
        def __init__(self):
            mod.Lock.__init__(self)
            Named.__init__(self, "me")

    async def main():
        async with Mine() as entered:
            assert entered is None

    run(main())


def test_asyncios_methods_by_their_full_name(mod, run):
    async def main():
        lock = mod.Lock()
        await asyncio.Lock.acquire(lock)
        assert lock.locked() and asyncio.Lock.locked(lock)
        second = asyncio.create_task(lock.acquire())
        await turns()
        asyncio.Lock.release(lock)
        assert await second is True
        await asyncio.Semaphore.acquire(mod.Semaphore())

    run(main())


# ---- waiting ----


def test_order_and_handing_over(mod, run):
    async def main():
        lock, order = mod.Lock(), []

        async def worker(number):
            async with lock:
                order.append(number)
                await turns(1)

        tasks = [asyncio.create_task(worker(number)) for number in range(5)]
        await turns(1)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == [0, 1, 3, 4]
        assert not lock.locked()

    run(main())


def test_cancelled_when_it_was_woken_already(mod, run):
    async def main():
        lock = mod.Lock()
        await lock.acquire()
        first = asyncio.create_task(lock.acquire())
        second = asyncio.create_task(lock.acquire())
        await turns()
        lock.release()
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        assert await second is True
        semaphore = mod.Semaphore(0)
        first = asyncio.create_task(semaphore.acquire())
        second = asyncio.create_task(semaphore.acquire())
        await turns()
        semaphore.release()
        first.cancel()
        await asyncio.wait([first])
        assert await second is True
        assert semaphore._value == 0

    run(main())


def test_bound_to_one_loop(mod, loop_factory):
    async def contend(lock):
        task = asyncio.create_task(lock.acquire())
        await turns()
        return task

    lock = mod.Lock()
    lock._locked = True
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(contend(lock))
    lock._waiters = None
    with asyncio.Runner(loop_factory=loop_factory) as runner:

        async def main():
            text = r"<asyncio\.locks\.Lock object at \w+ \[locked\]> is bound to a"
            with pytest.raises(RuntimeError, match=text):
                await lock.acquire()

        runner.run(main())


def test_without_a_loop(mod):
    event = mod.Event()
    coro = event.wait()
    with pytest.raises(AttributeError, match="has no attribute 'create_future'"):
        coro.send(None)
    event.set()


def test_waiters_lost_meanwhile(mod, run):
    """As asyncio's, it fails where it would take itself out."""

    async def main():
        lock, event, semaphore = mod.Lock(), mod.Event(), mod.Semaphore(0)
        await lock.acquire()
        for thing, wait in ((lock, lock.acquire), (event, event.wait),
                            (semaphore, semaphore.acquire)):  # fmt: skip
            task = asyncio.create_task(wait())
            await turns()
            (future,) = thing._waiters
            thing._waiters.clear()
            future.cancel()
            with pytest.raises(ValueError) as failed:
                await task
            assert isinstance(failed.value.__context__, asyncio.CancelledError)
            task = asyncio.create_task(wait())
            await turns()
            (future,) = thing._waiters
            thing._waiters = None
            future.set_result(True)
            with pytest.raises(AttributeError, match="NoneType"):
                await task

    run(main())


def test_futures_of_other_kinds(mod, run):
    """create_future may give anything that can be awaited, as any loop's may."""

    async def main():
        loop = asyncio.get_running_loop()
        loop.create_future = lambda: asyncio.futures._PyFuture(loop=loop)
        try:
            lock, event, semaphore = mod.Lock(), mod.Event(), mod.Semaphore(0)
            await lock.acquire()
            tasks = [
                asyncio.create_task(coro)
                for coro in (lock.acquire(), event.wait(), semaphore.acquire())
            ]
            cancelled = asyncio.create_task(lock.acquire())
            await turns()
            assert type(event._waiters[0]) is asyncio.futures._PyFuture
            cancelled.cancel()
            lock.release()
            event.set()
            semaphore.release()
            assert await asyncio.gather(*tasks) == [True] * 3
            assert cancelled.cancelled()
        finally:
            del loop.create_future

    run(main())


def test_a_future_that_fails(mod, run):
    async def main():
        lock = mod.Lock()
        await lock.acquire()
        task = asyncio.create_task(lock.acquire())
        await turns()
        lock._waiters[0].set_exception(KeyError("odd"))
        with pytest.raises(KeyError):
            await task
        assert not lock._waiters

    run(main())


def test_stock_and_ours_in_one_program(run):
    async def main():
        ours, theirs = aio.Lock(), asyncio.Lock()
        async with ours, theirs:
            waiting = [asyncio.create_task(lock.acquire()) for lock in (ours, theirs)]
            await turns()
        assert await asyncio.gather(*waiting) == [True, True]

    run(main())


def test_a_barrier_over_them(mod, run):
    async def main():
        barrier = asyncio.Barrier(3)
        barrier._cond = mod.Condition()
        assert sorted(await asyncio.gather(*(barrier.wait() for _ in range(3)))) == [
            0,
            1,
            2,
        ]

    run(main())


def test_less_memory():
    # An event that nobody waits for has no deque.
    assert sys.getsizeof(aio.Event()) < sys.getsizeof(collections.deque()) / 2


# ---- a condition's ways that do not wait ----


def test_wait_for_goes_round_without_waiting(run, mod):
    class Told(mod.Condition):
        async def wait(self):
            return True

    async def main():
        condition, answers = Told(), iter([0] * 50_000 + ["met"])
        async with condition:
            assert await condition.wait_for(lambda: next(answers)) == "met"

    run(main())


def test_acquire_is_tried_until_it_is_not_cancelled(run, mod):
    async def main():
        condition, tries = mod.Condition(), []
        await condition.acquire()
        task = asyncio.create_task(condition.wait())
        await turns()

        async def acquire():
            tries.append(1)
            if len(tries) < 50_000:
                raise asyncio.CancelledError(len(tries))
            return True

        condition.acquire = acquire
        task.cancel("first")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert len(tries) == 50_000
        return caught.value.args

    assert run(main()) == (() if sys.version_info < (3, 13) else (49_999,))


def test_result_that_is_kept_is_not_written_to(run, mod):
    async def main():
        lock = mod.Lock()

        def acquired():
            with pytest.raises(StopIteration) as stop:
                next(lock.acquire().__await__())
            lock.release()
            return stop.value

        first = acquired()
        first.args, first.note = (5,), "seen"
        second = acquired()
        assert second is not first
        assert (second.args, second.value, vars(second)) == ((True,), True, {})
        second.args = (6,)
        second.__suppress_context__ = True
        del first, second
        gc.collect()
        third = acquired()
        assert (third.args, third.__suppress_context__) == ((True,), False)

    run(main())
