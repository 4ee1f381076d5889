"""Stand-ins for classes of asyncio's whose objects are not laid out as expected.

The core's handles and transports derive from asyncio's and lie over their slots. An
asyncio whose class has other slots, as a newer Python's may, can't be derived from so:
then a class with the expected ones takes its place, with asyncio's methods, whose
objects say that they are of asyncio's class.
"""

from asyncio import coroutines, log
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

_NOTE = (
    "fastloop does not know the layout of this asyncio's handles or transports:"
    " its own derive from stand-ins."
)
_OF_THE_CLASS_ITSELF = {"__dict__", "__module__", "__qualname__", "__slots__"}

_told = False


def _tell_once() -> None:
    global _told
    if not _told and coroutines._is_debug_mode():  # type: ignore[attr-defined]
        log.logger.warning(_NOTE)
    _told = True


def _methods(original: Any, slots: list[str]) -> dict[str, Any]:
    """Return what the class and its bases define, but for where they keep things."""
    found = {}
    for cls in reversed(original.__mro__[:-1]):
        for name, value in vars(cls).items():
            kept = isinstance(value, GetSetDescriptorType | MemberDescriptorType)
            if not kept and name not in slots and name not in _OF_THE_CLASS_ITSELF:
                found[name] = value
    return found


def stand_in(original: Any, slots: str) -> type:
    """stand_in(class, "_first _second") -> a class with these slots, in this order."""
    _tell_once()
    names = slots.split()
    layout: type = object
    for name in names:  # one a class: Python sorts the slots of each
        layout = type("Slots", (layout,), {"__slots__": (name,)})
    namespace = _methods(original, names) if isinstance(original, type) else {}
    namespace |= {
        "__slots__": (),
        "__class__": property(lambda self: original),
        "_stands_for": original,
    }
    return type("StandIn", (layout,), namespace)


def join(first: Any, second: Any) -> tuple[type, ...]:
    """join(class, class) -> the bases of a type that is both.

    Where no type can be, its objects are of the first and say that they are of the
    second.
    """
    try:
        both: Any = type(
            second.__name__, (getattr(first, "_stands_for", first), second), {}
        )
        if not hasattr(first, "_stands_for"):
            return first, second
    except TypeError:
        _tell_once()
        both = second
    namespace = _methods(second, []) | {
        "__slots__": (),
        "__class__": property(lambda self: both),
        "_stands_for": both,
    }
    return (type("StandIn", (first,), namespace),)
