"""What random programs of transports share: their model, and running many of them.

A kind is a module with `programs(exact)`, a hypothesis strategy, `is_exact(program)`,
which says whether every loop must leave the same trace, a `Machine(program, loop,
ours)`, and the words WHAT and MODEL for the report.
"""

import asyncio
import logging
import random
import sys
import time

import fastloop
from tests import random_checks

PERIOD = 1 << 20
CONTENT = random.Random(1).randbytes(PERIOD) * 2


def flat(pair):
    return pair[0], *pair[1]


def describe(exc):
    return f"{type(exc).__name__}{exc.args!r}"[:80]


class Pipe:
    """The model of one direction: how much went in, how much came out."""

    def __init__(self, start):
        self.start = start
        self.n_in = self.n_out = 0
        self.broken = False  # the writer aborted or failed: the rest may be lost

    def take(self, size):
        """The next bytes to write; `n_in` says that they were taken."""
        start = (self.start + self.n_in) % PERIOD
        return CONTENT[start : start + size]

    def came(self, data):
        """Whether these bytes are the next ones."""
        start = (self.start + self.n_out) % PERIOD
        self.n_out += len(data)
        return self.n_out <= self.n_in and data == CONTENT[start : start + len(data)]


class Machine:
    """Runs one program on one loop; the kind says what stands at the ends.

    A program has `instructions`, each (end, what, *arguments), and `inside`: what is
    done to a transport is then done in callbacks, not between iterations.
    """

    def __init__(self, program, loop, ours):
        self.program, self.loop, self.ours = program, loop, ours
        self.trace, self.wrong = [], []
        self.turn, self.pending = 0, []
        self.ends = []

    def note(self, *event):
        self.trace.append((self.turn, *event))

    def filter(self, record):
        """Takes what asyncio logs."""
        self.note("log", record.getMessage())
        return False

    def iterate(self):
        self.turn += 1
        if self.pending:
            self.loop.call_soon(self.do_pending)
        while not self.run_once():
            pass  # what asyncio is told of twice then is read before more comes

    def run_once(self):
        self.loop.call_soon(self.loop.stop)
        try:
            self.loop.run_forever()
        except SystemExit:
            self.note("exit")
            return False
        return True

    def do_pending(self):
        pending, self.pending = self.pending, []
        for end, what, *arguments in pending:
            self.ends[end].do(what, *arguments)

    def is_done_in_callbacks(self, end):
        return self.ends[end].is_transport

    def connect(self):
        for end in self.ends:
            if end.is_transport:
                end.connect()

    def run(self):
        self.loop.set_exception_handler(self.report)
        if self.ours:
            self.loop._may_skip_polls = False
        self.connect()
        for end, what, *arguments in self.program.instructions:
            if what == "turn":
                for _ in range(arguments[0]):
                    self.iterate()
            elif self.program.inside and self.is_done_in_callbacks(end):
                self.pending.append((end, what, *arguments))
            else:
                self.ends[end].do(what, *arguments)
        self.iterate()
        self.finish()
        return self.trace

    def close(self):
        for end in self.ends:
            end.sock.close()


def run(kind, program, make_loop):
    """Every event of a run of the program; AssertionError if the model says no."""
    loop = make_loop()
    ours = type(loop).__module__.startswith("fastloop")
    machine = kind.Machine(program, loop, ours)
    logger = logging.getLogger("asyncio")
    logger.addFilter(machine.filter)
    try:
        trace = machine.run()
    finally:
        loop.close()
        logger.removeFilter(machine.filter)
        machine.close()
    assert not machine.wrong, f"{machine.wrong[:3]} after {trace[-30:]}"
    return trace


def check(kind, program):
    """Runs it on asyncio and on fastloop; asyncio's trace."""
    stock = run(kind, program, asyncio.SelectorEventLoop)
    ours = run(kind, program, fastloop.new_event_loop)
    if kind.is_exact(program):
        part = getattr(kind, "same_part", list)
        expected, found = part(stock), part(ours)
        assert found == expected, random_checks.difference(expected, found)
    return stock


def check_few(kind, exact, count):
    """What a test of the suite checks."""
    random_checks.check_few(
        kind.programs(exact), lambda program: check(kind, program), count
    )


def main(kind):
    """Checks as many random programs as asked for, every second one an exact one."""
    asked = random_checks.asked_for(kind.__doc__.partition("\n")[0])
    start = time.monotonic()
    (n_exact, n_exact_events), (n_others, n_other_events) = (
        random_checks.check_many(
            kind.programs(exact),
            lambda program: check(kind, program),
            count,
            asked.seed,
        )
        for exact, count in (
            (True, -(-asked.programs // 2)),
            (False, asked.programs // 2),
        )
    )
    print(
        f"{n_exact + n_others} programs of {kind.WHAT},"
        f" {n_exact_events + n_other_events} events:"
        f" they follow the model of a {kind.MODEL} on asyncio and on fastloop,"
        f" {n_exact} of them with the same trace; seed {asked.seed},"
        f" Python {sys.version.split()[0]}, {time.monotonic() - start:.0f} s"
    )
