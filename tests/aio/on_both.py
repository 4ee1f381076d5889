"""Programs that run on asyncio's Python and on ours, on both loops."""

import asyncio

import fastloop
from fastloop import aio
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
