"""The benchmark cases run, on asyncio and on fastloop, and the report adds up.

Whether fastloop is fast is not asked here, only whether the harness works.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

# A case of each room, and a number of operations that takes next to no time.
CASES = {
    "call_soon_chain": 50,
    "threadsafe_tput": 50,
    "timer_churn": 64,
    "task_await_chain": 20,
    "asyncio_run": 2,
    "mem_timer": 2_000,
    "io_fairness_first": 3,
}

RUN_CASES = """
import json, sys
sys.path.insert(0, sys.argv[1])
from child import run
print(json.dumps({
    name: run(sys.argv[2], name, n) for name, n in json.loads(sys.argv[3]).items()
}))
"""


def run_python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout


@pytest.fixture
def benchmark_modules(monkeypatch):
    """The benchmarks folder on the path; its modules are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_case_of_each_room_gives_a_positive_cost(loop_kind):
    out = run_python("-c", RUN_CASES, str(BENCHMARKS), loop_kind, json.dumps(CASES))
    results = json.loads(out)
    assert results.keys() == CASES.keys()
    for name, result in results.items():
        assert result.get("value", -1) >= 0, (name, result)


def test_what_a_loop_cannot_do_is_a_reason_and_not_a_failure():
    result = json.loads(run_python(BENCHMARKS / "child.py", "asyncio", "import_time"))
    assert "imported after" in result["reason"]


def test_help_names_every_room_and_loop():
    out = run_python(BENCHMARKS / "run.py", "--help")
    for word in ("callbacks", "timers", "tasks", "fairness", "uvloop", "fastloop"):
        assert word in out


def result_of(results):
    """A result file's content with these values, all cases in nanoseconds."""
    return {
        "facts": {
            "python": "3.11.9",
            "pgo": False,
            "cpu": "some CPU",
            "cpus": 2,
            "kernel": "6.1",
            "system": "Linux",
            "compiler": "GCC 12.2.0",
            "versions": {"uvloop": "1"},
        },
        "rounds": 3,
        "loops": ["asyncio", "uvloop", "fastloop"],
        "cases": [
            {
                "name": name,
                "room": "callbacks",
                "unit": "s",
                "clock": "cpu",
                "references": [],
            }
            for name in results
        ],
        "results": {
            name: {
                loop: {"values": [v * 1e-9 for v in values]}
                for loop, values in row.items()
            }
            for name, row in results.items()
        },
    }


def test_report_names_ratios_losses_and_targets(benchmark_modules):
    from harness import report, targets

    result = result_of(
        {
            "call_soon_chain": {
                "asyncio": [2000, 2100, 2050],
                "uvloop": [400, 410, 405],
                "fastloop": [200, 220, 210],
            },
            "call_soon_burst": {
                "asyncio": [1000, 1000, 1000],
                "uvloop": [300, 300, 300],
                "fastloop": [600, 600, 600],
            },
        }
    )
    result["results"]["call_soon_chain"]["uvloop"]["reason"] = "was slow once"
    text = report.render(result)
    assert "**210 ns** ±2% / 200 ns" in text
    assert "9.76x (10.00x)" in text
    assert "1.93x (2.00x) uvloop" in text
    assert "- call_soon_burst: 0.50x of uvloop" in text

    judged = {
        (answer["group"], answer["case"]): answer["met"]
        for answer in targets.judge(result)
    }
    assert judged["loop", "call_soon_chain"] is True
    assert judged["loop", "call_soon_burst"] is False
    assert judged["loop", "timer_churn"] is None


def test_every_target_names_a_case(benchmark_modules):
    from scenarios import CASES as registered

    groups = tomllib.loads((BENCHMARKS / "targets.toml").read_text())
    for group, wanted in groups.items():
        assert set(wanted) <= set(registered), group


@pytest.fixture
def programs(tmp_path):
    """The C client and the C server, built."""
    compiler = os.environ.get("CC", "gcc")
    for name in ("bench_client", "bench_echo"):
        source = BENCHMARKS / "c" / f"{name}.c"
        command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", source]
        subprocess.run([*command, "-o", tmp_path / name], check=True, timeout=30)
    return tmp_path


@pytest.mark.parametrize(
    ("mode", "connections", "depth", "size"),
    [
        ("stream", 1, 1, 1024),
        ("stream", 10, 16, 64),
        ("stream", 3, 2, 300_000),
        ("accept", 4, 1, 64),
    ],
)
def test_client_counts_the_answers_of_the_echo_server(
    programs, mode, connections, depth, size
):
    server = subprocess.Popen(
        [programs / "bench_echo", "tcp"], stdout=subprocess.PIPE, text=True
    )
    with server:
        try:
            address = "tcp:" + server.stdout.readline().strip()
            numbers = map(str, (connections, depth, 200, 10, size, size))
            done = subprocess.run(
                [programs / "bench_client", mode, address, *numbers],
                input="go\n",
                capture_output=True,
                text=True,
                timeout=20,
            )
        finally:
            server.kill()
    assert done.stderr == ""
    greeting, answer = done.stdout.splitlines()
    assert greeting == "ready"
    answer = json.loads(answer)
    assert answer["done"] == 200
    assert answer["complete"] is True
    assert 0 < answer["p50_us"] <= answer["p99_us"]


def test_the_pages_quote_the_stored_results(benchmark_modules):
    import readme

    for page, render in readme.PAGES.items():
        text = page.read_text()
        assert readme.replaced(text, render(readme.stored())) == text


def two_cases():
    return result_of(
        {
            "spawn_await": {
                "asyncio": [2000, 2100, 2050],
                "uvloop": [400, 410, 405],
                "fastloop": [200, 220, 210],
            },
            "sendfile": {
                "asyncio": [200, 210, 205],
                "uvloop": [100, 110, 105],
                "fastloop": [200, 220, 210],
            },
        }
    )


SAMPLED = """
import asyncio, sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from scenarios import _share

async def main():
    loop = asyncio.get_running_loop()
    end, done = time.process_time() + 0.7, loop.create_future()
    def step():
        if time.process_time() < end:
            loop.call_soon(step)
        else:
            done.set_result(None)
    if sys.argv[3] == "loop":
        step()
        await done
    else:
        while time.process_time() < end:
            pass

_share.start(sys.argv[2])
asyncio.run(main())
print(_share.read(Path(sys.argv[2])))
"""


@pytest.mark.parametrize("what", ["loop", "program"])
def test_the_share_of_the_loop(tmp_path, what):
    path = tmp_path / "samples"
    loop, helpers = json.loads(
        run_python("-c", SAMPLED, str(BENCHMARKS), str(path), what)
        .replace("(", "[")
        .replace(")", "]")
    )
    assert (loop > 0.4) == (what == "loop")
    assert loop < 0.1 or what == "loop"
    assert helpers < 0.1


def test_a_run_of_everything_leaves_out_the_programs(benchmark_modules):
    from run import choose_cases

    assert {case.room for case in choose_cases(None)} >= {"tasks", "apps"}
    assert "programs" not in {case.room for case in choose_cases(None)}
    assert "django" in {case.name for case in choose_cases("programs")}


def test_a_servers_name_is_of_one_program(benchmark_modules):
    import applications
    import server

    assert not server.SERVERS.keys() & applications.SERVERS.keys()


def test_table_of_programs(benchmark_modules):
    from programs import table

    row = {
        "asyncio": {"values": [4e-4, 2e-4, 3e-4]},
        "uvloop": {"values": [], "reason": "not there"},
        "fastloop": {"values": [2e-4, 1e-4, 2e-4]},
        "accelerated": {"values": [1e-4]},
    }
    facts = {"python": "3.13.0", "cpu": "some CPU", "versions": {}}
    text = table(facts, [{"name": "django"}], {"django": row}, {"django": (0.4, 0)}, 3)
    assert "| django | 300 | n/a | 200 | 100 | 0.50 | 40 % | 0 % |" in text
    assert "django on uvloop: not there" in text


def test_the_readmes_picture_has_its_figures_in_words(benchmark_modules):
    import readme

    said = "![Times as fast as asyncio: a task made and awaited 9.76]"
    assert readme.render([two_cases()]) == f"{said}(docs/speed/few.png)\n"


def test_tables_have_the_medians_and_what_is_lost(benchmark_modules):
    import readme

    shown = readme.render_all([two_cases()])
    row = "| `spawn_await` | make a task and await it | 210 ns | 9.76 | 1.93 uvloop |"
    assert row in shown
    assert "| 210 ns | **0.98** | **0.50** uvloop |" in shown
    assert "Python 3.11: `sendfile` 0.50 uvloop." in shown


def test_a_later_run_adds_cases_and_replaces_them(benchmark_modules, tmp_path):
    import readme

    first, later = two_cases(), two_cases()
    later["cases"] = [case for case in later["cases"] if case["name"] == "sendfile"]
    del later["results"]["spawn_await"]
    later["results"]["sendfile"]["fastloop"] = {"values": [1e-9] * 3}
    results = tmp_path / "results"
    results.mkdir()
    (results / "python-3.11-again.json").write_text(json.dumps(later))
    (results / "python-3.11.json").write_text(json.dumps(first))
    readme.BENCHMARKS = tmp_path
    (result,) = readme.stored()
    assert [case["name"] for case in result["cases"]] == ["spawn_await", "sendfile"]
    assert result["results"]["sendfile"]["fastloop"]["values"] == [1e-9] * 3
    assert result["results"]["spawn_await"] == first["results"]["spawn_await"]


def test_every_case_that_is_quoted_has_a_few_words(benchmark_modules):
    import readme
    import words
    from scenarios import CASES as registered

    quoted = {case["name"] for result in readme.stored() for case in result["cases"]}
    assert quoted <= set(words.WORDS) <= set(registered)
    grouped = {name for names in words.GROUPS.values() for name in names}
    assert grouped | set(words.FEW.values()) <= set(words.WORDS)
    assert {registered[name].room for name in words.WORDS} <= set(words.ROOMS)
    assert max(map(len, words.WORDS.values())) <= 40


def test_each_picture_that_the_pages_show_is_there(benchmark_modules):
    import readme

    for page in readme.PAGES:
        shown = re.findall(r"\]\(([^)]*speed/\w+\.png)\)", page.read_text())
        assert shown
        for target in shown:
            assert (page.parent / target).read_bytes()[:4] == b"\x89PNG"
