"""Turns the runner's list of CPython's asyncio tests into pytest's items."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent


class Runner:
    """The process that runs the tests, started at collection."""

    def __init__(self, loop_name):
        self.loop_name = loop_name
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "runner.py"), "--loop", loop_name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        answer = self.read()
        self.missing = answer.get("missing")
        self.tests = answer.get("tests", {})
        self.chosen = []
        self.submitted = False
        self.outcomes = {}
        self.counts = Counter()
        self.second_tries = {}

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            self.close()
            status = self.process.returncode
            raise RuntimeError(f"tests/stdlib/runner.py ended with status {status}")
        return json.loads(line)

    def outcome(self, name):
        """Waits for the outcome of this test; the first call starts all chosen."""
        if not self.submitted:
            self.submitted = True
            print(json.dumps(self.chosen), file=self.process.stdin, flush=True)
        while name not in self.outcomes:
            answer = self.read()
            self.outcomes[answer["name"]] = answer
        answer = self.outcomes[name]
        self.counts[answer["outcome"]] += 1
        if answer.get("first_failure"):
            self.second_tries[name] = answer["first_failure"]
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


runner_key = pytest.StashKey[Runner]()


def pytest_addoption(parser):
    parser.addoption(
        "--stdlib-loop",
        default="fastloop",
        help="what CPython's asyncio tests run on; asyncio proves the runner",
    )


@pytest.fixture
def stdlib_runner(request):
    """Gives the outcome of a test by its name."""
    return request.config.stash[runner_key]


def pytest_generate_tests(metafunc):
    if "cpython_test" not in metafunc.fixturenames:
        return
    config = metafunc.config
    if runner_key not in config.stash:
        # This file's option is unknown when pytest was started further up.
        name = config.getoption("stdlib_loop", "fastloop")
        config.stash[runner_key] = Runner(name)
    runner = config.stash[runner_key]
    metafunc.parametrize("cpython_test", list(params_of(runner)))


def params_of(runner):
    if runner.missing:
        reason = f"{runner.missing} is not installed"
        mark = () if required() else pytest.mark.skip(reason)
        yield pytest.param(None, id="missing", marks=mark)
        return
    for name, test in runner.tests.items():
        if test["left_out"]:
            continue
        marks = ()
        if test["fails"]:
            marks = pytest.mark.xfail(reason=test["fails"], strict=True)
        yield pytest.param(name, id=name, marks=marks)


def required():
    return os.environ.get("FASTLOOP_REQUIRE_STDLIB") == "1"


def pytest_collection_finish(session):
    runner = session.config.stash.get(runner_key, None)
    if runner is None:
        return
    for item in session.items:
        name = getattr(item, "callspec", None) and item.callspec.params.get(
            "cpython_test"
        )
        if name:
            runner.chosen.append(name)


def pytest_unconfigure(config):
    runner = config.stash.get(runner_key, None)
    if runner is not None:
        runner.close()


def pytest_terminal_summary(terminalreporter, config):
    runner = config.stash.get(runner_key, None)
    if runner is None:
        return
    write = terminalreporter.write_line
    terminalreporter.section(f"CPython's asyncio tests on {runner.loop_name}")
    if runner.missing:
        write(
            "NOT RUN: this Python has no package test.test_asyncio. "
            f"Debian's package is {runner.missing}.",
            red=True,
            bold=True,
        )
        return
    left_out = Counter(t["left_out"] for t in runner.tests.values() if t["left_out"])
    counts = runner.counts
    expected = sum(bool(test["fails"]) for test in runner.tests.values())
    write(
        f"{counts['passed']} passed, {counts['skipped']} skipped, {counts['failed']} "
        f"failed ({expected} are expected to), {left_out.total()} left out"
    )
    for reason, count in left_out.most_common():
        write(f"  left out: {count} of {reason}")
    for name, text in runner.second_tries.items():
        last_line = text.strip().splitlines()[-1]
        write(f"  passed at the second try: {name} ({last_line})", yellow=True)
