"""Do something to a module as soon as a program has imported it.

Each child of `python -m fastloop --children` begins with this file: it imports little.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    _Change = Callable[[ModuleType], None]


class _Finder:
    """A finder that leaves finding to the others, and adds the change to the loader."""

    def __init__(self, name: str, change: _Change) -> None:
        self._name = name
        self._change = change

    def find_spec(
        self, name: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._name:
            return None
        for finder in list(sys.meta_path):
            find_spec = getattr(finder, "find_spec", None)
            if finder is self or find_spec is None:
                continue
            spec: ModuleSpec | None = find_spec(name, path, target)
            if spec is not None:
                _change_after(spec.loader, self._change)
                return spec
        return None


def _change_after(loader: Any, change: _Change) -> None:
    """Have the loader, which serves this one module, call change when it is done."""

    def exec_module(module: ModuleType) -> None:
        del loader.exec_module  # the module's loader is then as without us
        loader.exec_module(module)
        change(module)

    try:
        loader.exec_module = exec_module
    except AttributeError:  # None, a class, or without a place for it
        pass


def after_import(name: str, change: _Change) -> None:
    """Call change(module) when the module is imported, now if it is already."""
    module = sys.modules.get(name)
    if module is not None:
        change(module)
    sys.meta_path.insert(0, _Finder(name, change))


def open_door_with_asyncio(folder: str) -> None:
    """Have asyncio's import, or fastloop's, open the door as the environment says.

    folder: where fastloop is, if the child does not know it by itself.
    """

    def import_fastloop(_: ModuleType) -> None:
        known = folder in sys.path
        if not known:
            sys.path.append(folder)
        try:
            import fastloop  # noqa: F401
        except ImportError:
            pass  # it is not built for this Python
        finally:
            if not known:
                sys.path.remove(folder)

    def open_door(_: ModuleType) -> None:
        try:
            from fastloop._door import open_as_environment_says
        except ImportError:
            return  # another module of that name
        open_as_environment_says()

    after_import("fastloop", open_door)
    after_import("asyncio", import_fastloop)
