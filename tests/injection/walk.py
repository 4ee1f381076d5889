"""Make each call of the C code that may fail do so, once, one after the other.

    FASTLOOP_DEBUG=1 tools/on_python.sh 3.14 python tests/injection/walk.py
    ... walk.py --list                      what is not walked, without walking
    ... walk.py --only core/task/task_step.c     the sites whose name has this in it
    ... walk.py --every 10                  one site in ten

The debug build counts its own sites (csrc/base/fault.h). Programs that use the whole
API tell which of them they pass; then a child process for each site, program and
passage runs that program with that one failure. It must not crash, hang, raise
SystemError, leave anything behind, or break the next loop, and the failure must be
seen by somebody: the program, the exception handler or the unraisable hook.

What does worse runs twice more, for a machine that is held up looks like a hang: it
counts if it does so again, and is printed in any case.

Exits 0 if no site did worse, and at least 95 % were walked.
"""

import argparse
import asyncio
import collections
import faulthandler
import gc
import logging
import os
import pathlib
import pickle
import random
import select
import signal
import sys
import tempfile
import threading
import traceback
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import fastloop  # noqa: E402
from fastloop import _core  # noqa: E402
from tests.footprint import open_fds  # noqa: E402
from tests.injection.expected import UNSEEN  # noqa: E402
from tests.injection.programs import PROGRAMS  # noqa: E402

WANTED_SHARE = 0.95
# A program that lost its way for a reported reason is interrupted after this.
AFTER_REPORT_S = 0.3
WITHOUT_REPORT_S = 5.0
# Only C code that never looks for signals comes so far.
CRASH_S = 15.0

# How often what did wrong is run again.
AGAIN = 2

# Objects of which none may be left, by the name of their type.
COUNTED = {
    "Callback", "Context", "Future", "Handle", "Loop", "StreamTransport", "Task",
    "ThreadsafeHandle", "TimerHandle", "async_generator", "coroutine", "socket",
}  # fmt: skip


class Stuck(KeyboardInterrupt):
    """Raised by the alarm; a KeyboardInterrupt leaves every loop."""


class Witness:
    """Sees what is reported, and interrupts a program that waits in vain."""

    def __init__(self):
        self.reports = []
        self.times_stuck = 0
        self.texts = []
        self.closed = False

    def install(self):
        sys.unraisablehook = threading.excepthook = self.unraisable
        logger = logging.getLogger("asyncio")
        logger.handlers = [self.handler()]
        logger.propagate = False
        original = fastloop.Loop.call_exception_handler

        def call_exception_handler(loop, context):
            self.report(context.get("exception"), context.get("message"))
            original(loop, context)

        fastloop.Loop.call_exception_handler = call_exception_handler
        signal.signal(signal.SIGALRM, self.alarm)
        signal.setitimer(signal.ITIMER_REAL, WITHOUT_REPORT_S, AFTER_REPORT_S)

    def handler(self):
        witness = self

        class Handler(logging.Handler):
            def emit(self, record):
                exc = record.exc_info[1] if record.exc_info else None
                witness.report(exc, record.getMessage())

        return Handler()

    def unraisable(self, args):
        self.report(args.exc_value, f"unraisable {args.exc_value!r}")

    def report(self, exc, text):
        self.texts.append(str(text))
        if exc is not None and not self.closed:
            self.reports.append(exc)
            if is_fault(exc):
                self.hurry()

    def hurry(self):
        if threading.current_thread() is threading.main_thread():
            signal.setitimer(signal.ITIMER_REAL, AFTER_REPORT_S, AFTER_REPORT_S)

    def alarm(self, *_):
        self.times_stuck += 1
        raise Stuck

    def stop(self):
        signal.setitimer(signal.ITIMER_REAL, 0)


def chain(exc):
    """The exception, its causes and contexts, and those of its group."""
    found, todo = [], [exc]
    while todo:
        one = todo.pop()
        if one is None or any(one is other for other in found):
            continue
        found.append(one)
        todo += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    return found


def is_fault(exc):
    return any(
        isinstance(one, MemoryError) or (isinstance(one, OSError) and one.errno == 12)
        for one in chain(exc)
    )


def census():
    gc.collect()
    found = collections.Counter(type(o).__name__ for o in gc.get_objects())
    return {name: found[name] for name in COUNTED} | _core._debug_counts()


async def simple_program():
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_later(0, loop.call_soon, done.set_result, 1)
    await asyncio.gather(asyncio.sleep(0), done)
    await asyncio.sleep(0.0001)


def run_program(name, witness):
    """Run it; the exception it ended with, or the problems that it returned."""
    exc = problems = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            problems = PROGRAMS[name]()
        except BaseException as error:
            exc = error
        try:
            gc.collect()
        except BaseException as error:
            exc = exc or error
    witness.stop()
    return exc, problems or []


def outcome(exc, witness, wrong):
    """What came of the fault; adds to what was wrong, and lets go of the exceptions."""
    came, error, *cleared = _core._fault_outcome()
    seen = [*witness.reports, *([exc] if exc else [])]
    for one in [other for exc in seen for other in chain(exc)]:
        if isinstance(one, SystemError):
            wrong.append(f"SystemError: {one}")
    unseen = False
    if came:
        unseen = not any(is_fault(one) for one in seen) and (
            error is None or error.__traceback__ is None
        )
        if witness.times_stuck and unseen:
            wrong.append("hangs, and nobody is told why")
        unseen = unseen or cleared[0] is not None
    elif exc is not None:
        wrong.append(f"raised {exc!r} without a fault")
    text = [repr(exc), repr(error), *witness.texts]
    for one in [error, *seen]:
        for other in chain(one):
            traceback.clear_frames(other.__traceback__)
            other.__traceback__ = None
    witness.closed = True  # what dies from now on is not kept
    del witness.reports[:]
    return {"came": came, "unseen": unseen, "cleared": cleared, "text": text}


def left_over(fds, counts):
    """What there is more of than before, or of fds; one complaint each."""
    gc.collect()  # what was kept for its finalizer by the first
    now = census()
    left = {what: (counts[what], now[what]) for what in counts}
    left = {what: pair for what, pair in left.items() if pair[1] > pair[0]}
    if left:
        yield f"left over (before, after): {left}"
    if opened := open_fds() - fds:
        yield f"open fds: {sorted(opened)}"


def judge(name, site, nth):
    """In a child: run the program with one fault; what was wrong, and what became."""
    witness = Witness()
    fds, counts = open_fds(), census()
    if nth:
        _core._fault_arm(site, nth)
    witness.install()
    exc, wrong = run_program(name, witness)
    passed = None
    if nth is None:
        passed = [site[-1] for site in _core._fault_sites()]
    found = outcome(exc, witness, wrong)
    del exc
    try:
        fastloop.run(simple_program())
    except BaseException as after:
        wrong.append(f"the next loop raised {after!r}")
        after.__traceback__ = None
    wrong += left_over(fds, counts)
    return found | {"wrong": wrong, "stuck": witness.times_stuck, "passed": passed}


def in_child(name, site, nth):
    """judge() in a child process; a crash becomes part of what was wrong."""
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as stderr:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(reading)
                os.dup2(stderr.fileno(), 2)
                faulthandler.enable()
                faulthandler.dump_traceback_later(CRASH_S, exit=True)
                result = pickle.dumps(judge(name, site, nth))
                with os.fdopen(writing, "wb") as pipe:
                    pipe.write(result)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            data = pipe.read()
        _, status = os.waitpid(pid, 0)
        if data and status == 0:
            return pickle.loads(data)
        stderr.seek(0)
        text = stderr.read().decode(errors="replace")
    return {
        "came": True, "wrong": [f"crash or hang, status {status}:\n{text[-3000:]}"],
        "unseen": False, "cleared": [None, None], "stuck": 0, "text": [],
        "passed": None,
    }  # fmt: skip


def describe(site):
    file, line, within, function, _ = site
    return f"{file}:{line} {within}: {function}"


def record():
    """How often each program passes each site: [{program: (passages, length)}, ...].

    A program's length is all its passages, which a busy machine doesn't change: the
    plan is the same each time.
    """
    base = [site[-1] for site in _core._fault_sites()]
    passed = [{} for _ in base]
    for name in PROGRAMS:
        result = in_child(name, None, None)
        if result["wrong"]:
            sys.exit(f"{name} fails without any fault: {result['wrong']}")
        counts = [a - b for a, b in zip(result["passed"], base, strict=True)]
        length = sum(counts)
        for index, count in enumerate(counts):
            if count > 0:
                passed[index][name] = count, length
    return passed


def plan(passed, n_programs):
    """Yield (site, program, passage): the first in a short program, and another."""
    for site, programs in enumerate(passed):
        chance = random.Random(site)
        shortest = sorted(programs, key=lambda name: programs[name][1])
        for name in shortest[:n_programs]:
            times = programs[name][0]
            yield site, name, 1
            if times > 1:
                yield site, name, chance.randint(2, times)


def attempts(plan, report):
    """Carry the plan out with one child per CPU at a time."""
    n_workers = len(os.sched_getaffinity(0))
    if n_workers == 1:
        for step in plan:
            report(step, in_child(*reorder(step)))
        return
    pipes = []
    for worker in range(n_workers):
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.close(reading)
            with os.fdopen(writing, "wb") as pipe:
                for step in plan[worker::n_workers]:
                    pickle.dump((step, in_child(*reorder(step))), pipe)
                    pipe.flush()
            os._exit(0)
        os.close(writing)
        pipes.append(os.fdopen(reading, "rb"))
    while pipes:
        for pipe in select.select(pipes, [], [])[0]:
            try:
                report(*pickle.load(pipe))
            except EOFError:
                pipes.remove(pipe)
                os.wait()


def reorder(step):
    site, name, nth = step
    return name, site, nth


class Report:
    def __init__(self, sites, verbose):
        self.sites = sites
        self.verbose = verbose
        self.walked = set()
        self.failed = collections.defaultdict(list)
        self.once = set()
        self.stuck = set()
        self.n_attempts = 0

    def __call__(self, step, result):
        index, name, nth = step
        self.n_attempts += 1
        if not result["came"]:
            return  # the program went another way this time
        self.walked.add(index)
        if result["stuck"]:
            self.stuck.add(index)
        wrong = self.complaints(index, result)
        if not wrong:
            return
        self.show(step, wrong, result)
        again = [in_child(*reorder(step)) for _ in range(AGAIN)]
        if any(self.complaints(index, other) for other in again):
            self.failed[index].append((name, nth, wrong))
        else:
            self.once.add(index)
            print(f"    not in {AGAIN} further runs", flush=True)

    def complaints(self, index, result):
        """What was wrong with a run, and that nobody was told of its fault."""
        wrong = list(result["wrong"])
        if not result["unseen"]:
            return wrong
        file, _, within, *_ = self.sites[index]
        by = result["cleared"]
        places = {(file, within), tuple(by)}
        if not any(f"{place[0]} {place[1]}" in UNSEEN for place in places if place[0]):
            where = f": cleared in {by[0]} {by[1]}" if by[0] else ""
            wrong.append(f"nobody is told{where}")
        return wrong

    def show(self, step, wrong, result):
        index, name, nth = step
        print(f"{describe(self.sites[index])} [{name}, passage {nth}]")
        for line in wrong:
            print("   ", line)
        if self.verbose:
            print("    " + "\n    ".join(result["text"]))
        sys.stdout.flush()


def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--program", default="")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--programs", type=int, default=2, help="per site")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args(argv)
    fastloop.run(simple_program())  # what Python keeps from the first time on
    gc.collect()
    gc.freeze()
    sites = _core._fault_sites()
    passed = record()
    unwalked = [
        describe(site)
        for site, programs in zip(sites, passed, strict=True)
        if not programs
    ]
    share = 1 - len(unwalked) / len(sites)
    print(f"{len(sites)} sites, {len(sites) - len(unwalked)} passed: {share:.1%}")
    for line in unwalked:
        print("not passed:", line)
    if options.list:
        return 0
    steps = [
        step
        for step in plan(passed, options.programs)
        if options.only in describe(sites[step[0]])
        and options.program in step[1]
        and step[0] % options.every == 0
    ]
    report = Report(sites, options.verbose)
    attempts(steps, report)
    if options.verbose:
        for index in sorted(report.stuck):
            print("left a program waiting:", describe(sites[index]))
    walked = len(report.walked) / len(sites)
    print(
        f"{len(sites)} sites; {len(report.walked)} walked ({walked:.1%}) in"
        f" {report.n_attempts} runs; {len(report.failed)} did wrong,"
        f" {len(report.once)} once and not again;"
        f" {len(report.stuck)} left a program waiting that was told why"
    )
    if report.failed:
        return 1
    return 1 if share < WANTED_SHARE else 0


if __name__ == "__main__":
    sys.exit(main())
