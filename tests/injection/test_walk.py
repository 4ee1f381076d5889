"""Every so many faults of the debug build; .ci/run walks them all."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastloop import _core

HERE = Path(__file__).resolve().parent

pytestmark = [
    pytest.mark.skipif(
        not hasattr(_core, "_fault_sites"), reason="faults are in the debug build only"
    ),
    pytest.mark.timeout(180),
]


def walk(*options):
    """Run walk.py; the CompletedProcess, as text."""
    return subprocess.run(
        [sys.executable, HERE / "walk.py", *options],
        capture_output=True,
        text=True,
        timeout=170,
    )


def test_some_faults_do_no_harm():
    done = walk("--every", "8", "--programs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    walked = re.search(r"(\d+) walked", done.stdout)
    assert walked and int(walked[1]) > 60


def test_a_fault_that_nobody_is_told_of_is_found(tmp_path):
    """Without the list of those that may stay unseen."""
    script = tmp_path / "strict.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(HERE.parents[1])!r})\n"
        "from tests.injection import walk\n"
        "walk.UNSEEN.clear()\n"
        "sys.exit(walk.main(['--only', 'text_of', '--programs', '9']))\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 1
    assert "nobody is told: cleared in csrc/net/address.c text_of" in done.stdout
