"""Do something to a module as soon as a program has imported it."""

import sys
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
