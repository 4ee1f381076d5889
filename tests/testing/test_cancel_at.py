"""Cancelling at each await."""

import asyncio

import pytest

from fastloop.testing import cancel_at, every_await


async def three(seen):
    for i in range(3):
        seen.append(i)
        await asyncio.sleep(0.001 * i)
    seen.append("end")
    return "returned"


def test_cancel_at(run):
    async def main():
        for n in range(1, 6):
            seen = []
            cut = cancel_at(n)
            result = await cut(three(seen))
            assert asyncio.current_task().cancelling() == 0
            found.append((seen, cut.cancelled, result))

    found = []
    run(main())
    assert found == [
        ([0], True, None),
        ([0, 1], True, None),
        ([0, 1, 2], True, None),
        ([0, 1, 2, "end"], False, "returned"),
        ([0, 1, 2, "end"], False, "returned"),
    ]


def test_awaits_of_what_it_awaits(run):
    async def inner(seen):
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            seen.append("inner")
            raise

    async def outer(seen):
        await asyncio.sleep(0)
        await inner(seen)

    async def main():
        seen = []
        assert await cancel_at(2)(outer(seen)) is None
        return seen

    assert run(main()) == ["inner"]


def test_who_takes_the_cancellation(run):
    async def stubborn():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return "went on"

    async def main():
        return await cancel_at(1)(stubborn())

    assert run(main()) == "went on"


def test_who_raises_something_else(run):
    async def fails():
        try:
            await asyncio.sleep(10)
        finally:
            raise KeyError(1)

    async def main():
        with pytest.raises(KeyError):
            await cancel_at(1)(fails())

    run(main())


def test_who_is_cancelled_meanwhile(run):
    async def main():
        task = asyncio.ensure_future(cancel_at(5)(asyncio.Event().wait()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


class Pool:
    """Two connections, which cancellation loses."""

    def __init__(self, *, careful):
        self.careful = careful
        self.n_free = 2

    async def use(self):
        self.n_free -= 1
        try:
            if self.careful:
                await asyncio.sleep(0)
        finally:
            if self.careful:
                self.n_free += 1
        if not self.careful:
            await asyncio.sleep(0)
            self.n_free += 1


@pytest.mark.parametrize("careful", [True, False])
def test_a_pool_that_cancellation_breaks(run, careful):
    async def main():
        n = 0
        for cancel in every_await():
            n += 1
            pool = Pool(careful=careful)
            await cancel(pool.use())
            assert pool.n_free == 2
        return n

    if careful:
        assert run(main()) == 2
    else:
        with pytest.raises(AssertionError):
            run(main())


def test_not_used(run):
    with pytest.raises(RuntimeError, match=r"cancel_at\(1\)> was not used"):
        for _ in every_await():
            pass


def test_too_many(run):
    async def forever():
        while True:
            await asyncio.sleep(0)

    async def main():
        for cancel in every_await(limit=3):
            await cancel(forever())

    with pytest.raises(RuntimeError, match="more than 3 awaits"):
        run(main())


@pytest.mark.parametrize("bad", [0, -1])
def test_counted_from_one(bad):
    with pytest.raises(ValueError, match="from 1"):
        cancel_at(bad)
