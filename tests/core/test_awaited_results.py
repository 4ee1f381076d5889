"""The exception in which a result comes out of an await."""

import asyncio
import gc
import sys
import weakref

import pytest


def stopped(iterator):
    """The StopIteration by which it ends."""
    with pytest.raises(StopIteration) as error:
        next(iterator)
    return error.value


def test_a_result_by_hand_is_an_exception_of_its_own(run):
    async def main():
        loop = asyncio.get_running_loop()
        caught = []
        for value in ([1], (2, 3), ValueError(4)):
            future = loop.create_future()
            future.set_result(value)
            caught.append(stopped(future.__await__()))
            assert await future is value
        assert [error.value for error in caught] == [[1], (2, 3), caught[2].args[0]]
        assert len({id(error) for error in caught}) == 3
        for error in caught:
            assert type(error) is StopIteration
            assert error.args == (error.value,)
            assert gc.is_tracked(error)
            assert error.__cause__ is None

    run(main())


def test_what_is_left_in_one_is_not_found_in_the_next(run):
    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(3):
            future = loop.create_future()
            future.set_result(1)
            iterator = future.__await__()
            error = stopped(iterator)
            assert vars(error) == {}
            assert error.args == (1,)
            assert error.value == 1
            error.note = "left"
            error.args = ()
            error.value = "other"
            error.__cause__ = KeyError()
            del error, iterator
            assert await future == 1

    run(main())


def test_a_result_is_not_kept(run):
    class Thing:
        pass

    async def main():
        future = asyncio.get_running_loop().create_future()
        future.set_result(Thing())
        thing = weakref.ref(await future)
        assert thing() is future.result()
        del future
        assert thing() is None

    run(main())


def test_a_tracer_sees_each_result(run):
    """sys.settrace() is told of the exception; it may keep it."""
    seen = []

    def trace(frame, event, arg):
        if event == "exception" and arg[0] is StopIteration:
            seen.append(arg[1])
        return trace

    async def wait(value):
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, value)
        return await future

    async def main():
        return [await wait(number) for number in (1000, 2000, 3000)]

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert run(main()) == [1000, 2000, 3000]
    finally:
        sys.settrace(before)
    values = [error.value for error in seen if error.value in (1000, 2000, 3000)]
    assert sorted(values) == values  # which of the awaits it is told of is Python's
    assert set(values) in (set(), {1000, 2000, 3000})
