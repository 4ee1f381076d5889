"""python -m fastloop.tasks: every task of a process, where it waits and for whom."""

import asyncio
import json
import re
import time

import pytest

import fastloop
from fastloop import tasks
from tests.watch.outside import Program, command, keeping_the_gil, look_while_it_runs

PROGRAM = """
from {module} import Event, Lock, TaskGroup, gather, shield, sleep, wait, wait_for
import asyncio as stock
async def sleeper():
    await sleep(60)  # line 5
async def main():
    child = stock.create_task(sleeper(), name="child")
    async def gathers():
        await gather(gather(child), stock.create_task(sleeper(), name="other"))
    async def groups():
        async with TaskGroup() as group:
            group.create_task(sleeper(), name="grouped")
    async def waits():
        await wait([child])
    async def shields():
        await shield(child)
    async def limits():
        await wait_for(child, 60)
    async def locks():
        lock = Lock()
        await lock.acquire()
        await lock.acquire()
    async def futures():
        await stock.get_running_loop().create_future()
    async def never():
        pass
    def ready():
        print("ready", flush=True)
    kept = [
        stock.create_task(one(), name=one.__name__)
        for one in (gathers, groups, waits, shields, limits, locks, futures)
    ]
    stock.get_running_loop().call_later(0.05, ready)
    await Event().wait()
fastloop.run(main(), debug={debug})
"""


@pytest.fixture(scope="module", params=["asyncio", "fastloop.aio"])
def answer(request):
    """The tasks of a program that has one of every kind, by name."""
    text = PROGRAM.format(module=request.param, debug=True)
    with Program(text) as program:
        code, out, err = command("tasks", program.pid, "--json")
        tree = command("tasks", program.pid, "--tree")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["left_out"] == 0 and found["gil"] and found["pid"] == program.pid
    assert tree[0] == 0, tree
    return {task["name"]: task for task in found["tasks"]}, tree[1]


def test_who_awaits_whom(fast_kind, answer):
    found, _ = answer
    names = {task["id"]: name for name, task in found.items()}
    awaited = {
        name: {names[one] for one in task["awaited_by"]} for name, task in found.items()
    }
    wanted = {"child": {"gathers", "waits", "shields", "limits"}}
    wanted |= {"other": {"gathers"}, "grouped": {"groups"}}
    assert awaited == {name: wanted.get(name, set()) for name in found}
    assert len(found) == 11


def test_where_and_what_for(fast_kind, answer):
    found, _ = answer
    assert {task["state"] for task in found.values()} == {"waiting"}
    child = found["child"]
    assert child["at"] == [["<string>", 6, "sleeper"]] and child["waits_for"] == "sleep"
    assert child["coroutine"] == "sleeper"
    assert child["made_at"] == [["<string>", 8, "main"]]
    wants = {name: task["waits_for"] for name, task in found.items()}
    assert wants["gathers"] == "gather of 2"
    assert wants["groups"] == "TaskGroup.__aexit__"
    assert wants["locks"] == "Lock.acquire"
    assert wants["Task-1"] == "Event.wait"
    assert wants["futures"] == "a Future"
    assert wants["waits"] == "wait"
    assert wants["limits"] in ("task child", "wait_for")


def test_the_tree(fast_kind, answer):
    lines = answer[1].splitlines()
    assert lines[0].startswith("11 tasks in process")
    place = lines.index(next(line for line in lines if line.startswith("groups ")))
    line = re.sub(r", for \d+\.\d\d s", "", lines[place + 1])
    assert line == (
        "  grouped (sleeper): waiting for sleep at <string>:6 in sleeper,"
        " made at <string>:13 in groups"
    )
    assert sum("  child (sleeper): waiting" in line for line in lines) == 4
    assert sum("(as above)" in line for line in lines) == 3


def test_a_long_chain(fast_kind, capsys):
    """Each awaits the next: no line is as long as that."""
    program = """
async def link(left):
    if left:
        await asyncio.create_task(link(left - 1))
    else:
        print("ready", flush=True)
        await asyncio.Event().wait()
fastloop.run(link(300))
"""
    with Program(program) as other:
        code = tasks.main([str(other.pid), "--tree"])
    lines = capsys.readouterr().out.splitlines()
    assert code == 0 and len(lines) == 302
    assert lines[41].startswith(40 * "  " + "Task-41 (link)")
    assert lines[301].startswith(40 * "  " + "[300] Task-301 (link)")


def run_main(capsys, *words):
    code = tasks.main([str(word) for word in words])
    return code, capsys.readouterr().out


def test_states_and_names(fast_kind, capsys):
    """Also of a task that has not begun, one that is done waiting, one that runs."""
    program = """
async def new(): pass
async def resumed(future): await future
async def blocks(future):
    future.set_result(None)
    asyncio.create_task(new(), name="\\x1b[2J")
    print("ready", flush=True)
    time.sleep(60)
async def main():
    future = asyncio.get_running_loop().create_future()
    asyncio.create_task(resumed(future), name="resumed")
    await asyncio.sleep(0.01)
    await asyncio.create_task(blocks(future), name="blocks")
fastloop.run(main())
"""
    with Program(program) as other:
        for _ in range(100):
            code, out = run_main(capsys, other.pid)
            if "running at <string>:9" in out:  # it said "ready" in the line before
                break
    assert code == 0
    lines = {
        line.partition(" (")[0]: line.partition("): ")[2] for line in out.splitlines()
    }
    assert lines["?[2J"].startswith("new at <string>:3 in new")
    assert lines["resumed"].startswith("ready at <string>:4 in resumed")
    assert lines["blocks"].startswith(
        "running at <string>:9 in blocks, awaited by Task-1"
    )
    assert lines["Task-1"].startswith("waiting for task blocks at <string>:14 in main")


SINCE = """
async def waits(): await asyncio.Event().wait()
async def late(): pass
async def main():
    task = asyncio.create_task(waits(), name="from before")
    await asyncio.sleep(0.3)
    began = time.monotonic()
    with fastloop.watch(10):
        asyncio.create_task(waits(), name="waits")
        if sys.version_info >= (3, 12):
            loop = asyncio.get_running_loop()
            loop.set_task_factory(asyncio.eager_task_factory)
            eager = asyncio.create_task(waits(), name="eager")
            loop.set_task_factory(None)
        while time.monotonic() - began < 0.4:
            await asyncio.sleep(0.01)
        asyncio.create_task(late(), name="late")
        print("ready", flush=True)
        print(time.monotonic() - began, flush=True)
        sys.stdin.readline()
        print(time.monotonic() - began, flush=True)
fastloop.run(main())
"""


def test_since_when(fast_kind, capsys):
    """Exactly for what began to wait while the watch was on; else at least."""
    with Program(SINCE, watch="0") as other:
        least_s = float(other.line())
        code, out = run_main(capsys, other.pid, "--json")
        assert code == 0
        _, text = run_main(capsys, other.pid)
        other.say("go")
        most_s = float(other.line()) + 0.05  # it is told in steps of some milliseconds
    found = {task["name"]: task for task in json.loads(out)["tasks"]}
    assert found["Task-1"]["for_s"] is None  # it runs
    own = fastloop.Task is not asyncio.Task  # else they note nothing
    for name in {"waits", "eager"} & set(found):
        assert found[name]["for_at_least"] is False
        if own:
            assert least_s - 0.1 < found[name]["for_s"] < most_s
            assert f"{name} (waits): waiting for Event.wait at " in text
    if own:
        assert found["from before"]["for_at_least"] is True
        assert 0.3 <= found["from before"]["for_s"] < most_s
        assert 0.0 <= found["late"]["for_s"] < most_s - 0.35
        line = next(one for one in text.splitlines() if one.startswith("from before"))
        assert ", for at least 0." in line and line.endswith(" s")


def test_since_when_is_no_older_watchs(fast_kind):
    """What a task noted for an earlier watch is not believed by the next one."""
    found = []

    async def waits(event):
        await event.wait()

    async def main():
        event = asyncio.Event()
        with fastloop.watch(10):
            task = asyncio.create_task(waits(event))
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        with fastloop.watch(10):
            await asyncio.sleep(0.1)
            found.append(fastloop._core._watch_since(task))
            event.set()
            await task
            found.append(fastloop._core._watch_since(task))
        found.append(fastloop._core._watch_since(task))
        found.append(fastloop._core._watch_since(main))

    fastloop.run(main())
    if fastloop.Task is asyncio.Task:
        assert found == [None] * 4
        return
    (first_s, first_exact), (then_s, then_exact), *rest = found
    assert not first_exact and 0.09 < first_s < 0.3
    assert then_exact and then_s < 0.09
    assert rest == [None, None]


def test_a_step_under_way_when_the_watch_begins(fast_kind):
    """Its task is not said to have waited since before its end."""
    found = []

    async def begins():
        found.append(fastloop.watch(10))
        time.sleep(0.4)
        await asyncio.Event().wait()

    async def main():
        task = asyncio.create_task(begins())
        await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        found.append(fastloop._core._watch_since(task))
        task.cancel()

    fastloop.run(main())
    found[0].stop()
    if fastloop.Task is not asyncio.Task:
        since_s, _ = found[1]
        assert 0.09 < since_s < 0.35


def test_a_coroutine_that_runs_is_not_asked_what_it_awaits(fast_kind):
    """Up to Python 3.12 that is any word of its frame; one frame is all there is."""
    look_while_it_runs(
        """
from fastloop._census import _frames
def look(coro):
    assert [frame.f_code.co_name for frame in _frames(coro)] == ["runs"]
"""
    )


def test_while_c_code_keeps_the_gil(fast_kind, capsys):
    with keeping_the_gil() as other:
        code, out = run_main(capsys, other.pid)
        assert code == 9
        assert f"process {other.pid} did not give the GIL up" in out
        assert f"in thread {other.pid}: 0 iterations" in out.replace(
            " 1 iter", " 0 iter"
        )
        assert "has blocked the loop for" in out and "line 5, in main" in out
        code, out = run_main(capsys, other.pid, "--json")
        found = json.loads(out)
        assert code == 9 and not found["gil"] and found["loops"][0]["steps"] >= 0


OWN_TASK = """
class Own(asyncio.Task):
    def get_name(self):
        {}
async def main():
    task = Own(asyncio.sleep(60))
    await asyncio.sleep(0)
    print("ready", flush=True)
    await task
fastloop.run(main())
"""


def test_classes_that_fail(fast_kind, capsys):
    """A task class of the program's that can't say its name."""
    with Program(OWN_TASK.format("raise ZeroDivisionError")) as other:
        code, out = run_main(capsys, other.pid)
    assert code == 0
    assert out.startswith("2 tasks in") and "\n? (sleep): waiting for sleep at " in out
    assert "\nTask-1 (main): " in out


def test_an_answer_that_takes_long(fast_kind, capsys):
    """Once Python is at it, it has more than the second that it had to begin."""
    with Program(OWN_TASK.format("time.sleep(1.2); return 'slow'")) as other:
        code, out = run_main(capsys, other.pid)
    assert code == 0
    assert "\nslow (sleep): waiting for sleep at " in out


def test_a_coroutine_that_fails(fast_kind):
    """One of the program's whose attributes raise is counted, and no reason not to
    answer."""
    program = """
class Broken:
    def __getattr__(self, name):
        raise ZeroDivisionError
    def send(self, value): ...
    def throw(self, *args): ...
    def close(self): ...
    def __await__(self): yield
import collections.abc
collections.abc.Coroutine.register(Broken)
async def main():
    tasks = [asyncio.create_task(Broken())]
    print("ready", flush=True)
    await asyncio.sleep(60)
fastloop.run(main())
"""
    with Program(program) as other:
        code, out, err = command("top", other.pid, "--once", "--json")
        counts = json.loads(out)["loops"][0]["tasks"]
        code_of_tasks, out, err = command("tasks", other.pid, "--json")
    assert (code, code_of_tasks, err) == (0, 0, "")
    assert ["?", "?", 1] in counts and json.loads(out)["left_out"] == 1


def test_many(fast_kind, capsys):
    """Some are shown, all are counted."""
    program = """
from fastloop import _census
_census.MAX_TASKS = 100
async def wait(): await asyncio.Event().wait()
async def main():
    tasks = [asyncio.create_task(wait()) for _ in range(150)]
    await asyncio.sleep(0)
    print("ready", flush=True)
    await tasks[0]
fastloop.run(main())
"""
    with Program(program, watch="10") as other:
        code, out = run_main(capsys, other.pid)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("151 tasks") and lines[-1] == "51 more are not shown"
    assert len(lines) == 102
