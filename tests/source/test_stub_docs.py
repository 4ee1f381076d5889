"""The stub that editors read says of the C core what the C core says of itself."""

import types

import pytest
import stub_docs

from fastloop import _core

SOURCE = stub_docs.STUB.read_text()


def test_docstrings_agree_with_c():
    """If not: python tools/stub_docs.py, and ruff format."""
    assert stub_docs.differences(SOURCE, _core) == []


def test_every_public_name_has_a_docstring():
    assert stub_docs.undocumented(SOURCE, _core) == []
    documented = SOURCE.count('"""') // 2
    assert documented > 40


def test_a_hover_shows_the_docstring():
    (doc,) = {
        stub_docs.ast.get_docstring(node)
        for name, node in stub_docs.definitions(stub_docs.ast.parse(SOURCE).body)
        if name == "EventLoop.create_task"
    }
    assert doc.startswith("Schedule a coroutine; return its Task.\n\nKeywords are")


STUB = '''\
import sys

class Thing:
    word: str
    def said(self) -> None: ...
    def old(self) -> None:
        """What it said once."""
    if sys.version_info >= (3, 12):
        def newer(self, one: int) -> None: ...
    else:
        def newer(self) -> None: ...
    def silent(self) -> None: ...
    def gone(self) -> None:
        """Said no longer."""

class Bare: ...
def function() -> int: ...
'''


@pytest.fixture
def module():
    def thing(name, doc):
        function = types.FunctionType((lambda self: None).__code__, {}, name)
        function.__doc__ = doc
        return function

    methods = {
        "__doc__": "A thing.",
        "said": thing("said", "Say it."),
        "old": thing("old", "What it says now:\n\n    a \\ and more"),
        "newer": thing("newer", "Be newer."),
        "silent": thing("silent", None),
        "gone": thing("gone", None),
    }
    module = types.ModuleType("module")
    module.Thing = type("Thing", (), methods)
    module.Bare = type("Bare", (), {"__doc__": "Nothing in it."})
    module.function = thing("function", "Return " + "a long word " * 6)
    return module


def test_docstrings_are_written_and_then_agree(module):
    names = ["Bare", "Thing", "Thing.gone", "Thing.newer", "Thing.old", "Thing.said"]
    assert stub_docs.differences(STUB, module) == [*names, "function"]
    written = stub_docs.rewritten(STUB, module)
    assert stub_docs.differences(written, module) == []
    assert written.count('"""Be newer."""') == 2
    assert "    word: str\n" in written
    assert "    def silent(self) -> None: ...\n" in written
    assert max(map(len, written.splitlines())) <= 88
    assert stub_docs.rewritten(written, module) == written


def test_a_public_name_without_a_docstring_is_found(module):
    assert stub_docs.undocumented(STUB, module) == ["Thing.gone", "Thing.silent"]
