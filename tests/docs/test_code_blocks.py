"""Every code block of the pages runs.

After the language, a block's info string may say:

    file=NAME     write the block there; the commands below it may use it
    continues     the block goes on where the Python block before it ended
    needs=A,B     modules without which the block is passed over
    serves        the command is a server, and / tells the loop that it runs on
    rehearsed     the commands change the machine: they only say what they would do
    figures       what is printed is right with any other figures in it
    checkout      the commands run in this checkout, not in an empty folder
    python=3.13   the block is for that Python and newer ones
    not-run       see NOT_RUN, or:
    tested=F::T   another test runs it: T in tests/F

In the README and in docs/ every block is run here or, of commands that need more than a
block can say, by the test that it names; a Dockerfile by hand, line by line.

A port 8000 becomes a free one. Each line of a block of sh is a command, and so is each
`$` line of a console block; what follows that is what it prints, where `...` stands for
anything.
"""

import contextlib
import dataclasses
import doctest
import functools
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from tests.compat.support import need
from tests.docs import rehearsal

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]
PAGES += ["benchmarks/README.md"]
PAGES += sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md"))
LANGUAGES = {"python", "console", "sh", "dockerfile", "text", "json"}
MARKS = {"file", "continues", "needs", "serves", "rehearsed", "checkout", "python"}
MARKS |= {"figures", "not-run", "tested"}
TIMEOUT_S = 50

SAME_OUTPUT = functools.partial(
    doctest.OutputChecker().check_output,
    optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
)

# Where each block is that no test runs, with its first line, and why.
NOT_RUN = {
    "CONTRIBUTING.md make demo": "builds and tests anew; .ci/run runs it",
    "CONTRIBUTING.md tools/on_python.sh": "whole runs, which .ci/run makes",
    "benchmarks/README.md python benchmarks/run.py": "tests/bench runs it in small",
    "benchmarks/README.md python benchmarks/programs.py": "minutes, with a database",
    "benchmarks/README.md python benchmarks/instructions.py": "needs valgrind",
    "benchmarks/README.md python benchmarks/tls.py": "minutes, with peers to install",
    "benchmarks/README.md python benchmarks/seeing.py": "tests/watch measures so",
    "benchmarks/README.md python benchmarks/containers.py": "a minute of measuring",
}


@dataclasses.dataclass
class Block:
    """One fenced block: where it is, its info string taken apart, its text."""

    page: str
    line: int
    language: str
    marks: dict
    text: str
    section: int
    before: list

    def __str__(self):
        return f"{self.page}:{self.line}"


def read_blocks(page):
    """The fenced blocks of a page, in order."""
    blocks = []
    section, fence = 0, None
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        if fence is not None and line.strip() == "```":
            info, start, lines = fence
            language, *marks = info.split() or [""]
            marks = {m.partition("=")[0]: m.partition("=")[2] for m in marks}
            text = "\n".join(lines) + "\n"
            blocks.append(
                Block(page, start, language, marks, text, section, list(blocks))
            )
            fence = None
        elif fence is not None:
            fence[2].append(line)
        elif line.startswith("```"):
            fence = line[3:], number, []
        elif line.startswith("## "):
            section += 1
    assert fence is None, f"{page}: a block has no end"
    return blocks


BLOCKS = [block for page in PAGES for block in read_blocks(page)]
RUN = [
    block
    for block in BLOCKS
    if block.language in ("python", "console", "sh", "dockerfile")
    and "not-run" not in block.marks
]
COMMAND = re.compile(r"^(\$ |python |\w+=\S+ python )", re.MULTILINE)


def test_every_block_says_what_it_is():
    for block in BLOCKS:
        assert block.language in LANGUAGES, block
        assert set(block.marks) <= MARKS, block


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_indented_instead(page):
    """Such a block has no info string and would not be run."""
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.M | re.S)
    assert not re.search(r"\n\n {4}\S", text)


def test_blocks_that_are_not_run():
    marked = [
        block
        for block in BLOCKS
        if "not-run" in block.marks and "tested" not in block.marks
    ]
    assert len(marked) == len(NOT_RUN)
    for block, place in zip(marked, NOT_RUN, strict=True):
        assert f"{block.page} {block.text}".startswith(place)
        assert block.page != "README.md" and not block.page.startswith("docs/")


def test_blocks_that_other_tests_run():
    for block in BLOCKS:
        if "tested" in block.marks:
            assert block.language == "text" or "not-run" in block.marks, block
            file, _, name = block.marks["tested"].partition("::")
            assert f"def {name}(" in (ROOT / "tests" / file).read_text(), block
        elif block.language == "text":
            assert not COMMAND.search(block.text), block


# Where all packages that the blocks need are installed.
WITH_PACKAGES = [(3, 11), (3, 14)]


def skip_or_not(block):
    """Skips the test where the block's packages or Python are not there."""
    wanted = block.marks.get("python")
    if wanted and sys.version_info < tuple(map(int, wanted.split("."))):
        pytest.skip(f"needs Python {wanted}")
    if "needs" in block.marks and sys.version_info[:2] not in WITH_PACKAGES:
        pytest.skip("run on 3.11 and 3.14, to save time")
    need(*filter(None, block.marks.get("needs", "").split(",")))


def python_text(block):
    """The block, after those that it goes on from."""
    if "continues" not in block.marks:
        return block.text
    earlier = [
        other
        for other in block.before
        if other.language == "python" and "file" not in other.marks
    ]
    return f"{python_text(earlier[-1])}\n\n{block.text}"


@pytest.fixture
def port():
    """A port of this machine that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def started(command, folder, output):
    """A shell's process group that runs a command, killed at the end."""
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    # The checkout, for who has not installed it, and only as the last resort.
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={
            **environment,
            "PATH": path,
            "PYTHONPATH": f"{folder}:{ROOT}",
            "HOME": str(folder),
        },
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def run(command, folder):
    """What a command prints; it must succeed."""
    with started(command, folder, subprocess.PIPE) as process:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, output
    return output


def commands_of(block):
    """(command, what it prints) for each command of a block."""
    prompt = "^" if block.language == "sh" else r"^\$ "
    text = block.text.replace("\\\n", "")
    for part in re.split(prompt, text.strip(), flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected


def without_figures(text):
    """The text with a zero for each number."""
    return re.sub(r"\d[\d.,]*", "0", text)


def answer_of(process, address):
    """What a server answers, once it does."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_S) as response:
                return response.read().decode()
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "no answer"
            time.sleep(0.02)


def serve(block, command, folder, port):
    """Start the server, ask it which loop it runs on, and stop it."""
    log = folder / "log"
    with (
        log.open("w") as output,
        started(["bash", "-c", f"exec {command}"], folder, output) as process,
    ):
        try:
            answer = answer_of(process, f"http://127.0.0.1:{port}/")
            assert "fastloop" in answer
            process.terminate()
            process.wait(TIMEOUT_S)
        except BaseException:
            print(log.read_text())
            raise


def with_time(block):
    """The block, with more time where pip is asked."""
    rehearsed = block.language == "dockerfile" or "rehearsed" in block.marks
    marks = [pytest.mark.timeout(4 * rehearsal.TIMEOUT_S)] if rehearsed else []
    return pytest.param(block, marks=marks, id=str(block))


@pytest.mark.parametrize("block", [with_time(block) for block in RUN])
def test_block(block, tmp_path, port):
    skip_or_not(block)

    def with_port(text):
        return text.replace("8000", str(port))

    for earlier in block.before:
        if "file" in earlier.marks and earlier.section == block.section:
            (tmp_path / earlier.marks["file"]).write_text(with_port(earlier.text))
    if "file" in block.marks:
        path = tmp_path / block.marks["file"]
        path.write_text(with_port(block.text))
        run([sys.executable, "-m", "py_compile", path], tmp_path)
        assert any(
            later.section == block.section and block in later.before
            for later in RUN
            if later.page == block.page and later.language not in ("python", "text")
        ), "nothing runs this file"
    elif block.language == "dockerfile":
        command = rehearsal.dockerfile(block.text, tmp_path)
        if "serves" in block.marks:
            serve(block, f"{command} --port {port}", tmp_path, port)
        else:
            assert "fastloop" in run(["bash", "-c", command], tmp_path)
    elif "rehearsed" in block.marks:
        for command, _ in commands_of(block):
            rehearsal.say_what_it_would_do(command, tmp_path)
    elif block.language == "python":
        path = tmp_path / "block.py"
        path.write_text(with_port(python_text(block)))
        run([sys.executable, "-W", "error", path], tmp_path)
    else:
        commands = list(commands_of(block))
        assert commands
        for command, expected in commands:
            if "serves" in block.marks:
                serve(block, with_port(command), tmp_path, port)
                continue
            folder = ROOT if "checkout" in block.marks else tmp_path
            output = run(["bash", "-c", with_port(command)], folder)
            if "figures" in block.marks:
                expected, output = map(without_figures, (expected, output))
            if expected:
                assert SAME_OUTPUT(expected, output), output
