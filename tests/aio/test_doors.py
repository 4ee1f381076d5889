"""The ways to what fastloop has above the loop."""

import asyncio
import subprocess
import sys

import pytest

import fastloop
from fastloop import aio
from tests.support import child_env, child_says

NAMES = ["Lock", "Event", "Semaphore", "BoundedSemaphore", "Condition"]
QUEUES = ["Queue", "PriorityQueue", "LifoQueue"]


def test_aio_has_all_of_asyncio():
    for name in asyncio.__all__:
        assert hasattr(aio, name), name
    assert set(vars(asyncio)) - {"__cached__"} <= set(dir(aio))
    assert aio.to_thread is asyncio.to_thread
    assert aio.locks is asyncio.locks
    assert not hasattr(aio, "__path__")
    with pytest.raises(AttributeError, match="asyncio"):
        aio.no_such_thing  # noqa: B018


def test_importing_it_changes_nothing():
    for name in NAMES:
        assert getattr(asyncio, name) is not getattr(aio, name)
        assert getattr(asyncio, name).__module__ == "asyncio.locks"


def test_accelerate_and_back():
    stock = {name: getattr(asyncio, name) for name in NAMES}
    fastloop.accelerate()
    try:
        fastloop.accelerate()
        for name in NAMES:
            assert getattr(asyncio, name) is getattr(aio, name)
            assert getattr(asyncio.locks, name) is getattr(aio, name)
        assert type(asyncio.Condition()._lock) is aio.Lock
        for name in QUEUES:
            assert getattr(asyncio, name) is getattr(asyncio.queues, name)
            assert getattr(asyncio, name) is getattr(aio, name)
    finally:
        fastloop.decelerate()
    for name in NAMES:
        assert getattr(asyncio, name) is getattr(asyncio.locks, name) is stock[name]
    fastloop.decelerate()


def test_objects_made_before(run, request):
    async def main():
        lock, condition = asyncio.Lock(), asyncio.Condition()
        request.getfixturevalue("accelerated")
        assert type(lock) is not asyncio.Lock
        async with lock, condition:
            mine = asyncio.Lock()
            assert await asyncio.Lock.acquire(mine) is True
            condition.notify_all()
            waiting = asyncio.create_task(asyncio.Lock.acquire(lock))
            await asyncio.sleep(0)
        assert await waiting is True
        mine.release()

    run(main())


def test_barriers_stand_on_them(run, accelerated):
    async def main():
        barrier = asyncio.Barrier(2)
        assert type(barrier._cond) is aio.Condition
        await asyncio.gather(barrier.wait(), barrier.wait())

    run(main())


def test_who_took_names_before_is_told_in_debug_mode(monkeypatch, logs):
    module = type(sys)("early")
    module.Lock, module.Other = asyncio.Lock, asyncio.Event
    monkeypatch.setitem(sys.modules, "early", module)
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    fastloop.accelerate()
    fastloop.decelerate()
    text = "fastloop.accelerate(): early has asyncio's Lock, Other"
    assert ("WARNING", text) in logs.take()
    monkeypatch.delenv("PYTHONASYNCIODEBUG")
    fastloop.accelerate()
    fastloop.decelerate()
    assert logs.take() == []


def test_the_environment():
    source = (
        "import fastloop, asyncio\nprint(asyncio.Lock.__module__)\n"
        "async def main():\n    async with asyncio.Lock(): return 1\n"
        "print(fastloop.run(main()))\n"
    )
    for value, module in (("1", "fastloop.aio"), ("0", "asyncio.locks")):
        said = child_says("fastloop", source, FASTLOOP_ACCELERATE=value)
        assert said.split() == [module, "1"]


def test_the_command_line():
    source = "import asyncio; print(asyncio.Lock.__module__, asyncio.Queue.__module__)"
    for options, module in ((["--accelerate"], "fastloop.aio"), ([], "asyncio")):
        command = [sys.executable, "-m", "fastloop", *options, "-c", source]
        said = subprocess.run(
            command, env=child_env(), capture_output=True, text=True, check=True
        )
        assert all(word.startswith(module) for word in said.stdout.split())
        assert said.stdout
