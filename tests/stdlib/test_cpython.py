"""CPython's own asyncio tests, on the loop under test (see expected.py)."""

import pytest

# A test waits here for all that are before it in the queue, too.
pytestmark = pytest.mark.timeout(600)


def test_asyncio(cpython_test, stdlib_runner):
    if cpython_test is None:
        pytest.fail(f"{stdlib_runner.missing} is not installed", pytrace=False)
    answer = stdlib_runner.outcome(cpython_test)
    if answer["outcome"] == "skipped":
        pytest.skip(answer["text"])
    if answer["outcome"] == "failed":
        pytest.fail(answer["text"], pytrace=False)
