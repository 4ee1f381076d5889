"""What `run.py` is made of: the venv, the rounds, the report, the picture."""

from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
ROOT = BENCHMARKS.parent
