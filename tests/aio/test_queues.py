"""Queue, PriorityQueue and LifoQueue, beside asyncio's."""

import asyncio
import collections
import copy
import gc
import inspect
import pickle
import sys
import weakref

import pytest

from fastloop import aio

NAMES = ["Queue", "PriorityQueue", "LifoQueue"]


async def turns(number=3):
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize("name", NAMES)
def test_classes_are_asyncios_subclasses(name):
    ours, theirs = getattr(aio, name), getattr(asyncio, name)
    assert issubclass(ours, theirs)
    assert issubclass(ours, aio.Queue)
    assert isinstance(ours(), theirs)
    assert ours.__name__ == theirs.__name__
    assert ours.__doc__
    assert type(ours) is type
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    assert ours[int].__origin__ is ours
    for member in ("put", "get", "join"):
        assert inspect.iscoroutinefunction(getattr(ours, member))


@pytest.mark.parametrize("name", NAMES)
def test_private_attributes(mod, run, name):
    async def main():
        queue = getattr(mod, name)(2)
        assert (queue._maxsize, queue._unfinished_tasks, queue._loop) == (2, 0, None)
        assert type(queue._queue) is (collections.deque if name == "Queue" else list)
        assert queue._queue is queue._queue
        assert queue._finished.is_set()
        assert queue._getters == queue._putters == collections.deque()
        queue._queue.append("direct")
        assert (queue.qsize(), queue.empty(), queue.full()) == (1, False, False)
        assert await queue.get() == "direct"
        waiting = asyncio.create_task(queue.get())
        await turns()
        assert len(queue._getters) == 1
        assert queue._loop is asyncio.get_running_loop()
        queue.put_nowait(1)
        assert len(queue._getters) == 0
        assert await waiting == 1
        assert not queue._finished.is_set()
        queue._unfinished_tasks = 5
        queue.task_done()
        assert queue._unfinished_tasks == 4
        queue._maxsize = 0
        for number in range(5):
            queue.put_nowait(number)
        queue._queue = type(queue._queue)([7])
        assert queue.get_nowait() == 7
        queue._queue.clear()
        with pytest.raises(asyncio.QueueEmpty):
            queue.get_nowait()

    run(main())


def test_overridden_in_a_subclass(mod, run):
    class Unique(mod.Queue):
        def _init(self, maxsize):
            self._queue = set()
            self.began_with = maxsize

        def _put(self, item):
            self._queue.add(item)

        def _get(self):
            return self._queue.pop()

    async def main():
        queue = Unique(maxsize=2)
        assert queue.began_with == 2
        await queue.put(1)
        await queue.put(1)
        await queue.put(2)
        assert queue.full()
        putting = asyncio.create_task(queue.put(3))
        await turns()
        assert await queue.get() in (1, 2)
        await putting
        assert queue.qsize() == 2
        assert queue._queue in ({1, 3}, {2, 3})

    run(main())


def test_items_of_a_subclass_race(mod, run):
    """What its methods do to the queue, to themselves and to who waits is seen."""

    class Odd(mod.PriorityQueue):
        def _init(self, maxsize):
            self._queue = collections.OrderedDict()

        def _put(self, item):
            if item == "refused":
                raise KeyError(item)
            self._queue[item] = None

        def _get(self):
            if self.fails:
                raise LookupError
            return self._queue.popitem(last=False)[0]

        fails = False

    async def main():
        queue = Odd(2)
        getting = [asyncio.create_task(queue.get()) for _ in range(4)]
        await turns()
        with pytest.raises(KeyError):
            await queue.put("refused")
        assert queue._unfinished_tasks == 0
        await queue.put("one")
        getting[0].cancel()
        await queue.put("two")
        await turns()
        ends = [t.cancelled() or (t.done() and t.result()) for t in getting[:3]]
        queue.fails = True
        queue.put_nowait("three")
        await turns()
        assert isinstance(getting[3].exception(), LookupError)
        assert queue.qsize() == 1
        with pytest.raises(LookupError):
            queue.get_nowait()
        queue.fails = False
        assert queue.get_nowait() == "three"
        queue._get = lambda: queue._queue.popitem()[0] * 2
        queue.put_nowait("x")
        assert await queue.get() == "xx"
        Odd._get = lambda self: 7
        del queue._get
        queue.put_nowait("y")
        assert await queue.get() == 7
        Odd.qsize = lambda self: 2
        assert queue.full()
        with pytest.raises(asyncio.QueueFull):
            queue.put_nowait("z")
        return ends, queue._unfinished_tasks

    assert run(main()) == ([True, "one", "two"], 5)


def test_items_in_what_is_no_container(mod, run):
    class Sized:
        def __len__(self):
            return 3

        def __bool__(self):
            return False

    class Odd(mod.Queue):
        def _init(self, maxsize):
            self._queue = Sized()

        def _put(self, item):
            pass

    async def main():
        queue = Odd(3)
        return queue.qsize(), queue.empty(), queue.full()

    assert run(main()) == (3, True, True)


def test_a_method_replaced_is_called(mod, run):
    async def main():
        queue, seen = mod.Queue(), []
        queue.put_nowait = seen.append
        await queue.put(1)
        assert (seen, queue.qsize()) == ([1], 0)

        class Logged(mod.LifoQueue):
            def get_nowait(self):
                seen.append("get")
                return super().get_nowait()

        lifo = Logged()
        await lifo.put(1)
        await lifo.put(2)
        assert await lifo.get() == 2
        assert seen == [1, "get"]

    run(main())


class Item:
    """Compares by what it is told to do."""

    def __init__(self, less):
        self.less = less

    def __lt__(self, other):
        return self.less()


def test_a_comparison_that_raises_loses_nothing(mod, run):
    async def main():
        queue = mod.PriorityQueue()
        queue.put_nowait(Item(bool))

        def fail():
            raise ValueError("incomparable")

        with pytest.raises(ValueError, match="incomparable"):
            await queue.put(Item(fail))
        assert (queue.qsize(), queue._unfinished_tasks) == (2, 1)

        def stop():
            raise StopIteration

        queue._queue.pop()
        with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
            await queue.put(Item(stop))

    run(main())


def test_a_number_of_unfinished_items_that_is_set(mod, run):
    """The event that join() waits for is asked, not the number."""

    async def main():
        queue = mod.Queue()
        queue._unfinished_tasks = 5
        await asyncio.wait_for(queue.join(), 10)
        queue.put_nowait(None)
        queue._unfinished_tasks = 2
        joining = asyncio.create_task(queue.join())
        await turns()
        queue.task_done()
        await turns()
        assert not joining.done()
        queue.task_done()
        await joining
        del queue._unfinished_tasks
        with pytest.raises(AttributeError, match="_unfinished_tasks"):
            queue.put_nowait(None)

    run(main())


def test_a_comparison_that_uses_the_queue(mod, run):
    async def main():
        queue = mod.PriorityQueue()

        def meddle():
            queue._getters = collections.deque()
            queue._unfinished_tasks = 10
            queue._finished = asyncio.Event()
            gc.collect()
            return True

        waiting = asyncio.create_task(queue.get())
        await turns()
        queue._queue.append(Item(bool))
        queue.put_nowait(Item(meddle))
        assert queue._unfinished_tasks == 11
        assert not queue._finished.is_set()
        waiting.cancel()
        await asyncio.wait([waiting])

    run(main())


def test_woken_and_cancelled_hands_on(mod, run):
    async def main():
        queue = mod.Queue()
        first = asyncio.create_task(queue.get())
        second = asyncio.create_task(queue.get())
        await turns()
        queue.put_nowait("item")
        first.cancel()
        assert await second == "item"
        full = mod.Queue(1)
        full.put_nowait(0)
        first = asyncio.create_task(full.put(1))
        second = asyncio.create_task(full.put(2))
        await turns()
        assert full.get_nowait() == 0
        first.cancel()
        await second
        assert full.get_nowait() == 2

    run(main())


def test_join_and_task_done(mod, run):
    async def main():
        queue = mod.Queue()
        await queue.join()
        queue.put_nowait(1)
        joining = asyncio.create_task(queue.join())
        await turns()
        assert not joining.done()
        await queue.get()
        queue.task_done()
        await joining
        with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
            queue.task_done()

    run(main())


def test_join_is_cancelled_and_goes_on(mod, run):
    async def main():
        queue = mod.Queue()
        for item in range(2):
            queue.put_nowait(item)
        joins = [asyncio.create_task(queue.join()) for _ in range(3)]
        await turns()
        joins[0].cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await joins[0]
        queue.task_done()
        await turns()
        assert not joins[1].done()
        queue.task_done()
        queue.put_nowait(3)  # whom it has woken, it lets go
        await turns()
        assert [join.result() for join in joins[1:]] == [None, None]
        joining = asyncio.create_task(queue.join())
        queue._finished = event = asyncio.Event()
        await turns()
        assert len(event._waiters) == 1
        queue.task_done()
        await joining
        coro = queue.join()
        assert coro.__qualname__ == "Queue.join"
        await coro

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in 3.13")
def test_shutdown(mod, run):
    async def main():
        queue = mod.Queue(1)
        queue.put_nowait(1)
        putting = asyncio.create_task(queue.put(2))
        await turns()
        queue.shutdown()
        with pytest.raises(asyncio.QueueShutDown):
            await putting
        assert await queue.get() == 1
        for use in (queue.get, lambda: queue.put(1)):
            with pytest.raises(asyncio.QueueShutDown):
                await use()
        assert "shutdown" in repr(queue)
        other = mod.Queue()
        getting = asyncio.create_task(other.get())
        await turns()
        other.shutdown(immediate=True)
        with pytest.raises(asyncio.QueueShutDown):
            await getting

    run(main())


def test_bad_arguments(mod):
    with pytest.raises(TypeError):
        mod.Queue(1, 2)
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):
        mod.Queue(size=1)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        mod.Queue().put_nowait()
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        mod.Queue().put()
    queue = mod.Queue(maxsize=1.5)
    queue.put_nowait(item=1)
    assert not queue.full()
    queue.put_nowait(2)
    assert queue.full()


def test_item_by_keyword(mod, run):
    async def main():
        queue = mod.Queue()
        await queue.put(item=3)
        assert await queue.get() == 3

    run(main())


def test_bound_to_one_loop(mod, loop_factory):
    queue = mod.Queue()

    async def wait():
        task = asyncio.create_task(queue.get())
        await turns()
        task.cancel()

    async def wait_elsewhere():
        with pytest.raises(RuntimeError, match=r"Queue .*is bound to a different"):
            await queue.get()

    for use in (wait, wait_elsewhere):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(use())


def test_copies_cycles_and_weak_references(mod):
    clone = copy.copy(mod.Queue(3))
    clone.put_nowait(1)
    assert (clone.qsize(), clone.maxsize, type(clone)) == (1, 3, mod.Queue)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        clone = pickle.loads(pickle.dumps(mod.LifoQueue(2), protocol))
        assert (clone.maxsize, clone.qsize()) == (2, 0)

    class Seen:
        pass

    for name in NAMES:
        queue, seen = getattr(mod, name)(), Seen()
        gone = weakref.ref(seen)
        queue.put_nowait((queue, seen))
        assert weakref.ref(queue)() is queue
        del queue, seen
        gc.collect()
        assert gone() is None


def test_less_memory():
    assert sys.getsizeof(aio.Queue()) < sys.getsizeof(collections.deque())
