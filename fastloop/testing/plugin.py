"""A plugin of pytest: `-p fastloop.testing.plugin`, or in a conftest.py
`pytest_plugins = ["fastloop.testing.plugin"]`.

Marks: virtual_time runs a test on a TestLoop, by pytest-asyncio if it is that plugin's,
else by itself; no_leaks and blocks check it. Fixtures: virtual_loop, no_leaks and, for
anyio's plugin, virtual_anyio_backend.
"""

import asyncio
import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from ._blocks import blocks
from ._leaks import leaks
from ._test_loop import TestLoop

_MARKS = (
    "virtual_time(start=0.0, *, end=None, grace=0.01, patience=None, order=None,"
    " shuffle_start=False): run the test on a fastloop.testing.TestLoop with these"
    " arguments",
    "no_leaks(*, ignore=()): fail the test if it leaves something behind",
    "blocks(limit_s): fail the test if a step of fastloop's takes longer",
)
_Factory = Callable[[], asyncio.AbstractEventLoop]


def pytest_configure(config: pytest.Config) -> None:
    for line in _MARKS:
        config.addinivalue_line("markers", line)
    config.pluginmanager.register(_Fallback(), "fastloop.testing.fallback")


# ---- whose loop ----


@functools.lru_cache(maxsize=256)
def _factory(*args: Any, **options: Any) -> Callable[[], TestLoop]:
    # the same for the same options: pytest-asyncio then keeps a loop for several tests
    return functools.partial(TestLoop, *args, **options)


def _mark_of(node: Any) -> Any:
    """Return the mark that counts, or None."""
    return node.get_closest_marker("virtual_time")


def _factory_of(node: Any) -> Callable[[], TestLoop]:
    mark = _mark_of(node)
    return _factory() if mark is None else _factory(*mark.args, **mark.kwargs)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: Any
) -> Mapping[str, _Factory] | None:
    """Called by pytest-asyncio, from 1.4 on."""
    return None if _mark_of(item) is None else {"virtual": _factory_of(item)}


class _Fallback:
    """pytest-asyncio wants an answer for each test once it has somebody to ask."""

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_asyncio_loop_factories(
        self, config: pytest.Config, item: Any
    ) -> Mapping[str, _Factory]:
        return {"asyncio": asyncio.new_event_loop}


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: Any) -> object | None:
    """Run a marked coroutine function that is no other plugin's."""
    function = pyfuncitem.obj
    if (
        _mark_of(pyfuncitem) is None
        or not inspect.iscoroutinefunction(function)
        or any(pyfuncitem.get_closest_marker(name) for name in ("asyncio", "anyio"))
    ):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    with asyncio.Runner(loop_factory=_factory_of(pyfuncitem)) as runner:
        runner.run(function(**arguments))
    return True


@pytest.fixture
def virtual_loop(request: pytest.FixtureRequest) -> Iterator[TestLoop]:
    """A TestLoop, as the mark virtual_time says; emptied and closed after the test."""
    with asyncio.Runner(loop_factory=_factory_of(request.node)) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, TestLoop)
        yield loop


@pytest.fixture
def virtual_anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """What a test's anyio_backend may return: a TestLoop, as the mark says."""
    return "asyncio", {"loop_factory": _factory_of(request.node)}


# ---- checks ----


@pytest.fixture
def no_leaks(request: pytest.FixtureRequest) -> None:
    """The same as the mark no_leaks."""
    request.node.add_marker("no_leaks")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Put a test into its checks: within its loop, whoever runs it."""
    found = item.get_closest_marker("no_leaks")
    limit = item.get_closest_marker("blocks")
    function: Any = getattr(item, "obj", None)
    if function is None or (found is None and limit is None):
        return (yield)

    @contextlib.asynccontextmanager
    async def checked() -> Any:
        with _limited(limit):
            if found is None:
                yield
                return
            async with leaks(**found.kwargs):
                yield

    @functools.wraps(function)
    async def awaited(*args: Any, **keywords: Any) -> None:
        async with checked():
            await function(*args, **keywords)

    @functools.wraps(function)
    def called(*args: Any, **keywords: Any) -> None:
        with _limited(limit), _unleaking(found):
            function(*args, **keywords)

    test: Any = item
    test.obj = awaited if inspect.iscoroutinefunction(function) else called
    try:
        return (yield)
    finally:
        test.obj = function


def _limited(mark: Any) -> contextlib.AbstractContextManager[Any]:
    if mark is None:
        return contextlib.nullcontext()
    return blocks(*mark.args, **mark.kwargs)


def _unleaking(mark: Any) -> contextlib.AbstractContextManager[Any]:
    return contextlib.nullcontext() if mark is None else leaks(**mark.kwargs)
