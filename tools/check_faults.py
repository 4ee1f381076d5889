"""Check that every call in csrc/ that may fail can be made to fail.

Wrapped are the calls that base/fault.h and py/fault.h have a macro for. Any other
call of Python's C-API or of the C library's allocator must be listed below, by the
reason why it cannot fail.
"""

import re
import sys
from pathlib import Path

from project_files import ROOT, report

WRAPPERS = ("base/fault.h", "py/fault.h")
ITSELF = "py/fault.c"

INFALLIBLE = {
    "counts references": """
        Py_CLEAR Py_DECREF Py_INCREF Py_NewRef Py_REFCNT Py_SETREF Py_XDECREF
        Py_XINCREF Py_XNewRef Py_XSETREF _Py_NewReference""",
    "looks at a type or a flag": """
        PyAsyncGen_CheckExact
        PyByteArray_Check PyByteArray_CheckExact PyWeakref_CheckRefExact
        PyBytes_Check PyBytes_CheckExact PyCode_Check
        PyCFunction_CheckExact
        PyAnySet_CheckExact PyCallable_Check PyCapsule_IsValid PyModule_Check
        PyContext_CheckExact PyCoro_CheckExact PyDict_CheckExact
        PyExceptionClass_Check PyExceptionInstance_Check PyExceptionInstance_Class
        PyBuffer_IsContiguous PyFloat_CheckExact PyFunction_Check PyGen_CheckExact
        PyList_CheckExact
        PyLong_Check
        PyLong_CheckExact PyUnstable_Long_IsCompact
        PyMemoryView_Check PyMethod_Check PySet_Check PySet_CheckExact PyUnicode_Check
        PyObject_GC_IsFinalized PyObject_TypeCheck
        PyTraceBack_Check PyTuple_Check PyTuple_CheckExact PyType_Check
        PyType_HasFeature PyType_IsSubtype PyUnicode_CheckExact
        PyUnicode_IS_COMPACT_ASCII Py_IS_TYPE
        Py_IsFinalizing Py_TYPE _Py_IsFinalizing""",
    "reads or fills a field": """
        PyByteArray_AS_STRING PyBytes_AS_STRING PyBytes_GET_SIZE
        PyCFunction_Check PyCFunction_GET_FLAGS PyCFunction_GET_FUNCTION Py_SET_SIZE
        PyCFunction_GET_SELF PyDict_GET_SIZE PyException_GetTraceback
        PyException_SetCause PyException_SetContext PyException_SetTraceback
        PyCode_Addr2Line PyFloat_AS_DOUBLE PyFrame_GetCode PyFrame_GetLasti
        PyFrame_GetLineNumber PyFunction_GET_CODE
        PyFunction_GET_GLOBALS PyList_GET_ITEM PyList_GET_SIZE PyList_SET_ITEM
        PyMemoryView_GET_BASE PyMemoryView_GET_BUFFER
        PyMethod_GET_FUNCTION PyMethod_GET_SELF PyModule_GetDict
        PyModule_GetState PyObject_Init PySequence_Fast_GET_SIZE
        PySequence_Fast_ITEMS PySet_GET_SIZE PyTuple_GET_ITEM PyTuple_GET_SIZE
        PyTuple_SET_ITEM PyUnicode_1BYTE_DATA PyUnicode_GET_LENGTH PyUnicode_READ_CHAR
        PyUnstable_Long_CompactValue PyVectorcall_NARGS Py_SIZE""",
    "gives back an object that exists": """
        PyBool_FromLong PyUnicode_InternInPlace PyWeakref_GET_OBJECT
        PyWeakref_GetRef""",
    "frees, or serves the garbage collector": """
        free PyBuffer_Release PyGC_Disable PyGC_Enable PyMem_Free
        PyObject_CallFinalizerFromDealloc PyObject_ClearManagedDict
        PyObject_ClearWeakRefs PyObject_GC_Del PyObject_GC_Track
        PyObject_GC_UnTrack PyObject_VisitManagedDict Py_TRASHCAN_BEGIN Py_VISIT""",
    "sets, reads or reports an exception, whatever happens": """
        PyErr_ExceptionMatches PyErr_Fetch PyErr_Format PyErr_GetRaisedException
        PyErr_GivenExceptionMatches PyErr_NormalizeException PyErr_Occurred
        PyErr_Restore PyErr_SetFromErrno PyErr_SetNone PyErr_SetObject
        PyErr_SetRaisedException PyErr_SetString PyErr_WriteUnraisable""",
    "compares str objects, which it is given": """
        PyUnicode_Compare PyUnicode_CompareWithASCIIString PyUnicode_FindChar
        PyUnicode_Tailmatch""",
    "looks for what may be missing": """
        PyEval_GetFrame PyFrame_GetBack PyThreadState_GetFrame _PyType_Lookup""",
    "asked of our own types only": "PyType_GetModuleByDef",
    "asked of our own capsules and watchers only": """
        PyCapsule_GetPointer PyDict_ClearWatcher""",
    "walks a dictionary": "PyDict_Next",
    "threads, locks that exist, interpreters": """
        PyEval_RestoreThread PyEval_SaveThread PyInterpreterState_Get
        PyInterpreterState_ThreadHead PyThreadState_Clear PyThreadState_DeleteCurrent
        PyThreadState_Next _PyThreadState_UncheckedGet
        PyInterpreterState_GetDict
        PyInterpreterState_Main PyGILState_GetThisThreadState
        PyThreadState_Get PyThread_acquire_lock
        PyThread_acquire_lock_timed
        PyThread_free_lock PyThread_get_thread_ident PyThread_release_lock
        Py_LeaveRecursiveCall""",
    "is made of a call that is wrapped": "PyMem_New",
    "tells the interpreter, which has nothing to say against it": """
        PyModuleDef_Init PyType_Modified""",
    "fails without an exception, and is done without or tried again": """
        PyThreadState_New Py_AddPendingCall""",
    "is no call": """
        PyDoc_STRVAR PyInit__core Py_MIN Py_ARRAY_LENGTH Py_UNUSED""",
}

COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
DEFINED = re.compile(r"^#define (\w+)\(", re.MULTILINE)
API = re.compile(r"(?<![\w.>])(_?Py[A-Z]?[A-Za-z]*_\w+)\b(\s*\()?")
ALLOCATOR = re.compile(
    r"(?<![\w.>])(malloc|calloc|realloc|reallocarray|aligned_alloc|posix_memalign"
    r"|memalign|strdup|strndup|asprintf|vasprintf|free)\b(\s*\()?"
)
# Variables and parameters that are functions; visitproc's never fail by themselves.
POINTER = re.compile(r"\b(?:\w+func) (\w+)\b(?!\s*\()")
SLOT = r"(?:->|\.)(?:(?:tp|am|nb|sq|mp|bf)_\w+|vectorcall)"
SAFE_SLOT = re.compile(r"\W*tp_(?:free|dealloc|traverse|clear)$")
ALLOCATING = re.compile(r"\b(malloc|calloc|realloc|aligned_alloc|posix_memalign)\b")


def names(text: str) -> set[str]:
    """Return the calls that a header of faults has macros for."""
    return {n for n in DEFINED.findall(text) if not n.startswith("FL_")}


def blanked(text: str) -> str:
    """Return C text with comments and strings made blank, line for line."""
    return COMMENT_OR_STRING.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def check_calls(where: str, text: str, wrapped: set[str], safe: set[str]) -> list[str]:
    """Return what is wrong with the calls of one file."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        place = f"{where}:{number}"
        for pattern in (API, ALLOCATOR):
            for name, call in pattern.findall(line):
                if call and name not in wrapped | safe:
                    found.append(f"{place}: {name} may fail: wrap it in py/fault.h")
                elif not call and name in wrapped:
                    found.append(f"{place}: {name} goes past its wrapper")
    return found


def check_slots(where: str, text: str) -> list[str]:
    """Return the calls by a slot or a function pointer that are not marked."""
    found = []
    called = [SLOT, *(rf"(?<![\w.>]){name}" for name in POINTER.findall(text))]
    for match in re.finditer(rf"({'|'.join(called)})\s*\(", text):
        statement = re.split(r"[;{}]", text[: match.start()])[-1]
        if not SAFE_SLOT.match(match[1]) and "FL_SLOT_" not in statement:
            number = text.count("\n", 0, match.start()) + 1
            slot = match[1].lstrip("->.")
            found.append(f"{where}:{number}: {slot} is called without FL_SLOT_POINTER")
    return found


def check_faults(csrc: Path) -> list[str]:
    """Return one line for each call below csrc that no fault can reach."""
    wrapped = set()
    for name in WRAPPERS:
        if (csrc / name).is_file():
            wrapped |= names((csrc / name).read_text())
    safe = {name for listed in INFALLIBLE.values() for name in listed.split()}
    found = [f"csrc/{WRAPPERS[1]}: {n} is said not to fail" for n in wrapped & safe]
    for path in sorted(csrc.rglob("*.[ch]")):
        name = str(path.relative_to(csrc))
        if name in WRAPPERS or name == ITSELF:
            continue
        text = blanked(path.read_text())
        found += check_calls(f"csrc/{name}", text, wrapped, safe)
        found += check_slots(f"csrc/{name}", text)
        sees_wrapper = name.split("/")[0] not in ("base", "os")
        sees_wrapper |= '#include "base/fault.h"' in path.read_text()
        if ALLOCATING.search(text) and not sees_wrapper:
            found.append(f"csrc/{name}: allocates without base/fault.h")
    return found


if __name__ == "__main__":
    sys.exit(report(check_faults(ROOT / "csrc")))
