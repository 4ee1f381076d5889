"""The same random programs do the same on asyncio's types and loop and on ours.

Few here, to be quick; `python -m tests.core.random_programs` runs many.
"""

import asyncio
import gc

import pytest
from hypothesis import HealthCheck, given, settings

import fastloop
from tests.core.random_programs import PURE, programs, trace_of
from tests.random_checks import difference

KITS = {
    "ours": (fastloop.new_event_loop, fastloop.Future, fastloop.Task),
    "ours-on-asyncio": (asyncio.SelectorEventLoop, fastloop.Future, fastloop.Task),
    "asyncios-on-ours": (fastloop.new_event_loop, asyncio.Future, asyncio.Task),
}
if PURE is not None:
    KITS["asyncios-in-python"] = (asyncio.SelectorEventLoop, *PURE)


# hypothesis may see the death of a random generator that others registered
@pytest.mark.filterwarnings("ignore:It looks like `register_random`")
@pytest.mark.parametrize("name", KITS)
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(program=programs())
def test_same_trace(name, program):
    stock = trace_of(program, asyncio.SelectorEventLoop, asyncio.Future, asyncio.Task)
    ours = trace_of(program, *KITS[name])
    assert ours == stock, difference(stock, ours)


# hypothesis may see the death of a random generator that others registered
@pytest.mark.filterwarnings("ignore:It looks like `register_random`")
@settings(
    max_examples=30,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(program=programs())
def test_same_trace_with_a_collection_at_each_allocation(program):
    thresholds = gc.get_threshold()
    stock = trace_of(program, asyncio.SelectorEventLoop, asyncio.Future, asyncio.Task)
    gc.set_threshold(1, 1, 1)
    try:
        ours = trace_of(program, *KITS["ours"])
    finally:
        gc.set_threshold(*thresholds)
    assert ours == stock, difference(stock, ours)
