"""Random programs of TLS over transports follow the model of two pipes.

Few here, to be quick; `python -m tests.net.random_tls` runs many.
"""

import pytest

from tests.net import random_runs, random_tls


# hypothesis may see the death of a random generator that others registered
@pytest.mark.filterwarnings("ignore:It looks like `register_random`")
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "inexact"])
def test_follow_the_model(exact):
    random_runs.check_few(random_tls, exact, 100)
