"""Random programs of waits do the same with asyncio's classes and with ours.

Few here, to be quick; `python -m tests.aio.random_waits` runs many.
"""

import pytest

from tests.aio.random_waits import check, programs
from tests.random_checks import check_few
from tests.support import late_3_11


@late_3_11
# hypothesis may see the death of a random generator that others registered
@pytest.mark.filterwarnings("ignore:It looks like `register_random`")
def test_same_events():
    check_few(programs, check, 80)
