"""Loops in virtual time."""

import pytest

from tests.conftest import finish


@pytest.fixture
def test_loop(fast_kind):
    """A TestLoop, emptied and closed after the test."""
    from fastloop.testing import new_test_loop

    loop = new_test_loop()
    yield loop
    if not loop.is_closed():
        finish(loop)


@pytest.fixture
def run_virtually(fast_kind):
    """run(coroutine, **options) on a TestLoop."""
    from fastloop.testing import run

    return run
