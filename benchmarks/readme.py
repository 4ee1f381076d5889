"""Put the figures of the stored full runs into the pages that quote them.

    python benchmarks/readme.py [--pictures]

Replaces what lies between a page's two benchmark markers, from results/python-X.Y.json
or results/python-X.Y-*.json, of which each adds its cases: in the README by its two
pictures, in docs/performance.md by all cases. --pictures draws the pictures anew, into
docs/speed, and needs matplotlib.

A value is the median of the rounds. How many times as fast one loop is as another is
the median of what it was in each round, in which the loops ran one after the other.
"""

import argparse
import json
import sys

from harness import BENCHMARKS
from harness.report import BASE, OURS, best_peer, format_value, median, minor, times
from loops import REFERENCES
from words import FEW, ROOMS, WORDS

README = BENCHMARKS.parent / "README.md"
PERFORMANCE = BENCHMARKS.parent / "docs" / "performance.md"
PICTURES = BENCHMARKS.parent / "docs" / "speed"
BEGIN = "<!-- benchmarks: begin -->\n"
END = "<!-- benchmarks: end -->"
LOST = 0.98  # below this a case is called lost: rounds differ by as much


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", action="store_true", help="draw them anew")
    results = stored()
    if parser.parse_args(argv).pictures:
        from harness.picture import draw

        draw(results, PICTURES)
    for page, render in PAGES.items():
        page.write_text(replaced(page.read_text(), render(results)))
    return 0


def stored() -> list[dict]:
    """The results of the full runs with what was added, newest Python first."""
    files = sorted((BENCHMARKS / "results").glob("python-*.json"), key=_run)
    results: dict[str, dict] = {}
    for file in files:
        result = json.loads(file.read_text())
        first = results.setdefault(minor(result), result)
        if first is not result:
            known = {case["name"] for case in result["cases"]}
            kept = [case for case in first["cases"] if case["name"] not in known]
            first["cases"] = kept + result["cases"]
            first["results"] |= result["results"]
            first.setdefault("added", []).append(result)
    return sorted(results.values(), key=_version, reverse=True)


def _run(file) -> tuple[bool, str]:
    """The full runs first."""
    return file.stem.count("-") > 1, file.stem


def _version(result: dict) -> tuple[int, ...]:
    return tuple(map(int, result["facts"]["python"].split(".")))


def replaced(text: str, figures: str) -> str:
    """A page's text with these figures."""
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}{figures}{END}{after}"


def render_all(results: list[dict]) -> str:
    """Where it was measured, each room's picture and table, the losses, in markdown."""
    parts = [_machine(result) for result in results]
    rooms = {c["name"]: c["room"] for result in results for c in result["cases"]}
    for room, (title, counted) in ROOMS.items():
        names = [name for name in rooms if rooms[name] == room]
        if names:
            picture = f"![{title}, times as fast as asyncio](speed/{room}.png)"
            parts += [f"### {title}\n", f"{counted}\n", f"{picture}\n"]
            parts.append(_table(results, names))
    parts.append("### Not the first\n")
    parts.append("How many times as fast as the first, where that is below 1.\n")
    parts += [_losses(result) for result in results]
    return "\n".join(parts)


def _machine(result: dict) -> str:
    facts = result["facts"]
    build = "with" if facts["pgo"] else "without"
    left_out = (BASE, OURS, *REFERENCES)
    peers = ", ".join(
        f"{name} {facts['versions'].get(name, '')}"
        for name in result["loops"]
        if name not in left_out
    )
    version = facts["versions"].get("asyncio-fastloop", "")
    said = (
        f"Python {facts['python']}, built {build} PGO (its compiler told what runs"
        f" most) by {facts['compiler']}, on {facts['cpus']} CPUs of {facts['cpu']},"
        f" Linux {facts['kernel']}: fastloop {version}, {peers};"
        f" {_rounds(result)} rounds.\n"
    )
    for added in result.get("added", []):
        names = ", ".join(f"`{case['name']}`" for case in added["cases"])
        other = added["facts"]["versions"].get("asyncio-fastloop", "")
        if other != version:
            said += f"{names}: fastloop {other}, {_rounds(added)} rounds.\n"
    return said


def _rounds(result: dict) -> str:
    """How many, of each case."""
    found = {
        len(row[OURS]["values"])
        for row in result["results"].values()
        if row.get(OURS, {}).get("values")
    }
    return " to ".join(str(n) for n in sorted({min(found), max(found)}))


def render(results: list[dict]) -> str:
    """The README's picture, with its figures for who cannot see it, in markdown."""
    result = results[0]
    said = [
        f"{words} {_plain(times(result['results'][name], OURS, BASE))}"
        for words, name in ((w.replace("\n", " "), n) for w, n in FEW.items())
        if name in result["results"]
    ]
    alternative = f"Times as fast as asyncio: {', '.join(said)}"
    return f"![{alternative}](docs/speed/few.png)\n"


def _table(results: list[dict], names: list[str]) -> str:
    head, line = "| case | what |", "| --- | --- |"
    for result in results:
        head += f" Python {minor(result)} | x asyncio | x best peer |"
        line += " ---: | ---: | :--- |"
    lines = [head, line]
    for name in names:
        row = f"| `{name}` | {WORDS.get(name, '')} |"
        for result in results:
            row += "".join(f" {cell} |" for cell in _cells(result, name))
        lines.append(row)
    return "\n".join(lines) + "\n"


def _against_best(result: dict, name: str) -> tuple[float | None, str | None]:
    """How many times as fast as the best of the others, and who that is."""
    row = result["results"].get(name, {})
    peer = best_peer(row, median)
    return (times(row, OURS, peer), peer) if peer else (None, None)


def _cells(result: dict, name: str) -> list[str]:
    case = next((case for case in result["cases"] if case["name"] == name), None)
    row = result["results"].get(name, {})
    value = median(row.get(OURS, {}))
    if case is None or value is None:
        return ["", "", ""]
    best, peer = _against_best(result, name)
    return [
        format_value(value, case["unit"]),
        _times(times(row, OURS, BASE)),
        "" if peer in (None, BASE) else f"{_times(best)} {peer}",
    ]


def _plain(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _times(value: float | None) -> str:
    if value is None:
        return ""
    return f"**{_plain(value)}**" if value < LOST else _plain(value)


def _losses(result: dict) -> str:
    lost = []
    for case in result["cases"]:
        value, against = _against_best(result, case["name"])
        if value is not None and value < LOST:
            lost.append((value, case["name"], against))
    said = ", ".join(f"`{name}` {value:.2f} {who}" for value, name, who in sorted(lost))
    return f"Python {minor(result)}: {said or 'none'}.\n"


PAGES = {README: render, PERFORMANCE: render_all}


if __name__ == "__main__":
    sys.exit(main())
