"""python -m fastloop.top PID: what the loops of that process do, as it goes on."""

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from . import _inquiry
from ._coroutines import clean
from ._metrics import Histogram

_CLEAR = "\x1b[H\x1b[J"


def main(words: list[str] | None = None) -> int:
    """Show it, again and again. Return the exit code."""
    parser = _inquiry.parser("top", "What the loops of a process do; Ctrl-C ends it.")
    parser.add_argument("--once", action="store_true", help="since their start")
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="1 unless given"
    )
    parser.add_argument("--timeline", metavar="FILE", help="record one instead")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of the timeline, 5 unless given"
    )
    options = parser.parse_args(words)
    if options.timeline is not None:
        if not 0.01 <= options.seconds <= 60:
            parser.error("from 0.01 to 60 seconds were expected")
        return _inquiry.run(
            lambda: _inquiry.record(options.pid, options.seconds, options.timeline)
        )
    if not 0.1 <= options.interval <= 3600:
        parser.error("an interval from 0.1 to 3600 s was expected")
    return _inquiry.run(
        lambda: _show(options.pid, options.json, options.once, options.interval)
    )


def _show(pid: int, as_json: bool, once: bool, interval_s: float) -> int:
    before: dict[str, Any] = {"loops": []}
    clears = not once and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    while True:
        answer = _inquiry.ask(pid, "s")
        if as_json:
            print(json.dumps({"pid": pid, **answer}), flush=True)
        else:
            text = "\n".join(_screen(pid, answer, before))
            print((_CLEAR if clears else "") + text, flush=True)
        if once:
            return 0 if answer["gil"] else _inquiry.GIL_TAKEN
        if answer["gil"]:
            before = answer
        time.sleep(interval_s)


def _screen(pid: int, answer: dict[str, Any], before: dict[str, Any]) -> Iterator[str]:
    if not answer["gil"]:
        yield _inquiry.without_gil(pid, answer)
        return
    yield f"process {pid}, Python {answer['python']}, watch {answer['limit_s']:g} s"
    old = {loop["id"]: loop["metrics"] for loop in before["loops"]}
    for loop in answer["loops"]:
        yield from map(clean, _loop(loop, old.get(loop["id"])))
    yield from map(_inquiry.shown, _inquiry.blocks(pid, answer))
    if answer["blocks"]:
        yield "last blocks:"
    for block in answer["blocks"]:
        yield clean(
            f"  {block['age_s']:7.1f} s ago for {block['elapsed_s']:.3f} s:"
            f" {block['name']} ({block['kind']})"
            + "".join(f" at {_inquiry.place(frame)}" for frame in block["stack"][-1:])
        )


def _loop(loop: dict[str, Any], before: dict[str, Any] | None) -> Iterator[str]:
    """Yield lines about a loop, since an earlier answer or since its start."""
    now = loop["metrics"]
    zero = {"counts": [0] * len(now["lag"]["counts"])}
    old = before or {"step_time": zero, "lag": zero}
    span_s = now["now_s"] - old["now_s"] if before else now["uptime_s"]

    def rate(key: str) -> float:
        return float(now[key] - old.get(key, 0)) / max(float(span_s), 1e-9)

    yield (
        f"loop in thread {loop['thread']}: busy {rate('busy_s'):.0%} of"
        f" {span_s:.1f} s, {rate('steps'):.0f} steps/s, {rate('polls'):.0f} polls/s,"
        f" {rate('wakeups'):.0f} wake-ups/s"
    )
    for key, name in ("step_time", "steps"), ("lag", "lag"):
        new, past = now[key]["counts"], old[key]["counts"]
        if any(map(int.__lt__, new, past)):
            past = zero["counts"]  # reset_metrics() was called
        found = Histogram(tuple(map(int.__sub__, new, past)), now[key]["max_s"])
        yield (
            f"  {name}: half up to {_span(found.p50_s)}, 99 % up to"
            f" {_span(found.p99_s)}, longest ever {_span(found.max_s)}"
        )
    keys = "tasks", "ready", "timers", "watches", "transports"
    yield "  " + ", ".join(f"{now[key]} {key}" for key in keys)
    for name, state, count in loop["tasks"]:
        yield f"  {count:8} {state:8} {name}"
    for name, time_s, end_s in now["slowest"][:3]:
        ago_s = now["now_s"] - end_s
        yield f"  slow step: {_span(time_s)} {ago_s:.1f} s ago, {name}"
    for one in loop["dearest"]:
        yield (
            f"  dear task: {one['wall_s']:.3f} s, {one['cpu_s']:.3f} s CPU in"
            f" {one['steps']} steps: {one['name']} ({one['coroutine']})"
        )


def _span(seconds: float) -> str:
    for unit, size in ("s", 1.0), ("ms", 1e-3):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


if __name__ == "__main__":
    sys.exit(main())
