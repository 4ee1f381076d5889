"""What a benchmark case is, and the register of all of them.

A case is a function `name(env, n) -> float` that runs `n` operations on a loop of
`env` and returns the cost of one, in the unit it was registered with. It runs in a
process of its own, which runs nothing else.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

REPEATS = 3


class NotAvailable(Exception):
    """The case cannot be done here; the message says why."""


@dataclass(frozen=True)
class Env:
    """The loop under test: its name, and how to make one."""

    loop_name: str
    new_loop: Callable[[], asyncio.AbstractEventLoop]


@dataclass(frozen=True)
class Case:
    """One registered case. `unit` is `s`, `s/GB`, `B` or empty for a count."""

    name: str
    room: str
    run: Callable[[Env, int], float]
    n: int
    unit: str
    clock: str
    min_python: tuple[int, int]
    references: tuple[str, ...]
    doc: str


CASES: dict[str, Case] = {}


def case(n, *, unit="s", clock="cpu", min_python=(3, 11), references=(), name=None):
    """Register the decorated function; its docstring's first line explains it.

    n: operations in a full run. clock: `cpu` (of the whole process), `server cpu`,
    or `wall`; it is a label, the function takes the time itself. references:
    what of loops.REFERENCES it is measured on as well.
    """

    def register(run):
        title = name or run.__name__
        CASES[title] = Case(
            name=title,
            room=run.__module__.rpartition(".")[2],
            run=run,
            n=n,
            unit=unit,
            clock=clock,
            min_python=min_python,
            references=tuple(references),
            doc=(run.__doc__ or "").strip().partition("\n")[0],
        )
        return run

    return register


def seconds(work: Callable[[], object], clock=time.process_time) -> float:
    """The time that one call of `work` takes."""
    gc.collect()
    began = clock()
    work()
    return clock() - began


def best_of(work: Callable[[], object], clock=time.process_time) -> float:
    """The least time of REPEATS calls of `work`, after whatever warmed it up."""
    return min(seconds(work, clock) for _ in range(REPEATS))


def per_operation(
    env: Env,
    main: Callable[[int], Awaitable[object]],
    n: int,
    *,
    operations: int | None = None,
    clock=time.process_time,
    task_factory=None,
) -> float:
    """The time of `main(n)` on a loop of `env`, divided by `operations` (else n)."""
    loop = env.new_loop()
    try:
        if task_factory is not None:
            loop.set_task_factory(task_factory)
        loop.run_until_complete(main(max(1, n // 10)))
        best = best_of(lambda: loop.run_until_complete(main(n)), clock)
    finally:
        loop.close()
    return best / (operations or n)


def require_python(*version: int) -> None:
    """Raise NotAvailable on an older Python."""
    if sys.version_info < version:
        raise NotAvailable("needs Python " + ".".join(map(str, version)))


def check(condition: object, message: str) -> None:
    """Raise AssertionError(message) unless `condition`: the loop answered wrongly."""
    if not condition:
        raise AssertionError(message)


async def trivial() -> int:
    """The coroutine of the spawning cases."""
    return 1


def nothing(*_: object) -> None:
    """The callback of the cases that only count callbacks."""
