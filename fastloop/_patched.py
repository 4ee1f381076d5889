"""asyncio's methods of a loop, replaced on its classes or called by their full name.

Ours stand before asyncio's, so what instrumentation or a test puts on
`asyncio.BaseEventLoop` would never be called. The core calls `show_patches` when a
loop is made or run after those classes have changed; replaced methods then stand on
our class too, until they are put back.

asyncio's own code, called as `asyncio.BaseEventLoop.call_at(loop, ...)`, finds the
state that it works on: what it does there, ours do. Nobody else is shown it.
"""

import asyncio
import sys
from asyncio import events
from typing import Any

from . import _core
from ._loop import Loop

# What a replacement may ask of the state that our loops keep elsewhere: ours are then
# reached through these.
_NEEDS_ATTRIBUTES = {
    "add_signal_handler": ("_csock",),
    "call_at": ("_scheduled",),
    "call_soon_threadsafe": ("_ready",),
}

# nest_asyncio's, on a loop class of asyncio's that it was applied to: they work on the
# state that we have not, and ours nest by themselves from then on.
_NESTING = {"run_forever", "run_until_complete"}

# Programs put our loop, or a subclass of it, in the place of asyncio.SelectorEventLoop.
_Asyncio = asyncio.SelectorEventLoop
_missing = object()
_own_attributes: dict[str, Any] = {}


class _Adopter:
    """The one item of a heap of timers: what is pushed beside it becomes ours."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def __gt__(self, timer: events.TimerHandle) -> bool:
        _core.EventLoop.call_at(self._loop, timer.when(), _run_timer, timer)
        return False


def _run_timer(timer: Any) -> None:
    timer._scheduled = False
    if not timer.cancelled():
        timer._run()


class _Ready:
    """A queue of handles, as far as asyncio's own methods fill it."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def append(self, handle: Any) -> None:
        self._loop._add_callback(handle)

    def clear(self) -> None:
        """asyncio's close() says so of a loop that it has marked as closed."""
        self._loop._closed = False
        _core.EventLoop.close(self._loop)


class _SignalSocket:
    """What asyncio's own add_signal_handler asks of the socket that wakes its loop."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def fileno(self) -> int:
        number: int = self._loop._signal_fd()
        return number


_ATTRIBUTES = {
    "_csock": property(_SignalSocket),
    "_scheduled": property(lambda loop: [_Adopter(loop)]),
    "_ready": property(_Ready),
}


def _is_asyncios(cls: type, method: Any) -> bool:
    module = sys.modules.get(cls.__module__)
    return getattr(method, "__globals__", None) is getattr(module, "__dict__", None)


def _for_asyncio(name: str, callers: tuple[str, ...]) -> property:
    """Return a property that is the stand-in for those methods of asyncio's alone."""
    stand_in: Any = _ATTRIBUTES[name].fget
    usual = getattr(Loop, name, None)

    def get(loop: Any) -> Any:
        code = sys._getframe(1).f_code
        if code.co_name in callers and code in _asyncios_code():
            return stand_in(loop)
        if usual is None:
            raise AttributeError(
                f"{type(loop).__name__!r} object has no attribute {name!r}",
                name=name,
                obj=loop,
            )
        return usual.__get__(loop)

    return property(get)


def _asyncios_code() -> set[Any]:
    return {
        getattr(method, "__code__", None)
        for cls in _Asyncio.__mro__[:-1]
        for method in cls.__dict__.values()
    }


def _hidden_names() -> set[str]:
    """Return the names of asyncio's methods that have another one in front of them.

    Public ones: asyncio's private methods work on a state that we have not.
    """
    classes = Loop.__mro__
    border = classes.index(_Asyncio)
    ours = {name for cls in classes[:border] for name in cls.__dict__}
    theirs = {name for cls in classes[border:-1] for name in cls.__dict__}
    return {name for name in ours & theirs if not name.startswith("_")}


_names = _hidden_names()
Loop._close_self_pipe = _core.EventLoop.close  # type: ignore[attr-defined]
for _name, _callers in {
    "_csock": ("add_signal_handler",),
    "_ready": ("_add_callback", "_call_soon", "call_soon_threadsafe", "close"),
    "_scheduled": ("call_at",),
}.items():
    setattr(Loop, _name, _for_asyncio(_name, _callers))


def _is_replaced(name: str) -> bool:
    classes = _Asyncio.__mro__[:-1]
    return any(
        not _is_asyncios(cls, method)
        and not (name in _NESTING and "_nest_patched" in cls.__dict__)
        # one that was inherited is put back on the class that was patched
        and all(base.__dict__.get(name) is not method for base in cls.__mro__[1:])
        for cls in classes
        if (method := cls.__dict__.get(name)) is not None
    )


def _unbound(name: str) -> Any:
    """Return what asyncio's classes have there: the static method, the property."""
    classes = _Asyncio.__mro__
    return next(cls.__dict__[name] for cls in classes if name in cls.__dict__)


def _put(name: str, value: Any) -> None:
    _own_attributes.setdefault(name, Loop.__dict__.get(name, _missing))
    if Loop.__dict__.get(name, _missing) is not value:
        setattr(Loop, name, value)


def _put_back(name: str) -> None:
    own = _own_attributes.pop(name)
    if own is _missing:
        delattr(Loop, name)
    else:
        setattr(Loop, name, own)


def _replaced_time(loop: Any) -> Any:
    """Call asyncio's loop.time() while it is replaced: clocks end within a run, too."""
    if not _is_replaced("time"):
        _put_back("time")
        return loop.time()
    method = _unbound("time")
    bind = getattr(method, "__get__", None)
    return method() if bind is None else bind(loop, type(loop))()


def show_patches() -> None:
    """Make Loop have asyncio's methods where, and as long as, they are replaced."""
    wanted: dict[str, Any] = {}
    for name in _names:
        if _is_replaced(name):
            wanted[name] = _replaced_time if name == "time" else _unbound(name)
            for attribute in _NEEDS_ATTRIBUTES.get(name, ()):
                wanted.setdefault(attribute, _ATTRIBUTES[attribute])
    for name in _own_attributes.keys() - wanted.keys():
        _put_back(name)
    for name, value in wanted.items():
        _put(name, value)
