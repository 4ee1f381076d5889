"""Nothing grows when fastloop is used over and over, and every method is used."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastloop
from tests.leaks import measure
from tests.leaks.scenarios import SCENARIOS

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.timeout(120)
def test_nothing_grows(name):
    done = subprocess.run(
        [sys.executable, HERE / "measure.py", name],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.stdout, done.stderr) == (f"{name} flat\n", "")


def test_a_leak_is_seen():
    kept = []
    assert measure.growth(lambda: kept.append([]))["objects"] > 0
    assert measure.growth(lambda: kept.append(object()))["blocks"] > 0
    assert measure.growth(lambda: kept.append(open("/dev/null")))["fds"] > 0  # noqa: SIM115
    for each in kept:
        getattr(each, "close", bool)()


def test_what_does_not_grow_is_not_reported():
    assert measure.growth(lambda: [object()]) == {}


# Called by the loop itself, or by the running Python's own code over it.
CALLED_INSIDE = re.compile(
    r"_(add_callback.*|add_writer|after_fork|asyncgen_.*|call_soon|check_.*"
    r"|close_self_pipe|handle_signal|make_.*|process_events|read_from_self"
    r"|remove_writer|run_.*|signal_fd|timer_handle_cancelled|watched_events"
    r"|write_to_self|__\w+__)"
)


def test_every_method_has_a_scenario():
    text = (HERE / "scenarios.py").read_text()
    methods = [
        name
        for kind in (fastloop.Loop, *fastloop.Loop.__mro__[1:2])
        for name, value in vars(kind).items()
        if type(value).__name__ == "method_descriptor"
    ]
    assert methods
    without = [
        name
        for name in methods
        if not CALLED_INSIDE.fullmatch(name) and not re.search(rf"\b{name}\b", text)
    ]
    assert without == []
