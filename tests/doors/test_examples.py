"""The programs in examples/, as a newcomer runs them."""

import json
import pathlib
import re
import signal
import urllib.request

import pytest

import fastloop.aio

from .programs import FASTLOOP, PYTHON, run, start

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
TIMEOUT_S = 120


@pytest.mark.timeout(TIMEOUT_S)
def test_demo_gives_the_same_each_way():
    demo = str(EXAMPLES / "demo.py")
    doors = PYTHON, FASTLOOP, [*FASTLOOP, "--accelerate"]
    plain, ours, fast = (json.loads(run(door, demo).stdout) for door in doors)
    used = [(r["loop"].split(".")[0], r["queue"]) for r in (plain, ours, fast)]
    assert used == [
        ("asyncio", "asyncio.queues.Queue"),
        ("fastloop", "asyncio.queues.Queue"),
        ("fastloop", f"{fastloop.aio.Queue.__module__}.Queue"),
    ]
    assert used[2] != used[1]
    assert plain["digest"] == ours["digest"] == fast["digest"]
    assert ours["results"] == {
        "tcp_echo": "50 clients, 200 messages each",
        "queue": [20000, sum(n * n for n in range(20000)), ["CancelledError"] * 3],
        "tasks": [sum(range(1000)), "ababab"],
        "workers": [200 * 100, 200 * sum(range(100))],
        "timeout": ["timed out", True],
        "subprocess": ["FROM THE PARENT", 3],
    }


@pytest.mark.timeout(TIMEOUT_S)
def test_compare_shows_the_three_ways():
    done = run(PYTHON, str(EXAMPLES / "compare.py"), "--rounds", "1", cwd="/")
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        r"asyncio +ran on asyncio\.unix_events\._UnixSelectorEventLoop, with asyncio",
        r"fastloop +ran on fastloop\.\w+, with asyncio",
        r"accelerated ran on fastloop\.\w+, with fastloop",
    ):
        assert re.search(line, done.stdout)
    table = done.stdout.partition("\nseconds")[2].splitlines()
    rows = [line.split() for line in table if line[:1].isalpha()][:6]
    assert [row[0] for row in rows] == [
        "tcp_echo",
        "queue",
        "tasks",
        "workers",
        "timeout",
        "subprocess",
    ]
    assert all(float(figure) >= 0 for row in rows for figure in row[1:7])


@pytest.mark.parametrize(
    "change, fault",
    [
        (
            "s = s.replace('.upper()', '.title()') if 'fastloop' in sys.modules else s",
            "the results differ",
        ),
        (
            "s = s.replace('asyncio.run(', 'import fastloop; fastloop.run(')",
            "asyncio: the demo ran on fastloop",
        ),
        (
            "s = s.replace('asyncio.run(main())', 'sys.exit(4)')",
            "asyncio: the demo ended with status 4",
        ),
    ],
    ids=["other results", "wrong loop", "failing program"],
)
@pytest.mark.timeout(TIMEOUT_S)
def test_compare_fails_when_something_is_wrong(tmp_path, change, fault):
    source = (EXAMPLES / "demo.py").read_text()
    for figure, fewer in ("50", "2"), ("200", "3"), ("20_000", "9"), ("100_000", "8"):
        source = source.replace(f" = {figure}\n", f" = {fewer}\n", 1)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "real.txt").write_text(source)
    (tmp_path / "examples" / "demo.py").write_text(
        "import pathlib, sys\n"
        "s = pathlib.Path(__file__).with_name('real.txt').read_text()\n"
        f"{change}\nexec(s)\n"
    )
    compare = tmp_path / "examples" / "compare.py"
    compare.write_text((EXAMPLES / "compare.py").read_text())
    done = run(PYTHON, str(compare), "--rounds", "1")
    assert done.returncode == 1
    assert done.stderr.startswith(fault)


def test_http_server():
    server = str(EXAMPLES / "http_server.py")
    with start(PYTHON, server, "0") as process:
        url = process.stdout.readline().removeprefix("serving on ").strip()
        for path in "/", "/some/path?x=1":
            with urllib.request.urlopen(url + path, timeout=10) as response:
                assert json.load(response) == {"method": "GET", "path": path}
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (0, "")
    assert "'iterations': " in output
