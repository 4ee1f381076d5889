"""blocks(): a step over the limit fails, with its stack."""

import asyncio
import time

import pytest

import fastloop
from fastloop import _watch
from fastloop.testing import BlockedError, blocks


@pytest.fixture
def run(fast_kind):
    return fastloop.run


def hold_up(seconds):
    time.sleep(seconds)


def test_no_step_is_over_it(run):
    async def main():
        with blocks(30):
            await asyncio.sleep(0.05)
            time.sleep(0.05)

    run(main())


def test_a_task_that_blocks(run, logs):
    async def slow():
        await asyncio.sleep(0)
        hold_up(0.4)

    async def main():
        with blocks(0.1):
            await asyncio.create_task(slow(), name="the slow one")

    with pytest.raises(BlockedError) as caught:
        run(main())
    assert "the slow one" in str(caught.value)
    assert ", in hold_up" in str(caught.value)
    assert logs.take()


def test_around_a_run(run, logs):
    async def main():
        asyncio.get_running_loop().call_soon(hold_up, 0.4)
        await asyncio.sleep(0.01)

    with pytest.raises(BlockedError, match="in hold_up"), blocks(0.1):
        run(main())
    assert logs.take()


def test_an_exception_of_the_block(run, logs):
    async def main():
        with blocks(0.05):
            time.sleep(0.2)
            await asyncio.sleep(0)
            raise KeyError(1)

    with pytest.raises(KeyError):
        run(main())
    logs.take()


def test_another_watch_goes_on(run, logs):
    seen = []

    async def main():
        with blocks(30):
            await asyncio.sleep(0)
        assert _watch._current is watch
        await asyncio.sleep(0)
        hold_up(0.4)
        await asyncio.sleep(0)

    with fastloop.watch(0.1, seen.append) as watch:
        run(main())
    assert seen
    assert _watch._current is None
    assert logs.take()


def test_a_limit_that_is_none(fast_kind):
    with pytest.raises(ValueError, match="millisecond"), blocks(0):
        pass


def test_in_virtual_time(run_virtually):
    async def main():
        with blocks(30):
            await asyncio.sleep(3600)

    run_virtually(main())
