"""Where things were made: the program's innermost line, as far as it is known."""

import functools
import sys
import weakref
from collections.abc import Callable
from typing import Any

from .._coroutines import birth, is_library
from .._hooks import Hooks, hooks

_MADE_BY = (
    "_make_socket_transport",
    "_make_ssl_transport",
    "_make_datagram_transport",
    "_make_read_pipe_transport",
    "_make_write_pipe_transport",
)
_MADE_LATER = ("_make_subprocess_transport", "create_server", "create_unix_server")


def here() -> str:
    """Return the place of who called the library."""
    frame: Any = sys._getframe(1)
    while frame is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return ""
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"


class Places:
    """Notes where the tasks of fastloop's, and what one loop makes, are made."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}
        self._hooks: Hooks | None = None
        self._replaced: list[tuple[Any, str, Any]] = []

    def start(self, loop: Any) -> None:
        """Begin; loop: whose timers, transports and servers to note, or None."""
        self._hooks = hooks(task_created=self._note)
        if loop is None:
            return
        names = ("call_at", *_MADE_BY, *_MADE_LATER)
        for name in names:
            if name not in vars(loop):
                wrap = self._wrap_later if name in _MADE_LATER else self._wrap
                ours = wrap(getattr(loop, name))
                setattr(loop, name, ours)
                self._replaced.append((loop, name, ours))

    def stop(self) -> None:
        """End; what is known stays so."""
        if self._hooks is not None:
            self._hooks.stop()
            self._hooks = None
        while self._replaced:
            loop, name, ours = self._replaced.pop()
            if vars(loop).get(name) is ours:
                delattr(loop, name)

    def of(self, made: Any) -> str:
        """Return where it was made, or "" if that is not known."""
        if (frame := birth(made)) is not None:
            return f"{frame.filename}:{frame.lineno} in {frame.name}"
        known, place = self._known.get(id(made), (None, ""))
        return place if known is not None and known() is made else ""

    def _note(self, made: Any) -> None:
        key = id(made)
        known = self._known

        def forget(reference: Any) -> None:
            if known.get(key, (None,))[0] is reference:
                del known[key]

        known[key] = weakref.ref(made, forget), here()

    def _wrap(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def made(*args: Any, **keywords: Any) -> Any:
            result = method(*args, **keywords)
            self._note(result)
            return result

        return made

    def _wrap_later(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        async def made(*args: Any, **keywords: Any) -> Any:
            result = await method(*args, **keywords)
            self._note(result)
            return result

        return made
