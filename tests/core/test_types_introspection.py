"""Our tasks as asyncio's own tools see them."""

import asyncio
import io
import re
import subprocess
import sys
import threading

import pytest

import fastloop
from tests.support import SLOWER, child_args, child_env, wait_asleep

pytestmark = pytest.mark.skipif(
    fastloop.Task is asyncio.Task, reason="this run uses asyncio's types"
)
since_3_14 = pytest.mark.skipif(sys.version_info < (3, 14), reason="new in 3.14")


async def forever():
    await asyncio.get_running_loop().create_future()


def test_all_tasks_of_a_loop_in_another_thread(kit):
    ready, finish = threading.Event(), []
    names = []

    async def main():
        task = kit.task(forever(), name="sleeper")
        finish.append(task)
        await asyncio.sleep(0)
        kit.loop.call_soon(ready.set)
        try:
            await task
        except asyncio.CancelledError:
            pass

    thread = threading.Thread(target=kit.run, args=(main(),))
    thread.start()
    try:
        assert ready.wait(10)
        names = sorted(task.get_name() for task in asyncio.all_tasks(kit.loop))
    finally:
        kit.loop.call_soon_threadsafe(finish[0].cancel)
        thread.join(10)
    assert len(names) == 2
    assert "sleeper" in names


def test_the_set_of_all_tasks_imported_before(kit):
    if sys.version_info >= (3, 14):
        pytest.skip("3.14 has no such set")
    registry = getattr(asyncio.tasks, "_scheduled_tasks", None)
    if registry is None:
        registry = asyncio.tasks._all_tasks
    before = len(registry)
    task = kit.task(forever())
    assert task in registry
    assert task in set(registry)
    assert len(registry) == before + 1
    assert asyncio.current_task(kit.loop) is None
    task.cancel()
    kit.turn(2)
    assert task not in asyncio.all_tasks(kit.loop)


def test_register_by_hand(kit):
    task = kit.task(forever())
    asyncio.tasks._register_task(task)
    assert asyncio.all_tasks(kit.loop) == {task}
    asyncio.tasks._unregister_task(task)
    task.cancel()
    kit.turn(2)
    assert asyncio.all_tasks(kit.loop) == set()


def test_enter_and_leave_by_hand(kit):
    task = kit.task(forever())
    seen = []

    def by_hand():
        asyncio.tasks._enter_task(kit.loop, task)
        seen.append(asyncio.current_task())
        asyncio.tasks._leave_task(kit.loop, task)
        seen.append(asyncio.current_task())

    kit.loop.call_soon(by_hand)
    kit.turn()
    assert seen == [task, None]


@since_3_14
def test_call_graph(kit):
    async def leaf():
        return asyncio.capture_call_graph(), asyncio.format_call_graph()

    async def branch():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(leaf(), name="leaf")
        return task.result()

    task = kit.task(branch(), name="branch")
    graph, text = kit.run(task)
    assert graph.future.get_name() == "leaf"
    assert [entry.future for entry in graph.awaited_by] == [task]
    assert "leaf" in text
    assert "branch" in text


@since_3_14
def test_call_graph_from_outside(kit):
    async def child():
        await forever()

    async def parent():
        await kit.task(child(), name="child")

    kit.task(parent(), name="parent")
    kit.turn(3)
    (inner,) = (t for t in asyncio.all_tasks(kit.loop) if t.get_name() == "child")
    out = io.StringIO()
    asyncio.print_call_graph(inner, file=out)
    assert "child" in out.getvalue()
    assert "parent" in out.getvalue()


PROGRAM = """
import asyncio, sys

async def leaf():
    print("ready", flush=True)
    await asyncio.get_running_loop().create_future()

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(leaf(), name="leaf of the tree")

asyncio.Runner(loop_factory=new_event_loop).run(main())
"""


def seen_by(kind, tool):
    """What asyncio's tool says of the program, less addresses, ids and padding."""
    with subprocess.Popen(
        child_args(kind, PROGRAM),
        env=child_env(),
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            assert program.stdout.readline() == "ready\n"
            wait_asleep(program.pid)
            seen = subprocess.run(
                [sys.executable, "-m", "asyncio", tool, str(program.pid)],
                capture_output=True,
                text=True,
                timeout=20 * SLOWER,
                check=False,
            )
        finally:
            program.kill()
    if "PermissionError" in seen.stderr or "permitted" in seen.stderr:
        pytest.skip("this machine does not let processes be read")
    assert seen.returncode == 0, seen.stderr
    return re.sub(r"(0x[0-9a-f]+|\b\d{2,}\b) *", "N ", seen.stdout)


@since_3_14
@pytest.mark.parametrize("tool", ["ps", "pstree"])
def test_tools_outside_the_process(tool):
    asyncios, ours = (seen_by(kind, tool) for kind in ("asyncio", "fastloop"))
    assert "leaf of the tree" in ours
    assert "Task-1" in ours
    assert ours == asyncios
