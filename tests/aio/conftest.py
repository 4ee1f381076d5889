"""What asyncio has above the loop: each test on asyncio's and on fastloop.aio's."""

import asyncio

import pytest

import fastloop
from fastloop import aio


@pytest.fixture(params=["asyncio", "fastloop.aio"])
def mod(request):
    """The module whose classes and functions are under test."""
    return asyncio if request.param == "asyncio" else aio


@pytest.fixture
def accelerated():
    """Ours in the place of asyncio's."""
    fastloop.accelerate()
    yield
    fastloop.decelerate()
