"""In which iteration a signal's handler runs, and which."""

import asyncio
import os
import signal

import pytest


def test_in_which_iteration(loop):
    """The poll sees it, the next iteration looks for the handler, which runs in the
    one behind."""
    seen = []

    def signalled():
        seen.append("handler")
        loop.call_soon(seen.append, "soon")

    def begin():
        loop.call_soon(count, 1)
        os.kill(os.getpid(), signal.SIGUSR1)
        loop.call_later(0, seen.append, "timer")

    def count(n):
        seen.append(n)
        if n < 5:
            loop.call_soon(count, n + 1)

    loop.add_signal_handler(signal.SIGUSR1, signalled)
    loop.call_soon(begin)
    loop.call_later(0.1, loop.stop)
    loop.run_forever()
    assert seen == [1, "timer", 2, "handler", 3, "soon", 4, 5]
    loop.remove_signal_handler(signal.SIGUSR1)


def test_removed_while_the_signal_waits(loop):
    seen = []

    def begin():
        os.kill(os.getpid(), signal.SIGUSR1)
        loop.call_soon(loop.remove_signal_handler, signal.SIGUSR1)

    loop.add_signal_handler(signal.SIGUSR1, seen.append, "handled")
    loop.call_soon(begin)
    loop.call_later(0.1, loop.stop)
    loop.run_forever()
    assert seen == []


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_handle_of_another_class(loop, cancelled):
    """One that was cancelled takes the handler with it."""
    seen = []
    loop.add_signal_handler(signal.SIGUSR1, print)
    handle = asyncio.Handle(seen.append, ("handled",), loop)
    loop._signal_handlers[signal.SIGUSR1] = handle
    if cancelled:
        handle.cancel()
    loop.call_soon(signal.raise_signal, signal.SIGUSR1)
    loop.call_later(0.1, loop.stop)
    loop.run_forever()
    assert seen == ([] if cancelled else ["handled"])
    assert loop.remove_signal_handler(signal.SIGUSR1) is not cancelled
