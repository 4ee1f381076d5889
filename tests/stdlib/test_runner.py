"""The runner of CPython's tests tells every way a test can end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).with_name("sample_cases.py")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("sample")


@pytest.fixture(scope="module")
def outcomes(directory):
    """{name: what the runner reported}, SIGINT ignored as in a background job."""
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, SAMPLE, directory],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "name",
    ["test_passes", "test_passes_too", "test_fails_as_expected"],
)
def test_passed(outcomes, name):
    assert outcomes[f"Sample.{name}"] == {"outcome": "passed", "first_failure": None}


def test_second_try_is_told(outcomes):
    answer = outcomes["Sample.test_fails_once"]
    assert answer["outcome"] == "passed"
    assert "the first time" in answer["first_failure"]


def test_skipped(outcomes):
    answer = outcomes["Sample.test_skips"]
    assert answer == {"outcome": "skipped", "text": "not today"}


@pytest.mark.parametrize(
    "name, how, texts",
    [
        ("Sample.test_fails", "failed", ["1 != 2", "printed before"]),
        ("Sample.test_fails_in_subtest", "failed", ["1 == 1"]),
        ("Sample.test_hangs", "hung", ["hung for 2 s", "in test_hangs"]),
        ("Sample.test_hangs_in_c", "hung", ["hung for 2 s", "in test_hangs_in_c"]),
        ("Sample.test_crashes", "crashed", ["Segmentation fault", "in test_crashes"]),
        ("Sample.test_exits", "crashed", ["exited with status 0"]),
        ("Sample.test_is_interrupted", "failed", ["KeyboardInterrupt"]),
        ("Sample.test_passes_unexpectedly", "failed", ["and it passed"]),
        ("Sample.test_leaves_an_object", "failed", ["'handles': '7 before, 8 after'"]),
        ("SetUpFails.test_never_runs", "failed", ["no such place"]),
    ],
)
def test_failed(outcomes, name, how, texts):
    answer = outcomes[name]
    assert (answer["outcome"], answer["how"]) == ("failed", how)
    for text in texts:
        assert text in answer["text"]


def test_ends_what_a_test_left_running(outcomes, directory):
    assert outcomes["Sample.test_leaves_a_process"]["outcome"] == "passed"
    pid = (directory / "left-pid").read_text()
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return
    assert state == "Z"  # ended, not yet reaped
