"""The benchmark cases, one module a room."""

from scenarios import (
    _case,
    apps,
    callbacks,
    fairness,
    memory,
    network,
    programs,
    start,
    tasks,
    timers,
    tls,
)
from scenarios._case import Case, Env, NotAvailable

MODULES = (callbacks, timers, tasks, start)
MODULES += (memory, fairness, network, tls, apps, programs)
ROOMS = tuple(module.__name__.rpartition(".")[2] for module in MODULES)
# Rooms that a run of everything leaves out.
ON_DEMAND = ("programs",)

CASES = dict(sorted(_case.CASES.items(), key=lambda named: ROOMS.index(named[1].room)))

__all__ = ["CASES", "ON_DEMAND", "ROOMS", "Case", "Env", "NotAvailable"]
