"""Check that no file has outgrown one room (lizard checks the functions), no folder
of csrc/ one look."""

import sys
from collections import Counter
from pathlib import Path

from project_files import ROOT, project_files, report

LONGEST = 800
LONGEST_OF_C = 599
MOST_FILES = 14
CODE = {".c", ".h", ".js", ".py", ".pyi", ".sh"}


def check_sizes(root: Path) -> list[str]:
    """Return one line for each source file that is too long, and each full folder."""
    found = []
    folders: Counter[Path] = Counter()
    for path in project_files(root):
        name = path.relative_to(root)
        of_c = name.parts[0] == "csrc"
        folders[name.parent] += of_c
        if path.suffix in CODE:
            lines = len(path.read_text().splitlines())
            longest = LONGEST_OF_C if of_c else LONGEST
            if lines > longest:
                found.append(f"{name}: {lines} lines, more than {longest}")
    return found + [
        f"{folder}: {n} files, more than {MOST_FILES}"
        for folder, n in folders.items()
        if n > MOST_FILES
    ]


if __name__ == "__main__":
    sys.exit(report(check_sizes(ROOT)))
