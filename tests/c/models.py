"""The timers and the ring against models that are too simple to be wrong.

    python -m tests.c.models [--programs N] [--seed S]

Random programs for each of the two, N in all; test_model.py runs some of them.
"""

import ctypes
import math
import pathlib
import tempfile
import time
from collections import deque

from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.random_checks import COMMON, asked_for

from . import floors

POINTER, DOUBLE, SIZE = ctypes.c_void_p, ctypes.c_double, ctypes.c_size_t
SIGNATURES = {
    "model_timers_new": (POINTER, DOUBLE),
    "model_timers_free": (None, POINTER),
    "model_timer_new": (POINTER, ctypes.c_int64),
    "model_timer_free": (None, POINTER),
    "model_timers_add": (ctypes.c_int, POINTER, POINTER, DOUBLE),
    "model_timers_remove": (None, POINTER, POINTER),
    "model_timers_pop_due": (ctypes.c_int64, POINTER, DOUBLE),
    "model_timer_where": (ctypes.c_uint32, POINTER),
    "model_timers_visit_count": (SIZE, POINTER),
    "fl_timers_next": (DOUBLE, POINTER),
    "fl_timers_bound": (DOUBLE, POINTER),
    "fl_timers_any": (POINTER, POINTER),
    "fl_timers_check": (ctypes.c_int, POINTER),
    "model_ring_new": (POINTER, SIZE, SIZE),
    "model_ring_free": (None, POINTER),
    "model_ring_push": (ctypes.c_int, POINTER, SIZE),
    "model_ring_pop": (SIZE, POINTER),
    "model_ring_peek": (SIZE, POINTER, SIZE),
    "model_ring_count": (SIZE, POINTER),
    "fl_ring_check": (ctypes.c_int, POINTER),
    "model_clock_s": (DOUBLE,),
}


def load(folder):
    """Compiles base/ and os/ into a library in that folder; the library."""
    path = pathlib.Path(folder, "model.so")
    sources = [floors.HERE / "model.c", *floors.floor_sources()]
    floors.compile_c(sources, path, "-O1", "-shared", "-fPIC")
    lib = ctypes.CDLL(str(path))
    for name, (result, *arguments) in SIGNATURES.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def key_of(when):
    """What asyncio's order makes of a deadline; NaN is always due."""
    return -math.inf if math.isnan(when) else when


EDGES = [
    math.nan,
    math.inf,
    -math.inf,
    0.0,
    -0.0,
    -0.5,
    2.0**53 - 1,
    2.0**53,
    2.0**53 + 2,
    -(2.0**53),
    2.0**63,
    -(2.0**63),
    1.7e18,
    1e300,
    -1e300,
    5e-324,
]

# Quarters of a second, so that equal deadlines are common.
near = st.integers(-8, 20).map(lambda n: n / 4)
minutes = st.integers(-80, 2400).map(lambda n: n / 4)
offsets = st.one_of(near, minutes, st.floats(0, 2000), st.sampled_from([255, 256, 257]))


class TimersMachine(RuleBasedStateMachine):
    """The model: a dict of (deadline, sequence) by id, its minimum by looking."""

    lib = None

    @initialize(now=st.one_of(st.floats(-1e5, 1e5), st.sampled_from(EDGES)))
    def begin(self, now):
        self.timers = self.lib.model_timers_new(now)
        self.now = 0.0 if math.isnan(now) else now
        self.pointers = []
        self.live = {}

    def teardown(self):
        if hasattr(self, "timers"):
            self.lib.model_timers_free(self.timers)
            for pointer in self.pointers:
                assert self.lib.model_timer_where(pointer) == 0
                self.lib.model_timer_free(pointer)

    def add_at(self, when):
        number = len(self.pointers)
        self.pointers.append(self.lib.model_timer_new(number))
        assert self.lib.model_timers_add(self.timers, self.pointers[number], when) == 0
        self.live[number] = (key_of(when), number)

    def earliest(self):
        return min(self.live.values(), default=(math.inf, -1))

    @rule(offset=offsets)
    def add(self, offset):
        self.add_at(self.now + offset)

    @rule(when=st.one_of(st.sampled_from(EDGES), st.floats()))
    def add_edge(self, when):
        self.add_at(when)

    @rule(offset=offsets, n=st.integers(30, 80), step=st.sampled_from([0, 0.01, 3]))
    def add_batch(self, offset, n, step):
        for i in range(n):
            self.add_at(self.now + offset + step * (i * 7 % n))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def remove(self, data):
        ids = sorted(self.live)
        number = ids[data.draw(st.integers(0, len(ids) - 1))]
        self.lib.model_timers_remove(self.timers, self.pointers[number])
        del self.live[number]

    @precondition(lambda self: self.live)
    @rule()
    def remove_earliest(self):
        _, number = self.earliest()
        self.lib.model_timers_remove(self.timers, self.pointers[number])
        del self.live[number]

    @precondition(lambda self: len(self.live) > 40)
    @rule(keep=st.integers(0, 10))
    def remove_most(self, keep):
        for number in sorted(self.live)[keep:]:
            self.lib.model_timers_remove(self.timers, self.pointers[number])
            del self.live[number]

    @rule()
    def remove_one_that_is_out(self):
        for number in range(min(5, len(self.pointers))):
            if number not in self.live:
                self.lib.model_timers_remove(self.timers, self.pointers[number])

    @rule(step=offsets)
    def clock_runs(self, step):
        self.now += abs(step)

    @rule(now=st.one_of(st.sampled_from(EDGES[1:]), st.floats(-1e5, 1e5)))
    def clock_is_set(self, now):
        self.now = now

    @rule(end=st.sampled_from([None, math.nan, math.inf]), limit=st.integers(0, 300))
    def pop_due(self, end, limit):
        end = self.now if end is None else end
        for _ in range(limit):
            key, number = self.earliest()
            expected = -1 if number < 0 or key >= end else number
            assert self.lib.model_timers_pop_due(self.timers, end) == expected
            if expected < 0:
                break
            del self.live[number]

    @rule()
    def next(self):
        assert self.lib.fl_timers_next(self.timers) == self.earliest()[0]

    @invariant()
    def agrees(self):
        if not hasattr(self, "timers"):
            return
        lib, timers = self.lib, self.timers
        assert lib.fl_timers_check(timers) == 0
        assert lib.fl_timers_bound(timers) <= self.earliest()[0]
        assert (lib.fl_timers_any(timers) is not None) == bool(self.live)
        assert lib.model_timers_visit_count(timers) == len(self.live)


class RingMachine(RuleBasedStateMachine):
    """The model: a deque."""

    lib = None

    @initialize(
        capacity=st.integers(0, 40),
        start=st.one_of(st.just(0), st.integers(0, 50).map(lambda n: 2**64 - 1 - n)),
    )
    def begin(self, capacity, start):
        self.ring = self.lib.model_ring_new(capacity, start)
        self.model = deque()
        self.n_pushed = 0

    def teardown(self):
        if hasattr(self, "ring"):
            self.lib.model_ring_free(self.ring)

    @rule(n=st.integers(1, 60))
    def push(self, n):
        for _ in range(n):
            self.n_pushed += 1
            assert self.lib.model_ring_push(self.ring, self.n_pushed) == 0
            self.model.append(self.n_pushed)

    @rule(n=st.integers(1, 60))
    def pop(self, n):
        for _ in range(min(n, len(self.model))):
            assert self.lib.model_ring_pop(self.ring) == self.model.popleft()

    @invariant()
    def agrees(self):
        if not hasattr(self, "ring"):
            return
        assert self.lib.fl_ring_check(self.ring) == 0
        n = self.lib.model_ring_count(self.ring)
        assert [self.lib.model_ring_peek(self.ring, i) for i in range(n)] == list(
            self.model
        )


MACHINES = [TimersMachine, RingMachine]


def check(machine, lib, **options):
    """Runs programs on a machine, with these settings of hypothesis; how many."""
    n_programs = 0

    class Counted(machine):
        def teardown(self):
            nonlocal n_programs
            n_programs += 1
            super().teardown()

    Counted.lib = lib
    run_state_machine_as_test(
        Counted, settings=settings(COMMON, stateful_step_count=60, **options)
    )
    return n_programs


def main():
    """The command line."""
    asked = asked_for(__doc__.partition("\n")[0])
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        lib = load(folder)
        counts = {}
        for machine in MACHINES:
            seeded = seed(asked.seed)(machine)
            counts[machine.__name__] = check(
                seeded,
                lib,
                max_examples=asked.programs // len(MACHINES),
                phases=[Phase.generate, Phase.shrink],
            )
    print(
        f"{sum(counts.values())} programs of timers and rings follow their models"
        f" ({', '.join(f'{name} {n}' for name, n in counts.items())});"
        f" seed {asked.seed}, {time.monotonic() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
