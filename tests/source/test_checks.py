"""The checks of tools/: the project passes them, and each finds what it is for."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def check(name, folder):
    """Run tools/check_<name>.py on a folder; return what it found."""
    module = importlib.import_module(f"check_{name}")
    return getattr(module, f"check_{name}")(folder)


@pytest.mark.parametrize(
    "name", ["faults", "layers", "sizes", "stores", "wings", "words"]
)
def test_the_project_passes(name):
    folder = ROOT / "csrc" if name in ("faults", "layers", "stores", "wings") else ROOT
    assert check(name, folder) == []


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("name", "line", "complaint"),
    [
        ("os/clock.c", "#include <Python.h>", "os/ does not see Python.h"),
        (
            "base/ring.c",
            '#include "py/state/state.h"',
            "py/state/state.h is on a floor above",
        ),
        ("core/loop/loop.c", '#include "module.h"', "name a header with its room"),
        ("core/loop/loop.c", '#include "state.h"', "name a header with its room"),
        ("core/loop/loop.c", '#include "core/task/task.c"', "includes the source file"),
        ("core/loop/loop.c", "#if PY_VERSION_HEX > 0", "py/compat.h's affair"),
        ("core/loop/loop.c", "int x = PY_MINOR_VERSION;", "py/compat.h's affair"),
        ("attic/loop.c", "", "attic/ is not one of"),
    ],
)
def test_broken_layers_are_found(write, name, line, complaint):
    write("py/state/state.h", "")
    (found,) = check("layers", write(name, line + "\n"))
    assert found.startswith(f"csrc/{name}") and complaint in found


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("net/stream/stream.c", '#include "py/state/state.h"'),
        ("py/error.c", '#include "py/state/state.h"'),
        ("module.c", '#include "py/state/state.h"'),
        ("core/task/task.c", "#include <Python.h>"),
        ("os/clock.c", "#include <time.h>"),
        ("py/compat.h", "#if PY_VERSION_HEX > 0"),
        ("core/task_mirror.h", "#if PY_VERSION_HEX > 0"),
    ],
)
def test_layers_that_hold_are_not_complained_of(write, name, line):
    write("py/state/state.h", "")
    assert check("layers", write(name, line + "\n")) == []


@pytest.mark.parametrize(
    ("name", "longest"),
    [("csrc/{}.c", 599), ("csrc/py/{}.h", 599), ("tools/{}.py", 800)],
)
def test_a_file_that_is_too_long_is_found(write, name, longest):
    write(name.format("ok"), "\n" * longest)
    long = name.format("long")
    found = check("sizes", write(long, "\n" * (longest + 1)))
    assert found == [f"{long}: {longest + 1} lines, more than {longest}"]


def test_a_folder_of_many_c_files_is_found(write):
    for n in range(14):
        folder = write(f"csrc/net/{n}.c", "")
        write(f"tests/{n}.py", "")
    assert check("sizes", folder) == []
    write("tests/one_more.py", "")
    found = check("sizes", write("csrc/net/one_more.h", ""))
    assert found == ["csrc/net: 15 files, more than 14"]


@pytest.mark.parametrize(
    "line",
    [
        "/".join(["see ", "root", "x"]),
        "https://" + "pypi" + ".org/simple",
        "TO" + "DO: later",
        "fixed in issue " + "#12",
    ],
)
def test_forbidden_words_are_found(write, line):
    (found,) = check("words", write("docs/page.md", "fine\n" + line + "\n"))
    assert found.startswith("docs/page.md:2: ")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("x = PyList_AsTuple(y);", "PyList_AsTuple may fail"),
        ("x = _PyObject_GC_NewVar(y);", "_PyObject_GC_NewVar may fail"),
        ("x = strdup(y);", "strdup may fail"),
        ("x = (PyList_New)(0);", "PyList_New goes past its wrapper"),
        ("f = PyList_New;", "PyList_New goes past its wrapper"),
        ("x = type->tp_alloc(type, 0);", "tp_alloc is called without"),
        ("vectorcallfunc f = g;\nx = f(y);", "f is called without"),
    ],
)
def test_calls_that_no_fault_reaches_are_found(write, line, complaint):
    write("py/fault.h", "#define PyList_New(...) wrapped\n")
    (found,) = check("faults", write("core/loop/loop.c", line + "\n"))
    assert found.startswith("csrc/core/loop/loop.c:") and complaint in found


@pytest.mark.parametrize(
    "line",
    [
        "x = PyList_New(0);",
        "Py_DECREF(x);",
        "x = FL_SLOT_POINTER(\n    type->tp_alloc(type, 0)\n);",
        "type->tp_free(op);",
        "/* PyList_AsTuple(y) would do */",
        'x = "PyList_AsTuple(y)";',
        "PyObject_HEAD",
        "self->free(x);",
    ],
)
def test_calls_that_a_fault_reaches_are_not_complained_of(write, line):
    write("py/fault.h", "#define PyList_New(...) wrapped\n")
    assert check("faults", write("core/loop/loop.c", line + "\n")) == []


def test_an_allocation_below_python_includes_the_faults(write):
    write("base/fault.h", "#define malloc(...) wrapped\n")
    found = check("faults", write("base/ring.c", "x = malloc(1);\n"))
    assert found == ["csrc/base/ring.c: allocates without base/fault.h"]
    text = '#include "base/fault.h"\nx = malloc(1);\n'
    assert check("faults", write("base/ring.c", text)) == []


MADE = """static PyObject *
made(struct thing *self)
{
%s
    return self->file;
}
"""


@pytest.mark.parametrize(
    "body",
    [
        # the store's own call escapes
        """
    if (self->file == NULL) {
        self->file = make(self); /* escapes */
    }""",
        # an earlier one does, and what was seen before it is forgotten
        """
    if (self->file == NULL) {
        PyObject *file = make(self); /* escapes */
        self->file = file;
    }""",
        # nothing was seen at all
        """
    PyObject *file = make(self); /* escapes */
    Py_XSETREF(self->base.file, file);""",
        # by way of a pointer to the field
        """
    PyObject **place = open ? &self->file : &self->closed_file;
    if (*place == NULL) {
        *place = make(self); /* escapes */
    }""",
        # the call is marked where it is made, in another function
        """
    PyObject *file = made_by_class(self);
    self->file = file;""",
        # one look is not for two escapes
        """
    PyObject *file = make(self); /* escapes */
    if (self->file == NULL) {
        tell(self); /* the protocol; escapes */
        self->file = file;
    }""",
    ],
)
def test_stores_without_a_look_are_found(write, body):
    other = MADE.replace("made(", "made_by_class(") % "    call(); /* escapes */"
    folder = write("net/made.c", other + "\n" + MADE % body)
    (found,) = check("stores", folder)
    assert found.startswith("csrc/net/made.c:") and "without a look" in found


@pytest.mark.parametrize(
    "body",
    [
        """
    self->file = borrowed;
    PyObject *file = make(self); /* escapes */""",
        """
    PyObject *file = make(self); /* escapes */
    if (self->file != NULL) {
        Py_DECREF(file);
        return 0;
    }
    self->file = file;""",
        """
    PyObject **place = open ? &self->file : &self->closed_file;
    PyObject *file = make(self); /* escapes */
    if (*place == NULL) {
        *place = file;
    }""",
        """
    tell(self); /* escapes */
    self->file = NULL;
    self->closing = 1;
    *result = file;""",
    ],
)
def test_stores_with_a_look_are_not(write, body):
    assert check("stores", write("net/made.c", MADE % body)) == []


def test_stores_that_need_no_look_are_there():
    """The list names no function that is gone."""
    listed = importlib.import_module("check_stores").NO_LOOK.values()
    text = "".join(path.read_text() for path in (ROOT / "csrc").rglob("*.c"))
    gone = [
        each
        for each in " ".join(listed).split()
        if f"\n{each.partition(':')[0]}(" not in text
        or each.partition(":")[2] not in text
    ]
    assert gone == []


WAKING = """int
fl_wake(void)
{
    return 0;
}
"""
INLINE = """static inline int
fl_by_the_way(void)
{
    return fl_wake();
}
"""


@pytest.mark.parametrize(
    ("wing", "body", "complaints"),
    [
        ("future", "return fl_wake();", 1),
        ("future", "return fl_by_the_way();", 1),
        ("future", 'return log("fl_wake"); /* fl_wake */', 0),
        ("loop", "return fl_by_the_way();", 0),
        ("task", "return fl_wake();", 0),
    ],
)
def test_a_call_to_a_wing_above_is_found(write, wing, body, complaints):
    write("core/task/wake.c", WAKING)
    write("core/loop/loop.h", INLINE)
    folder = write(f"core/{wing}/x.c", f"int\nfl_x(void)\n{{\n    {body}\n}}\n")
    above = f"csrc/core/{wing}/x.c: fl_wake is in core/task/wake.c, a wing above"
    assert check("wings", folder) == [above] * complaints


def test_a_wing_of_core_has_its_place(write):
    (found,) = check("wings", write("core/attic/x.c", ""))
    assert found.startswith("csrc/core/attic/x.c: core/attic is not one of")
