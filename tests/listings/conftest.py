"""What the listings' tests share."""

import pytest

from tests.listings.clock import Story


@pytest.fixture
def story():
    return Story()
