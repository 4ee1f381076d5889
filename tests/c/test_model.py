"""The timers and the ring follow their models.

Few programs here, to be quick; `python -m tests.c.models` runs many.
"""

import time

import pytest

from tests.c import models


@pytest.fixture(scope="module")
def lib(tmp_path_factory):
    return models.load(tmp_path_factory.mktemp("model"))


# hypothesis may see the death of a random generator that others registered
@pytest.mark.filterwarnings("ignore:It looks like `register_random`")
@pytest.mark.parametrize(
    ("machine", "count"), [(models.TimersMachine, 150), (models.RingMachine, 40)]
)
def test_follows_its_model(lib, machine, count):
    assert models.check(machine, lib, max_examples=count, derandomize=True) >= count


def test_the_clock_is_time_monotonic(lib):
    for _ in range(1000):
        before = time.monotonic()
        now = lib.model_clock_s()
        assert before <= now <= time.monotonic()
