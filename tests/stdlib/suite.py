"""The tests of the running CPython's `test.test_asyncio`, by name."""

import fnmatch
import importlib
import pkgutil
import re
import unittest
import warnings
from typing import NamedTuple

import adapt
import expected
import own_types
import swap

PACKAGE = "test.test_asyncio"


class Case(NamedTuple):
    """One test; `left_out` and `fails` are reasons or None."""

    cls: type
    method: str
    left_out: str | None
    fails: str | None


class NoTestPackage(Exception):
    """This Python came without its tests."""


def collect(loop_name):
    """{name: Case} with the loop of that name swapped in for good.

    Raises: NoTestPackage.
    """
    under_test = swap.load(loop_name)
    swap.install(under_test.loop)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cases_of(load_classes(under_test), strict=loop_name != "asyncio")


def load_classes(under_test):
    try:
        package = importlib.import_module(PACKAGE)
        utils = importlib.import_module(PACKAGE + ".utils")
    except ModuleNotFoundError as error:
        if not PACKAGE.startswith(error.name):
            raise
        raise NoTestPackage(error.name) from None
    stock_new_test_loop = utils.TestCase.new_test_loop
    adapt.adapt_utils(utils, under_test.loop)
    classes = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.name.startswith("test_"):
            classes[info.name] = classes_of(info.name, utils)
    return classes | own_types.own_type_cases(under_test, utils, stock_new_test_loop)


def classes_of(module_name, utils):
    try:
        module = importlib.import_module(f"{PACKAGE}.{module_name}")
    except unittest.SkipTest:  # not for this platform or build
        return {}
    adapt.adapt_module(module, utils)
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, unittest.TestCase)
        and value.__module__ == module.__name__
    }


def cases_of(classes, *, strict):
    """The tests of these classes; the list of failures is for other loops only."""
    cases = {}
    used = set()
    for module_name, of_module in classes.items():
        for class_name, cls in of_module.items():
            for method in unittest.defaultTestLoader.getTestCaseNames(cls):
                name = f"{module_name}.{class_name}.{method}"
                entry = expected_failure(name)
                used.add(entry)
                reason = entry.reason if entry and strict else None
                cases[name] = Case(cls, method, left_out(name), reason)
    check_all_used(used, classes)
    return cases


def expected_failure(name):
    for entry in expected.FAILS:
        if entry.here and fnmatch.fnmatchcase(name, entry.name):
            return entry
    return None


def check_all_used(used, modules):
    """A listed test that is not there was misspelled or has gone."""
    unused = [
        entry.name
        for entry in expected.FAILS
        if entry.here and entry not in used and entry.name.split(".")[0] in modules
    ]
    if unused:
        raise LookupError(f"listed in expected.py, but no such test: {unused}")


def left_out(name):
    for entry in expected.LEFT_OUT:
        if re.search(entry.pattern, name):
            return entry.reason
    return None
