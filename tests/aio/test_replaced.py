"""What patches, subclasses and copies replace of a class is what is called then."""

import abc
import asyncio
import copy
import pickle
from unittest import mock

import pytest

CLASSES = [
    *("Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore", "TaskGroup"),
    *("Queue", "PriorityQueue", "LifoQueue", "Timeout"),
    *("StreamReader", "StreamReaderProtocol", "StreamWriter"),
]


@pytest.fixture(params=CLASSES)
def class_of(request, mod):
    return getattr(mod, request.param)


def test_an_abstract_class_makes_no_object(class_of):
    class Abstract(class_of, abc.ABC):
        @abc.abstractmethod
        def missing(self):
            pass

    class Whole(Abstract):
        missing = None

        def __del__(self):  # it never was a StreamWriter
            pass

    with pytest.raises(TypeError, match=r"abstract class Abstract .*missing"):
        Abstract.__new__(Abstract)
    assert isinstance(Whole.__new__(Whole), class_of)


def test_a_method_put_into_the_dictionary_is_called(run, mod):
    async def main():
        said = []
        lock = mod.Lock()
        vars(lock)["release"] = lambda: said.append("released")
        async with lock:
            pass
        assert lock.locked()
        queue = mod.Queue()
        queue.__dict__ = {**vars(queue), "_put": said.append}
        queue.put_nowait("item")
        return said

    assert run(main()) == ["released", "item"]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_has_the_patches(run, mod, copied):
    async def main():
        said = []
        queue = mod.Queue()
        queue._put = mock.Mock(side_effect=said.append)
        other = copied(queue)
        other.put_nowait(1)
        return other.qsize(), other._put.call_count

    assert run(main()) == (0, 1)


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda found: pickle.loads(pickle.dumps(found))],
)
def test_a_copy_of_a_condition(run, mod, copied):
    async def main():
        condition = mod.Condition()
        other = copied(condition)
        async with other:
            assert other.locked()
            shared = condition.locked()
        assert not other.locked()
        return shared

    assert run(main()) == (copied is copy.copy)


def test_patches_of_a_queue_do_not_reach_other_kinds(run, mod):
    def kept():
        queue = mod.PriorityQueue()
        for item in (3, 1, 2):
            queue.put_nowait(item)
        return [queue.get_nowait() for _ in range(3)]

    async def main():
        put, get = mod.Queue._put, mod.Queue._get
        with (
            mock.patch.object(mod.Queue, "_put", lambda self, item: put(self, item)),
            mock.patch.object(mod.Queue, "_get", lambda self: get(self)),
            mock.patch.object(mod.Queue, "_init", None),
        ):
            return kept()

    assert run(main()) == [1, 2, 3]
    lifo = mod.LifoQueue()
    with pytest.raises(AttributeError, match="popleft"):
        super(mod.LifoQueue, lifo)._get()


def test_a_readers_patched_set_transport_is_called(run, mod):
    async def main():
        said = []
        for target in (mod.StreamReader, mod.StreamReader()):
            with mock.patch.object(
                target, "set_transport", lambda *args: said.append(args[-1])
            ):
                reader = target if target is not mod.StreamReader else target()
                protocol = mod.StreamReaderProtocol(reader)
                protocol.connection_made(transport := asyncio.Transport())
                assert said.pop() is transport

    run(main())


@pytest.mark.parametrize("timeout", [None, 1])
def test_what_cannot_be_awaited(run, mod, timeout):
    async def main(mod):
        with pytest.raises(TypeError) as caught:
            await mod.wait_for(1, timeout)
        return str(caught.value)

    assert run(main(mod)) == run(main(asyncio))
