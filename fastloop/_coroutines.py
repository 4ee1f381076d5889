"""What can be seen of a coroutine, and of where it was made, by who only looks."""

import asyncio
import os
from typing import Any

from . import _core

LIBRARIES = tuple(f"{os.path.dirname(str(one.__file__))}/" for one in (asyncio, _core))


def coroutine_name(task: Any) -> str:
    """Return the name of a task's coroutine, or of its type."""
    coro = task.get_coro()
    return getattr(coro, "__qualname__", None) or type(coro).__name__


def full_name(task: Any) -> str:
    """Return a task's name with its coroutine's."""
    return f"{task.get_name()} ({coroutine_name(task)})"


def clean(text: object) -> str:
    """Return text as a line may have it: names may have anything in them."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(one if one.isprintable() else "?" for one in shown)


# What one that runs awaits is garbage up to Python 3.12. Attributes alone, without a
# call, so that it does not begin to run in between.


def awaited(coro: Any) -> Any:
    """Return what a coroutine awaits, or None; None too of one that runs."""
    return None if coro.cr_running else coro.cr_await


def delegate(generator: Any) -> Any:
    """Return the same of a generator."""
    return None if generator.gi_running else generator.gi_yieldfrom


def awaited_by_step(step: Any) -> Any:
    """Return the same of a step of an asynchronous generator."""
    return None if step.ag_running else step.ag_await


def is_library(filename: str) -> bool:
    """Tell whether a file is asyncio's or ours."""
    return filename.startswith(LIBRARIES)


def birth(future: Any) -> Any:
    """Return the program's innermost frame of who made it in debug mode, or None."""
    made = getattr(future, "_source_traceback", None) or ()
    return next((one for one in reversed(made) if not is_library(one.filename)), None)
