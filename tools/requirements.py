"""Print what a group, or an extra, of pyproject.toml requires, one requirement a line.

python tools/requirements.py compat | pip install -r /dev/stdin
"""

import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def requirements(name: str) -> list[str]:
    """Return the requirements; exits with a sentence if there is no such group."""
    said = tomllib.loads(PYPROJECT.read_text())
    groups = {**said["project"]["optional-dependencies"], **said["dependency-groups"]}
    if name not in groups:
        sys.exit(f"pyproject.toml has no group {name!r}, but {', '.join(groups)}")
    found: list[str] = groups[name]
    return found


if __name__ == "__main__":
    print(*requirements(sys.argv[1]), sep="\n")
