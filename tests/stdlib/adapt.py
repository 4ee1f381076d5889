"""Leads CPython's test classes that build a loop of asyncio's by hand to ours."""

import asyncio
from asyncio import unix_events

from virtual_clock import virtual_clock

# Enough iterations for what a test of gather() leaves to be run.
ITERATIONS = 12


def adapt_utils(utils, loop_class):
    """The base class of most tests makes a TestLoop; it now makes `loop_class`."""
    clocked = virtual_clock(loop_class)

    def new_test_loop(self, gen=None):
        loop = loop_class() if gen is None else clocked(gen)
        self.set_event_loop(loop)
        return loop

    utils.TestCase.new_test_loop = new_test_loop


def adapt_module(module, utils):
    """Redirects the helpers of one test module that know asyncio's loop."""
    adapt = ADAPTERS.get(module.__name__.rpartition(".")[2])
    if adapt is not None:
        adapt(module, utils)
    for value in list(vars(module).values()):
        if isinstance(value, type) and "create_event_loop" in vars(value):
            value.create_event_loop = lambda self: asyncio.SelectorEventLoop()


def set_up_new_loop(utils):
    def setUp(self):
        utils.TestCase.setUp(self)
        self.loop = asyncio.new_event_loop()
        self.set_event_loop(self.loop)

    return setUp


def adapt_base_events(module, utils):
    if asyncio.SelectorEventLoop is unix_events.SelectorEventLoop:
        return  # asyncio itself: the tests put mocks inside a loop of their own
    module.BaseEventLoopTests.setUp = set_up_new_loop(utils)


def adapt_pep492(module, utils):
    module.BaseTest.setUp = set_up_new_loop(utils)


def adapt_runners(module, utils):
    def new_loop(self):
        loop = asyncio.SelectorEventLoop()
        shut_down = loop.shutdown_asyncgens
        loop.shutdown_ag_run = False

        async def noted():
            loop.shutdown_ag_run = True
            await shut_down()

        loop.shutdown_asyncgens = noted
        return loop

    module.BaseTest.new_loop = new_loop


def adapt_tasks(module, utils):
    def run_loop(self, loop):
        for _ in range(ITERATIONS):
            utils.run_once(loop)

    module.GatherTestsBase._run_loop = run_loop


ADAPTERS = {
    "test_base_events": adapt_base_events,
    "test_pep492": adapt_pep492,
    "test_runners": adapt_runners,
    "test_tasks": adapt_tasks,
}
