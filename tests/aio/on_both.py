"""Programs that run on asyncio's Python and on ours, on both loops."""

import asyncio

import fastloop
from fastloop import aio
from tests.aio.helpers import turns
from tests.random_checks import difference


def trace_of(run, loop_factory):
    """What happens: run.events, once run.main() has run on such a loop."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(run.main())
    return run.events


def same_events(make_run, program):
    """make_run(module, program): AssertionError if it is not the same everywhere; the
    events."""
    stock = trace_of(make_run(asyncio, program), asyncio.new_event_loop)
    for loop_factory in (asyncio.new_event_loop, fastloop.new_event_loop):
        ours = trace_of(make_run(aio, program), loop_factory)
        assert ours == stock, difference(stock, ours)
    return stock


async def play_steps(run, index, script, told):
    """Play one script: await run.act(name, number) for each step. run.events gets what
    that comes to, or told(error)."""
    for step, (name, number) in enumerate(script):
        try:
            result = await run.act(name, number)
        except BaseException as error:
            result = told(error)
            if isinstance(error, GeneratorExit):
                raise
        run.events.append((index, step, name, result))


def told_with_context(error):
    """All that is the same everywhere of an exception and what it came upon."""
    return type(error).__name__, str(error), repr(error.__context__), error.args


async def play_out(run, scripts, n_turns, let_go=lambda: None):
    """Play each script as a task, run.play(index, script), for so many turns; then
    cancel what is left, and let_go() of what that may wait for, until all have ended.
    run.events gets what run.look() sees at both ends."""
    run.tasks = [
        asyncio.create_task(run.play(index, script))
        for index, script in enumerate(scripts)
    ]
    await turns(n_turns)
    run.events.append(("end", run.look()))
    while pending := [task for task in run.tasks if not task.done()]:
        for task in pending:
            task.cancel()
        let_go()
        await turns(2)
    run.events.append(("over", run.look()))
