"""Who waits for what, in words."""

import asyncio
from typing import Any

from .._census import row_of

_MAX_TASKS = 100


def describe(loop: Any) -> str:
    """Return ": 2 tasks wait" and a paragraph for each of a loop's tasks."""
    tasks = sorted(asyncio.all_tasks(loop), key=_number)
    if not tasks:
        return ": no task is left"
    head = "1 task waits" if len(tasks) == 1 else f"{len(tasks)} tasks wait"
    lines = [f": {head}"]
    lines += [_paragraph(task) for task in tasks[:_MAX_TASKS]]
    if len(tasks) > _MAX_TASKS:
        lines.append(f"  and {len(tasks) - _MAX_TASKS} more")
    return "\n".join(lines)


def place_of(task: Any) -> str:
    """Return where a task waits."""
    at = row_of(task)["at"]
    return f"{at[0][0]}:{at[0][1]} in {at[0][2]}" if at else "?"


def _number(task: Any) -> tuple[int, str]:
    """Sort Task-2 before Task-10."""
    name = str(task.get_name())
    return len(name), name


def _paragraph(task: Any) -> str:
    row = row_of(task)
    lines = [f"  {row['name']}: {row['coroutine']}"]
    if row["waits_for"]:
        lines[0] += f" waits for {row['waits_for']}"
    for file, line, name in row["at"]:
        lines.append(f"    at {file}:{line} in {name}")
    for file, line, name in row["made_at"]:
        lines.append(f"    made at {file}:{line} in {name}")
    return "\n".join(lines)
