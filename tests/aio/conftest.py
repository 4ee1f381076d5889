"""What asyncio has above the loop: each test on asyncio's and on fastloop.aio's."""

import asyncio

import pytest

from fastloop import aio


@pytest.fixture(params=["asyncio", "fastloop.aio"])
def mod(request):
    """The module whose classes and functions are under test."""
    return asyncio if request.param == "asyncio" else aio
