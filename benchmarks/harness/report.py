"""Tables from results: per room, median and minimum of each loop, ratios, losses."""

import statistics

from loops import REFERENCES

OURS = "fastloop"
BASE = "asyncio"


def minimum(entry: dict) -> float | None:
    """The least value, or None if there is none."""
    return min(entry["values"]) if entry.get("values") else None


def median(entry: dict) -> float | None:
    """The median value, or None if there is none."""
    return statistics.median(entry["values"]) if entry.get("values") else None


def spread(entry: dict) -> float:
    """Half the distance between the quartiles, as a part of the median."""
    values = entry["values"]
    middle = statistics.median(values)
    if len(values) < 3 or not middle:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return abs((high - low) / 2 / middle)


def peers_of(row: dict) -> list[str]:
    """The loops of a row that we compare with: neither asyncio, us nor a reference."""
    return [loop for loop in row if loop not in (BASE, OURS, *REFERENCES)]


def best_peer(row: dict, of=minimum) -> str | None:
    """The peer with the least value; asyncio where no peer can do the case."""
    able = [loop for loop in peers_of(row) if of(row[loop]) is not None]
    if not able:
        return BASE if of(row.get(BASE, {})) is not None else None
    return min(able, key=lambda loop: of(row[loop]))


def ratio(row: dict, loop: str, against: str, of=minimum) -> float | None:
    """How many times less `loop` costs than `against`."""
    ours, theirs = of(row.get(loop, {})), of(row.get(against, {}))
    if ours is None or theirs is None:
        return None
    if ours <= 0:
        return float("inf") if theirs > 0 else 1.0
    return theirs / ours


def paired_ratio(row: dict, loop: str, against: str) -> float | None:
    """The median over the rounds of that ratio within one round."""
    ours = row.get(loop, {}).get("values") or []
    theirs = row.get(against, {}).get("values") or []
    ratios = [b / a for a, b in zip(ours, theirs, strict=False) if a > 0]
    return statistics.median(ratios) if ratios else None


def times(row: dict, loop: str, against: str) -> float | None:
    """How many times as fast a loop is: what the pages' tables and pictures say."""
    value = paired_ratio(row, loop, against)
    return value or ratio(row, loop, against, median)


def minor(result: dict) -> str:
    """The Python of a result, as X.Y."""
    return ".".join(result["facts"]["python"].split(".")[:2])


def format_value(value: float, unit: str) -> str:
    """A value with its unit, three digits or so."""
    if unit == "s":
        for factor, name in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
            if abs(value) * factor < 10_000:
                return f"{_digits(value * factor)} {name}"
        return f"{value:.2f} s"
    if unit == "s/GB":
        return f"{_digits(value * 1e3)} ms/GB"
    return f"{_digits(value)} {unit}".rstrip()


def _digits(number: float) -> str:
    if abs(number) >= 100 or number == int(number):
        return f"{number:.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


def _cell(entry: dict, unit: str, notes: dict[str, str], bold: bool) -> str:
    if not entry.get("values"):
        reason = entry.get("reason")
        if reason is None:
            return ""
        mark = notes.setdefault(reason, f"[{len(notes) + 1}]")
        return f"n/a {mark}"
    middle = format_value(median(entry), unit)
    if bold:
        middle = f"**{middle}**"
    return f"{middle} ±{spread(entry):.0%} / {format_value(minimum(entry), unit)}"


def _ratio_cell(row: dict, against: str | None) -> str:
    if against is None or (value := times(row, OURS, against)) is None:
        return ""
    name = "" if against == BASE else f" {against}"
    return f"{value:.2f}x ({ratio(row, OURS, against):.2f}x){name}"


def table(result: dict, room: str) -> str:
    """The markdown table of one room."""
    cases = [case for case in result["cases"] if case["room"] == room]
    if not cases:
        return ""
    loops = [
        loop
        for loop in result["loops"]
        if loop not in REFERENCES or any(loop in case["references"] for case in cases)
    ]
    ours = OURS in loops
    head = ["case", *loops] + (["x asyncio", "x best peer"] if ours else [])
    lines = [f"### {room}", "", _line(head), _line(["---"] * len(head))]
    notes: dict[str, str] = {}
    for case in cases:
        row = result["results"][case["name"]]
        able = [loop for loop in row if median(row[loop]) is not None]
        able = [loop for loop in able if loop not in REFERENCES]
        best = min(able, key=lambda loop: median(row[loop])) if able else None
        cells = [
            case["name"] + ("" if case["clock"] == "cpu" else f" ({case['clock']})")
        ]
        cells += [
            _cell(row.get(loop, {}), case["unit"], notes, loop == best)
            for loop in loops
        ]
        if ours:
            cells += [_ratio_cell(row, BASE), _ratio_cell(row, best_peer(row, median))]
        lines.append(_line(cells))
    lines += ["", *(f"{mark} {reason}  " for reason, mark in notes.items())]
    return "\n".join(lines).rstrip() + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def losses(result: dict) -> str:
    """The cases in which fastloop is not the first, worst first."""
    found = []
    for case in result["cases"]:
        row = result["results"][case["name"]]
        for against in dict.fromkeys([best_peer(row, median), BASE]):
            value = against and times(row, OURS, against)
            if value and value < 0.995:
                found.append((value, case["name"], against))
    if not found:
        return "Losses of fastloop: none.\n"
    lines = ["Losses of fastloop (times as fast, the median of the rounds):", ""]
    lines += [f"- {name}: {value:.2f}x of {who}" for value, name, who in sorted(found)]
    return "\n".join(lines) + "\n"


def heading(result: dict) -> str:
    """What was measured, on what, and how to read it."""
    facts = result["facts"]
    versions = ", ".join(f"{k} {v}" for k, v in facts["versions"].items())
    build = "PGO build" if facts["pgo"] else "not a PGO build"
    return (
        f"## Python {facts['python']} ({build}), {result['rounds']} rounds\n\n"
        f"{facts['cpus']} CPUs ({facts['cpu']}), Linux {facts['kernel']}, "
        f"{facts['system']}; {versions}.\n\n"
        "A cell is: the median of the rounds ± half the distance of the quartiles / "
        "the least of them. CPU time of the process unless the case says otherwise. "
        "Ratios are the median of the ratios within each round, in brackets that of "
        "the least values; above 1 is faster.\n"
    )


def render(result: dict) -> str:
    """The whole report in markdown."""
    rooms = dict.fromkeys(case["room"] for case in result["cases"])
    parts = [heading(result), *(table(result, room) for room in rooms)]
    if OURS in result["loops"]:
        parts.append(losses(result))
    return "\n".join(parts)
