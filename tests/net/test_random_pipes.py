"""Random programs of pipe transports follow the model of a pipe.

Few here, to be quick; `python -m tests.net.random_pipes` runs many.
"""

import pytest

from tests.net import random_pipes, random_runs


# hypothesis may see the death of a random generator that others registered
@pytest.mark.filterwarnings("ignore:It looks like `register_random`")
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "inexact"])
def test_follow_the_model(exact):
    random_runs.check_few(random_pipes, exact, 300)
