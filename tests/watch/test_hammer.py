"""The hammer, for a moment; .ci/deep runs it for minutes."""

import subprocess
import sys
from pathlib import Path

import pytest

HAMMER = Path(__file__).with_name("hammer.py")


@pytest.mark.long
def test_a_few_seconds_of_everything(fast_kind):
    command = [sys.executable, HAMMER, "--seconds", "3", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert "blocks told" in done.stdout
