"""Random programs of sleeps, timeouts and wait_for, with cancellation at every await.

    python -m tests.aio.random_waits [--programs 10000] [--seed 1]

Each program is a few tasks, each a tree of actions: sleeps, timeouts around others,
rescheduled ones, wait_for of coroutines, tasks and futures that others set or cancel.
Time is the program's own; then once more the loop's, with delays that are over at the
next turn or never. What happens, turn by turn, is the same with asyncio's functions and
with fastloop.aio's, on both loops.
"""

import asyncio

from hypothesis import strategies as st

import fastloop
from fastloop import aio
from tests.random_checks import asked_for, check_many, difference

N_TURNS = 80

delays = st.sampled_from([-1, 0, 0.0, 1, 2, 3, 5, None])
numbers = st.integers(0, 3)

leaf = st.one_of(
    st.tuples(st.just("sleep"), delays.filter(lambda d: d is not None)),
    st.tuples(st.just("turns"), numbers),
    st.tuples(st.sampled_from(["cancel", "set", "fail", "cancel_future"]), numbers),
    st.tuples(st.just("raise"), numbers),
    st.tuples(st.just("await_future"), numbers),
    st.tuples(st.just("wait_for_future"), numbers, delays),
    st.tuples(st.just("wait_for_task"), numbers, delays),
    st.tuples(st.just("reschedule"), delays),
    st.tuples(st.just("return"), numbers),
)


def extend(inner):
    bodies = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(st.sampled_from(["timeout", "timeout_at"]), delays, bodies),
        st.tuples(st.just("wait_for"), delays, bodies),
        st.tuples(st.just("shrug"), bodies),
        st.tuples(st.just("finally"), bodies, bodies),
    )


action = st.recursive(leaf, extend, max_leaves=6)
programs = st.lists(
    st.lists(action, min_size=1, max_size=5), min_size=1, max_size=4
)  # fmt: skip


class Clock:
    """Time for one loop: it goes on when turns are made, by hand."""

    def __init__(self, loop):
        self.now = 100.0
        self.n_deadlines = 0
        loop.time = lambda: self.now

    def apart(self, delay):
        """A little more each time: asyncio's heap has no order for equal deadlines."""
        self.n_deadlines += 1
        return delay + self.n_deadlines / 1024


class RealClock:
    """The loop's own."""

    def __init__(self, loop):
        self.time = loop.time

    now = property(lambda self: self.time(), lambda self, value: None)

    def apart(self, delay):
        return 1e-9 if delay < 3 else 1000 + delay


class Run:
    """One program on one module's functions."""

    def __init__(self, module, program, clock, looks):
        self.module = module
        self.program = program
        self.clock = clock
        self.looks = looks
        self.events = []
        self.timeouts = []

    def apart(self, delay):
        """The delay, or None, a little more each time."""
        return delay if delay is None or delay <= 0 else self.clock.apart(delay)

    def time(self):
        return self.clock.now if isinstance(self.clock, Clock) else 0

    def look(self, timeout):
        """Its repr, less what is not the same twice."""
        text = repr(timeout)
        return text if isinstance(self.clock, Clock) else text.partition(" when=")[0]

    async def act(self, name, *args):
        match name:
            case "sleep":
                return await self.module.sleep(self.apart(args[0]), args[0])
            case "turns":
                return await turns(args[0])
            case "cancel":
                task = self.tasks[args[0] % len(self.tasks)]
                return task.cancel(f"by {args[0]}")
            case "set" | "fail" | "cancel_future":
                return self.change_future(name, args[0])
            case "raise":
                raise ValueError(args[0])
            case "await_future":
                return await self.futures[args[0]]
            case "wait_for_future":
                future = self.futures[args[0]]
                return await self.module.wait_for(future, self.apart(args[1]))
            case "wait_for_task":
                task = self.tasks[args[0] % len(self.tasks)]
                if task is asyncio.current_task():
                    return None
                waits = self.module.wait_for(asyncio.shield(task), self.apart(args[1]))
                return await waits
            case "reschedule":
                return self.reschedule(args[0])
            case "return":
                return args[0]
            case "timeout" | "timeout_at":
                return await self.within(name, *args)
            case "wait_for":
                body = self.body(args[1])
                return await self.module.wait_for(body, self.apart(args[0]))
            case "shrug":
                return await self.shrug(args[0])
            case "finally":
                try:
                    return await self.body(args[0])
                finally:
                    await self.body(args[1])

    def change_future(self, name, number):
        future = self.futures[number]
        if future.done():
            self.futures[number] = self.loop.create_future()
            return "renewed"
        match name:
            case "set":
                return future.set_result(number)
            case "fail":
                future.set_exception(KeyError(number))
                future.exception()
                return None
            case "cancel_future":
                return future.cancel()

    def reschedule(self, delay):
        if not self.timeouts:
            return None
        timeout = self.timeouts[-1]
        delay = self.apart(delay)
        when = None if delay is None else self.clock.now + delay
        timeout.reschedule(when)
        return timeout.when() == when, timeout.expired()

    async def within(self, name, delay, body):
        delay = self.apart(delay)
        if name == "timeout":
            manager = self.module.timeout(delay)
        else:
            when = None if delay is None else self.clock.now + delay
            manager = self.module.timeout_at(when)
        try:
            async with manager as timeout:
                self.timeouts.append(timeout)
                if self.looks:
                    timed = timeout._timeout_handler is not None
                    self.events.append((self.look(timeout), timed))
                return await self.body(body)
        finally:
            self.timeouts.remove(timeout)
            task = asyncio.current_task()
            event = (self.look(timeout), timeout.expired(), task.cancelling())
            self.events.append(event)

    async def shrug(self, body):
        try:
            return await self.body(body)
        except asyncio.CancelledError as error:
            return told(error)

    async def body(self, actions):
        result = None
        for step in actions:
            result = await self.act(*step)
            self.events.append((step[0], self.time(), result))
        return result

    async def play(self, index, script):
        for number, step in enumerate(script):
            try:
                result = await self.act(*step)
            except BaseException as error:
                if isinstance(error, GeneratorExit):
                    raise
                result = told(error)
            cancelling = asyncio.current_task().cancelling()
            event = (index, number, step[0], self.time(), result, cancelling)
            self.events.append(event)

    async def main(self):
        self.loop = asyncio.get_running_loop()
        self.futures = [self.loop.create_future() for _ in range(4)]
        self.tasks = [
            asyncio.create_task(self.play(index, script))
            for index, script in enumerate(self.program)
        ]
        for turn in range(N_TURNS):
            await turns(1)
            if turn % 6 == 5:
                self.clock.now += 0.5
        self.events.append(("end", [task.done() for task in self.tasks]))
        while pending := [task for task in self.tasks if not task.done()]:
            for task in pending:
                task.cancel("the end")
            await turns(3)
            self.clock.now += 1
        self.events.append(("over", [future._state for future in self.futures]))


def told(error):
    """An exception, with those it came of."""
    chain = []
    while error is not None and len(chain) < 9:
        cause = type(error.__cause__).__name__
        chain.append(
            (type(error).__name__, str(error), cause, error.__suppress_context__)
        )
        error = error.__context__
    return chain


async def turns(number):
    for _ in range(number):
        await asyncio.sleep(0)


def trace_of(program, module, loop_factory, clock, looks):
    """What happens: a list of events."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        loop = runner.get_loop()
        run = Run(module, program, clock(loop), looks)
        loop.set_exception_handler(
            lambda _, context: run.events.append(context["message"].split(" ")[:3])
        )
        runner.run(run.main())
    return run.events


def check(program):
    """Raise AssertionError if it is not the same everywhere; return its events."""
    events = []
    for clock, looks in ((Clock, True), (RealClock, False), (RealClock, True)):
        stock = trace_of(program, asyncio, asyncio.new_event_loop, clock, looks)
        for module, loop_factory in (
            (aio, asyncio.new_event_loop),
            (asyncio, fastloop.new_event_loop),
            (aio, fastloop.new_event_loop),
        ):
            ours = trace_of(program, module, loop_factory, clock, looks)
            assert ours == stock, difference(stock, ours)
        events += stock
    return events


if __name__ == "__main__":
    asked = asked_for(__doc__)
    n_programs, n_events = check_many(programs, check, asked.programs, asked.seed)
    print(f"{n_programs} programs of waits, {n_events} events: the same on both")
