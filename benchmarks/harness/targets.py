"""Which of the targets in targets.toml a run met."""

import tomllib

from harness import BENCHMARKS
from harness.report import (
    OURS,
    best_peer,
    format_value,
    median,
    minimum,
    paired_ratio,
    ratio,
)


def judge(result: dict) -> list[dict]:
    """One entry a target: group, case, wanted, reached, met (None: not run)."""
    with open(BENCHMARKS / "targets.toml", "rb") as stored:
        groups = tomllib.load(stored)
    version = ".".join(result["facts"]["python"].split(".")[:2])
    units = {case["name"]: case["unit"] for case in result["cases"]}
    answers = []
    for group, targets in groups.items():
        for name, target in targets.items():
            of = median if target.get("by") == "median" else minimum
            row = result["results"].get(name, {})
            if "at_most" in target:
                answer = _judge_bound(row, target["at_most"], units.get(name, ""), of)
            else:
                factors = target["faster"]
                factor = factors.get(version, factors.get("any"))
                answer = factor and _judge_ratio(row, target, factor, of)
            if answer:
                answers.append({"group": group, "case": name, **answer})
    return answers


def _judge_bound(row: dict, bound: float, unit: str, of) -> dict:
    reached = of(row.get(OURS, {}))
    return {
        "wanted": f"at most {format_value(bound, unit)}",
        "reached": None if reached is None else format_value(reached, unit),
        "met": None if reached is None else reached <= bound,
    }


def _judge_ratio(row: dict, target: dict, factor: float, of) -> dict:
    against = target.get("against") or best_peer(row, of) or "best peer"
    ours = target.get("ours", OURS)
    reached = ratio(row, ours, against, of)
    paired = paired_ratio(row, ours, against)
    shown = None
    if reached is not None:
        shown = f"{reached:.2f}x" + (f" (rounds: {paired:.2f}x)" if paired else "")
    return {
        "wanted": f"{factor:.2f}x of {against}",
        "reached": shown,
        "met": None if reached is None else reached >= factor,
    }


def render(result: dict) -> str:
    """The table of targets, missed ones first, and a line that sums them up."""
    answers = judge(result)
    order = {False: 0, True: 1, None: 2}
    words = {False: "MISSED", True: "met", None: "not measured"}
    lines = [
        "| target | case | wanted | reached | |",
        "| --- | --- | --- | --- | --- |",
    ]
    for answer in sorted(answers, key=lambda a: order[a["met"]]):
        lines.append(
            f"| {answer['group']} | {answer['case']} | {answer['wanted']} | "
            f"{answer['reached'] or ''} | {words[answer['met']]} |"
        )
    counts = [sum(a["met"] is kind for a in answers) for kind in (True, False, None)]
    lines += [
        "",
        f"Targets on Python {result['facts']['python']}: "
        f"{counts[0]} met, {counts[1]} missed, {counts[2]} not measured.",
    ]
    return "\n".join(lines) + "\n"
