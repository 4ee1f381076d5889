"""The plugin of pytest, in a pytest of its own, alone and beside others'."""

import subprocess
import sys

import pytest

from tests.compat.support import need
from tests.support import child_env


def run_python(*arguments, cwd=None, status=0):
    """What `python *arguments` prints, its exit status being as expected."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=child_env(),
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


ALONE = """
import asyncio
import pytest
from fastloop.testing import TestLoop

pytestmark = pytest.mark.virtual_time

@pytest.fixture
def delay():
    return 3600

async def test_marked(delay):
    loop = asyncio.get_running_loop()
    assert type(loop) is TestLoop
    await asyncio.sleep(delay)
    assert loop.time() == 3600.0

@pytest.mark.virtual_time(100.0, end=150)
async def test_the_closest_mark():
    loop = asyncio.get_running_loop()
    await asyncio.sleep(20)
    assert loop.time() == 120.0

def test_a_function(virtual_loop):
    virtual_loop.run_until_complete(asyncio.sleep(60))
    assert virtual_loop.time() == 60.0

@pytest.mark.virtual_time(start=5)
def test_a_function_with_a_mark(virtual_loop):
    kept = virtual_loop.create_task(asyncio.sleep(60))
    assert virtual_loop.time() == 5.0
"""

FAILING = """
import asyncio
import pytest
import time

kept = []

@pytest.mark.virtual_time
@pytest.mark.no_leaks
async def test_leaks():
    kept.append(asyncio.create_task(asyncio.sleep(60), name="a task"))

@pytest.mark.virtual_time
async def test_fixture(no_leaks):
    kept.append(asyncio.create_task(asyncio.sleep(60), name="a task"))

@pytest.mark.no_leaks
def test_sync():
    kept.append(open(__file__))

@pytest.mark.virtual_time
@pytest.mark.blocks(0.05)
async def test_blocks():
    time.sleep(0.4)

@pytest.mark.virtual_time
async def test_stuck():
    await asyncio.Event().wait()

@pytest.mark.virtual_time
@pytest.mark.no_leaks(ignore=["timer"])
@pytest.mark.blocks(30)
async def test_good():
    kept.append(asyncio.get_running_loop().call_later(60, print))
"""

ASYNCIO = """
import asyncio
import pytest
import pytest_asyncio
from fastloop.testing import TestLoop

@pytest_asyncio.fixture
async def event():
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(3600, event.set)
    yield event
    assert event.is_set()

@pytest.mark.asyncio
@pytest.mark.virtual_time
@pytest.mark.no_leaks
async def test_virtual(event):
    await event.wait()
    assert asyncio.get_running_loop().time() == 3600.0

@pytest.mark.asyncio
@pytest.mark.no_leaks
async def test_as_ever():
    assert not isinstance(asyncio.get_running_loop(), TestLoop)

@pytest.mark.asyncio(loop_scope="class")
@pytest.mark.virtual_time(start=1.0)
class TestOneLoop:
    async def test_one(self):
        await asyncio.sleep(10)

    async def test_two(self):
        assert asyncio.get_running_loop().time() == 11.0
"""

OWN_HOOK = """
import fastloop
pytest_plugins = ["fastloop.testing.plugin"]
def pytest_asyncio_loop_factories(config, item):
    return {"one": fastloop.new_event_loop, "two": fastloop.new_event_loop}
"""

ANYIO = """
import anyio
import asyncio
import pytest

@pytest.fixture
def anyio_backend(virtual_anyio_backend):
    return virtual_anyio_backend

@pytest.fixture
async def group():
    async with anyio.create_task_group() as group:
        yield group
        group.cancel_scope.cancel()

@pytest.mark.anyio
@pytest.mark.no_leaks
@pytest.mark.virtual_time(start=7.0)
async def test_virtual(group):
    with anyio.move_on_after(3600) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert asyncio.get_running_loop().time() == 3607.0
"""


@pytest.fixture
def pytest_says(tmp_path, fast_kind):
    """What a pytest with our plugin prints, its exit status being as expected."""

    def pytest_says(*options, status=0, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
        options = ["-q", "-p", "no:cacheprovider", *options]
        if "conftest" not in files:
            options += ["-p", "fastloop.testing.plugin"]
        return run_python("-m", "pytest", *options, cwd=tmp_path, status=status)

    return pytest_says


def test_alone(pytest_says):
    said = pytest_says("-p", "no:asyncio", "-p", "no:anyio", test_it=ALONE)
    assert "4 passed" in said


def test_what_fails(pytest_says):
    said = pytest_says("-p", "no:asyncio", "-p", "no:anyio", status=1, test_it=FAILING)
    assert "5 failed, 1 passed" in said
    assert said.count("LeakError: left behind:") >= 3
    assert "task: <Task pending name='a task'" in said
    assert "file descriptor: " in said
    assert "BlockedError: " in said
    assert "StuckError: nothing can ever wake it" in said


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_pytest_asyncio(pytest_says, mode):
    need("pytest_asyncio")
    said = pytest_says(f"--asyncio-mode={mode}", "-p", "no:anyio", test_it=ASYNCIO)
    assert "4 passed" in said


def test_a_hook_of_the_programs_own(pytest_says):
    """It counts where the test is not marked."""
    need("pytest_asyncio")
    said = pytest_says("-p", "no:anyio", test_it=ASYNCIO, conftest=OWN_HOOK)
    assert "5 passed" in said


def test_anyio(pytest_says):
    need("anyio")
    said = pytest_says("-p", "no:asyncio", test_it=ANYIO)
    assert "1 passed" in said


def test_its_marks_are_known(pytest_says):
    said = pytest_says("--markers")
    for name in ("virtual_time(start=0.0", "no_leaks(", "blocks(limit_s)"):
        assert f"@pytest.mark.{name}" in said


def test_importing_the_kit_does_not_import_pytest(fast_kind):
    code = "import sys, fastloop.testing; assert 'pytest' not in sys.modules"
    assert run_python("-c", code) == ""
    assert sys.modules["pytest"]
