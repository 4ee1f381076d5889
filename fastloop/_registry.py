"""asyncio's sets of all tasks, made to show fastloop's as well (3.11 to 3.13).

Adding each task to a WeakSet costs more than all the rest of making it, so ours
are in a list of the C core's, and asyncio's set looks there too. The set object
stays the same: whoever imported it sees all tasks.
"""

import asyncio.tasks
import weakref
from collections.abc import Iterator
from typing import Any

from . import _core


class _AllTasks(weakref.WeakSet[Any]):
    """A WeakSet of tasks that also holds fastloop's pending ones."""

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        yield from _core._pending_tasks()

    def __len__(self) -> int:
        return len(set(self))

    def __contains__(self, item: object) -> bool:
        return super().__contains__(item) or item in _core._pending_tasks()


def join() -> None:
    """join() -> None. Called by the C core before its first task is listed."""
    name = (
        "_scheduled_tasks" if hasattr(asyncio.tasks, "_eager_tasks") else "_all_tasks"
    )
    tasks = getattr(asyncio.tasks, name)
    if type(tasks) is weakref.WeakSet:
        tasks.__class__ = _AllTasks
