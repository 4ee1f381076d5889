"""Running random programs of transports on both loops, and many of them.

A kind is a module with `programs(exact)`, a hypothesis strategy, `is_exact(program)`,
which says whether every loop must leave the same trace, a `Machine(program, loop,
ours)`, and the words WHAT and MODEL for the report.
"""

import argparse
import asyncio
import logging
import sys
import time

from hypothesis import HealthCheck, Phase, given, seed, settings

import fastloop
from tests.core.random_programs import difference


def run(kind, program, make_loop):
    """Every event of a run of the program; AssertionError if the model says no."""
    loop = make_loop()
    ours = type(loop).__module__.startswith("fastloop")
    machine = kind.Machine(program, loop, ours)
    logger = logging.getLogger("asyncio")
    logger.addFilter(machine.filter)
    try:
        trace = machine.run()
    finally:
        loop.close()
        logger.removeFilter(machine.filter)
        machine.close()
    assert not machine.wrong, f"{machine.wrong[:3]} after {trace[-30:]}"
    return trace


def check(kind, program):
    """Runs it on asyncio and on fastloop; asyncio's trace."""
    stock = run(kind, program, asyncio.SelectorEventLoop)
    ours = run(kind, program, fastloop.new_event_loop)
    if kind.is_exact(program):
        assert ours == stock, difference(stock, ours)
    return stock


def check_many(kind, exact, count, first_seed):
    """Checks random programs; how many, and how many events they had."""
    n_events = []

    @seed(first_seed)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(kind.programs(exact))
    def every(program):
        n_events.append(len(check(kind, program)))

    every()
    return len(n_events), sum(n_events)


def main(kind):
    """Checks as many random programs as asked for, every second one an exact one."""
    options = argparse.ArgumentParser(description=kind.__doc__.partition("\n")[0])
    options.add_argument("--programs", type=int, default=10_000, metavar="N")
    options.add_argument("--seed", type=int, default=1, metavar="S")
    given = options.parse_args()
    start = time.monotonic()
    n_others = given.programs // 2
    n_exact = given.programs - n_others
    n_exact, n_exact_events = check_many(kind, True, n_exact, given.seed)
    n_others, n_other_events = check_many(kind, False, n_others, given.seed)
    print(
        f"{n_exact + n_others} programs of {kind.WHAT},"
        f" {n_exact_events + n_other_events} events:"
        f" they follow the model of a {kind.MODEL} on asyncio and on fastloop,"
        f" {n_exact} of them with the same trace; seed {given.seed},"
        f" Python {sys.version.split()[0]}, {time.monotonic() - start:.0f} s"
    )
