"""Check the floors of csrc/: an #include only goes down, or stays on its floor.

Also: below py/ nobody sees Python.h, a header is named with its room, no .c file
is included, and only the files made for it look at the Python version.
"""

import re
import sys
from pathlib import Path

from project_files import ROOT, report

FLOORS = ["base", "os", "py", "core", "net", "tls", "aio"]
BESIDE = {"watch": "core"}  # rooms on the floor of another
WITHOUT_PYTHON = {"base", "os"}
INCLUDE = re.compile(r'\s*#\s*include\s+(["<])([^">]+)[">]')
VERSION = re.compile(r"\bPY_(VERSION_HEX|M(AJOR|INOR|ICRO)_VERSION)\b")


def floor_of(name: Path) -> int:
    """Return the floor of a file given relative to csrc/; module.c is on top."""
    if len(name.parts) == 1:
        return len(FLOORS)
    room = name.parts[0]
    return FLOORS.index(BESIDE.get(room, room))


def may_know_version(name: Path) -> bool:
    """Tell whether the file may differ from one Python version to the next."""
    mirror = name.parts[0] in ("py", "core") and "mirror" in name.name
    return mirror or name == Path("py/compat.h")


def check_include(csrc: Path, name: Path, quote: str, included: str) -> str | None:
    """Return what is wrong with one #include line of the file, or None."""
    if included in ("Python.h", "structmember.h"):
        if name.parts[0] in WITHOUT_PYTHON:
            return f"{name.parts[0]}/ does not see {included}"
        return None
    if quote == "<":
        return None
    if included.endswith(".c"):
        return f"includes the source file {included}"
    if not (csrc / included).is_file() or "/" not in included:
        return f'no "{included}" in csrc: name a header with its room'
    if floor_of(Path(included)) > floor_of(name):
        return f"{included} is on a floor above"
    return None


def check_layers(csrc: Path) -> list[str]:
    """Return one line for each broken rule below csrc."""
    found = []
    for path in sorted(csrc.rglob("*.[ch]")):
        name = path.relative_to(csrc)
        rooms = [*FLOORS, *BESIDE]
        if len(name.parts) > 1 and name.parts[0] not in rooms:
            found.append(f"csrc/{name}: {name.parts[0]}/ is not one of {rooms}")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            where = f"csrc/{name}:{number}"
            if match := INCLUDE.match(line):
                fault = check_include(csrc, name, *match.groups())
                if fault:
                    found.append(f"{where}: {fault}")
            if VERSION.search(line) and not may_know_version(name):
                found.append(f"{where}: the Python version is py/compat.h's affair")
    return found


if __name__ == "__main__":
    sys.exit(report(check_layers(ROOT / "csrc")))
