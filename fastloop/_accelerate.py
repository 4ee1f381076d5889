"""Puts what fastloop has of asyncio in C into asyncio's modules, and takes it out."""

import asyncio.coroutines
import asyncio.log
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from . import _completions, _core

# asyncio's module, and the names that we have of it.
_NAMES = {
    "asyncio.locks": ("Lock", "Event", "Condition", "Semaphore", "BoundedSemaphore"),
    "asyncio.tasks": (
        "sleep",
        "wait_for",
        "gather",
        "shield",
        "wait",
        "as_completed",
    ),
    "asyncio.taskgroups": ("TaskGroup",),
    "asyncio.timeouts": ("Timeout", "timeout", "timeout_at"),
    "asyncio.streams": ("StreamReader", "StreamWriter", "StreamReaderProtocol"),
    "asyncio.queues": ("Queue", "PriorityQueue", "LifoQueue"),
}


def ours(name: str) -> Any:
    """Return what we have of that name."""
    generator = name == "as_completed" and sys.version_info < (3, 13)
    return getattr(_completions if generator else _core, name)


# asyncio's own, by name; filled while ours are in their place.
_stock: dict[str, Any] = {}


def accelerate() -> None:
    """Have asyncio's own helpers in C, for the whole process; see fastloop.aio.

    Call it before the program's other imports: what has been taken out of asyncio
    before, by `from asyncio import Lock`, stays asyncio's, and so do objects that were
    made before. In asyncio's debug mode it logs which modules have done that.
    decelerate() undoes it. Doing it twice does nothing more.
    """
    if _stock:
        return
    for module, names in _NAMES.items():
        for name in names:
            _stock[name] = getattr(sys.modules[module], name)
    _exchange({id(stock): ours(name) for name, stock in _stock.items()})
    if asyncio.coroutines._is_debug_mode():  # type: ignore[attr-defined]
        for line in _taken_before():
            asyncio.log.logger.warning("fastloop.accelerate(): %s", line)


def decelerate() -> None:
    """Put asyncio's own helpers back where accelerate() has put ours."""
    _exchange({id(ours(name)): stock for name, stock in _stock.items()})
    _stock.clear()


def _exchange(new_by_id: dict[int, Any]) -> None:
    """Replace what has one of these identities, in asyncio's modules."""
    for module in _modules():
        if _is_asyncio(module):
            for name, value in list(vars(module).items()):
                if id(value) in new_by_id:
                    setattr(module, name, new_by_id[id(value)])


def _taken_before() -> list[str]:
    """Say which other modules hold something of asyncio's that is replaced."""
    ids = {id(stock) for stock in _stock.values()}
    found = []
    for module in _modules():
        if not _is_asyncio(module) and module.__name__.split(".")[0] != "fastloop":
            names = [n for n, value in list(vars(module).items()) if id(value) in ids]
            if names:
                found.append(f"{module.__name__} has asyncio's {', '.join(names)}")
    return sorted(found)


def _modules() -> Iterator[ModuleType]:
    return (m for m in list(sys.modules.values()) if isinstance(m, ModuleType))


def _is_asyncio(module: ModuleType) -> bool:
    return module.__name__.split(".")[0] == "asyncio"
