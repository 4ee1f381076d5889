"""The watch, hooks, figures and the recorder, begun and ended in every order."""

import asyncio
import contextlib
import itertools
import random
import sys
import threading
import types

import pytest

import fastloop
from fastloop import _core
from tests.timeline.recorded import Story

pytestmark = [
    pytest.mark.usefixtures("fast_kind"),
    pytest.mark.skipif(
        fastloop.Task is asyncio.Task, reason="asyncio's own tasks are not observed"
    ),
]
NAMES = "watch", "hooks", "figures", "timeline"


@pytest.fixture(params=[False, True], ids=["", "debug"])
def debug(request):
    """Without and with the loop's debug mode, where steps are handles."""
    return request.param


@pytest.fixture
def switches(tmp_path, monkeypatch):
    """Each of the four, on or off. What was recorded is looked at in the end."""
    made = Switches(tmp_path / "out.html")

    def page(recording):
        made.stories.append(Story(*recording))
        return b"a page"

    fake = types.ModuleType("fastloop._timeline_page")
    fake.page = page
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    yield made
    for name in NAMES:
        made.turn(name, on=False)
    assert _core._timeline_stop() is None and not fastloop._hooks._on
    for story in made.stories:
        story.check()


class Switches:
    """What is on; what the hooks were told."""

    def __init__(self, path):
        self.path = path
        self.on = {}
        self.told = []
        self.stories = []

    def begin(self, name):
        """One of them, as a context manager that is entered."""
        tell = self.told.append
        if name == "watch":
            return fastloop.watch(60)
        if name == "figures":
            return fastloop.task_figures()
        if name == "timeline":
            timeline = fastloop.timeline(self.path)
            timeline.__enter__()
            return timeline
        return fastloop.hooks(
            task_created=lambda task: tell("created"),
            step=lambda task, *figures: tell("step"),
            task_done=lambda task: tell("done"),
        )

    def turn(self, name, on=None):
        """On or off, or to what it is not."""
        if on is None:
            on = name not in self.on
        if on and name not in self.on:
            self.on[name] = self.begin(name)
        elif not on and name in self.on:
            self.on.pop(name).__exit__(None, None, None)


async def child(n):
    for _ in range(n):
        await asyncio.sleep(0)
    return n


def run(main, debug):
    loop = fastloop.new_event_loop()
    loop.set_debug(debug)
    loop.slow_callback_duration = 60  # of which debug mode would tell
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


@pytest.mark.parametrize("ends", [*itertools.permutations(range(3))], ids=str)
@pytest.mark.parametrize("left_out", NAMES)
def test_each_order_of_three_within_steps(switches, debug, left_out, ends):
    """What is on is told, what is off is not; a task knows since when it waits while
    the watch is on, and only then."""
    names = [name for name in NAMES if name != left_out]

    async def turns(order, on):
        for at in order:
            switches.turn(names[at], on)
            await asyncio.sleep(0)
            switches.told.clear()
            assert await asyncio.create_task(child(1)) == 1
            waits = asyncio.create_task(asyncio.sleep(60))
            await asyncio.sleep(0)
            assert set(switches.told) == (
                {"created", "step", "done"} if "hooks" in switches.on else set()
            )
            rows = asyncio.get_running_loop().task_figures()
            assert bool(rows) == ("figures" in switches.on)
            since = _core._watch_since(waits)
            assert since is not None and since[1] if "watch" in switches.on else True
            waits.cancel()
            await asyncio.wait([waits])

    async def main():
        await asyncio.create_task(turns(range(3), on=True))
        await turns(ends, on=False)

    run(main(), debug)


def test_a_task_made_under_the_watch_is_noted_before_its_first_step(switches):
    """Alone and beside others, of which it is told by another way."""

    async def main():
        for name in [None, "hooks", "timeline", "figures"]:
            switches.turn("watch", on=True)
            if name is not None:
                switches.turn(name, on=True)
            # the old end of a step is no answer for the task that takes its place
            task = asyncio.create_task(child(0))
            since_s, exact = _core._watch_since(task)
            assert exact and since_s < 30
            await task
            if name is not None:
                switches.turn(name, on=False)
            switches.turn("watch", on=False)
            task = asyncio.create_task(child(0))
            switches.turn("watch", on=True)
            assert not _core._watch_since(task)[1]
            await task

    run(main(), debug=False)


def test_ended_and_begun_again_within_a_step(switches, debug):
    async def turns():
        for name in NAMES:
            for _ in range(3):
                switches.turn(name)
        await asyncio.create_task(child(0))
        for name in NAMES:
            for _ in range(4):
                switches.turn(name)

    async def main():
        await asyncio.create_task(turns())
        await child(2)

    run(main(), debug)
    assert len(switches.stories) == 3
    assert set(switches.told) == {"created", "step", "done"}


@pytest.mark.parametrize("kind", ["task_created", "step", "task_done"])
@pytest.mark.parametrize("eager", [False, True], ids=["", "eager"])
def test_within_hooks(switches, debug, kind, eager):
    """All others come and go in a hook."""
    if eager and sys.version_info < (3, 12):
        pytest.skip("tasks start eagerly from 3.12")
    names = itertools.cycle(["watch", "timeline", "timeline", "figures", "watch"])
    calls = []

    def turns(task, *figures):
        calls.append(task)
        switches.turn(next(names))

    async def main():
        if eager:
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        tasks = [asyncio.create_task(child(n)) for n in range(20)]
        assert await asyncio.gather(*tasks) == list(range(20))

    with fastloop.hooks(**{kind: turns}):
        run(main(), debug)
    assert len(calls) >= 20


@pytest.mark.parametrize("seed", range(4))
def test_by_chance_within_steps_and_from_another_thread(switches, debug, seed):
    """No task is lost, whatever comes and goes at whichever moment."""
    chance = random.Random(seed)
    lock = threading.Lock()
    over = threading.Event()

    def turn():
        # one at a time: what turns from off to on is the test's own state
        if lock.acquire(blocking=False):
            try:
                switches.turn(chance.choice(NAMES))
            finally:
                lock.release()

    def turn_beside():
        while not over.wait(0.001):
            turn()

    async def works(n):
        for _ in range(n):
            for _ in range(chance.choice([1, 1, 5])):
                turn()
            await asyncio.sleep(chance.choice([0, 0, 0.0001]))
            asyncio.get_running_loop().call_soon(turn)
        with contextlib.suppress(ValueError):
            await asyncio.create_task(fails())
        return n

    async def fails():
        turn()
        raise ValueError

    async def main():
        tasks = [asyncio.create_task(works(n)) for n in range(12)]
        assert await asyncio.gather(*tasks) == list(range(12))

    thread = threading.Thread(target=turn_beside)
    thread.start()
    try:
        for _ in range(3):
            run(main(), debug)
    finally:
        over.set()
        thread.join()
