"""Make every system call of the C code fail, in every way, and judge what comes of it.

    python tests/faults/walk.py [--asyncio] [--verbose] [SCENARIO ...]

For each scenario of scenarios.py and each call that the extension module makes in it:
one run for each errno of interposer.ERRORS, with that call alone failing. Each run must
either come to the same as without a fault or show the errno to somebody; afterwards the
loop works, nothing is left over and nothing has spun. What ends otherwise is compared
with asyncio under the same kind of fault (--asyncio compares all). Prints what was
walked and which calls in the C code no scenario reaches; exits 1 if anything is wrong.
"""

import argparse
import collections
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.faults import interposer  # noqa: E402
from tests.faults.scenarios import SCENARIOS  # noqa: E402

# The calls by which asyncio does what a call of ours does.
KIN = [
    {"recv", "recvfrom", "recvmsg", "read"},
    {"send", "sendto", "sendmsg", "write", "writev", "sendfile"},
    {"epoll_ctl"},
    {"epoll_wait", "epoll_pwait2"},
    {"accept4", "accept"},
    {"getsockname", "getpeername"},
    {"getsockopt", "connect"},
    {"fcntl", "ioctl"},
]
# (scenario, function, fault): why it need not be as asyncio's.
EXPLAINED = {
    ("waking", "write", "EAGAIN"): "an eventfd that is full wakes the loop",
}
# Calls that only a second fault in the same run would reach.
OUT_OF_REACH = {
    "close listener.c": "no socket object could be made of an accepted connection",
    "close sock_connect.c": "no socket object could be made of an accepted connection",
}
# A run with fewer polls does not spin; none of the scenarios needs a tenth of it.
POLLS_MAX = 3000
# Never to be seen: whatever it is, it is wrong.
BAD = ("left: ", "loop broken", "stuck", "lost again", "unraisable", "not run")


def kin_of(function):
    """The functions whose faults have the same effect, for whoever runs the loop."""
    return next((kin for kin in KIN if function in kin), {function})


def certificate(folder):
    """A self-signed certificate and its key, in one file; its path."""
    import trustme

    path = Path(folder, "certificate.pem")
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    return path


class Walker:
    """Walks scenarios, each in a Python of its own, with the interposer preloaded."""

    def __init__(self, folder):
        self.environment = {
            **os.environ,
            **interposer.environment(interposer.build(folder)),
            "PYTHONPATH": str(ROOT),
            "FASTLOOP_TESTS_CERTIFICATE": str(certificate(folder)),
        }

    def __call__(self, kind, name, chosen=None, calls_max=None, timeout_s=300):
        """Every outcome, as child.py prints it; the last one says if it crashed.

        chosen: {function: [fault]}; everything if it is None. calls_max: how many calls
        of each function fail; all if it is None.
        """
        choices = [f"{each}={','.join(chosen[each])}" for each in chosen or ()]
        choices += [] if calls_max is None else [f"calls={calls_max}"]
        child = Path(__file__).with_name("child.py")
        outcomes = []
        began = None
        with subprocess.Popen(
            [sys.executable, child, kind, name, *choices],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                err += f"still running after {timeout_s} s"
        for line in out.splitlines():
            found = json.loads(line)
            began = found.get("begins", began)
            if "function" in found:
                outcomes.append(found)
        if process.returncode != 0:
            last = err.strip().splitlines()[-1:] or [f"status {process.returncode}"]
            outcomes.append({**(began or {}), "crash": last[0]})
        return outcomes


def complaints(outcome):
    """What is wrong with an outcome by itself; [] if nothing."""
    if "crash" in outcome:
        return [f"crash: {outcome['crash']}"]
    found = [fact for fact in outcome["facts"] if fact.startswith(BAD)]
    if outcome["polls"] > POLLS_MAX:
        found.append(f"{outcome['polls']} polls")
    fault = outcome["fault"]
    # A signal's handler ends connections, of which nobody is told more than that.
    told = fault == "signal" or any(fault in fact for fact in outcome["facts"])
    if not outcome["same"] and not told:
        found.append("nobody was told")
    return found


def key_of(outcome):
    """What two loops' outcomes are compared by. What is left to the collector is
    something in either case, not the same objects."""
    facts = {
        "left to the collector" if fact.startswith(("left: u", "left: T")) else fact
        for fact in outcome["facts"]
    }
    return outcome["same"], tuple(sorted(facts))


def label(outcome):
    lasting = " from then on" if outcome.get("lasting") else ""
    return f"{outcome.get('function')} {outcome.get('fault')}{lasting}"


class Judge:
    """Tells which outcomes are as they should be."""

    def __init__(self, walk):
        self.walk = walk
        self.asyncios = {}

    def asyncio_does(self, name, outcome):
        """Does asyncio come to the same by a fault of this kind?"""
        if "crash" in outcome:
            return False
        kin = sorted(kin_of(outcome["function"]) & set(interposer.ERRORS))
        key = name, outcome["fault"], *kin
        if key not in self.asyncios:
            chosen = {function: [outcome["fault"]] for function in kin}
            runs = self.walk("asyncio", name, chosen)
            self.asyncios[key] = {key_of(run) for run in runs if "crash" not in run}
        return key_of(outcome) in self.asyncios[key]


def is_wrong_again(name, outcome, walk):
    """Is what was wrong in one run, on a machine that may be busy, wrong in another?"""
    if "crash" in outcome:
        return True
    chosen = {outcome["function"]: [outcome["fault"]]}
    limit = None if outcome["lasting"] else outcome["nth"]
    which = {key: outcome[key] for key in ("function", "fault", "nth", "lasting")}
    for run in walk("fastloop", name, chosen, limit):
        if which.items() <= run.items():
            return bool(complaints(run))
    return True


def judge(name, outcomes, walk, *, compare_all):
    """({what is wrong: in which outcomes}, {what differs from asyncio: the same})."""
    wrong = collections.defaultdict(list)
    others = collections.defaultdict(list)
    tell = Judge(walk)
    for outcome in outcomes:
        found = complaints(outcome)
        which = name, outcome.get("function"), outcome.get("fault")
        clean = which in EXPLAINED or (not found and outcome["same"])
        if clean or (not found and not compare_all):
            continue
        if tell.asyncio_does(name, outcome):
            continue
        if found and not is_wrong_again(name, outcome, walk):
            continue
        where = f"{label(outcome)} (call {outcome.get('nth')})"
        if found:
            wrong["; ".join([*found, *outcome.get("facts", ())])].append(where)
        else:
            others["; ".join(outcome["facts"])].append(where)
    return wrong, others


def reached(outcomes):
    """{(function, offset of the call)}"""
    return {
        (outcome["function"], outcome["site"])
        for outcome in outcomes
        if "site" in outcome
    }


def unreached_lines(module, sites):
    """The calls in the C code that were not made to fail: ["function file:line"]."""
    lines = collections.defaultdict(bool)
    offsets = {offset for _, offset in sites}
    for offset, function in interposer.call_sites(module).items():
        line = interposer.source_line(module, offset)
        lines[f"{function} {line}"] |= offset in offsets
    missed = [
        line
        for line, found in lines.items()
        if not found and line.rpartition(":")[0] not in OUT_OF_REACH
    ]
    return len(lines), sorted(missed)


def show(title, found, *, limit):
    print(f"  {title}:")
    for what, where in found.items():
        rest = f" and {len(where) - limit} more" if len(where) > limit else ""
        print(f"    {what}\n      {', '.join(where[:limit])}{rest}")


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO")
    parser.add_argument("--asyncio", action="store_true", help="compare every report")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()

    import fastloop._core

    module = fastloop._core.__file__
    failed = False
    if unknown := interposer.unknown_imports(module):
        print("called by the C code and not known here:", *unknown)
        failed = True
    everything = []
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        walk = Walker(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in options.scenarios or SCENARIOS:
            outcomes = walk("fastloop", name)
            everything += outcomes
            clean = sum(bool(run.get("same")) for run in outcomes)
            print(f"{name}: {len(outcomes)} faults, {clean} with the usual result")
            wrong, others = judge(name, outcomes, walk, compare_all=options.asyncio)
            if wrong:
                show("WRONG", wrong, limit=8)
                failed = True
            if others:
                show("not as asyncio", others, limit=99 if options.verbose else 6)
            sys.stdout.flush()
    sites = reached(everything)
    n_lines, missed = unreached_lines(module, sites)
    functions = {function for function, _ in sites}
    faults = {run["fault"] for run in everything if "fault" in run}
    print(
        f"{len(everything)} faults of {len(faults)} kinds in {len(functions)} functions"
        f" at {len(sites)} places; {n_lines - len(missed)} of {n_lines} calls in the C"
        f" code, in {time.monotonic() - start:.0f} s"
    )
    if missed and not options.scenarios:
        print("not reached:", *missed, sep="\n  ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
