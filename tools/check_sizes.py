"""Check that no file has outgrown one room (lizard checks the functions)."""

import sys
from pathlib import Path

from project_files import ROOT, project_files, report

LONGEST = 800
CODE = {".c", ".h", ".js", ".py", ".pyi", ".sh"}


def check_sizes(root: Path) -> list[str]:
    """Return one line for each source file that is too long."""
    found = []
    for path in project_files(root):
        if path.suffix in CODE:
            lines = len(path.read_text().splitlines())
            if lines > LONGEST:
                name = path.relative_to(root)
                found.append(f"{name}: {lines} lines, more than {LONGEST}")
    return found


if __name__ == "__main__":
    sys.exit(report(check_sizes(ROOT)))
