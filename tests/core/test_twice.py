"""fastloop more than once in a process; asyncio's registry of tasks used by hand."""

import asyncio
import sys
import weakref

import pytest

from tests.support import child_says, own_types

IMPORT_AGAIN = {
    "removed from sys.modules": """
for name in [name for name in sys.modules if name.split(".")[0] == "fastloop"]:
    del sys.modules[name]
import fastloop
""",
    "reloaded": "importlib.reload(fastloop)\n",
    "its core reloaded": "importlib.reload(sys.modules['fastloop._core'])\n",
    "the loop's module reloaded": "importlib.reload(sys.modules['fastloop._loop'])\n",
}

TWICE = """
import asyncio, gc, importlib, os, sys
import fastloop

async def main():
    task = asyncio.create_task(asyncio.sleep(0))
    both = {task, asyncio.current_task()}
    assert asyncio.all_tasks() == both, asyncio.all_tasks()
    await task
    return "ok"

async def later(n):
    await asyncio.sleep(0)
    return n

first = fastloop
loop = first.new_event_loop()
waiting = loop.create_task(later(1))
AGAIN
print(fastloop.run(main()), first.run(main()))
other = fastloop.new_event_loop()
crossed = first.Task(later(2), loop=other), fastloop.Task(later(3), loop=loop)
both = other.create_task(later(4)), loop.create_task(later(5))
assert asyncio.all_tasks(other) == {crossed[0], both[0]}
assert asyncio.all_tasks(loop) == {waiting, crossed[1], both[1]}
print(loop.run_until_complete(asyncio.gather(waiting, crossed[1], both[1])))
print(other.run_until_complete(asyncio.gather(crossed[0], both[0])))
pid = os.fork()
if pid == 0:
    os._exit(0)
print(os.waitpid(pid, 0)[1])
loop.close(), other.close()
del first, loop, other, crossed, both, waiting
gc.collect()
print(fastloop.run(main()))
"""


@pytest.mark.parametrize("how", IMPORT_AGAIN)
def test_imported_twice(fast_kind, how):
    source = TWICE.replace("AGAIN\n", IMPORT_AGAIN[how])
    said = child_says("asyncio", source, PYTHONMALLOC="debug")
    assert said == "ok ok\n[1, 3, 5]\n[2, 4]\n0\nok\n"


async def steps(n):
    for _ in range(n):
        await asyncio.sleep(0)


def test_a_task_is_taken_out_of_the_registry_by_hand_and_put_back(run):
    async def main():
        me = asyncio.current_task()
        task = asyncio.create_task(steps(2))
        assert asyncio.all_tasks() == {me, task}
        for _ in range(2):
            asyncio.tasks._unregister_task(task)
            assert asyncio.all_tasks() == {me}
        for _ in range(2):
            asyncio.tasks._register_task(task)
            assert asyncio.all_tasks() == {me, task}
        asyncio.tasks._unregister_task(task)
        await task
        asyncio.tasks._register_task(task)
        assert asyncio.all_tasks() == {me}
        asyncio.tasks._unregister_task(task)

    run(main())


def test_what_is_no_task_in_the_registry(run):
    class Other:
        def get_loop(self):
            return asyncio.get_running_loop()

        def done(self):
            return False

    async def main():
        other = Other()
        asyncio.tasks._register_task(other)
        assert other in asyncio.all_tasks()
        asyncio.tasks._unregister_task(other)
        assert other not in asyncio.all_tasks()

    run(main())


@own_types
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="there is no such set")
def test_the_set_of_all_tasks_as_a_set(run):
    name = "_scheduled_tasks" if sys.version_info >= (3, 12) else "_all_tasks"
    tasks = getattr(asyncio.tasks, name)

    async def main():
        made = {asyncio.create_task(steps(1)) for _ in range(3)}
        assert made <= set(tasks)
        one = made.pop()
        tasks.remove(one)
        assert one not in tasks
        with pytest.raises(KeyError):
            tasks.remove(one)
        tasks.discard(one)
        seen = set()
        while tasks:
            seen.add(tasks.pop())
        assert made <= seen
        assert one not in seen
        with pytest.raises(KeyError):
            tasks.pop()
        tasks.update(seen)
        assert made <= set(tasks)
        tasks.clear()
        assert len(tasks) == 0
        await asyncio.gather(one, *made)

    run(main())


@own_types
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="there is no such set")
def test_the_operators_of_the_set_of_all_tasks(run):
    name = "_scheduled_tasks" if sys.version_info >= (3, 12) else "_all_tasks"
    tasks = getattr(asyncio.tasks, name)

    async def main():
        made = {asyncio.create_task(steps(2)) for _ in range(3)}
        one = next(iter(made))
        for new in (tasks | {one}, tasks & made, tasks.copy(), tasks - set()):
            assert made <= set(new)
        assert made.isdisjoint(set(tasks ^ made) | set(tasks - made))
        everything = tasks.copy()
        assert type(everything) is weakref.WeakSet
        assert tasks == everything
        assert everything == tasks
        assert tasks <= everything <= tasks
        assert tasks >= everything >= tasks
        assert not tasks < everything
        assert not tasks > everything
        assert tasks.issuperset(made)
        assert not tasks.issubset(made - {one})
        assert len(repr(tasks)) == len(repr(everything))
        everything.discard(one)
        assert tasks != everything
        assert tasks > everything
        assert everything < tasks
        tasks.difference_update({one})
        assert one not in tasks
        tasks.symmetric_difference_update(made)
        assert made & set(tasks) == {one}
        tasks.intersection_update(made - {one})
        assert not made & set(tasks)
        await asyncio.gather(*made)

    run(main())
