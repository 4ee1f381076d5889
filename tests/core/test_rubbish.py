"""Private attributes written from outside raise at worst: see rubbish.py."""

import re
import subprocess
import sys

import pytest

from tests.core import rubbish
from tests.support import ROOT, SLOWER, STOCK_TYPES, child_env

# What each kind has, at least: a walk that found nothing would prove nothing.
FEWEST_ATTRIBUTES = 9 if STOCK_TYPES else 10


@pytest.mark.long
@pytest.mark.timeout(300)  # 8 s where nothing else runs
@pytest.mark.parametrize("kind", rubbish.KINDS)
def test_no_rubbish_crashes(fast_kind, kind):
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.rubbish", kind],
        env=child_env(PYTHONMALLOC="debug"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280 * SLOWER,
        check=False,
    )
    last = done.stdout.splitlines()[-1:]
    assert done.returncode == 0, (done.returncode, last, done.stderr[-2000:])
    found = re.fullmatch(r"(\d+) attacks on (\d+) attributes survived", last[0])
    assert found, (last, done.stderr[-2000:])
    assert int(found[2]) >= FEWEST_ATTRIBUTES
