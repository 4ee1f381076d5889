"""The measuring: every case on every loop, once a round, in an order that rotates.

Rounds are the outermost loop and loops the innermost, so that what a busy machine
does to one loop it does to its neighbours too, and no loop owns the quiet hour.
"""

import contextlib
import json
import os
import signal
import subprocess
import time

from loops import REFERENCES

from harness import BENCHMARKS
from harness.venv import Venv, clean_environment

TIMEOUT_S = 60


def run_child(
    venv: Venv, loop: str, case: str, n: int | None, timeout_s: float = TIMEOUT_S
) -> dict:
    """One case on one loop in a fresh process: `{"value": v}` or `{"reason": why}`."""
    command = [str(venv.python), str(BENCHMARKS / "child.py"), loop, case]
    if n is not None:
        command.append(str(n))
    with subprocess.Popen(
        command,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        try:
            out, errors = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return {"reason": f"no result in {timeout_s:.0f} s"}
        finally:
            # Its own session: the servers and clients that a case started go with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
    if child.returncode < 0:
        return {"reason": f"killed by {signal.Signals(-child.returncode).name}"}
    try:
        return json.loads(out.strip().splitlines()[-1])
    except (IndexError, ValueError):
        lines = errors.strip().splitlines() or [f"exit {child.returncode}"]
        return {"reason": lines[-1][:120]}


def measure(
    venv: Venv,
    cases: list[dict],
    loops: list[str],
    rounds: int,
    *,
    scale: float = 1.0,
    say=print,
) -> dict:
    """Measure; returns case -> loop -> `{"values": [...]}` or `{"reason": why}`.

    A loop that fails a case twice is not asked again.
    """
    results: dict = {case["name"]: {} for case in cases}
    failures: dict[tuple[str, str], int] = {}
    began = time.monotonic()
    for number in range(rounds):
        for index, case in enumerate(cases):
            shift = (number + index) % len(loops)
            for loop in loops[shift:] + loops[:shift]:
                entry = results[case["name"]].setdefault(loop, {"values": []})
                if not _wanted(case, loop) or failures.get((case["name"], loop), 0) > 1:
                    continue
                n = max(1, int(case["n"] * scale)) if scale != 1.0 else None
                answer = run_child(venv, loop, case["name"], n)
                if "value" in answer:
                    entry["values"].append(answer["value"])
                else:
                    entry["reason"] = answer["reason"]
                    key = (case["name"], loop)
                    failures[key] = failures.get(key, 0) + 1
        say(f"round {number + 1} of {rounds}, {time.monotonic() - began:.0f} s")
    return results


def _wanted(case: dict, loop: str) -> bool:
    return loop not in REFERENCES or loop in case["references"]
