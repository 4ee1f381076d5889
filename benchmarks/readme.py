"""Put the figures of the stored full runs into the pages that quote them.

    python benchmarks/readme.py

Replaces what lies between a page's two benchmark markers, from results/python-X.Y.json:
in the README by a table of the cases below and the list of losses, in
docs/performance.md by all cases.
"""

import json
import sys

from harness import BENCHMARKS
from harness.report import (
    BASE,
    OURS,
    best_peer,
    format_value,
    median,
    minimum,
    paired_ratio,
    ratio,
)
from loops import REFERENCES

README = BENCHMARKS.parent / "README.md"
PERFORMANCE = BENCHMARKS.parent / "docs" / "performance.md"
BEGIN = "<!-- benchmarks: begin -->\n"
END = "<!-- benchmarks: end -->"
SHOWN = [
    "call_soon_chain",
    "call_soon_burst",
    "threadsafe_tput",
    "timer_churn",
    "timer_100k_cancel",
    "sleep0_1",
    "sleep0_1000",
    "fut_pingpong",
    "spawn_await",
    "task_await_chain",
    "taskgroup_100",
    "gather_100",
    "cancel_1000",
    "fut_callback",
    "queue_1",
    "asyncio_run",
    "loop_new_close",
    "mem_task",
    "mem_timer",
    "io_fairness_time",
    "signal_busy_watched",
    "executor_busy_watched",
    "tcp_proto_1k_c100",
    "tcp_sock_1k_c10",
    "uvicorn_hello",
    "aiohttp_hello",
]
LOST = 0.98  # below this a case is called lost: rounds differ by as much


def main() -> int:
    """The command."""
    for page, render in PAGES.items():
        page.write_text(replaced(page.read_text(), render(stored())))
    return 0


def stored() -> list[dict]:
    """The results of the full runs, newest Python first."""
    files = (BENCHMARKS / "results").glob("python-*.json")
    results = [json.loads(file.read_text()) for file in files]
    return sorted(results, key=_version, reverse=True)


def _version(result: dict) -> tuple[int, ...]:
    return tuple(map(int, result["facts"]["python"].split(".")))


def replaced(text: str, figures: str) -> str:
    """A page's text with these figures."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}{figures}{END}{after}"


def render_all(results: list[dict]) -> str:
    """Where it was measured and a table of each room, in markdown."""
    parts = [_machine(result) for result in results]
    rooms = {c["name"]: c["room"] for result in results for c in result["cases"]}
    for room in dict.fromkeys(rooms.values()):
        names = [name for name in rooms if rooms[name] == room]
        parts.append(f"### {room}\n\n{_table(results, names)}")
    return "\n".join(parts)


def _machine(result: dict) -> str:
    facts = result["facts"]
    build = "with" if facts["pgo"] else "without"
    loops = (f"{name} {facts['versions'].get(name, '')}" for name in result["loops"])
    left_out = (BASE, OURS, *REFERENCES)
    peers = ", ".join(name for name in loops if name.split()[0] not in left_out)
    return (
        f"Python {facts['python']}, built {build} PGO by {facts['compiler']}, on"
        f" {facts['cpus']} CPUs of {facts['cpu']}, Linux {facts['kernel']};"
        f" {result['rounds']} rounds; beside {peers}.\n"
    )


def render(results: list[dict]) -> str:
    """The table and what is lost, in markdown."""
    parts = [_table(results, SHOWN)]
    parts += [_losses(result) for result in results]
    for result in results:
        name = _minor(result)
        parts.append(
            f"![Python {name}, times as fast as asyncio]"
            f"(benchmarks/results/python-{name}.png)\n"
        )
    return "\n".join(parts)


def _minor(result: dict) -> str:
    return ".".join(result["facts"]["python"].split(".")[:2])


def _table(results: list[dict], names: list[str]) -> str:
    head, line = "| case |", "| --- |"
    for result in results:
        head += f" Python {_minor(result)} | x asyncio | x best peer |"
        line += " ---: | ---: | :--- |"
    lines = [head, line]
    for case in names:
        row = f"| {case} |"
        for result in results:
            row += "".join(f" {cell} |" for cell in _cells(result, case))
        lines.append(row)
    return "\n".join(lines) + "\n"


def _of(case: dict):
    """What stands for the rounds: a server is, as a whole, fast or slow."""
    return median if case["clock"] == "server cpu" else minimum


def _against_best(result: dict, case: dict) -> tuple[float | None, str | None]:
    """How many times as fast as the best of the others, and who that is."""
    row = result["results"][case["name"]]
    peer = best_peer(row, _of(case))
    return (_ratio(row, case, peer), peer) if peer else (None, None)


def _ratio(row: dict, case: dict, against: str) -> float | None:
    if _of(case) is median:
        return paired_ratio(row, OURS, against)
    return ratio(row, OURS, against)


def _cells(result: dict, name: str) -> list[str]:
    case = next((case for case in result["cases"] if case["name"] == name), None)
    if case is None:
        return ["", "", ""]
    row = result["results"].get(name, {})
    value = _of(case)(row.get(OURS, {}))
    if value is None:
        return ["", "", ""]
    best, peer = _against_best(result, case)
    return [
        format_value(value, case["unit"]),
        _times(_ratio(row, case, BASE)),
        "" if peer in (None, BASE) else f"{_times(best)} {peer}",
    ]


def _times(value: float | None) -> str:
    if value is None:
        return ""
    text = f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"**{text}**" if value < LOST else text


def _losses(result: dict) -> str:
    lost = []
    for case in result["cases"]:
        value, against = _against_best(result, case)
        if value is not None and value < LOST:
            lost.append((value, case["name"], against))
    said = ", ".join(f"{name} {value:.2f} {who}" for value, name, who in sorted(lost))
    return f"Lost on {_minor(result)} (times as fast as whom): {said or 'nothing'}.\n"


PAGES = {README: render, PERFORMANCE: render_all}


if __name__ == "__main__":
    sys.exit(main())
