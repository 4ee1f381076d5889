"""A field of asyncio's structs that holds something else: asyncio's types are used.

A class in the place of asyncio's, as long as that, does one thing otherwise than the C
code expects, as an asyncio of another layout would.
"""

import os
import subprocess
import sys

import pytest

from tests.support import SLOWER, own_types

pytestmark = own_types

SCRIPT = """
import _asyncio, asyncio, sys
class Future(_asyncio.Future):
    __slots__ = ()
    {future}
class Task(_asyncio.Task):
    __slots__ = ()
    {task}
_asyncio.Future, _asyncio.Task = Future, Task
from fastloop import _core
print(_core.Future is asyncio.Future, _core.Task is asyncio.Task)
"""

FUTURES = {
    "callback0": "def add_done_callback(self, fn, *, context):"
    " super().add_done_callback(print, context=context)",
    "context0": "def add_done_callback(self, fn, *, context):"
    " super().add_done_callback(fn)",
    "callbacks": "def add_done_callback(self, fn, *, context):"
    " self._callbacks or super().add_done_callback(fn, context=context)",
    "blocking": "_asyncio_future_blocking = False",
    "cancel_msg": "def cancel(self, msg=None): return super().cancel()",
    "status when cancelled": "def cancel(self, msg=None):"
    " super().set_result(None); self._cancel_message = msg",
    "result": "def set_result(self, result): super().set_result([result])",
    "exception": "def set_exception(self, error): super().set_exception(OSError())",
    "log_tb": "def set_exception(self, error):"
    " super().set_exception(error); self._log_traceback = False",
}
TASKS = {
    "num_cancels_requested": "def cancel(self, msg=None):"
    " super().cancel(msg); return super().cancel(msg)",
    "must_cancel": "def cancel(self, msg=None): self._cancel_message = msg",
    "cancel_msg of a task": "def cancel(self, msg=None): return super().cancel()",
    "log_destroy_pending": "_log_destroy_pending = False",
}


def types_used(future="pass", task="pass"):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(future=future, task=task)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60 * SLOWER,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="immutable types have no mutable base"
)
def test_classes_that_do_as_asyncios_are_no_reason():
    assert types_used() == ["False", "False"]


@pytest.mark.parametrize("field", FUTURES)
def test_a_future_of_another_layout(field):
    assert types_used(future=FUTURES[field]) == ["True", "True"]


@pytest.mark.parametrize("field", TASKS)
def test_a_task_of_another_layout(field):
    assert types_used(task=TASKS[field]) == ["True", "True"]
