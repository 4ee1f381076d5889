"""Runs CPython's asyncio tests on a loop, each in a forked process, a few at a time.

    python runner.py --loop fastloop [--jobs 2] [--timeout 60]

Talks to conftest.py in lines of JSON: prints what tests there are, reads one line with
the names of those to run, prints an outcome for each as it comes. The runner stays
free of threads and event loops, so that a forked child starts like a fresh process.
"""

import argparse
import collections
import gc
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import suite
from child import FAILED, MARK, PASSED, SKIPPED, run_in_child

OUTPUT_TAIL = 20_000
DUMP_S = 5  # for a hung test to print its traceback


class Run:
    """One child under way."""

    def __init__(self, name, case, timeout_s, first_failure, debug_counts):
        self.name = name
        self.timeout_s = timeout_s
        self.first_failure = first_failure
        self.directory = tempfile.TemporaryDirectory(prefix="stdlib-test-")
        self.output = Path(self.directory.name, "output")
        self.output.touch()
        self.deadline = time.monotonic() + timeout_s
        self.hung = False
        self.pid = os.fork()
        if self.pid == 0:
            run_in_child(case, self.output, debug_counts)

    def poll(self):
        """The outcome as a dict, or None while it runs. Ends it if overdue."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            if time.monotonic() >= self.deadline:
                self.end()
            return None
        self.kill(signal.SIGKILL)  # whatever it has left behind
        try:
            return self.outcome(os.waitstatus_to_exitcode(status))
        finally:
            self.directory.cleanup()

    def end(self):
        """First by a signal on which the test's threads are printed, then for good."""
        if not self.hung:
            self.hung = True
            self.deadline += DUMP_S
            os.kill(self.pid, signal.SIGABRT)
        else:
            self.kill(signal.SIGKILL)
            os.kill(self.pid, signal.SIGKILL)

    def kill(self, signum):
        try:
            os.killpg(self.pid, signum)
        except ProcessLookupError:
            pass

    def outcome(self, code):
        output, _, text = self.read_output().rpartition(MARK)
        if self.hung:
            return self.failed(f"hung for {self.timeout_s:g} s", output or text, "hung")
        if code < 0:
            name = signal.Signals(-code).name
            return self.failed(f"killed by {name}", output or text, "crashed")
        if code == PASSED:
            return {"outcome": "passed", "first_failure": self.first_failure}
        if code == SKIPPED:
            return {"outcome": "skipped", "text": text}
        if code == FAILED:
            return self.failed(text, output, "failed")
        return self.failed(f"exited with status {code}", output or text, "crashed")

    def failed(self, text, output, how):
        if output.strip():
            text += f"\n-- output --\n{output}"
        return {"outcome": "failed", "how": how, "text": text}

    def read_output(self):
        with self.output.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - OUTPUT_TAIL))
            return file.read().decode(errors="replace")


def start_running():
    """Once, before run_all."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    gc.freeze()  # a collection in a child need not touch the runner's pages


def run_all(cases, names, jobs, timeout_s, debug_counts, report):
    """Calls report(name, outcome) for each of `names`, about in their order.

    A failure, not a crash or a hang, gets a second try: CPython's tests have
    deadlines of their own that a busy machine can miss.
    """
    waiting = collections.deque((name, None) for name in names)
    running = set()
    while waiting or running:
        while waiting and len(running) < jobs:
            name, first_failure = waiting.popleft()
            case = cases[name]
            running.add(Run(name, case, timeout_s, first_failure, debug_counts))
        next_deadline = min(run.deadline for run in running)
        pause_s = max(0.0, next_deadline - time.monotonic())
        signal.sigtimedwait([signal.SIGCHLD], pause_s)
        for run in list(running):
            outcome = run.poll()
            if outcome is None:
                continue
            running.remove(run)
            again = run.first_failure is None and cases[run.name].fails is None
            if again and outcome.get("how") == "failed":
                waiting.appendleft((run.name, outcome["text"]))
            else:
                report(run.name, outcome)


def say(message):
    print(json.dumps(message), flush=True)


def listing(cases):
    return {
        name: {"left_out": case.left_out, "fails": case.fails}
        for name, case in cases.items()
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--loop", required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=60, help="seconds per test")
    options = parser.parse_args()
    try:
        cases = suite.collect(options.loop)
    except suite.NoTestPackage:
        version = "{}.{}".format(*sys.version_info)
        say({"missing": f"libpython{version}-testsuite"})
        return
    say({"tests": listing(cases)})
    names = json.loads(sys.stdin.readline() or "[]")
    core = sys.modules.get("fastloop._core")
    debug_counts = getattr(core, "_debug_counts", None)
    start_running()
    run_all(
        cases,
        names,
        options.jobs,
        options.timeout,
        debug_counts,
        lambda name, outcome: say({"name": name, **outcome}),
    )


if __name__ == "__main__":
    main()
