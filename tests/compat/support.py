"""Children of the compatibility tests, and which packages there are."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import fastloop

HERE = Path(__file__).parent
TIMEOUT_S = 50
LOOPS = {
    "asyncio": "asyncio.unix_events._UnixSelectorEventLoop",
    "fastloop": "fastloop.Loop",
}
# What goes between `python` and a program.
DOORS = {"asyncio": [], "fastloop": ["-m", "fastloop"]}
# Of the tasks that the loop makes; asyncio's if the environment says so.
TASKS = {
    "asyncio": "_asyncio.Task",
    "fastloop": f"{fastloop.Task.__module__}.Task",
}

# What cannot be run here, and why.
NOT_TRIED = {
    "aiokafka, aio-pika, motor": "want a broker or a database",
    "looptime": "its plugin fails each pytest without pytest-asyncio; its mixin's way "
    "is tested in tests/core/test_virtual_clocks.py",
    "pytest-aiohttp": "its plugin stops a pytest that has left out pytest-asyncio's",
}

ran = set()
missing = set()
talked_to = set()


def command_path(name):
    """Where a package that is no module has its command."""
    return Path(sys.prefix, "bin", name)


def is_installed(name):
    try:
        if command_path(name).exists():
            return True
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # of the package that the module would be in
        return False


def need(*packages):
    """Skips the test if a module or command is not installed; notes it if all are."""
    absent = [name for name in packages if not is_installed(name)]
    missing.update(absent)
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    ran.update(packages)


def note_server(name):
    """A program of Debian's at the other end is named in the summary."""
    talked_to.add(name)


def run_python(*arguments, cwd=HERE, timeout_s=TIMEOUT_S, **environment):
    """What `python *arguments` prints; fails with all output if it fails."""
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        pytest.fail(f"took over {timeout_s} s\n{output}\n{errors}", pytrace=False)
    if process.returncode:
        status = process.returncode
        pytest.fail(f"exit status {status}\n{output}\n{errors}", pytrace=False)
    return output
