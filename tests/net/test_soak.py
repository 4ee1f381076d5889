"""A few seconds of the soak: see soak.py, which can go on for longer."""

import subprocess
import sys

import pytest

from tests.support import ROOT, SLOWER, child_env


@pytest.mark.long
@pytest.mark.timeout(150)
def test_soak(fast_kind):
    script = ROOT / "tests" / "net" / "soak.py"
    done = subprocess.run(
        [sys.executable, script, "--seconds=5"],
        env=child_env(),
        capture_output=True,
        text=True,
        timeout=120 * SLOWER,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("all as it must be\n")
    # every kind of traffic has had its turn
    rows = [line.split() for line in done.stdout.splitlines()]
    counts = {row[0]: int(row[1]) for row in rows if len(row) == 4 and row[0] != "kind"}
    assert len(counts) == 10
    assert 0 not in counts.values()
