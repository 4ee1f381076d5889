"""Stacks and origins without the frames of `python -m fastloop` below the program.

In debug mode asyncio keeps the stack of whoever made a task, a handle or a coroutine,
the ten frames nearest to it. A program that is not deep would see ours among them.
"""

import itertools
import linecache
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from types import CoroutineType, FrameType
from typing import Any

from . import _program

_all_frames = traceback.walk_stack


def _is_programs(entry: tuple[FrameType, int]) -> bool:
    return entry[0].f_globals is not _program.__dict__


def _walk_stack(frame: FrameType | None) -> Iterator[tuple[FrameType, int]]:
    """Walk a stack yielding the frame and line number for each of the program's."""
    if frame is None and sys.version_info >= (3, 14):
        frame = sys._getframe(1)
    return itertools.takewhile(_is_programs, _all_frames(frame))


def _programs_origin(
    origin: Iterable[tuple[str, int, str]],
) -> list[tuple[str, int, str]]:
    return list(
        itertools.takewhile(lambda entry: entry[0] != _program.__file__, origin)
    )


def _warn_unawaited_coroutine(coroutine: "CoroutineType[Any, Any, Any]") -> None:
    """What the interpreter calls for a coroutine that is dropped before its start."""
    text = f"coroutine '{coroutine.__qualname__}' was never awaited"
    if coroutine.cr_origin is not None:
        lines = traceback.format_list(
            (file, line, function, linecache.getline(file, line))
            for file, line, function in reversed(_programs_origin(coroutine.cr_origin))
        )
        origin = "".join(lines).rstrip("\n")
        text += f"\nCoroutine created at (most recent call last)\n{origin}"
    warnings.warn(text, category=RuntimeWarning, stacklevel=2, source=coroutine)


def hide_the_door() -> None:
    """Let `traceback`, and the interpreter's warning, end where the program begins."""
    traceback.walk_stack = _walk_stack  # type: ignore[assignment]
    if hasattr(warnings, "_warn_unawaited_coroutine"):
        warnings._warn_unawaited_coroutine = _warn_unawaited_coroutine
