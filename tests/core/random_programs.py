"""Random programs of tasks and futures, and the trace of what they do.

A program is a list of task bodies, and a body a list of instructions, both made by
hypothesis (`programs()`). `trace_of(program, kit)` runs it and returns every event in
order: what each task saw, raised and returned, what the exception handler was told
and what was left in the end. The same program gives the same trace on asyncio's
types and on ours.

Run by hand, it compares many programs and logs how many:

    python -m tests.core.random_programs [--programs N] [--seed S] [--nested]

--nested: tasks run the loop inside of their steps, too, on asyncio by nest_asyncio2.
"""

import asyncio
import contextvars
import gc
import inspect
import sys
import time
import warnings

from hypothesis import strategies as st

import fastloop
from tests import random_checks

try:
    import nest_asyncio2
except ImportError:
    nest_asyncio2 = None

number = contextvars.ContextVar("number", default=0)

N_BODIES = 5
N_FUTURES = 3
N_CALLS = 100  # tasks a program may start: bodies start each other
MAX_DEPTH = 6  # of runs inside of runs: asyncio takes a dozen frames for each
EAGER = sys.version_info >= (3, 12)

# asyncio's types in Python; from 3.14 on they do not tell asyncio.current_task().
PURE = None
if sys.version_info < (3, 14):
    PURE = asyncio.futures._PyFuture, asyncio.tasks._PyTask

indices = st.integers(0, N_BODIES - 1)
futures = st.integers(0, N_FUTURES - 1)
messages = st.sampled_from([None, "m", "n"])
small = st.integers(0, 3)
errors = st.sampled_from(["ValueError", "CancelledError", "LookupError", "Unusual"])

instructions = st.one_of(
    st.tuples(st.just("sleep"), small),
    st.tuples(st.just("spawn"), indices, st.booleans()),
    st.tuples(st.just("spawn_and_await"), indices),
    st.tuples(st.just("await_call"), indices),
    st.tuples(st.just("await_child"), small),
    st.tuples(st.just("await_future"), futures),
    st.tuples(st.just("await_future_guarded"), futures),
    st.tuples(st.just("set_result"), futures, small),
    st.tuples(st.just("set_exception"), futures, errors),
    st.tuples(st.just("cancel_future"), futures, messages),
    st.tuples(st.just("renew_future"), futures),
    st.tuples(st.just("cancel_child"), small, messages),
    st.tuples(st.just("cancel_any"), small, messages),
    st.tuples(st.just("cancel_self"), messages),
    st.tuples(st.just("uncancel")),
    st.tuples(st.just("shield"), indices),
    st.tuples(st.just("gather"), st.lists(indices, max_size=3), st.booleans()),
    st.tuples(st.just("wait"), st.lists(indices, min_size=1, max_size=3), small),
    st.tuples(st.just("group"), st.lists(indices, max_size=3)),
    st.tuples(st.just("timeout"), small, indices),
    st.tuples(st.just("wait_for"), small, indices),
    st.tuples(st.just("add_callback"), futures, st.booleans()),
    st.tuples(st.just("add_task_callback"), small, st.booleans()),
    st.tuples(st.just("remove_callback"), futures),
    st.tuples(st.just("call_soon"), st.booleans()),
    st.tuples(st.just("set_number"), small),
    st.tuples(st.just("raise"), errors),
    st.tuples(st.just("return"), small),
    st.tuples(st.just("swallow"), indices),
    st.tuples(st.just("look")),
    st.tuples(st.just("rubbish")),
    st.tuples(st.just("await_own"), futures, small),
    st.tuples(st.just("generate"), indices, small),
    st.tuples(st.just("leave_generator"), small),
    st.tuples(st.just("spawn_in_context"), indices, small),
    st.tuples(st.just("stop_loop")),
    st.tuples(st.just("exit"), st.booleans()),
    st.tuples(st.just("swallow_all"), indices, small),
)

nesting = st.one_of(
    st.tuples(st.just("nest"), indices),
    st.tuples(st.just("nest_guarded"), indices),
    st.tuples(st.just("nest_child"), small),
    st.tuples(st.just("nest_in_callback"), indices),
    st.tuples(st.just("nest_forever"), small),
)


def programs(nested=False):
    """The strategy of programs."""
    kinds = st.one_of(instructions, nesting) if nested else instructions
    body = st.lists(kinds, max_size=7).map(tuple)
    return st.lists(body, min_size=N_BODIES, max_size=N_BODIES).map(tuple)


class InOrder(dict):
    """A set of tasks that iterates in the order of adding, as a set does not."""

    def add(self, task):
        self[task] = None

    def discard(self, task):
        self.pop(task, None)


class Unusual(BaseException):
    """An exception that `except Exception` lets pass."""


class Own:
    """An awaitable of the program's own: turns of the loop, and a future's iterator."""

    def __init__(self, future, count):
        self.future, self.count = future, count

    def __await__(self):
        for _ in range(self.count):
            yield
        if self.count % 2:
            return (yield from self.future)
        return (yield from self.future.__await__())


class Rubbish:
    """An awaitable that yields what no task takes."""

    def __await__(self):
        yield 17


class Machine:
    """Runs one program on one kit."""

    def __init__(self, program, loop, Future, Task, nest=None):
        self.program, self.loop = program, loop
        self.nest, self.depth = nest, 0
        self.nesting = []  # the tasks in whose steps the loop runs
        self.Future, self.Task = Future, Task
        self.trace = []
        self.lost = []
        self.over = False  # what dies after the run is no event
        self.tasks = []
        self.awaited = set()
        self.n_calls = self.n_names = 0
        self.futures = [Future(loop=loop) for _ in range(N_FUTURES)]

    def uses(self, *names):
        return any(what[0] in names for body in self.program for what in body)

    def note(self, *event):
        if not self.over:
            self.trace.append(event)

    def error(self, name):
        kinds = {
            "CancelledError": asyncio.CancelledError,
            "LookupError": LookupError,
            "Unusual": Unusual,
            "ValueError": ValueError,
        }
        return kinds[name](name)

    def start(self, index, eager=False):
        keywords = {"eager_start": True} if eager and EAGER else {}
        self.n_calls += 1
        if self.n_calls > N_CALLS:
            index = None
        task = self.Task(
            self.body(index), loop=self.loop, name=self.new_name(), **keywords
        )
        self.know(task)
        return task

    def new_name(self):
        self.n_names += 1
        return f"T{self.n_names}"

    def know(self, task):
        """An eager task is known from its first step on, which is before start()."""
        if task not in self.tasks:
            self.tasks.append(task)

    def start_awaited(self, index):
        task = self.start(index)
        self.awaited.add(task)
        return task

    def child(self, i):
        return self.tasks[-1 - i % len(self.tasks)] if self.tasks else None

    async def body(self, index):
        task = asyncio.current_task()
        self.know(task)
        name = task.get_name()
        if index is None:
            return "too many"
        self.note(name, "starts", index, number.get())
        try:
            for instruction in self.program[index]:
                self.note(name, *instruction)
                done = await self.do(name, *instruction)
                if done is not None:
                    return done
        except BaseException as error:
            self.note(name, "raises", describe(error))
            raise
        finally:
            self.note(name, "ends", task.cancelling())
        return name

    async def do(self, name, what, *args):
        return await getattr(self, "do_" + what)(name, *args)

    async def do_sleep(self, name, count):
        for _ in range(count):
            await asyncio.sleep(0)

    async def do_spawn(self, name, index, eager):
        task = self.start(index, eager)
        self.note(name, "spawned", state(task))

    async def do_spawn_and_await(self, name, index):
        self.note(name, "got", await self.start_awaited(index))

    async def do_await_call(self, name, index):
        self.n_calls += 1
        if self.n_calls < N_CALLS:
            self.note(name, "got", await self.body(index))

    async def do_await_child(self, name, i):
        # Younger ones only, so that none await in a ring; each by one task only, or
        # asyncio's cancel() walks every path through the net that they make.
        free = [
            task
            for task in self.tasks
            if int(task.get_name()[1:]) > int(name[1:]) and task not in self.awaited
        ]
        if free:
            task = free[i % len(free)]
            self.awaited.add(task)
            self.note(name, "got", await task)

    async def do_await_future(self, name, i):
        self.note(name, "got", await self.futures[i])

    async def do_await_future_guarded(self, name, i):
        try:
            self.note(name, "got", await self.futures[i])
        except (asyncio.CancelledError, Unusual, ValueError, LookupError) as error:
            self.note(name, "caught", describe(error))

    async def do_set_result(self, name, i, value):
        if not self.futures[i].done():
            self.futures[i].set_result(value)

    async def do_set_exception(self, name, i, error):
        try:
            self.futures[i].set_exception(self.error(error))
        except asyncio.InvalidStateError as error:
            self.note(name, "refused", type(error).__name__)

    async def do_cancel_future(self, name, i, message):
        self.note(name, self.futures[i].cancel(message))

    async def do_renew_future(self, name, i):
        if self.futures[i].done():
            self.futures[i] = self.Future(loop=self.loop)

    async def do_cancel_child(self, name, i, message):
        child = self.child(i)
        if child is not None:
            self.note(name, child.cancel(message), child.cancelling())

    async def do_cancel_any(self, name, i, message):
        task = self.tasks[i % len(self.tasks)]
        self.note(name, task.cancel(message), task.cancelling())

    async def do_cancel_self(self, name, message):
        self.note(name, asyncio.current_task().cancel(message))

    async def do_uncancel(self, name):
        self.note(name, asyncio.current_task().uncancel())

    async def do_shield(self, name, index):
        self.note(name, "got", await asyncio.shield(self.start_awaited(index)))

    async def do_gather(self, name, them, keep):
        children = [self.start_awaited(index) for index in them]
        results = await asyncio.gather(*children, return_exceptions=keep)
        self.note(name, [describe(r) for r in results])

    async def do_wait(self, name, them, how):
        when = ["FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"][how % 3]
        children = [self.start_awaited(index) for index in them]
        done, pending = await asyncio.wait(children, return_when=when)
        self.note(name, *(sorted(t.get_name() for t in s) for s in (done, pending)))

    async def do_group(self, name, them):
        try:
            async with asyncio.TaskGroup() as group:
                group._tasks = InOrder()  # it cancels them in the set's order
                for index in them:
                    self.n_calls += 1
                    index = index if self.n_calls < N_CALLS else None
                    self.tasks.append(
                        group.create_task(self.body(index), name=self.new_name())
                    )
        except BaseExceptionGroup as errors:
            self.note(name, "group", [describe(e) for e in errors.exceptions])

    async def do_timeout(self, name, delay, index):
        try:
            async with asyncio.timeout(None if delay else 0):
                self.note(name, "got", await self.start_awaited(index))
        except TimeoutError as error:
            self.note(name, "timed out", describe(error))

    async def do_wait_for(self, name, delay, index):
        try:
            limit = None if delay else 0
            self.note(name, await asyncio.wait_for(self.start_awaited(index), limit))
        except TimeoutError as error:
            self.note(name, "timed out", describe(error))

    def callback(self, fails):
        def called(future):
            self.note("callback", state(future), number.get(), fails)
            self.note(asyncio.current_task() is None)
            if fails:
                raise ValueError("from a callback")

        return called

    async def do_add_callback(self, name, i, fails):
        self.futures[i].add_done_callback(self.callback(fails))

    async def do_add_task_callback(self, name, i, fails):
        self.child(i).add_done_callback(self.callback(fails))

    async def do_remove_callback(self, name, i):
        callbacks = self.futures[i]._callbacks or ()
        self.note(name, len(callbacks))
        for callback, _ in callbacks[:1]:
            if getattr(callback, "__self__", None) is None:
                self.note(name, self.futures[i].remove_done_callback(callback))

    async def do_call_soon(self, name, fails):
        def called():
            self.note("called", number.get(), asyncio.current_task() is None)
            if fails:
                raise LookupError("from call_soon")

        self.loop.call_soon(called)

    async def do_set_number(self, name, value):
        number.set(value)

    async def do_raise(self, name, error):
        raise self.error(error)

    async def do_return(self, name, value):
        return value

    async def do_swallow(self, name, index):
        try:
            await self.start_awaited(index)
        except asyncio.CancelledError as error:
            self.note(name, "swallowed", describe(error))
        except Exception as error:
            self.note(name, "caught", describe(error))

    async def do_look(self, name):
        task = asyncio.current_task()
        self.note(name, state(task), task._must_cancel, bool(task.get_stack()))
        # the loop's own tasks, which close generators, are named by a counter
        names = sorted(
            t.get_name().partition("-")[0] for t in asyncio.all_tasks(self.loop)
        )
        self.note(name, names, [state(f) for f in self.futures])

    async def do_rubbish(self, name):
        await Rubbish()

    async def do_await_own(self, name, i, count):
        self.note(name, "got", await Own(self.futures[i], count))

    async def numbers(self, name, index, count):
        """An asynchronous generator that awaits between what it yields."""
        try:
            for i in range(count):
                yield i
                await self.start_awaited(index)
        finally:
            self.note(name, "generator ends")
            await asyncio.sleep(0)
            self.note(name, "generator has ended")

    async def do_generate(self, name, index, count):
        numbers = self.numbers(name, index, count)
        try:
            async for i in numbers:
                self.note(name, "generated", i)
        finally:
            await numbers.aclose()

    async def do_leave_generator(self, name, count):
        numbers = self.numbers(name, 0, count)
        self.note(name, "generated", await anext(numbers, "nothing"))
        del numbers  # the loop's hook closes it, in a task of its own

    async def do_spawn_in_context(self, name, index, value):
        context = contextvars.copy_context()
        context.run(number.set, 10 + value)
        self.n_calls += 1
        if self.n_calls < N_CALLS:
            self.know(
                self.Task(
                    self.body(index),
                    loop=self.loop,
                    name=self.new_name(),
                    context=context,
                )
            )

    async def do_stop_loop(self, name):
        self.loop.stop()

    async def do_exit(self, name, from_callback):
        def leave():
            raise SystemExit("from a callback")

        if from_callback:
            self.loop.call_soon(leave)
        else:
            raise SystemExit("from a task")

    async def do_swallow_all(self, name, index, count):
        """Cancelled however often, it goes on to its end."""
        for _ in range(count):
            try:
                await self.start_awaited(index)
            except asyncio.CancelledError as error:
                self.note(name, "goes on", describe(error))
                asyncio.current_task().uncancel()
            except (Exception, Unusual) as error:
                self.note(name, "caught", describe(error))

    # ---- runs inside of a step ----

    def run_inside(self, name, task):
        """Runs the loop until the task is done, which in the end is seen to."""
        if self.depth >= MAX_DEPTH:
            self.note(name, "too deep")
            return

        def nudge(turn):
            if not task.done():
                if turn > 20:
                    task.cancel("the end of a nested run")
                self.loop.call_soon(nudge, turn + 1)

        me = asyncio.current_task()
        self.depth += 1
        self.nesting.append(me)
        nudge(0)
        try:
            self.note(name, "nested", describe(self.nest(self.loop, task)))
        finally:
            self.depth -= 1
            self.nesting.pop()
            self.note(name, "is current again", asyncio.current_task() is me)

    async def do_nest(self, name, index):
        self.run_inside(name, self.start_awaited(index))

    async def do_nest_guarded(self, name, index):
        try:
            self.run_inside(name, self.start_awaited(index))
        except (Exception, asyncio.CancelledError, Unusual) as error:
            self.note(name, "caught", describe(error))

    async def do_nest_child(self, name, i):
        """A task that runs already, but none that waits further up the stack."""
        free = [
            task
            for task in self.tasks
            if int(task.get_name()[1:]) > int(name[1:])
            and task not in self.awaited
            and task not in self.nesting
        ]
        if free:
            task = free[i % len(free)]
            self.awaited.add(task)
            self.run_inside(name, task)

    async def do_nest_in_callback(self, name, index):
        def called():
            self.note(name, "called", asyncio.current_task() is None)
            self.run_inside(name, self.start_awaited(index))

        self.loop.call_soon(called)

    async def do_nest_forever(self, name, count):
        if self.depth < MAX_DEPTH:
            self.depth += 1
            self.nesting.append(asyncio.current_task())
            try:
                self.run_on(count)
            finally:
                self.depth -= 1
                self.nesting.pop()
            self.note(name, "ran on")

    def run_on(self, count):
        """Runs the loop for some turns."""
        over = []

        def stop(turn):
            if not over:  # a run inside may have taken the last one
                if turn >= count:
                    self.loop.stop()
                self.loop.call_soon(stop, turn + 1)

        if self.nest is None:
            self.loop.call_soon(self.loop.stop)
        else:
            stop(0)
        try:
            self.loop.run_forever()
        finally:
            over.append(True)

    # ---- the whole run ----

    def report(self, loop, context):
        message, error = context["message"].split(" at ")[0], context.get("exception")
        if "never retrieved" in message:
            # when it dies depends on cycles through the loop's own frames
            self.lost.append((message, describe(error)))
        else:
            self.note("report", message, describe(error))

    def collect(self):
        """What died unasked, all of it."""
        if self.uses("renew_future"):
            gc.collect()
        self.note("lost", sorted(self.lost))

    def run(self):
        self.loop.set_exception_handler(self.report)
        self.start(0)
        for turn in range(400):
            try:
                self.run_on(0)
            except SystemExit as error:
                self.note("left the loop", describe(error))
            pending = [task for task in self.tasks if not task.done()]
            if not pending:
                break
            if turn > 30 and turn % 4 == 0:
                pending[0].cancel("the end")
            for future in self.futures if turn > 200 else ():
                future.cancel()
        self.collect()
        self.note("left", sorted(t.get_name() for t in self.tasks if not t.done()))
        for task in self.tasks:
            self.note(task.get_name(), outcome(task), task.cancelling())
        for future in self.futures:
            self.note("future", outcome(future))
        return self.trace


def describe(value):
    """A value or exception, as text that is the same on every kind of type."""
    if isinstance(value, BaseExceptionGroup):
        return [describe(each) for each in value.exceptions]
    if isinstance(value, BaseException):
        return f"{type(value).__name__}{value.args!r}"[:80]
    return value


def state(future):
    return future._state, future._asyncio_future_blocking


def outcome(future):
    if not future.done():
        return "pending"
    if future.cancelled():
        return "cancelled"
    return describe(future.exception() or future.result())


def trace_of(program, make_loop, Future, Task, nest=None):
    """Every event of a run of the program on a new loop.

    nest(loop, task) runs the loop inside of a step until the task is done.
    """
    loop = make_loop()
    loop.set_task_factory(
        lambda loop, coro, **keywords: Task(coro, loop=loop, **keywords)
    )
    machine = Machine(program, loop, Future, Task, nest)
    try:
        return machine.run()
    finally:
        machine.over = True
        loop.set_exception_handler(lambda loop, context: None)
        for task in machine.tasks:
            task._log_destroy_pending = False
            if not task.done():
                close_unstarted(task.get_coro())
        if machine.uses("generate", "leave_generator"):
            end_generators(loop)
        loop.close()


def close_unstarted(coro):
    """Left behind, it would be complained of."""
    if inspect.getcoroutinestate(coro) == inspect.CORO_CREATED:
        coro.close()


def end_generators(loop):
    """The loop's hook closes those that are left, in tasks of its own."""
    for _ in range(10):
        try:
            loop.run_until_complete(loop.shutdown_asyncgens())
            break
        except (RuntimeError, SystemExit):
            pass  # what the program left in the queue stops the loop
    gc.collect()
    try:  # not stop(): a nested run of a task that was left may take it for its own
        loop.run_until_complete(asyncio.sleep(0))
    except (RuntimeError, SystemExit):
        pass  # from a task that was left


def patched_loop():
    """asyncio's, less its own callback that empties the pipe which wakes it.

    That is one of the entries that an iteration around a nested run has left
    (docs/differences-from-asyncio.md).
    """
    loop = asyncio.SelectorEventLoop()
    nest_asyncio2.apply(loop)
    loop._write_to_self = lambda: None
    return loop


def run_until_complete(loop, task):
    return loop.run_until_complete(task)


def run_nested(loop, task):
    return loop.run_nested(task)


def kits(nested):
    """What makes a trace_of() program's loop and tasks: asyncio's, then the others."""
    ours = fastloop.new_event_loop, fastloop.Future, fastloop.Task
    if nested:
        patched_loop().close()
        kinds = (patched_loop, asyncio.Future, asyncio.Task, run_until_complete)
        return kinds, [(*ours, run_until_complete), (*ours, run_nested)]
    others = [
        ours,
        (asyncio.SelectorEventLoop, fastloop.Future, fastloop.Task),
        (fastloop.new_event_loop, asyncio.Future, asyncio.Task),
    ]
    if PURE is not None:
        others.append((asyncio.SelectorEventLoop, *PURE))
    return (asyncio.SelectorEventLoop, asyncio.Future, asyncio.Task), others


def main():
    """Compares random programs on all combinations of loop and types."""
    asked = random_checks.asked_for(__doc__.partition("\n")[0], nested=True)
    first, others = kits(asked.nested)

    def compare(program):
        stock = trace_of(program, *first)
        for kit in others:
            ours = trace_of(program, *kit)
            assert ours == stock, random_checks.difference(stock, ours)
        return stock

    warnings.simplefilter("ignore", RuntimeWarning)  # coroutines left unstarted
    start = time.monotonic()
    count, n_events = random_checks.check_many(
        programs(asked.nested), compare, asked.programs, asked.seed
    )
    print(
        f"{count} programs of tasks{' that nest' if asked.nested else ''},"
        f" {n_events} events, the same trace on every"
        f" of {1 + len(others)} pairs of loop and types; seed {asked.seed},"
        f" Python {sys.version.split()[0]}, {time.monotonic() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
