"""A loop's figures as text for Prometheus: python examples/prometheus.py

expose(loop) is all that there is to take over: call it where /metrics is answered.
"""

import asyncio
import time

import fastloop

COUNTERS = "busy_s idle_s iterations polls steps wakeups"
GAUGES = "ready timers watches transports tasks"


def expose(loop: fastloop.Loop) -> str:
    """Return the loop's metrics, and its tasks' by the coroutine if they are counted,
    in Prometheus's text format."""
    metrics = loop.metrics()
    lines = []
    for kind, names in ("counter", COUNTERS), ("gauge", GAUGES):
        for name in names.split():
            full = f"fastloop_{name.replace('_s', '_seconds')}"
            full += "_total" if kind == "counter" else ""
            lines += [f"# TYPE {full} {kind}", f"{full} {getattr(metrics, name)}"]
    for name in "step_time", "lag":
        lines += histogram(f"fastloop_{name}_seconds", getattr(metrics, name))
    seconds: dict[str, float] = {}
    for row in loop.task_figures():
        seconds[row.coroutine] = seconds.get(row.coroutine, 0.0) + row.wall_s
    lines.append("# TYPE fastloop_task_seconds gauge")
    for coroutine, wall_s in seconds.items():
        escaped = coroutine.replace("\\", r"\\").replace('"', r"\"")
        lines.append(f'fastloop_task_seconds{{coroutine="{escaped}"}} {wall_s}')
    return "\n".join(lines) + "\n"


def histogram(name: str, one) -> list[str]:
    """Return its lines: in Prometheus each bucket counts all below its end. No sum of
    the spans is kept, so there is none here."""
    lines, total = [f"# TYPE {name} histogram"], 0
    for count, end_s in zip(one.counts, one.bounds_s, strict=True):
        total += count
        end = "+Inf" if end_s == float("inf") else f"{end_s:g}"
        lines.append(f'{name}_bucket{{le="{end}"}} {total}')
    return [*lines, f"{name}_count {total}"]


async def work() -> None:
    """Something to be measured."""
    while True:
        time.sleep(0.002)
        await asyncio.sleep(0.001)


async def main() -> None:
    """Measure it, and show the text."""
    task = asyncio.create_task(work())
    await asyncio.sleep(0.05)
    print(expose(asyncio.get_running_loop()), end="")
    task.cancel()


if __name__ == "__main__":
    with fastloop.task_figures():
        fastloop.run(main())
