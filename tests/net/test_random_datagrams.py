"""Random programs of datagram endpoints follow the model of a queue.

Few here, to be quick; `python -m tests.net.random_datagrams 10000` runs many.
"""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.net.random_datagrams import check, programs


# hypothesis may see the death of a random generator that others registered
@pytest.mark.filterwarnings("ignore:It looks like `register_random`")
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "inexact"])
def test_follow_the_model(exact):
    @settings(
        max_examples=150,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(programs(exact))
    def every(program):
        check(program)

    every()
