"""The programs of docs/timeline.md: their pictures show what the page says they do."""

import re
import subprocess
import sys

import chromium
import pytest
import timeline_pictures

from tests.timeline.recorded import needs_own_tasks

pytestmark = [
    pytest.mark.timeout(180),
    needs_own_tasks,
]
PROGRAMS = timeline_pictures.programs()
FACTS = """(() => {
  const { model } = window.timeline;
  const facts = {};
  for (const task of model.lanes) {
    const waits = model.waitsOf(task.id);
    const wakes = model.wakesOf(task.id);
    facts[task.name] = {
      coroutine: task.coroutine,
      outcome: OUTCOMES[task.outcome],
      maker: task.parent ? model.task(task.parent).name : "",
      waits: waits.map((wait) => wait.name),
      lines: waits.map((wait) => model.header.places[wait.place][1]),
      took: waits.map((wait) => (wait.end - wait.begin) / 1e9),
      from: waits.map((wait) => wait.begin / 1e9),
      wakers: wakes.map((wake) => wake.waker ? model.task(wake.waker).name : ""),
      blocks: model.stepsOf(task.id).filter((step) => step.block).length,
    };
  }
  return facts;
})()""".replace("OUTCOMES", '["pending", "result", "exception", "cancelled"]')


@pytest.fixture
def facts(look, tmp_path):
    """What the page of a program says of its tasks, by their names."""

    def facts(name):
        program = tmp_path / f"{name}.py"
        program.write_text(PROGRAMS[name])
        page = tmp_path / f"{name}.html"
        timeline_pictures.record(program, page)
        look.browser.open(page)
        assert look.browser.complaints() == []
        assert look.text("#ended") == "The program finished."
        assert look.text("h1") == f"{name}.py"
        found = look.browser.evaluate(FACTS)
        assert {task["outcome"] for task in found.values()} <= {"result", "cancelled"}
        return found

    return facts


def overlap(*tasks):
    """For how long the first waits of all these tasks last together, in seconds."""
    begin = max(task["from"][0] for task in tasks)
    return min(task["from"][0] + task["took"][0] for task in tasks) - begin


def test_sequential(facts):
    main = facts("sequential")["Task-1"]
    assert main["waits"] == ["sleep"] * 3 and main["lines"] == [5] * 3
    assert all(0.19 < took < 2 for took in main["took"])
    assert main["wakers"] == [""] * 3


def test_three_tasks(facts):
    found = facts("three_tasks")
    tasks = [found[name] for name in ("first", "second", "third")]
    assert [task["waits"] for task in tasks] == [["sleep"]] * 3
    assert [task["maker"] for task in tasks] == ["Task-1"] * 3
    assert overlap(*tasks) > 0.15
    assert found["Task-1"]["waits"][0] == "first"
    assert found["Task-1"]["wakers"][0] == "first"


def test_gather(facts):
    found = facts("gather")
    tasks = [found[f"Task-{number}"] for number in (2, 3, 4)]
    assert [task["waits"] for task in tasks] == [["sleep"]] * 3
    assert tasks[0]["took"] < tasks[2]["took"] < tasks[1]["took"]
    assert found["Task-1"]["waits"] == ["gather"]
    assert found["Task-1"]["lines"] == [10]


def test_task_group(facts):
    found = facts("task_group")
    main = found["Task-1"]
    assert main["waits"] == ["TaskGroup.__aexit__", "sleep"]
    assert main["took"][0] > found["long"]["took"][0] - 0.05
    assert found["short"]["took"] < found["long"]["took"]


def test_lock(facts):
    found = facts("lock")
    one, two, three = (found[f"Task-{number}"] for number in (2, 3, 4))
    assert one["waits"] == ["sleep"]
    assert two["waits"] == three["waits"] == ["Lock.acquire", "sleep"]
    assert two["lines"] == [5, 6]
    assert two["wakers"] == ["Task-2", ""] and three["wakers"] == ["Task-3", ""]
    # No sleep begins before the other's end.
    assert two["from"][1] >= one["from"][0] + one["took"][0]
    assert three["from"][1] >= two["from"][1] + two["took"][1]


def test_semaphore(facts):
    found = facts("semaphore")
    tasks = [found[f"Task-{number}"] for number in (2, 3, 4, 5)]
    assert [task["waits"] for task in tasks[:2]] == [["sleep"]] * 2
    assert [task["waits"] for task in tasks[2:]] == [["Semaphore.acquire", "sleep"]] * 2
    assert {tasks[2]["wakers"][0], tasks[3]["wakers"][0]} == {"Task-2", "Task-3"}


def test_timeout(facts):
    found = facts("timeout")
    assert found["slow"]["outcome"] == "cancelled"
    assert found["slow"]["waits"] == ["sleep"]
    assert 0.2 < found["slow"]["took"][0] < 0.9
    assert found["Task-1"]["waits"][0] in ("wait_for", "slow")
    assert found["Task-1"]["outcome"] == "result"


def test_blocking(facts, look):
    found = facts("blocking")
    assert found["Task-3"]["coroutine"] == "blocking"
    assert found["Task-3"]["blocks"] == 1
    assert max(found["Task-2"]["took"]) > 0.15
    # A busy machine may hold up another step for as long.
    blocks = look.value("model.blocks.map((one) => [one.of, one.lane])")
    assert ["task", 2] in blocks
    assert re.match(r"\d+ blocks? \(over 100 ms\); the longest, ", look.text("#blocks"))
    for _ in range(blocks.index(["task", 2]) + 1):
        look.browser.key("b")
    assert "Task-3 (blocking) runs\n" in look.text("#details")
    begin, end = look.value(
        "[picture.chosen.piece.begin / 1e6, picture.chosen.piece.end / 1e6]"
    )
    assert end - begin > 240
    assert look.seen(2, begin + 200) == ["block"]
    assert look.seen(3, begin + 200, 0.3) == ["ready"]
    assert look.seen(1, begin + 200) == ["waiting"]


@pytest.mark.long
def test_the_script_makes_each_picture_of_the_page(tmp_path):
    if chromium.program() is None:
        pytest.skip("no Chromium: apt install chromium")
    text = timeline_pictures.PAGE.read_text()
    shown = re.findall(r"\]\(pictures/(\w+)\.png\)", text)
    assert shown == list(PROGRAMS) and len(shown) == 8
    kept = sorted(path.stem for path in timeline_pictures.PICTURES.iterdir())
    assert kept == sorted(shown)
    assert sum(p.stat().st_size for p in timeline_pictures.PICTURES.iterdir()) < 400_000
    done = subprocess.run(
        [sys.executable, timeline_pictures.__file__, "--out", tmp_path],
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    for name in shown:
        made = (tmp_path / f"{name}.png").read_bytes()
        kept = (timeline_pictures.PICTURES / f"{name}.png").read_bytes()
        assert made[:8] == kept[:8] == b"\x89PNG\r\n\x1a\n"
        # As wide, and about as high: the words above the picture may differ.
        assert made[16:20] == kept[16:20]
        heights = [int.from_bytes(png[20:24], "big") for png in (made, kept)]
        assert abs(heights[0] - heights[1]) < 60
