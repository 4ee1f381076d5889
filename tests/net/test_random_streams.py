"""Random programs of streams follow the model of a pipe, on asyncio and on fastloop.

Few here, to be quick; `python -m tests.net.random_streams` runs many.
"""

import pytest

from tests.net import random_runs, random_streams


# hypothesis may see the death of a random generator that others registered
@pytest.mark.filterwarnings("ignore:It looks like `register_random`")
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "inexact"])
def test_follow_the_model(exact):
    random_runs.check_few(random_streams, exact, 200)
