"""The programs that faults are tried on, by name, and how to add one."""

import fastloop
from tests.leaks.scenarios import SCENARIOS

PROGRAMS = dict(SCENARIOS)


def program(function):
    """Register a program; it may return a list of what went wrong."""
    PROGRAMS[function.__name__] = function
    return function


def with_loop(function):
    """Register a function that is given a loop, closed after it."""

    def run():
        loop = fastloop.new_event_loop()
        try:
            return function(loop)
        finally:
            loop.close()

    PROGRAMS[function.__name__] = run
    return run


def with_coroutine(function):
    """Register a coroutine function, run to its end on a loop of its own."""

    def run():
        return fastloop.run(function())

    PROGRAMS[function.__name__] = run
    return run
