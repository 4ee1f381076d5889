"""What every test has: a loop of either kind, and a check that it left nothing.

A test that asks for `loop`, `run` or `loop_factory` runs twice, on asyncio and on
fastloop. After each test, whatever it asks for: no file descriptor, thread, live
object of the extension's debug build, log record, warning or exception in a
finalizer may be left over.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings

import pytest

pytest.register_assert_rewrite("tests.support", "tests.net.helpers")

KINDS = ["asyncio", "fastloop"]
if os.environ.get("FASTLOOP_TESTS_ASYNCIO_ONLY"):
    KINDS.remove("fastloop")
# The collector runs whenever it can; what asyncio is then like is not our question.
GC_STRESS = bool(os.environ.get("FASTLOOP_TESTS_GC_STRESS"))
if GC_STRESS or os.environ.get("FASTLOOP_TESTS_FASTLOOP_ONLY"):
    KINDS.remove("asyncio")

LINGER_S = 3 * float(os.environ.get("FASTLOOP_TESTS_SLOWER", "1"))


def pytest_configure():
    """A shell's background job ignores SIGINT, and would all children of the tests."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def factory_of(kind):
    """The function that makes an event loop of this kind."""
    if kind == "asyncio":
        return asyncio.new_event_loop
    import fastloop

    return fastloop.new_event_loop


@pytest.fixture(params=KINDS)
def loop_kind(request):
    """ "asyncio" or "fastloop"."""
    return request.param


@pytest.fixture
def loop_factory(loop_kind):
    """Makes loops of the kind under test; whoever makes one closes it."""
    return factory_of(loop_kind)


@pytest.fixture
def loop(loop_factory):
    """One loop, emptied and closed after the test as a Runner would."""
    loop = loop_factory()
    yield loop
    if not loop.is_closed():
        finish(loop)


@pytest.fixture
def fast_kind():
    """The kind "fastloop" only, for what asyncio has not or leaves open."""
    if "fastloop" not in KINDS:
        pytest.skip("FASTLOOP_TESTS_ASYNCIO_ONLY is set")
    return "fastloop"


@pytest.fixture
def fast_loop(fast_kind):
    """A loop of ours only."""
    loop = factory_of(fast_kind)()
    yield loop
    if not loop.is_closed():
        finish(loop)


@pytest.fixture
def run(loop_factory):
    """run(coroutine) as asyncio.run does, on a loop of the kind under test."""

    def run(coroutine, *, debug=None):
        with asyncio.Runner(debug=debug, loop_factory=loop_factory) as runner:
            # Debug mode's report of a busy machine is no news.
            runner.get_loop().slow_callback_duration = 60
            return runner.run(coroutine)

    return run


@pytest.fixture
def pair():
    """Two connected sockets, not blocking."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        yield left, right


def finish(loop):
    loop.set_task_factory(None)
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    tasks.clear()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


class Logs(logging.Handler):
    """The records that asyncio and fastloop log at WARNING and above."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.records = []

    def emit(self, record):
        # A record's arguments and traceback keep objects alive: text only.
        self.records.append((record.levelname, self.format(record)))

    def take(self):
        """The (level, text) pairs since the last call."""
        records, self.records = self.records, []
        return records

    def take_text(self):
        """The same as one string."""
        return "\n".join(text for _, text in self.take())


class Unraisable:
    """What `sys.unraisablehook` and `threading.excepthook` were told."""

    def __init__(self):
        self.reports = []

    def hook(self, args):
        where = getattr(args, "object", None) or getattr(args, "thread", None)
        self.reports.append(f"{args.exc_type.__name__}: {args.exc_value} in {where!r}")

    def take(self):
        """The reports since the last call, as text."""
        reports, self.reports = self.reports, []
        return reports


logs_key = pytest.StashKey[Logs]()
unraisable_key = pytest.StashKey[Unraisable]()
state_key = pytest.StashKey[dict]()
failed_key = pytest.StashKey[bool]()


@pytest.fixture
def logs(request):
    """Asked for by a test that causes log records; it takes what it expects."""
    return request.node.stash[logs_key]


@pytest.fixture
def unraisable(request):
    """Asked for by a test whose finalizers raise; it takes what it expects."""
    return request.node.stash[unraisable_key]


def open_fds():
    fds = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            fds[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass  # the listing's own
    return fds


def live_counts():
    core = sys.modules.get("fastloop._core")
    counts = getattr(core, "_debug_counts", None)
    return dict(counts()) if counts else {}


def check_structures():
    """Raises if a debug build finds a loop of ours inconsistent."""
    core = sys.modules.get("fastloop._core")
    getattr(core, "_debug_check", bool)()


def snapshot():
    return {
        "threads": set(threading.enumerate()),
        "fds": open_fds(),
        "live": live_counts(),
    }


def leftovers(before):
    """What is here and was not before, as text; "" if nothing is."""
    after = snapshot()
    found = []
    threads = after["threads"] - before["threads"]
    if threads:
        found.append(f"threads {sorted(thread.name for thread in threads)}")
    fds = {
        fd: target
        for fd, target in after["fds"].items()
        if before["fds"].get(fd) != target
    }
    if fds:
        found.append(f"open file descriptors {fds}")
    live = {
        name: (before["live"].get(name, 0), count)
        for name, count in after["live"].items()
        if count > before["live"].get(name, 0)
    }
    if live:
        found.append(f"live objects (before, after) {live}")
    return "; ".join(found)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    logs = item.stash[logs_key] = Logs()
    unraisable = item.stash[unraisable_key] = Unraisable()
    hooks = sys.unraisablehook, threading.excepthook
    sys.unraisablehook = threading.excepthook = unraisable.hook
    gc.collect()
    gc.freeze()  # what is here by now need not be walked after this test again
    unraisable.take()  # what a test that failed had left
    item.stash[state_key] = {"hooks": hooks, **snapshot()}
    item.stash[failed_key] = False
    for name in ("asyncio", "fastloop"):
        logging.getLogger(name).addHandler(logs)
    return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item):
    thresholds = gc.get_threshold()
    if GC_STRESS:
        gc.set_threshold(1, 1, 1)
    try:
        result = yield
        check_structures()
        return result
    finally:
        gc.set_threshold(*thresholds)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed or report.skipped:
        item.stash[failed_key] = True
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    try:
        yield
        # pytest keeps the fixtures' values until the next test otherwise.
        if hasattr(item, "funcargs"):
            item.funcargs.clear()
        found = settle(item)
    finally:
        logs, unraisable = item.stash[logs_key], item.stash[unraisable_key]
        sys.unraisablehook, threading.excepthook = item.stash[state_key]["hooks"]
        for name in ("asyncio", "fastloop"):
            logging.getLogger(name).removeHandler(logs)
    found += [f"log record {text}" for _, text in logs.take()]
    found += [f"unraisable exception {text}" for text in unraisable.take()]
    if found and not item.stash[failed_key]:
        pytest.fail("left over: " + "\n".join(found), pytrace=False)


def settle(item):
    """Gives threads on their way out a moment; returns what remains."""
    if item.stash[failed_key]:
        return []  # the traceback keeps the test's objects
    before = item.stash[state_key]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a finalizer's warning reaches the hook
        gc.collect()
        deadline = time.monotonic() + LINGER_S
        while (found := leftovers(before)) and time.monotonic() < deadline:
            time.sleep(0.005)
            gc.collect()
    return [found] if found else []
