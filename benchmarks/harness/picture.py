"""Draw stored results, by the statistic of the tables: report.times.

    python picture.py FOLDER RESULT.json [RESULT.json ...]

Needs matplotlib, which the benchmarks' own environment has. Leaves in FOLDER few.png
and groups.png of the first result, and a picture of each room, a column a result.
"""

import json
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from loops import ACCELERATED, REFERENCES
from words import FEW, GROUPS, ROOMS, WORDS

from harness.report import BASE, OURS, minor, times

COLOURS = {
    "asyncio": "#8a8a8a",
    "uvloop": "#2e6fb7",
    "rloop": "#3f9b5f",
    "zuvloop": "#8d62b5",
    "rsloop": "#b58900",
    "blazio": "#4f9aa8",
    "limit": "#bbbbbb",
    "floor": "#666666",
    "fastloop": "#c4320a",
}
MARKERS = {"limit": "|", "floor": "|", OURS: "D"}
WIDTH_IN = 8.0  # a hundred pixels of the page each
DPI = 200
TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]
# Over more than this their names would touch.
WIDEST = 100
FEWER_TICKS = [0.1, 0.3, 1, 3, 10, 30, 100]
# Below this a dot says little but that it is far away.
LEAST = 0.05


def by_name(result: dict) -> dict[str, dict]:
    """The cases of a result, by their names."""
    return {case["name"]: case for case in result["cases"]}


def draw_few(result: dict, target: Path) -> None:
    """Four cases, a bar a loop: its share of asyncio's cost, round by round."""
    loops = [BASE, "uvloop", OURS]
    shown = {
        words: {loop: 1 / times(result["results"][name], loop, BASE) for loop in loops}
        for words, name in FEW.items()
        if name in by_name(result)
    }
    longest = max(share for shares in shown.values() for share in shares.values())
    height = 0.42 + 0.66 * len(shown)
    figure, axes = plt.subplots(figsize=(WIDTH_IN, height))
    for group, (words, shares) in enumerate(shown.items()):
        axes.text(-0.015, group, words, ha="right", va="center", size=10.5)
        for place, (loop, share) in enumerate(shares.items()):
            draw_bar(axes, group + (place - 1) * 0.27, loop, share, longest)
    axes.set_xlim(0, longest)
    axes.set_ylim(len(shown) - 0.55, -0.45)
    axes.axis("off")
    title = f"CPU time, Python {minor(result)}: shorter is faster"
    figure.text(0.01, 1 - 0.08 / height, title, va="top", size=11)
    figure.subplots_adjust(left=0.16, right=0.99, top=1 - 0.36 / height, bottom=0)
    save(figure, target)


def draw_bar(axes, y: float, loop: str, share: float, longest: float) -> None:
    """A bar and its words, which are inside where there is no room behind it."""
    inside = share > 0.65 * longest
    colour = COLOURS[loop]
    axes.barh(y, share, height=0.25, color=colour)
    axes.text(
        share + (-0.01 if inside else 0.01),
        y,
        loop if loop == BASE else f"{loop}, {1 / share:.1f} times as fast",
        ha="right" if inside else "left",
        va="center",
        color="white" if inside else colour,
        weight="bold" if loop == OURS else "normal",
        size=9.5,
    )


def group_times(result: dict, loop: str, names: list[str]) -> float | None:
    """The geometric mean over the cases that the loop can do; None if over none."""
    rows = [result["results"][name] for name in names if name in result["results"]]
    found = [value for row in rows if (value := times(row, loop, BASE))]
    return math.exp(sum(map(math.log, found)) / len(found)) if found else None


def draw_groups(result: dict, target: Path) -> None:
    """A row a group, a dot a loop."""
    loops = [loop for loop in result["loops"] if loop not in (OURS, *REFERENCES)]
    groups = {
        words: {
            loop: value
            for loop in [*loops, OURS]
            if loop != BASE and (value := group_times(result, loop, names))
        }
        for words, names in GROUPS.items()
    }
    groups = {words: found for words, found in groups.items() if found}
    figure, axes = plt.subplots(figsize=(WIDTH_IN, 1.3 + 0.28 * len(groups)))
    for place, found in enumerate(groups.values()):
        dots(axes, place, found)
        axes.text(
            1,
            place,
            f"{found[OURS]:.1f}x",
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            size=10,
            color=COLOURS[OURS],
            weight="bold",
        )
    lay_out(axes, list(groups), 1.25)
    axes.set_xlabel("times as fast as asyncio (memory: as small); more is better")
    legend(figure, [*loops, OURS], f"Python {minor(result)}")
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.6 / figure.get_figheight()))
    save(figure, target)


def draw_room(results: list[dict], room: str, target: Path) -> None:
    """A row a case, a column a result, a dot a loop."""
    cases = {}
    for result in results:
        for name, case in by_name(result).items():
            row = result["results"][name]
            if case["room"] == room and times(row, OURS, BASE):
                cases[name] = case
    if not cases:
        return
    figure, columns = plt.subplots(
        1,
        len(results),
        figsize=(WIDTH_IN, 1.25 + 0.27 * len(cases)),
        sharey=True,
        squeeze=False,
    )
    loops = list(dict.fromkeys(loop for result in results for loop in result["loops"]))
    seen = set()
    for axes, result in zip(columns[0], results, strict=True):
        for place, name in enumerate(cases):
            row = result["results"].get(name, {})
            found = {
                loop: value
                for loop in loops
                if loop not in (BASE, ACCELERATED) and (value := times(row, loop, BASE))
            }
            seen |= found.keys()
            dots(axes, place, found)
        words = [WORDS.get(name, name) for name in cases]
        lay_out(axes, words)
        axes.set_title(f"Python {minor(result)}", size=10)
    what = "small" if room == "memory" else "fast"
    for axes in columns[0]:
        axes.set_xlabel(f"times as {what} as asyncio", size=10)
    legend(figure, [BASE, *(loop for loop in loops if loop in seen)], "")
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.32 / figure.get_figheight()), h_pad=0.2)
    save(figure, target)


def dots(axes, place: int, found: dict[str, float]) -> None:
    """A row's dots; ours is on top."""
    for loop, value in found.items():
        ours = loop == OURS
        axes.scatter(
            max(value, LEAST),
            place,
            s=60 if ours else 34,
            marker="<" if value < LEAST else MARKERS.get(loop, "o"),
            color=COLOURS.get(loop, "#444444"),
            alpha=1 if ours else 0.85,
            linewidth=1.5 if loop in MARKERS and not ours else 0,
            zorder=4 if ours else 3,
        )


def lay_out(axes, words: list[str], room: float = 1.12) -> None:
    """The scale, asyncio's line and the names of the rows; room at the right."""
    axes.axvline(1, color=COLOURS[BASE], linewidth=2, zorder=2)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    ticks = TICKS if high < low * WIDEST else FEWER_TICKS
    axes.set_xticks([t for t in ticks if low <= t <= high])
    axes.get_xaxis().set_major_formatter("{x:g}x")
    axes.minorticks_off()
    axes.set_xlim(low, high * room)
    axes.set_yticks(range(len(words)), words, size=10)
    axes.set_ylim(len(words) - 0.4, -0.6)
    axes.grid(axis="both", color="#dddddd", linewidth=0.6, zorder=0)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def legend(figure, loops: list[str], title: str) -> None:
    """One line above all else, which nothing else reaches."""
    height = figure.get_figheight()
    if title:
        figure.text(0.01, 1 - 0.1 / height, title, va="top", size=12)
    handles = [
        plt.Line2D(
            [],
            [],
            color=COLOURS.get(loop, "#444444"),
            linewidth=2 if loop == BASE else 0,
            marker="None" if loop == BASE else MARKERS.get(loop, "o"),
            markersize=7,
            markeredgewidth=1.5 if loop in MARKERS else 0,
            label=loop,
        )
        for loop in loops
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 1 - (0.28 if title else 0) / height),
        ncol=len(handles),
        frameon=False,
        fontsize=10,
        handlelength=1,
        columnspacing=1.2,
        handletextpad=0.4,
    )


def save(figure, target: Path) -> None:
    """Write a PNG without a date: the same figures give the same file."""
    figure.savefig(target, dpi=DPI, metadata={"Software": None})
    plt.close(figure)
    with Image.open(target) as picture:
        few_colours = picture.convert("RGB").quantize(128)
    few_colours.save(target, optimize=True)


def draw(results: list[dict], folder: Path) -> None:
    """All pictures of these results, newest first."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_few(results[0], folder / "few.png")
    draw_groups(results[0], folder / "groups.png")
    for room in ROOMS:
        draw_room(results, room, folder / f"{room}.png")


if __name__ == "__main__":
    folder, *names = map(Path, sys.argv[1:])
    draw([json.loads(name.read_text()) for name in names], folder)
