"""Tests with every kind of outcome, run by test_runner.py.

python sample_cases.py DIRECTORY
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

import runner
from suite import Case

DIRECTORY = Path(sys.argv[1])
TIMEOUT_S = 2


class Sample(unittest.TestCase):
    def test_passes(self):
        Path("written-by-all").touch(exist_ok=False)

    def test_passes_too(self):
        Path("written-by-all").touch(exist_ok=False)

    def test_fails(self):
        print("printed before")
        self.assertEqual(1, 2)

    def test_fails_in_subtest(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertNotEqual(number, 1)

    def test_fails_once(self):
        note = DIRECTORY / "was-here"
        if not note.exists():
            note.touch()
            self.fail("the first time")

    def test_hangs(self):
        time.sleep(1000)

    def test_hangs_in_c(self):
        ctypes.PyDLL(None).pause()

    def test_crashes(self):
        ctypes.string_at(0)

    def test_exits(self):
        os._exit(0)

    def test_is_interrupted(self):
        os.kill(os.getpid(), signal.SIGINT)

    @unittest.skip("not today")
    def test_skips(self):
        pass

    @unittest.expectedFailure
    def test_passes_unexpectedly(self):
        pass

    @unittest.expectedFailure
    def test_fails_as_expected(self):
        self.fail()

    def test_leaves_a_process(self):
        process = subprocess.Popen(["sleep", "1000"])
        (DIRECTORY / "left-pid").write_text(str(process.pid))

    def test_leaves_an_object(self):
        COUNTS["handles"] += 1


class SetUpFails(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise OSError("no such place")

    def test_never_runs(self):
        pass


COUNTS = {"handles": 7}


def main():
    cases = {
        f"{cls.__name__}.{method}": Case(cls, method, None, None)
        for cls in (Sample, SetUpFails)
        for method in unittest.defaultTestLoader.getTestCaseNames(cls)
    }
    outcomes = {}
    runner.start_running()
    runner.run_all(
        cases, list(cases), 2, TIMEOUT_S, lambda: dict(COUNTS), outcomes.__setitem__
    )
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
