"""Check the wings of a floor of csrc/: a call only goes down them, or stays in its own.

Everybody includes core/loop/loop.h, so what an #include says is no order. Here a .c
file calls what it names, also by way of what headers have inline.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from project_files import ROOT, report

# The lowest first. What a lower wing wants of a higher one is a pointer in a struct:
# state->types.wake_task, loop->run_task, loop->revive, a watch's on_ready.
WINGS = [
    f"core/{name}"
    for name in ("ground", "handle", "future", "task", "io", "run", "loop")
]
# A timer whose callback is asyncio's own does in C what that would do to a task.
ELSEWHERE = {"core/handle/timer_handle.c": "core/task"}

NO_CODE = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
NAME = re.compile(r"\bfl_\w+\b")
DEFINED = re.compile(r"^(?:\w[\w ]* )?(fl_\w+)(?:\(|(?:\[\w*\])? = )", re.MULTILINE)
INLINE = re.compile(r"^(fl_\w+)\([^;]*?\n\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)


def code_of(path: Path) -> str:
    """Return the text of a file without comments and strings."""
    return NO_CODE.sub(" ", path.read_text())


def inlines(csrc: Path) -> dict[str, set[str]]:
    """Return what each inline function of the headers names."""
    return {
        name: set(NAME.findall(body))
        for path in csrc.rglob("*.h")
        for name, body in INLINE.findall(code_of(path))
    }


def named(code: str, inline: dict[str, set[str]]) -> Iterator[str]:
    """Yield each name that the code uses, itself or by what is inline."""
    seen: set[str] = set()
    waiting = NAME.findall(code)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += inline.get(name, ())
            yield name


def check_wings(csrc: Path) -> list[str]:
    """Return one line for each call that goes up."""
    codes = {str(p.relative_to(csrc)): code_of(p) for p in sorted(csrc.rglob("*.c"))}
    rank = {}
    for file in codes:
        wing = ELSEWHERE.get(file, file.rpartition("/")[0])
        if wing in WINGS:
            rank[file] = WINGS.index(wing)
        elif wing.startswith("core"):
            return [f"csrc/{file}: {wing} is not one of {WINGS}"]
    homes = {name: file for file in rank for name in DEFINED.findall(codes[file])}
    inline = inlines(csrc)
    return [
        f"csrc/{file}: {name} is in {homes[name]}, a wing above"
        for file in rank
        for name in sorted(named(codes[file], inline))
        if name in homes and rank[homes[name]] > rank[file]
    ]


if __name__ == "__main__":
    sys.exit(report(check_wings(ROOT / "csrc")))
