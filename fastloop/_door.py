"""What `python -m fastloop` does to asyncio, so that the program's loops are ours.

A direct call of asyncio's loop class gives one of ours. That is how
asyncio.new_event_loop, the policies, asyncio.Runner and frameworks make loops, so
nothing else need be replaced: the class is the same object, a base class of ours, and
the program's own subclasses of it make what they say.
"""

import asyncio
import atexit
import dataclasses
import functools
import os
import sys
from asyncio import events
from types import ModuleType
from typing import Any

from . import _core, _frames, _run
from ._accelerate import accelerate
from ._imports import after_import
from ._loop import Loop
from ._options import Settings, parse, words_of
from ._watch import watch

_AsyncioLoop: Any = asyncio.SelectorEventLoop
# The classes of the loops that ran and are not ours.
_others: dict[type, None] = {}
_is_open = False


def open_door(settings: Settings) -> None:
    """Make the loops of this process ours, and those of children by multiprocessing.

    In a child that the environment and its parent lead here it is called twice.
    """
    global _is_open
    _run._debug_loops = settings.debug
    if settings.accelerate:
        accelerate()
    if settings.watch is not None:
        watch(settings.watch)
    if settings.children:
        _lead_children(settings)
    if _is_open:
        return
    _is_open = True
    _take_calls_of_asyncios_class()
    _frames.hide_the_door()
    _watch_other_loops()
    atexit.register(_tell_of_other_loops, settings)
    # the file is this process's, and the environment leads on by itself
    settings = dataclasses.replace(settings, timeline=None, children=False)
    after_import("multiprocessing.spawn", functools.partial(_take_children, settings))
    if not settings.keep_uvloop:
        after_import("uvloop", _take_uvloop)


# ---- asyncio's class ----


def _take_calls_of_asyncios_class() -> None:
    def __new__(cls: Any, *args: Any, **keywords: Any) -> Any:
        if cls is _AsyncioLoop and _can_poll_for(*args, **keywords):
            return _run.new_event_loop()
        make = super(_AsyncioLoop, cls).__new__
        if make is object.__new__:
            return make(cls)
        return make(cls, *args, **keywords)

    # Its signature is still that of __init__.
    __new__.__wrapped__ = _AsyncioLoop.__init__  # type: ignore[attr-defined]
    __new__.__qualname__ = f"{_AsyncioLoop.__qualname__}.__new__"
    _AsyncioLoop.__new__ = staticmethod(__new__)


def _can_poll_for(selector: Any = None, *args: Any, **keywords: Any) -> bool:
    """Tell whether a loop that polls by itself does what one with selector would."""
    return selector is None or type(selector).__module__ == "selectors"


# ---- uvloop ----


def _take_uvloop(uvloop: Any) -> None:
    """Make uvloop's functions give our loops; uvloop.Loop stays what it is.

    install() and the policy make their loops by its new_event_loop.
    """
    run_on_uvloop = uvloop.run
    uvloop.new_event_loop = _run.new_event_loop

    @functools.wraps(run_on_uvloop)
    def run(
        main: Any, *, loop_factory: Any = _run.new_event_loop, **options: Any
    ) -> Any:
        if loop_factory is not _run.new_event_loop:
            return run_on_uvloop(main, loop_factory=loop_factory, **options)

        async def await_main() -> Any:
            return await main

        return _run.run(await_main(), **options)

    uvloop.run = run
    if sys.version_info < (3, 14):
        _give_uvloops_policy_watchers(uvloop)


def _give_uvloops_policy_watchers(uvloop: Any) -> None:
    """Our loops ask the policy for a child watcher, which uvloop's has not."""
    get_late: Any = getattr(uvloop, "__getattr__", None)

    asyncios = asyncio.DefaultEventLoopPolicy

    def give() -> None:
        policy = vars(uvloop).get("EventLoopPolicy")
        if policy is not None:
            policy._watcher = None
            for name in ("_init_watcher", "get_child_watcher", "set_child_watcher"):
                setattr(policy, name, getattr(asyncios, name))

    def __getattr__(name: str) -> Any:
        value = get_late(name)
        give()
        return value

    give()
    if get_late is not None:
        uvloop.__getattr__ = __getattr__


# ---- children by multiprocessing ----


class _DoorForChild:
    """Opens the door where it is unpickled: in a child, before anything of it runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __reduce__(self) -> Any:
        # By source: where the child looks for modules is not known to it yet.
        folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        return exec, (
            f"import sys\nsys.path.append({folder!r})\n"
            "from fastloop import _door, _options\n"
            f"_door.open_door(_options.{self._settings!r})\n"
            f"sys.path.remove({folder!r})",
            {},
        )


def _take_children(settings: Settings, spawn: ModuleType) -> None:
    """Children that start afresh (spawn, forkserver) get the door with their data."""
    get_preparation_data = spawn.get_preparation_data

    @functools.wraps(get_preparation_data)
    def with_door(*args: Any, **keywords: Any) -> Any:
        data = get_preparation_data(*args, **keywords)
        data["fastloop"] = _DoorForChild(settings)
        return data

    spawn.get_preparation_data = with_door  # type: ignore[attr-defined]


# ---- children that start afresh by other ways ----


def _lead_children(settings: Settings) -> None:
    """Have children that are Pythons begin with our sitecustomize."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_children")
    paths = os.environ.get("PYTHONPATH", "")
    if paths.split(os.pathsep)[0] != folder:
        folder = f"{folder}{os.pathsep}{paths}" if paths else folder
        os.environ["PYTHONPATH"] = folder
    os.environ["FASTLOOP_CHILDREN"] = " ".join(words_of(settings))


def open_as_environment_says() -> None:
    """Open the door with the options of FASTLOOP_CHILDREN, whose first is --children.

    The environment stays as the program has left it: its own children follow by that.
    """
    words = os.environ.get("FASTLOOP_CHILDREN", "").split()
    if words:
        open_door(parse(words[1:]).settings)


# ---- what ran instead ----


def _watch_other_loops() -> None:
    """Notice loops that are not ours when they run: ours do not pass by here."""
    set_running_loop = events._set_running_loop

    @functools.wraps(set_running_loop)
    def _set_running_loop(loop: Any, /) -> None:
        if loop is not None and not isinstance(loop, Loop):
            _others[type(loop)] = None
        set_running_loop(loop)

    asyncio._set_running_loop = events._set_running_loop = _set_running_loop


def _tell_of_other_loops(settings: Settings) -> None:
    if not _others or _core._loops_run() or sys.stderr is None:
        return
    names = ", ".join(f"{kind.__module__}.{kind.__qualname__}" for kind in _others)
    if settings.keep_uvloop and any(k.__module__ == "uvloop" for k in _others):
        how = "leave out --keep-uvloop"
    else:
        how = "give fastloop.new_event_loop to what makes them (loop_factory, --loop)"
    sys.stderr.write(f"fastloop: ran on {names}, not on fastloop; to switch, {how}\n")
