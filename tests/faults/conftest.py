"""The interposer, built once for all tests of this room."""

import os

import pytest

from tests.faults import interposer
from tests.faults.walk import Walker


def pytest_collection_modifyitems(items):
    """The interposer wants a compiler, and nothing else preloaded."""
    reason = None
    if interposer.compiler() is None:
        reason = "there is no C compiler"
    elif "LD_PRELOAD" in os.environ:
        reason = "something else is preloaded"
    for item in items:
        if reason and item.path.parent.name == "faults":
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def walk(tmp_path_factory):
    """walk(kind, scenario, {function: [fault]}) -> outcomes"""
    return Walker(tmp_path_factory.mktemp("interposer"))
