"""Random programs of StreamReaders do the same with asyncio's class and with ours.

Few here, to be quick; `python -m tests.aio.random_streams` runs many.
"""

import pytest

from tests.aio.random_streams import check, programs
from tests.random_checks import check_few


# hypothesis may see the death of a random generator that others registered
@pytest.mark.filterwarnings("ignore:It looks like `register_random`")
def test_same_events():
    check_few(programs, check, 150)
