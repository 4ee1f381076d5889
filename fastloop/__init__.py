"""An asyncio event loop in C: asyncio programs run on it unchanged.

    fastloop.run(main())                             instead of asyncio.run
    asyncio.Runner(loop_factory=fastloop.new_event_loop)
    python -m fastloop script.py                     without editing the script

    from fastloop import aio as asyncio              locks in C, too
    fastloop.accelerate()                            the same for the whole process

Importing fastloop changes nothing in asyncio, unless FASTLOOP_ACCELERATE=1 in the
environment asks for what fastloop.accelerate() does.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__

try:
    import_module("fastloop._core")
except ModuleNotFoundError:
    _NOT_BUILT = (
        f"fastloop is not built for Python {sys.version.split()[0]} in"
        f" {os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}:"
        " run `make demo` or `pip install -e .` there"
    )
    # While `python -m fastloop` looks for what to run, argv[0] is still "-m" and
    # the name is the last thing before the program's own arguments.
    if sys.argv[:1] == ["-m"] and sys.orig_argv[-len(sys.argv)] == "fastloop":
        sys.exit(_NOT_BUILT)
    raise ImportError(_NOT_BUILT, name="fastloop") from None

from ._accelerate import accelerate, decelerate
from ._core import Future, Task
from ._loop import Loop
from ._run import new_event_loop, run

if TYPE_CHECKING:
    from ._hooks import hooks, task_figures
    from ._policy import EventLoopPolicy as EventLoopPolicy
    from ._policy import install as install
    from ._timeline import timeline
    from ._watch import watch

__all__ = [
    "Future",
    "Loop",
    "Task",
    "__version__",
    "accelerate",
    "decelerate",
    "hooks",
    "new_event_loop",
    "run",
    "task_figures",
    "timeline",
    "watch",
]

_LATER = {
    "hooks": "._hooks",
    "task_figures": "._hooks",
    "timeline": "._timeline",
    "watch": "._watch",
}

# asyncio's policies end with Python 3.15, so these are made only for who asks, and
# a star import does not ask.
_POLICY_NAMES = ("EventLoopPolicy", "install")


def __getattr__(name: str) -> Any:
    if name in _LATER:
        # they need modules that few programs do, and stay once they were asked for
        found = getattr(import_module(_LATER[name], __name__), name)
        globals()[name] = found
        return found
    if name not in _POLICY_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if sys.version_info >= (3, 16):
        raise AttributeError(
            f"fastloop.{name} ended with Python 3.15, which had event loop policies"
            " for the last time: use fastloop.run"
        )
    # `from fastloop import install` first asks hasattr() from inside importlib, then
    # once more from the caller's own line, which is the one to warn at.
    asked_by_import = sys._getframe(1).f_globals.get("__name__") == (
        "importlib._bootstrap"
    )
    if sys.version_info >= (3, 14) and not asked_by_import:
        import warnings

        warnings.warn(
            f"fastloop.{name} ends with Python 3.15, as event loop policies do:"
            " use fastloop.run",
            DeprecationWarning,
            stacklevel=2,
        )
    from . import _policy

    return getattr(_policy, name)


def __dir__() -> list[str]:
    names = list(__all__)
    if sys.version_info < (3, 16):
        names += _POLICY_NAMES
    return sorted(names)


if os.environ.get("FASTLOOP_ACCELERATE", "0") not in ("", "0"):
    accelerate()

if os.environ.get("FASTLOOP_WATCH", "0") not in ("", "0"):
    from ._watch import watch_as_environment_says

    watch_as_environment_says(os.environ["FASTLOOP_WATCH"])

if os.environ.get("FASTLOOP_TIMELINE"):
    from ._timeline_door import record_as_environment_says

    record_as_environment_says(os.environ["FASTLOOP_TIMELINE"])
