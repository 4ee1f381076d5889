"""python -m fastloop.tasks PID: every task of that process, and where it waits."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from . import _inquiry
from ._coroutines import clean

_MAX_INDENT = 40  # then levels are numbered


def main(words: list[str] | None = None) -> int:
    """Print them. Return the exit code."""
    parser = _inquiry.parser("tasks", "Every task of a process, and where it waits.")
    parser.add_argument(
        "--tree", action="store_true", help="those that are awaited below who awaits"
    )
    options = parser.parse_args(words)
    return _inquiry.run(lambda: _tell(options.pid, options.tree, options.json))


def _tell(pid: int, as_tree: bool, as_json: bool) -> int:
    answer = _inquiry.ask(pid, "t")
    code = 0 if answer["gil"] else _inquiry.GIL_TAKEN
    if as_json:
        print(json.dumps({"pid": pid, **answer}))
    elif code:
        print(_inquiry.without_gil(pid, answer))
    else:
        tasks = {task["id"]: task for task in sorted(answer["tasks"], key=_order)}
        print(f"{len(tasks) + answer['left_out']} tasks in process {pid}")
        for line in _tree(tasks) if as_tree else _list(tasks):
            print(clean(line))
        if answer["left_out"]:
            print(f"{answer['left_out']} more are not shown")
    return code


def _order(task: dict[str, Any]) -> tuple[str, int, str]:
    return task["coroutine"], len(task["name"]), task["name"]


def _line(task: dict[str, Any], tasks: dict[int, Any] | None = None) -> str:
    """Return a line about a task; with all tasks, also who awaits it."""
    text = f"{task['name']} ({task['coroutine']}): {task['state']}"
    if task["waits_for"]:
        text += f" for {task['waits_for']}"
    for frame in task["at"]:
        text += f" at {_inquiry.place(frame)}"
    if task["for_s"] is not None:
        text += f", for {'at least ' * task['for_at_least']}{_span(task['for_s'])}"
    if tasks is not None and task["awaited_by"]:
        names = (tasks[one]["name"] for one in task["awaited_by"] if one in tasks)
        text += f", awaited by {', '.join(names)}"
    for frame in task["made_at"]:
        text += f", made at {_inquiry.place(frame)}"
    return text


def _span(seconds: float) -> str:
    for unit, size in ("d", 86400), ("h", 3600), ("min", 60):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2f} s"


def _list(tasks: dict[int, dict[str, Any]]) -> Iterator[str]:
    return (_line(one, tasks) for one in tasks.values())


def _indent(depth: int) -> str:
    if depth <= _MAX_INDENT:
        return "  " * depth
    return f"{'  ' * _MAX_INDENT}[{depth}] "


def _tree(tasks: dict[int, dict[str, Any]]) -> Iterator[str]:
    below: dict[int, list[int]] = {}
    for number, task in tasks.items():
        for one in task["awaited_by"]:
            below.setdefault(one, []).append(number)
    seen: set[int] = set()
    roots = [
        one for one in tasks if not any(by in tasks for by in tasks[one]["awaited_by"])
    ]
    for root in [*roots, *tasks]:  # those left await each other
        todo = [] if root in seen else [(root, 0)]
        while todo:
            number, depth = todo.pop()
            again = number in seen
            seen.add(number)
            yield _indent(depth) + _line(tasks[number]) + (" (as above)" * again)
            if not again:
                todo += [(one, depth + 1) for one in reversed(below.get(number, []))]


if __name__ == "__main__":
    sys.exit(main())
