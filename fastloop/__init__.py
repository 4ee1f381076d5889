"""An asyncio event loop in C: asyncio programs run on it unchanged.

    fastloop.run(main())                             instead of asyncio.run
    asyncio.Runner(loop_factory=fastloop.new_event_loop)
    python -m fastloop script.py                     without editing the script

    from fastloop import aio as asyncio              locks in C, too
    fastloop.accelerate()                            the same for the whole process

Importing fastloop changes nothing in asyncio, unless FASTLOOP_ACCELERATE=1 in the
environment asks for what fastloop.accelerate() does.
"""

# An old Python can read this file, to be told that it is too old.
import os
import sys


def _give_up(why):
    # type: (str) -> None
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals["__name__"] in (
        __name__,
        "importlib._bootstrap",
        "importlib._bootstrap_external",
    ):
        frame = frame.f_back
    if frame.f_globals["__name__"] == "runpy":
        sys.exit(why)  # `python -m fastloop` looks for what to run
    error = ImportError(why)
    error.name = __name__
    raise error


if sys.version_info < (3, 11):
    _give_up(
        "fastloop needs Python 3.11 or newer; this is Python %d.%d."
        % sys.version_info[:2]
    )

from importlib import import_module
from typing import TYPE_CHECKING, Any  # noqa: F401

from ._version import __version__

try:
    import_module("fastloop._core")
except ModuleNotFoundError:
    _built = False
else:
    _built = True
if not _built:
    _give_up(
        "fastloop is not built for Python %s in %s: run `make demo` or"
        " `pip install -e .` there"
        % (
            sys.version.split()[0],
            os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
        )
    )

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
_POLICY_NAMES = ["EventLoopPolicy", "install"]


def _has_policies():
    # type: () -> bool
    events = sys.modules["asyncio.events"]
    return sys.version_info < (3, 16) and hasattr(events, "set_event_loop_policy")


def __getattr__(name):
    # type: (str) -> Any
    if name in _LATER:
        # they need modules that few programs do, and stay once they were asked for
        found = getattr(import_module(_LATER[name], __name__), name)
        globals()[name] = found
        return found
    if name not in _POLICY_NAMES:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    if not _has_policies():
        raise AttributeError(
            "fastloop.%s ended with asyncio's event loop policies, in Python 3.16: use"
            " fastloop.run, or `python -m fastloop`" % name
        )
    # `from fastloop import install` first asks hasattr() from inside importlib, then
    # once more from the caller's own line, which is the one to warn at.
    asked_by_import = sys._getframe(1).f_globals.get("__name__") == (
        "importlib._bootstrap"
    )
    if sys.version_info >= (3, 14) and not asked_by_import:
        import warnings

        warnings.warn(
            "fastloop.%s ends with Python 3.15, as event loop policies do:"
            " use fastloop.run" % name,
            DeprecationWarning,
            stacklevel=2,
        )
    from . import _policy

    return getattr(_policy, name)


def __dir__():
    # type: () -> list[str]
    return sorted(__all__ + (_POLICY_NAMES if _has_policies() else []))


if os.environ.get("FASTLOOP_ACCELERATE", "0") not in ("", "0"):
    accelerate()

if os.environ.get("FASTLOOP_WATCH", "0") not in ("", "0"):
    from ._watch import watch_as_environment_says

    watch_as_environment_says(os.environ["FASTLOOP_WATCH"])

if os.environ.get("FASTLOOP_TIMELINE"):
    from ._timeline_door import record_as_environment_says

    record_as_environment_says(os.environ["FASTLOOP_TIMELINE"])
