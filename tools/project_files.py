"""The project's own files, for the checks beside this one."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Hidden folders are tools' own, but for these.
SHOWN = {".ci", ".github"}
MADE = {"build", "dist", "__pycache__"}
TEXT = {".c", ".h", ".md", ".py", ".pyi", ".sh", ".toml", ".yml", ".in", ".txt", ""}
TEXT |= {".css", ".html", ".js"}


def project_files(folder: Path) -> Iterator[Path]:
    """Yield every text file below folder that a person wrote, in a fixed order."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            hidden = path.name.startswith(".") and path.name not in SHOWN
            if not (hidden or path.name in MADE or path.suffix == ".egg-info"):
                yield from project_files(path)
        elif path.suffix in TEXT and path.name != ".git":
            yield path


def report(found: list[str]) -> int:
    """Print what a check found, one line each; return the exit status."""
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0
