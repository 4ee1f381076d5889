"""Random programs of gather, shield, wait, as_completed and TaskGroup.

    python -m tests.aio.random_groups [--programs 10000] [--seed 1]

Each program is a tree: what waits for many, and what it waits for, down to futures
that somebody else makes done, turns, errors and callbacks that raise. Tasks are
cancelled at whatever they await. What happens, turn by turn, is the same with
asyncio's functions and with fastloop.aio's, on both loops.
"""

import asyncio
import gc

from hypothesis import strategies as st

from tests.aio.helpers import turns
from tests.aio.on_both import same_events
from tests.random_checks import asked_for, check_many

N_TURNS = 40
N_FUTURES = 3

leaf = st.one_of(
    st.tuples(st.just("turns"), st.integers(0, 4)),
    st.tuples(st.just("raise"), st.integers(0, 3)),
    st.tuples(st.just("exit"), st.integers(0, 2)),
    st.tuples(st.just("future"), st.integers(0, N_FUTURES - 1)),
    st.tuples(st.just("stubborn"), st.integers(0, 3)),
    st.tuples(st.just("cancel_me"), st.integers(0, 3)),
    st.tuples(st.just("group_cancel"), st.integers(0, 3)),
)


def tree(inner):
    some = st.lists(inner, min_size=0, max_size=4)
    return st.one_of(
        st.tuples(st.just("gather"), st.booleans(), some),
        st.tuples(st.just("shield"), inner),
        st.tuples(st.just("wait"), st.integers(0, 2), st.integers(0, 1), some),
        st.tuples(st.just("each"), st.booleans(), st.booleans(), some),
        st.tuples(st.just("group"), some, inner),
        st.tuples(st.just("both"), inner, inner),
        st.tuples(st.just("caught"), inner),
    )


action = st.tuples(
    st.sampled_from(
        ["set", "fail", "cancel_future", "cancel", "cancel_all", "callback"]
    ),
    st.integers(0, 5),
    st.integers(0, 6),
)
programs = st.tuples(
    st.lists(st.recursive(leaf, tree, max_leaves=8), min_size=1, max_size=3),
    st.lists(action, max_size=6),
)


class Exit(BaseException):
    """One that TaskGroup does not treat as an error of a task."""


def name_of(error, depth=3):
    """An exception and what it came with."""
    if error is None or depth == 0:
        return None
    group = getattr(error, "exceptions", ())
    return (
        type(error).__name__, str(error), [name_of(each, depth - 1) for each in group],
        name_of(error.__cause__, depth - 1), error.__suppress_context__,
    )  # fmt: skip


class Run:
    """One program with one module's functions."""

    def __init__(self, module, program):
        self.module = module
        self.scripts, self.actions = program
        self.events = []
        self.made = []
        self.n_ordered = 0

    def end_turn(self):
        """A set of tasks has another order each time: so has what happens in a turn."""
        new = sorted(self.events[self.n_ordered :], key=repr)
        self.events[self.n_ordered :] = new
        self.n_ordered = len(self.events)

    def start(self, node, group=None):
        make = asyncio.create_task if group is None else group.create_task
        coro = self.watched(node, len(self.made), group)
        task = make(coro)
        self.made.append(task)
        return task

    async def watched(self, node, number, group=None):
        try:
            result = await self.play(node, group)
        except BaseException as error:
            self.events.append((number, node[0], name_of(error)))
            raise
        self.events.append((number, node[0], repr(result)))
        return number

    async def play(self, node, group=None):
        match node:
            case "turns", number:
                await turns(number)
            case "raise", number:
                await turns(number)
                raise ValueError(number)
            case "exit", number:
                await turns(number)
                raise Exit(number)
            case "future", number:
                return await self.futures[number]
            case "stubborn", number:
                try:
                    await turns(9)
                except asyncio.CancelledError:
                    await turns(number)
                    return "went on"
            case "cancel_me", number:
                await turns(number)
                asyncio.current_task().cancel(f"me {number}")
                await turns(1)
            case "group_cancel", number:
                await turns(number)
                if group is not None:
                    group.cancel() if hasattr(group, "cancel") else group._abort()
            case (("gather" | "shield" | "wait" | "each"), *_):
                return await self.play_many(node)
            case "group", nodes, body:
                async with self.module.TaskGroup() as inner:
                    for each in nodes:
                        self.start(each, inner)
                    self.events.append(self.look(inner))
                    await self.play(body, inner)
                self.events.append(self.look(inner))
            case "both", one, two:
                await self.play(one, group)
                await self.play(two, group)
            case "caught", inner:
                try:
                    return await self.play(inner, group)
                except Exception as error:
                    return name_of(error)

    async def play_many(self, node):
        match node:
            case "gather", returning, nodes:
                some = [self.start(each) for each in nodes]
                future = self.module.gather(
                    *some, *some[:1], return_exceptions=returning
                )
                return await future
            case "shield", inner:
                return await self.module.shield(self.start(inner))
            case "wait", when, timed, nodes:
                names = ["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"]
                done, pending = await self.module.wait(
                    [self.start(each) for each in nodes],
                    return_when=getattr(asyncio, names[when]),
                    **({"timeout": 1e4} if timed else {}),
                )
                return sorted(map(self.number, done)), sorted(map(self.number, pending))
            case "each", goes_on, timed, nodes:
                return await self.play_each(
                    [self.start(each) for each in nodes],
                    goes_on,
                    1e4 if timed else None,
                )

    async def play_each(self, tasks, goes_on, timeout):
        found = []
        for each in self.module.as_completed(tasks, timeout=timeout):
            try:
                found.append(await each)
            except Exception as error:
                found.append(name_of(error))
                if not goes_on:
                    break
        return found

    def number(self, task):
        return self.made.index(task)

    def look(self, group):
        """The group's state, as its private attributes have it."""
        return (
            group._entered, group._exiting, group._aborting, repr(group),
            group._parent_cancel_requested, len(group._tasks),
            None if group._errors is None else [name_of(e) for e in group._errors],
            name_of(group._base_error), group._on_completed_fut is None,
            group._parent_task is None,
        )  # fmt: skip

    def state(self):
        states = []
        for task in self.made:
            state = [task._state, task.cancelling(), task._must_cancel]
            if task.done() and not task.cancelled():
                state.append(name_of(task.exception()))
            if hasattr(task, "_asyncio_awaited_by"):
                by = task._asyncio_awaited_by or ()
                state.append(
                    sorted(self.made.index(t) if t in self.made else -1 for t in by)
                )
            states.append(state)
        return states

    def act(self, name, number):
        future = self.futures[number % N_FUTURES]
        task = self.made[number % len(self.made)] if self.made else None
        if name == "set" and not future.done():
            future.set_result(number)
        elif name == "fail" and not future.done():
            future.set_exception(KeyError(number))
        elif name == "cancel_future":
            future.cancel(f"future {number}")
        elif name == "cancel" and task is not None:
            task.cancel(f"by {number}")
        elif name == "cancel_all":
            for each in self.made:
                each.cancel()
        elif name == "callback" and task is not None:
            task.add_done_callback(self.raising)

    def raising(self, task):
        self.events.append(("callback", self.number(task)))
        raise RuntimeError("in a callback")

    def told(self, loop, context):
        error = context.get("exception")
        self.events.append(("told", str(context["message"])[:30], name_of(error)))

    async def main(self):
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self.told)
        self.futures = [loop.create_future() for _ in range(N_FUTURES)]
        for script in self.scripts:
            self.start(script)
        for turn in range(N_TURNS):
            for name, number, when in self.actions:
                if when == turn:
                    self.act(name, number)
            await asyncio.sleep(0)
            self.end_turn()
            if turn < 12:
                self.events.append((turn, [task._state for task in self.made]))
        self.events.append(("end", self.state()))
        for _ in range(30):
            if all(task.done() for task in self.made):
                break
            for task in self.made:
                task.cancel()
            await turns(3)
            self.end_turn()
        for future in self.futures:
            if future.done() and not future.cancelled():
                future.exception()
            future.cancel()
        await turns(3)
        self.end_turn()
        self.events.append(("over", self.state()))
        self.made.clear()
        self.futures.clear()


def check(program):
    """Raise AssertionError if it is not the same everywhere; return its events."""
    gc.disable()
    try:
        return same_events(Run, program)
    finally:
        gc.enable()


if __name__ == "__main__":
    asked = asked_for(__doc__)
    n_programs, n_events = check_many(programs, check, asked.programs, asked.seed)
    print(f"{n_programs} programs of groups, {n_events} events: the same on both")
