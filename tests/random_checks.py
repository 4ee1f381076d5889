"""Checking random programs: a few of them in a test, or many by hand."""

import argparse
import gc

from hypothesis import HealthCheck, Phase, given, seed, settings

COMMON = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


def check_few(strategy, check, count):
    """Calls check(program) for the same programs each time."""

    @settings(COMMON, max_examples=count, derandomize=True)
    @given(strategy)
    def every(program):
        check(program)

    every()


def check_many(strategy, check, count, first_seed):
    """check(program) returns its events: how many programs and events there were."""
    n_events = []

    @seed(first_seed)
    @settings(COMMON, max_examples=count, phases=[Phase.generate, Phase.shrink])
    @given(strategy)
    def every(program):
        # What is left of a program dies here: asyncio walks all tasks there are, and
        # what hypothesis remembers need not be walked each time.
        gc.collect()
        gc.freeze()
        n_events.append(len(check(program)))

    every()
    return len(n_events), sum(n_events)


def asked_for(description, nested=False):
    """The command line: how many `programs`, and the first one's `seed`.

    nested: whether there are some that nest, to be asked for.
    """
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--programs", type=int, default=10_000, metavar="N")
    options.add_argument("--seed", type=int, default=1, metavar="S")
    if nested:
        options.add_argument("--nested", action="store_true")
    return options.parse_args()


def difference(stock, ours):
    """The first event that differs, with what came before."""
    for i, (a, b) in enumerate(zip(stock, ours, strict=False)):
        if a != b:
            return f"event {i}: {a} / {b} after {stock[max(0, i - 12) : i]}"
    return f"lengths {len(stock)} and {len(ours)}"
