"""One test in a process of its own, forked from the runner."""

import asyncio
import faulthandler
import gc
import os
import signal
import sys
import traceback
import unittest


def run_in_child(case, output, debug_counts):
    """Runs one test, its output sent to the file `output`, and exits.

    The exit status says what came of it; the text of a failure or the reason of a
    skip follows MARK in the output.
    """
    status = FAILED
    try:
        prepare(output)
        status, text = run(case, debug_counts)
    except BaseException:
        text = traceback.format_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    with output.open("ab") as file:
        file.write((MARK + text).encode(errors="backslashreplace"))
    os._exit(status)


# Exit statuses that no test would choose.
PASSED, FAILED, SKIPPED = 93, 94, 95
MARK = "\n-- outcome --\n"


def prepare(output):
    os.setsid()  # what the test spawns can be ended with it
    with open(os.devnull, "rb") as null, output.open("ab") as file:
        os.dup2(null.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    place = output.with_name("cwd")  # all tests write files of the same names
    place.mkdir()
    os.chdir(place)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    faulthandler.enable(2)
    asyncio.set_event_loop(None)  # as any test before this one would leave it


def run(case, debug_counts):
    before = debug_counts() if debug_counts else {}
    result = unittest.TestResult()
    suite = unittest.TestSuite([case.cls(case.method)])
    suite.run(result)
    bad = [text for _, text in result.failures + result.errors]
    if bad:
        return FAILED, "\n".join(bad)
    if result.unexpectedSuccesses:
        return FAILED, "CPython expects this test to fail, and it passed"
    if result.skipped:
        return SKIPPED, result.skipped[0][1]
    if not result.testsRun:
        return FAILED, "no test was run"
    return check_left(before, debug_counts)


def check_left(before, debug_counts):
    """The extension's live objects must be back at their number."""
    if not debug_counts:
        return PASSED, ""
    gc.collect()
    left = {
        kind: f"{before.get(kind, 0)} before, {count} after"
        for kind, count in debug_counts().items()
        if count > before.get(kind, 0)
    }
    return (FAILED, f"live objects left: {left}") if left else (PASSED, "")
