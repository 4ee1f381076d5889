"""What `python -m fastloop --version` and `--doctor` say."""

import asyncio
import os
import platform
import resource
import select
import sys
import sysconfig
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.util import find_spec

import fastloop

from . import _core, _layout, _tls

# Packages that choose, replace or reach into event loops, and what to know of them.
NEIGHBOURS = {
    "uvloop": "under `python -m fastloop` its functions give fastloop's loops",
    "winloop": "programs that name its loop are not on fastloop",
    "rloop": "programs that name its loop are not on fastloop",
    "zuvloop": "programs that name its loop are not on fastloop",
    "nest_asyncio": "its apply() lets fastloop's loops nest, too",
    "nest_asyncio2": "its apply() lets fastloop's loops nest, too",
    "gevent": "where its monkey.patch_all() was called, greenlets wait for the loop",
    "eventlet": "where its monkey_patch() was called, green threads wait for the loop",
    "aiodebug": "it finds no slow callbacks here: use debug mode or loop.stats()",
    "trio": "its own programs do not run on asyncio, nor on fastloop",
}
ENVIRONMENT = {
    "FASTLOOP_STOCK_TYPES": "1: tasks and futures are asyncio's own",
    "FASTLOOP_ACCELERATE": "1: asyncio's locks and queues are in C",
    "FASTLOOP_TLS": "stdlib: TLS is asyncio's own",
    "FASTLOOP_CHILDREN": "from `python -m fastloop --children`",
    "PYTHONASYNCIODEBUG": "debug mode: slower",
    "PYTHONDEVMODE": "debug mode: slower",
}


def task_types() -> tuple[bool, str]:
    """Return whether tasks are fastloop's own, and a line that says so and why."""
    if fastloop.Task is not asyncio.Task:
        return True, "fastloop's own, in C: asyncio's are laid out as it expects"
    if os.environ.get("FASTLOOP_STOCK_TYPES") == "1":
        return False, "asyncio's own: the environment has FASTLOOP_STOCK_TYPES=1"
    return False, "asyncio's own: this Python lays them out in a way not known to it"


def print_version() -> None:
    python = sys.version.split()[0]
    sys.stdout.write(
        f"fastloop {fastloop.__version__} (Python {python})\n"
        f"tasks and futures: {task_types()[1]}\n"
    )


def report() -> int:
    """Print what was found; returns 1 if something is wrong, else 0."""
    problems: list[str] = []
    for title, rows in (
        ("Python", _python()),
        ("fastloop", _build()),
        ("checks", _checks(problems)),
        ("kernel", _kernel(problems)),
        ("beside it", _neighbours()),
    ):
        sys.stdout.write(f"{title}\n")
        for name, text in rows:
            sys.stdout.write(f"  {name:22}{text}\n")
    for problem in problems:
        sys.stdout.write(f"problem: {problem}\n")
    if not problems:
        sys.stdout.write("nothing is wrong\n")
    return 1 if problems else 0


def _python() -> Iterator[tuple[str, str]]:
    yield "version", f"{platform.python_implementation()} {sys.version.split()[0]}"
    yield "executable", sys.executable
    threads = "without the GIL" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    debug = "a debug build" if hasattr(sys, "gettotalrefcount") else ""
    yield "build", ", ".join(filter(None, (threads, debug))) or "with the GIL"
    kind = "deprecated" if sys.version_info >= (3, 14) else "yes"
    yield "event loop policies", kind if fastloop._has_policies() else "none"
    for name, meaning in ENVIRONMENT.items():
        if name in os.environ:
            yield name, f"{os.environ[name]!r} ({meaning})"


def _build() -> Iterator[tuple[str, str]]:
    yield "version", fastloop.__version__
    yield "module", str(_core.__file__)
    debug = hasattr(_core, "_debug_counts")
    yield "build", "FASTLOOP_DEBUG: checks itself, slow" if debug else "optimised"


def _checks(problems: list[str]) -> Iterator[tuple[str, str]]:
    own, text = task_types()
    yield "tasks and futures", text
    if not own and "FASTLOOP_STOCK_TYPES" not in os.environ:
        problems.append(
            "tasks are asyncio's own, and slower: is there a newer fastloop?"
        )

    stand_ins = "stand-ins: asyncio's classes are laid out in a way not known to it"
    known = "asyncio's classes are laid out as it expects"
    yield "handles, transports", stand_ins if _layout._told else known

    yield "TLS", _records()

    async def main() -> str:
        return "runs"

    try:
        yield "a loop", fastloop.run(main())
    except Exception as error:
        problems.append(f"no loop can run: {error!r}")
        yield "a loop", "does not run"


def _records() -> str:
    if _tls.ssl is None:
        return "none: this Python has no ssl module"
    whose = "records in C" if _tls._drives(None) else "asyncio's own"
    return f"{whose}, by {_tls.ssl.OPENSSL_VERSION}"


def _kernel(problems: list[str]) -> Iterator[tuple[str, str]]:
    yield "release", f"{platform.system()} {platform.release()} {platform.machine()}"

    def epoll() -> None:
        select.epoll().close()

    def eventfd() -> None:
        os.close(os.eventfd(0))

    def pidfd() -> None:
        os.close(os.pidfd_open(os.getpid()))

    needed = {"epoll": epoll, "eventfd": eventfd}
    for name, probe in needed.items():
        error = _refusal(probe)
        yield name, error or "yes"
        if error:
            problems.append(f"the kernel refuses {name}, which every loop needs")
    without = _refusal(pidfd)
    yield "pidfd", f"{without}: threads wait for child processes" if without else "yes"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield "file descriptors", f"{soft} (can be raised to {hard} by `ulimit -n`)"


def _refusal(probe: Callable[[], None]) -> str:
    try:
        probe()
    except OSError as error:
        return f"no ({error.strerror})"
    return ""


def _neighbours() -> Iterator[tuple[str, str]]:
    found = False
    for name, meaning in NEIGHBOURS.items():
        if find_spec(name) is None:
            continue
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = "?"
        found = True
        yield f"{name} {version}", meaning
    if not found:
        yield "nothing", "that chooses or replaces event loops is installed"
