"""What type checkers find in programs on fastloop: what they find on asyncio's."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = (pathlib.Path(__file__).parent / "planted.py").read_text()
LOOPS = {
    "asyncio": "asyncio.SelectorEventLoop",
    "fastloop": "fastloop.Loop",
}
TIMEOUT_S = 110

pytestmark = pytest.mark.timeout(120)


def run(command, folder):
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def mypy(folder, file):
    """The numbers of the lines that mypy complains of."""
    pytest.importorskip("mypy", reason="not installed: mypy")
    done = run([sys.executable, "-m", "mypy", "--strict", file], folder)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    print(done.stdout)
    return sorted(
        {int(n) for n in re.findall(rf"(?m)^{file}:(\d+): error", done.stdout)}
    )


def pyright(folder, file):
    """The numbers of the lines that pyright, or basedpyright, complains of."""
    beside = pathlib.Path(sys.executable).parent
    for name in "basedpyright", "pyright":
        command = shutil.which(name, path=f"{beside}{os.pathsep}{os.environ['PATH']}")
        if command:
            break
    else:
        pytest.skip("not installed: basedpyright, or pyright")
    config = {
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "standard",
        "pythonVersion": "{}.{}".format(*sys.version_info),
        "pythonPlatform": "Linux",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    done = run([command, "--outputjson", file], folder)
    try:
        found = json.loads(done.stdout)["generalDiagnostics"]
    except ValueError:
        pytest.skip(f"{name} does not run here: {done.stderr.strip()[-200:]}")
    print(found)
    return sorted(
        {f["range"]["start"]["line"] + 1 for f in found if f["severity"] == "error"}
    )


@pytest.mark.parametrize("checker", [mypy, pyright], ids=["mypy", "pyright"])
@pytest.mark.parametrize("kind", LOOPS)
def test_the_seven_planted_errors_are_found(tmp_path, checker, kind):
    source = SOURCE.replace(
        "LOOP = asyncio.SelectorEventLoop\n", f"LOOP = {LOOPS[kind]}\n"
    ).replace("import signal\n", "import signal\nimport fastloop\n")
    (tmp_path / "program.py").write_text(source)
    lines = source.splitlines()
    planted = [n for n, line in enumerate(lines, 1) if line.endswith("# wrong")]
    assert len(planted) == 7
    assert checker(tmp_path, "program.py") == planted


PUBLIC = """\
import asyncio
import fastloop

async def main() -> int:
    reveal_type(fastloop.new_event_loop())
    return 1

reveal_type(fastloop.run(main()))
reveal_type(fastloop.Loop(None).stats()["polls"])
with asyncio.Runner(loop_factory=fastloop.new_event_loop) as runner:
    reveal_type(runner.run(main()))
asyncios: asyncio.AbstractEventLoop = fastloop.Loop()
fastloop.run(main)  # wrong
fastloop.run(main(), dbug=True)  # wrong
fastloop.Loop().nothing  # wrong
"""


@pytest.mark.parametrize("checker", [mypy, pyright], ids=["mypy", "pyright"])
def test_the_public_names(tmp_path, checker):
    (tmp_path / "program.py").write_text(PUBLIC)
    lines = PUBLIC.splitlines()
    planted = [n for n, line in enumerate(lines, 1) if line.endswith("# wrong")]
    assert checker(tmp_path, "program.py") == planted
