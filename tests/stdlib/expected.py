"""What of CPython's asyncio tests is not run on the loop, or must fail, and why.

A name is module.Class.method, as `python -m unittest test.test_asyncio.<name>` has
it. The judge of what belongs here is compare_with_judge.py.
"""

import sys
from typing import NamedTuple


class LeftOut(NamedTuple):
    """Never run: these test something other than the loop. `pattern` is a regex."""

    pattern: str
    reason: str


class Fails(NamedTuple):
    """Run and must fail; passing fails the run. `since` and `before` are versions.

    A `*` in the name stands for several classes with the same test, each of which
    must fail.
    """

    name: str
    reason: str
    since: tuple = (3, 11)
    before: tuple = (4, 0)

    @property
    def here(self):
        return self.since <= sys.version_info < self.before


LEFT_OUT = [
    LeftOut(
        r"test_(proactor_events|windows_events|windows_utils)\.|Proactor|Kqueue",
        "not for Linux",
    ),
    LeftOut(
        r"test_(transports|protocols)\.|\.(AbstractEventLoopTests|TestAbstractServer)\.",
        "abstract base classes without a loop",
    ),
    LeftOut(r"test_tools\.", "the ps and pstree commands, which run no loop"),
    LeftOut(
        r"test_selector_events\.|\.UnixReadPipeTransportTests\.|"
        r"\.UnixWritePipeTransportTests\.",
        "asyncio's own transport classes on mock sockets",
    ),
    LeftOut(r"\.SslProtoHandshakeTests\.", "asyncio's SSLProtocol on mock transports"),
    LeftOut(
        r"\.SubprocessTransportTests\.",
        "asyncio's BaseSubprocessTransport on mock pipes",
    ),
    LeftOut(
        r"\.(EPoll|Poll)EventLoopTests\.",
        "the same as SelectEventLoopTests but for a selector, which the loop has not",
    ),
    LeftOut(
        r"test_events\.(HandleTests|TimerTests)\.",
        "asyncio's Handle classes without a loop",
    ),
    LeftOut(
        r"\.(AbstractChildWatcherTests|BaseChildWatcherTests|SafeChildWatcherTests|"
        r"FastChildWatcherTests|ThreadedChildWatcherTests)\.",
        "asyncio's child watchers on mock loops",
    ),
    LeftOut(
        r"test_base_events\.(BaseEventTests|TestSelectorUtils)\.",
        "functions of asyncio.base_events and selector_events without a loop",
    ),
    LeftOut(
        r"\.(TestPyGetEventLoop|TestCallStackPy|Test(Eager)?PyFreeThreading)\.",
        "asyncio's functions in Python instead of those in C, which the core calls",
    ),
    LeftOut(
        r"\.BaseEventLoopTests\.test_(_run_once|_run_once_schedule_handle|"
        r"custom_run_forever_integration)$",
        "single iterations of a loop with a mock selector; they would wait for ever",
    ),
]

READY = "reads _ready: the queue is in C and has no such attribute"
SELECTOR = "looks into a mock selector or into asyncio's heap of timers"
SIGNAL = "puts a mock in asyncio.unix_events for the module signal"

FAILS = [
    Fails("test_base_events.BaseEventLoopTests.test__add_callback_handle", READY),
    Fails(
        "test_base_events.BaseEventLoopTests.test__add_callback_cancelled_handle",
        READY,
    ),
    Fails("test_base_events.BaseEventLoopTests.test_call_later", READY),
    Fails("test_base_events.BaseEventLoopTests.test_call_soon", READY),
    Fails("test_tasks.*.test_log_destroyed_pending_task", READY),
    Fails("own_types.*.test_log_destroyed_pending_task", READY),
    Fails(
        "own_types*.Task_Future.test_set_*_causes_invalid_state",
        "sets a task's result by Future's method, and Task derives from asyncio.Task "
        "alone",
    ),
    Fails(
        "test_base_events.BaseEventLoopTests.test__run_once_cancelled_event_cleanup",
        SELECTOR,
    ),
    Fails("test_base_events.BaseEventLoopTests.test_run_forever_pre_stopped", SELECTOR),
    Fails(
        "test_base_events.BaseEventLoopTests."
        "test_single_selecter_event_callback_after_stopping",
        SELECTOR,
    ),
    Fails(
        "test_base_events.BaseEventLoopTests.test_not_implemented",
        "expects a BaseEventLoop, which has no transports",
    ),
    Fails(
        "test_events.SelectEventLoopTests.test_internal_fds",
        "reads _internal_fds, the count of asyncio's self-pipes",
    ),
    Fails(
        "test_runners.RunTests.test_asyncio_run_debug",
        "puts a mock in asyncio.coroutines for _is_debug_mode",
    ),
    Fails(
        "test_unix_events.SelectorEventLoopSignalTests.test_add_signal_handler_"
        "install_error*",
        SIGNAL,
    ),
    Fails(
        "test_unix_events.SelectorEventLoopSignalTests."
        "test_add_signal_handler_setup_error",
        SIGNAL,
    ),
    Fails("test_unix_events.SelectorEventLoopSignalTests.test_close", SIGNAL),
    Fails(
        "test_unix_events.SelectorEventLoopSignalTests.test_close_on_finalizing",
        "puts a mock in asyncio.unix_events for the module sys",
    ),
    Fails(
        "test_unix_events.SelectorEventLoopSignalTests.test_remove_signal_handler",
        SIGNAL,
    ),
    Fails(
        "test_unix_events.SelectorEventLoopSignalTests.test_remove_signal_handler_2",
        SIGNAL,
    ),
    Fails(
        "test_unix_events.SelectorEventLoopSignalTests."
        "test_remove_signal_handler_error*",
        SIGNAL,
    ),
]
