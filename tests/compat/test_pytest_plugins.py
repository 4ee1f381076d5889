"""pytest's asyncio plugins, in a pytest of their own."""

import pytest

from .support import LOOPS, need, run_python

ASYNCIO_CONFTEST = """
import asyncio
def pytest_asyncio_loop_factories(config, item):
    {get_factory}
    return {{"chosen": factory}}
"""

ASYNCIO_TEST = """
import asyncio
import pytest
import pytest_asyncio

@pytest_asyncio.fixture
async def event():
    event = asyncio.Event()
    asyncio.get_running_loop().call_later(0.001, event.set)
    yield event
    assert event.is_set()

@pytest.mark.asyncio
async def test_waits(event):
    loop_class = type(asyncio.get_running_loop())
    assert f"{{loop_class.__module__}}.{{loop_class.__qualname__}}" == "{name}"
    await event.wait()
"""

ANYIO_TEST = """
import anyio
import asyncio
import pytest

@pytest.fixture
def anyio_backend():
    {get_factory}
    return "asyncio", {{"loop_factory": factory}}

@pytest.fixture
async def group():
    async with anyio.create_task_group() as group:
        yield group
        group.cancel_scope.cancel()

@pytest.mark.anyio
async def test_waits(group):
    loop_class = type(asyncio.get_running_loop())
    assert f"{{loop_class.__module__}}.{{loop_class.__qualname__}}" == "{name}"
    group.start_soon(anyio.sleep_forever)
    with anyio.move_on_after(0.01) as scope:
        await anyio.sleep(60)
    assert scope.cancelled_caught
"""

GET_FACTORY = {
    "asyncio": "factory = asyncio.SelectorEventLoop",
    "fastloop": "from fastloop import new_event_loop as factory",
}


@pytest.fixture
def run_pytest(tmp_path, loop_kind):
    """run_pytest(plugin, **files) gives the last line of a pytest with one plugin."""

    def run_pytest(plugin, **files):
        words = {"get_factory": GET_FACTORY[loop_kind], "name": LOOPS[loop_kind]}
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text.format(**words))
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        options = ["-q", "-p", "no:cacheprovider", "-p", f"no:{plugin}"]
        output = run_python("-m", "pytest", *options, cwd=tmp_path)
        return output.splitlines()[-1]

    return run_pytest


def test_pytest_asyncio(run_pytest):
    need("pytest_asyncio")
    last = run_pytest("anyio", conftest=ASYNCIO_CONFTEST, test_it=ASYNCIO_TEST)
    assert last.startswith("1 passed")


def test_anyio_plugin(run_pytest):
    need("anyio")
    last = run_pytest("asyncio", test_it=ANYIO_TEST)
    assert last.startswith("1 passed")
