"""What the scripts here share: the venv, the rounds, the report, the picture."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
ROOT = BENCHMARKS.parent


def progress(text: str) -> None:
    """Say how far we are, beside the tables."""
    print(text, file=sys.stderr, flush=True)
