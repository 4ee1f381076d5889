"""Draw a result file: how many times as fast as asyncio each loop is, per case.

Run by the venv's Python, which has matplotlib:

    python picture.py RESULT.json FILE.png FILE.svg
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from harness.report import BASE, OURS, ratio

COLOURS = {
    "fastloop": "#c4320a",
    "uvloop": "#2e6fb7",
    "rloop": "#3f9b5f",
    "zuvloop": "#8d62b5",
    "rsloop": "#b58900",
    "blazio": "#5b8f99",
    "limit": "#999999",
    "floor": "#555555",
}


def draw(result: dict, targets: list[str]) -> None:
    """One row a case, one dot a loop, asyncio at 1, a logarithmic scale."""
    cases = [
        case
        for case in reversed(result["cases"])
        if any(
            ratio(result["results"][case["name"]], loop, BASE)
            for loop in result["loops"]
            if loop != BASE
        )
    ]
    loops = [loop for loop in result["loops"] if loop != BASE]
    figure, axes = plt.subplots(figsize=(9, 1.5 + 0.24 * len(cases)))
    for loop in loops:
        points = [
            (value, place)
            for place, case in enumerate(cases)
            if (value := ratio(result["results"][case["name"]], loop, BASE))
            and value != float("inf")
        ]
        if points:
            axes.scatter(
                *zip(*points, strict=True),
                s=46 if loop == OURS else 26,
                marker="D" if loop == OURS else "o",
                color=COLOURS.get(loop, "#444444"),
                label=loop,
                zorder=3 if loop == OURS else 2,
            )
    axes.axvline(1, color="#222222", linewidth=1, label="asyncio")
    axes.set_xscale("log")
    ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50]
    low, high = axes.get_xlim()
    axes.set_xticks([t for t in ticks if low <= t <= high])
    axes.get_xaxis().set_major_formatter("{x:g}x")
    axes.minorticks_off()
    axes.set_yticks(range(len(cases)), [case["name"] for case in cases])
    axes.set_ylim(-0.7, len(cases) - 0.3)
    axes.grid(axis="both", color="#dddddd", linewidth=0.6, zorder=0)
    axes.set_xlabel("times as fast as asyncio (memory: times as small)")
    axes.set_title(f"Python {result['facts']['python']}", loc="left")
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=8, frameon=False, fontsize=8
    )
    figure.tight_layout()
    for target in targets:
        figure.savefig(target, dpi=130, metadata=_metadata(target))


def _metadata(target: str) -> dict:
    # No dates: the same figures give the same file.
    return {"Date": None} if target.endswith(".svg") else {}


if __name__ == "__main__":
    with open(sys.argv[1]) as stored:
        plt.rcParams["svg.hashsalt"] = "fastloop"
        draw(json.load(stored), sys.argv[2:])
