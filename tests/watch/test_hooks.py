"""fastloop.hooks() and fastloop.task_figures()."""

import asyncio
import gc
import re
import sys
import time
from pathlib import Path

import pytest

import fastloop

pytestmark = [
    pytest.mark.usefixtures("fast_kind"),
    pytest.mark.skipif(
        fastloop.Task is asyncio.Task, reason="asyncio's own tasks are not observed"
    ),
]


@pytest.fixture(params=[False, True], ids=["", "debug"])
def debug(request):
    """Without and with the loop's debug mode, where steps are handles."""
    return request.param


async def switches(n):
    for _ in range(n):
        await asyncio.sleep(0)


def run(main, debug=False, handler=None):
    """As asyncio.run(), but with no task beside."""
    loop = fastloop.new_event_loop()
    loop.set_debug(debug)
    loop.set_exception_handler(handler)
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


class Log(list):
    """Hooks that note what they are called with."""

    def hooks(self):
        return fastloop.hooks(
            task_created=lambda task: self.append(("created", task)),
            step=lambda task, *figures: self.append(("step", task)),
            task_done=lambda task: self.append(("done", task)),
        )

    def of(self, name):
        # a name may be given after the making
        return [what for what, task in self if task.get_name() == name]


def test_each_is_called_when_its_time_has_come(debug):
    log = Log()

    async def main():
        task = asyncio.create_task(switches(2), name="it")
        task.add_done_callback(lambda task: log.append(("callback", task)))
        await task

    with log.hooks():
        run(main(), debug)
    assert log.of("it") == ["created", "step", "step", "step", "done", "callback"]
    del log[:]
    run(main(), debug)
    assert log.of("it") == ["callback"]


@pytest.mark.parametrize("end", ["return", "raise", "cancel", "cancelled before"])
def test_done_whatever_the_end(end, debug):
    log = Log()

    async def ends():
        await asyncio.sleep(0)
        if end == "raise":
            raise ValueError
        if end == "cancel":
            await asyncio.sleep(60)

    async def main():
        task = asyncio.create_task(ends(), name="it")
        if end != "cancelled before":
            await switches(4)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with log.hooks():
        run(main(), debug)
    assert log.of("it")[0] == "created"
    assert log.of("it")[-2:] == ["step", "done"]
    assert log.of("it").count("done") == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks start eagerly from 3.12")
def test_eager_tasks():
    log = Log()

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        await asyncio.create_task(switches(0))
        await asyncio.create_task(switches(1))

    with log.hooks():
        run(main())
    at_once, later = ["created", "step", "done"], ["created", "step"]
    rest = ["step", "step", "done", "step", "done"]  # of main, the second, main
    assert [what for what, _ in log][:11] == ["created", *at_once, *later, *rest]


def test_the_step_has_its_time():
    seen = []

    async def main():
        time.sleep(0.05)
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass

    with fastloop.hooks(step=lambda task, *figures: seen.append(figures)):
        run(main())
    wall_s, cpu_s = seen[0]
    assert 0.05 <= cpu_s <= wall_s - 0.045


def test_several_at_once_and_each_ends_by_itself():
    calls = []

    async def main():
        await asyncio.create_task(switches(0), name="it")

    first = fastloop.hooks(task_done=lambda task: calls.append(1))
    second = fastloop.hooks(task_done=lambda task: calls.append(2))
    run(main())
    first.stop()
    first.stop()
    run(main())
    second.stop()
    run(main())
    assert calls == [1, 2, 1, 2, 2, 2]


def test_one_that_takes_itself_away():
    calls = []

    def once(task):
        calls.append(task.get_name())
        taken.stop()
        other.stop()

    taken = fastloop.hooks(task_created=once)
    other = fastloop.hooks(task_created=once)
    run(switches(1))
    assert len(calls) == 1


def test_what_a_hook_does_is_told_to_none():
    made = []

    def makes_a_task(task):
        made.append(task.get_coro().__name__)
        task.get_loop().create_task(asyncio.sleep(0))

    async def main():
        await asyncio.create_task(switches(0))
        await switches(2)

    with fastloop.hooks(task_created=makes_a_task):
        run(main())
    assert made == ["main", "switches"]


@pytest.mark.parametrize("kind", ["task_created", "step", "task_done"])
def test_its_exception_goes_to_the_handler(kind, debug):
    reports = []

    def fails(*args):
        raise ValueError("mine")

    async def main():
        assert await asyncio.create_task(asyncio.sleep(0, 7)) == 7
        return 8

    calls = []
    with (
        fastloop.hooks(**{kind: fails}),
        fastloop.hooks(**{kind: lambda *args: calls.append(args)}),
    ):
        assert run(main(), debug, lambda loop, report: reports.append(report)) == 8
    assert len(calls) == len(reports) >= 2
    assert {str(report["exception"]) for report in reports} == {"mine"}
    assert reports[0]["message"].startswith(f"Exception in hook {kind} of Task-")


@pytest.mark.parametrize("kind", ["step", "task_done"])
def test_an_exit_from_a_hook_leaves_the_loop(kind):
    def leaves(task, *figures):
        if task.get_name() == "it":
            raise SystemExit(7)

    async def main():
        await asyncio.create_task(switches(0), name="it")

    loop = fastloop.new_event_loop()
    with fastloop.hooks(**{kind: leaves}), pytest.raises(SystemExit):
        loop.run_until_complete(loop.create_task(main()))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_an_exit_from_the_hook_of_a_new_task_reaches_its_maker(recwarn):
    def leaves(task):
        if task.get_coro() is coro:
            raise SystemExit(7)

    async def main():
        with pytest.raises(SystemExit):
            asyncio.create_task(coro)  # noqa: RUF006
        coro.close()

    coro = switches(0)
    with fastloop.hooks(task_created=leaves):
        run(main())


def test_no_task_is_current_for_a_hook_behind_a_step():
    current = []

    async def main():
        await asyncio.create_task(switches(2))
        assert asyncio.current_task().get_name() == "main"

    with fastloop.hooks(
        step=lambda task, *figures: current.append(
            asyncio.current_task(task.get_loop())
        )
    ):
        loop = fastloop.new_event_loop()
        loop.run_until_complete(loop.create_task(main(), name="main"))
        loop.close()
    assert set(current) == {None}


def test_what_cannot_be_called_is_refused():
    with pytest.raises(TypeError, match="a hook must be callable, not int"):
        fastloop.hooks(step=7)
    assert not fastloop._hooks._on


def test_a_loop_inside_of_a_step():
    log = Log()

    async def outer():
        asyncio.get_running_loop().run_nested(asyncio.sleep(0))

    with log.hooks():
        run(outer())
    assert [what for what, _ in log].count("done") == 2


# ---- figures ----


def figures_by_name():
    rows = asyncio.get_running_loop().task_figures()
    return {row.name: row for row in rows}


def test_figures_of_each_task(debug):
    async def works():
        for _ in range(3):
            time.sleep(0.02)
            await asyncio.sleep(0)
        await asyncio.sleep(60)

    async def main():
        task = asyncio.create_task(works(), name="it")  # born
        await switches(6)
        rows = asyncio.get_running_loop().task_figures()
        task.cancel()
        await asyncio.wait([task])
        return id(task), rows, figures_by_name()

    with fastloop.task_figures():
        key, rows, after = run(main(), debug)
    row = rows[0]
    assert (row.id, row.name, row.steps) == (key, "it", 4)
    assert row.coroutine.endswith("works")
    assert row.wall_s >= 0.06 and 0.02 <= row.longest_s <= row.wall_s
    assert row.cpu_s < 0.06
    text = Path(__file__).read_text().splitlines()
    path, _, line = row.born.rpartition(":")
    assert (path, text[int(line) - 1][-6:]) == (__file__, "# born")
    assert "it" not in after
    with pytest.raises(AttributeError):
        row.steps = 7


def test_none_when_they_are_not_counted():
    async def main():
        await switches(1)
        return asyncio.get_running_loop().task_figures()

    assert run(main()) == ()
    one, other = fastloop.task_figures(), fastloop.task_figures()
    one.stop()
    assert len(run(main())) == 1
    other.stop()
    assert run(main()) == ()
    assert not fastloop._hooks._rows


def test_tasks_that_were_there_before():
    async def main():
        task = asyncio.create_task(switches(9), name="it")
        await switches(2)
        with fastloop.task_figures():
            await switches(3)
            row = figures_by_name()["it"]
            await task
        return row

    row = run(main())
    assert row.born == "" and 2 <= row.steps <= 3


def test_a_lost_task_is_forgotten(logs):
    async def main():
        asyncio.create_task(lost(), name="it")  # noqa: RUF006
        await switches(2)
        gc.collect()
        return figures_by_name()

    async def lost():
        await asyncio.get_running_loop().create_future()

    with fastloop.task_figures():
        assert "it" not in run(main())
    logs.take()


def test_hooks_and_figures_together():
    log = Log()

    async def main():
        await asyncio.create_task(switches(1), name="it")
        return figures_by_name()

    with fastloop.task_figures(), log.hooks():
        rows = run(main())
    assert log.of("it") == ["created", "step", "step", "done"]
    assert len(rows) == 1


def test_rows_have_units_in_their_names():
    assert re.fullmatch(
        "id name coroutine born steps wall_s cpu_s longest_s",
        " ".join(fastloop._hooks.TaskFigures._fields),
    )
