"""Random programs of StreamWriters do the same with asyncio's classes and with ours.

Few here, to be quick; `python -m tests.aio.random_writers` runs many.
"""

import pytest

from tests.aio.random_writers import check, programs
from tests.random_checks import check_few


# hypothesis may see the death of a random generator that others registered
@pytest.mark.filterwarnings("ignore:It looks like `register_random`")
# from 3.13 on a client's writer that was not closed says so
@pytest.mark.filterwarnings("ignore:unclosed <StreamWriter")
def test_same_events():
    check_few(programs, check, 150)
