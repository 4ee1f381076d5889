"""CPython's class-parametrised tests with the Task and Future under test.

Twice: on the loop under test, and on CPython's own pure-Python TestLoop, which our
types must accept as any other loop.
"""

import asyncio
import importlib
import sys
import unittest


def own_type_cases(under_test, utils, stock_new_test_loop):
    """{name of the group: {name of the class: class}}, empty without own types."""
    if under_test.task is None:
        return {}
    return {
        "own_types": build(under_test, utils, {}),
        "own_types_on_test_loop": build(
            under_test, utils, {"new_test_loop": stock_new_test_loop}
        ),
    }


def build(under_test, utils, overrides):
    task, future = under_test.task, under_test.future
    tasks, futures, futures2 = (
        importlib.import_module("test.test_asyncio." + name)
        for name in ("test_tasks", "test_futures", "test_futures2")
    )
    stock_task, stock_future = asyncio.tasks._CTask, asyncio.futures._CFuture
    # What a version's tests want beside Task and Future, such as all_tasks.
    helpers = {
        name: value
        for name, value in vars(tasks.CTask_CFuture_Tests).items()
        if name in ("all_tasks", "current_task")
    }
    on_task = (tasks.BaseTaskTests, utils.TestCase)
    classes = {}

    def add(name, bases, **attributes):
        attributes |= overrides
        # Counts references of the whole interpreter, which only stock types keep.
        attributes["test_refleaks_in_task___init__"] = None
        classes[name] = type(name, bases, attributes)
        return classes[name]

    add("Task_Future", (tasks.CTask_CFuture_Tests,), Task=task, Future=future)
    add("Task_StockFuture", on_task, Task=task, Future=stock_future, **helpers)
    add("StockTask_Future", on_task, Task=stock_task, Future=future, **helpers)
    tasks.add_subclass_tests(
        add("Task_Future_Subclass", on_task, Task=task, Future=future, **helpers)
    )
    add("Future", (futures.CFutureTests,), cls=future)
    add(
        "Future_Subclass",
        (futures.BaseFutureTests, utils.TestCase),
        cls=type("SubFuture", (future,), {}),
    )
    add(
        "Future_DoneCallback",
        (futures.BaseFutureDoneCallbackTests, utils.TestCase),
        _new_future=lambda self: future(loop=self.loop),
    )
    add(
        "Future_Inheritance",
        (futures.BaseFutureInheritanceTests, utils.TestCase),
        _get_future_cls=lambda self: future,
    )
    if not overrides:
        add(
            "Task_Traceback",
            (futures2.FutureTests, unittest.IsolatedAsyncioTestCase),
            cls=task,
        )
        if sys.version_info >= (3, 12):
            eager = importlib.import_module("test.test_asyncio.test_eager_task_factory")
            add("EagerFactory", (eager.CEagerTaskFactoryLoopTests,), Task=task)
            add("NotEager", (eager.NonEagerTests,), Task=task)
            add("Eager", (eager.EagerTests,), Task=task)
    return classes
