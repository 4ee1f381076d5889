"""asyncio's sets of all tasks, made to show fastloop's as well (3.11 to 3.13).

Adding each task to a WeakSet costs more than all the rest of making it, so ours
are in a list of the C core's, and asyncio's set looks there too. The set object
stays the same: whoever imported it sees all tasks. Where fastloop was imported
twice, it looks into the list of each core.
"""

import asyncio.tasks
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

from . import _core


class _AllTasks(weakref.WeakSet[Any]):
    """A WeakSet of tasks that also holds fastloop's pending ones."""

    _fastloop_cores: Sequence[Any] = ()  # a new set made by an operator has none

    def _pending(self) -> Iterator[Any]:
        for core in self._fastloop_cores:
            yield from core._pending_tasks()

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        yield from self._pending()

    def __len__(self) -> int:
        return len(set(self))

    def __contains__(self, item: object) -> bool:
        return super().__contains__(item) or item in self._pending()

    def copy(self) -> weakref.WeakSet[Any]:  # type: ignore[override]
        return weakref.WeakSet(self)

    __copy__ = copy

    def issubset(self, other: Iterable[Any]) -> bool:
        return bool(self.copy().issubset(other))

    def issuperset(self, other: Iterable[Any]) -> bool:
        return bool(self.copy().issuperset(other))

    def __le__(self, other: Any) -> bool:
        return bool(self.copy() <= other)

    def __lt__(self, other: Any) -> bool:
        return bool(self.copy() < other)

    def __ge__(self, other: Any) -> bool:
        return bool(self.copy() >= other)

    def __gt__(self, other: Any) -> bool:
        return bool(self.copy() > other)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, _AllTasks):
            other = other.copy()
        return self.copy() == other

    __hash__ = None

    def __repr__(self) -> str:
        return repr(self.copy())

    def __isub__(self, other: Any) -> Self:  # type: ignore[misc]
        for item in set(other):
            self.discard(item)
        return self

    def __iand__(self, other: Any) -> Self:  # type: ignore[misc]
        return self.__isub__(self.copy() - other)

    def __ixor__(self, other: Any) -> Self:  # type: ignore[misc]
        both = set(self) & set(other)
        self.update(other)
        return self.__isub__(both)

    def discard(self, item: Any) -> None:
        super().discard(item)
        for core in self._fastloop_cores:
            core._unlist_task(item)

    def remove(self, item: Any) -> None:
        if item not in self:
            raise KeyError(item)
        self.discard(item)

    def pop(self) -> Any:
        for item in self:
            self.discard(item)
            return item
        raise KeyError("pop from empty WeakSet")

    def clear(self) -> None:
        for item in self._pending():
            self.discard(item)
        super().clear()


def join() -> None:
    """join() -> None. Called by the C core before its first task is listed."""
    name = (
        "_scheduled_tasks" if hasattr(asyncio.tasks, "_eager_tasks") else "_all_tasks"
    )
    tasks = getattr(asyncio.tasks, name)
    if type(tasks) is weakref.WeakSet:
        tasks._fastloop_cores = []  # type: ignore[attr-defined]
        tasks.__class__ = _AllTasks
    if hasattr(tasks, "_fastloop_cores"):
        tasks._fastloop_cores.append(_core)
