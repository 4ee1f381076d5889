/* Faults on purpose in calls of Python's C-API; see base/fault.h.
 *
 * A call that is made to fail is not made: it returns what it returns on failure,
 * with a MemoryError that names the place. Those that change something even then, or
 * whose caller gives a reference away, do so here as well. tools/check_faults.py
 * knows these macros, and every call that needs none.
 */
#ifndef FASTLOOP_PY_FAULT_H
#define FASTLOOP_PY_FAULT_H

#include <Python.h>

#ifdef FASTLOOP_DEBUG

#include "base/fault.h"

/* fl_fault_fires, with the exception set. */
bool fl_fault_raises(struct fl_fault_site *site);
/* PyErr_NoMemory, with the exception that names the place, if a fault was silent. */
PyObject *fl_fault_no_memory(void);
/* PyErr_Clear, noting it if that was a fault's exception. */
void fl_fault_clear(const char *file, const char *within);
/* What the calls do with references that they are given, on failure: -1. */
int fl_fault_drop(PyObject *given);
int fl_fault_drop_at(PyObject **given);
/* Drops what a successful call made, sets the exception: NULL. */
PyObject *fl_fault_undo(PyObject *made, struct fl_fault_site *site);

/* Gives the module _fault_sites() and its kin, for the driver of the faults. */
int fl_fault_add_methods(PyObject *module);

#define FL_FAULT_RAISES(name) fl_fault_raises(FL_FAULT_SITE(name))
#define FL_FAULT_POINTER(function, ...) \
    (FL_FAULT_RAISES(#function) ? NULL : function(__VA_ARGS__))
#define FL_FAULT_INT(function, ...) \
    (FL_FAULT_RAISES(#function) ? -1 : function(__VA_ARGS__))
#define FL_FAULT_NUMBER(type, function, ...) \
    (FL_FAULT_RAISES(#function) ? (type) - 1 : function(__VA_ARGS__))

#ifndef FL_FAULT_ITSELF

/* ---- a slot of a type, or a pointer, that is called ---- */

#define FL_SLOT_POINTER(call) (FL_FAULT_RAISES("a slot") ? NULL : (call))
#define FL_SLOT_SEND(call, result) \
    (FL_FAULT_RAISES("am_send") ? (*(result) = NULL, PYGEN_ERROR) : (call))

/* ---- new references and the like; NULL ---- */

#define PyByteArray_FromObject(...) \
    FL_FAULT_POINTER(PyByteArray_FromObject, __VA_ARGS__)
#define PyByteArray_FromStringAndSize(...) \
    FL_FAULT_POINTER(PyByteArray_FromStringAndSize, __VA_ARGS__)
#define PyBytes_FromObject(...) FL_FAULT_POINTER(PyBytes_FromObject, __VA_ARGS__)
#define PyBytes_FromStringAndSize(...) \
    FL_FAULT_POINTER(PyBytes_FromStringAndSize, __VA_ARGS__)
#define PyContextVar_New(...) FL_FAULT_POINTER(PyContextVar_New, __VA_ARGS__)
#define PyContextVar_Set(...) FL_FAULT_POINTER(PyContextVar_Set, __VA_ARGS__)
#define PyContext_Copy(...) FL_FAULT_POINTER(PyContext_Copy, __VA_ARGS__)
#define PyContext_CopyCurrent(...) FL_FAULT_POINTER(PyContext_CopyCurrent, __VA_ARGS__)
#define PyContext_New(...) FL_FAULT_POINTER(PyContext_New, __VA_ARGS__)
#define PyCell_New(...) FL_FAULT_POINTER(PyCell_New, __VA_ARGS__)
#define PyCapsule_New(...) FL_FAULT_POINTER(PyCapsule_New, __VA_ARGS__)
#define PyDescr_NewGetSet(...) FL_FAULT_POINTER(PyDescr_NewGetSet, __VA_ARGS__)
#define PyDescr_NewMethod(...) FL_FAULT_POINTER(PyDescr_NewMethod, __VA_ARGS__)
#define PyDict_GetItemWithError(...) \
    FL_FAULT_POINTER(PyDict_GetItemWithError, __VA_ARGS__)
#define PyDict_New(...) FL_FAULT_POINTER(PyDict_New, __VA_ARGS__)
#define PyFloat_FromDouble(...) FL_FAULT_POINTER(PyFloat_FromDouble, __VA_ARGS__)
#define PyFrozenSet_New(...) FL_FAULT_POINTER(PyFrozenSet_New, __VA_ARGS__)
#define PyIter_Next(...) FL_FAULT_POINTER(PyIter_Next, __VA_ARGS__)
#define PyFunction_New(...) FL_FAULT_POINTER(PyFunction_New, __VA_ARGS__)
#define PyImport_GetModule(...) FL_FAULT_POINTER(PyImport_GetModule, __VA_ARGS__)
#define PyImport_ImportModule(...) FL_FAULT_POINTER(PyImport_ImportModule, __VA_ARGS__)
#define PyList_New(...) FL_FAULT_POINTER(PyList_New, __VA_ARGS__)
#define PyMapping_GetItemString(...) \
    FL_FAULT_POINTER(PyMapping_GetItemString, __VA_ARGS__)
#define PyLong_FromLong(...) FL_FAULT_POINTER(PyLong_FromLong, __VA_ARGS__)
#define PyLong_FromSize_t(...) FL_FAULT_POINTER(PyLong_FromSize_t, __VA_ARGS__)
#define PyLong_FromSsize_t(...) FL_FAULT_POINTER(PyLong_FromSsize_t, __VA_ARGS__)
#define PyLong_FromVoidPtr(...) FL_FAULT_POINTER(PyLong_FromVoidPtr, __VA_ARGS__)
#define PyLong_FromUnsignedLong(...) \
    FL_FAULT_POINTER(PyLong_FromUnsignedLong, __VA_ARGS__)
#define PyLong_FromUnsignedLongLong(...) \
    FL_FAULT_POINTER(PyLong_FromUnsignedLongLong, __VA_ARGS__)
#define PyMemoryView_FromObject(...) \
    FL_FAULT_POINTER(PyMemoryView_FromObject, __VA_ARGS__)
#define PyMethod_New(...) FL_FAULT_POINTER(PyMethod_New, __VA_ARGS__)
#define PyModule_GetDef(...) FL_FAULT_POINTER(PyModule_GetDef, __VA_ARGS__)
#define PyNumber_Add(...) FL_FAULT_POINTER(PyNumber_Add, __VA_ARGS__)
#define PyNumber_Index(...) FL_FAULT_POINTER(PyNumber_Index, __VA_ARGS__)
#define PyNumber_Long(...) FL_FAULT_POINTER(PyNumber_Long, __VA_ARGS__)
#define PyObject_Call(...) FL_FAULT_POINTER(PyObject_Call, __VA_ARGS__)
#define PyObject_CallFunction(...) FL_FAULT_POINTER(PyObject_CallFunction, __VA_ARGS__)
#define PyObject_CallFunctionObjArgs(...) \
    FL_FAULT_POINTER(PyObject_CallFunctionObjArgs, __VA_ARGS__)
#define PyObject_CallMethod(...) FL_FAULT_POINTER(PyObject_CallMethod, __VA_ARGS__)
#define PyObject_CallMethodNoArgs(...) \
    FL_FAULT_POINTER(PyObject_CallMethodNoArgs, __VA_ARGS__)
#define PyObject_CallMethodObjArgs(...) \
    FL_FAULT_POINTER(PyObject_CallMethodObjArgs, __VA_ARGS__)
#define PyObject_CallMethodOneArg(...) \
    FL_FAULT_POINTER(PyObject_CallMethodOneArg, __VA_ARGS__)
#define PyObject_CallNoArgs(...) FL_FAULT_POINTER(PyObject_CallNoArgs, __VA_ARGS__)
#define PyObject_CallOneArg(...) FL_FAULT_POINTER(PyObject_CallOneArg, __VA_ARGS__)
#define PyObject_GetAttr(...) FL_FAULT_POINTER(PyObject_GetAttr, __VA_ARGS__)
#define PyObject_GetAttrString(...) \
    FL_FAULT_POINTER(PyObject_GetAttrString, __VA_ARGS__)
#define PyObject_GenericGetAttr(...) \
    FL_FAULT_POINTER(PyObject_GenericGetAttr, __VA_ARGS__)
#define PyObject_GetIter(...) FL_FAULT_POINTER(PyObject_GetIter, __VA_ARGS__)
#define PyObject_GetItem(...) FL_FAULT_POINTER(PyObject_GetItem, __VA_ARGS__)
#define PyObject_Repr(...) FL_FAULT_POINTER(PyObject_Repr, __VA_ARGS__)
#define PyObject_Str(...) FL_FAULT_POINTER(PyObject_Str, __VA_ARGS__)
#define PyObject_Vectorcall(...) FL_FAULT_POINTER(PyObject_Vectorcall, __VA_ARGS__)
#define PyObject_VectorcallMethod(...) \
    FL_FAULT_POINTER(PyObject_VectorcallMethod, __VA_ARGS__)
#define PySequence_Concat(...) FL_FAULT_POINTER(PySequence_Concat, __VA_ARGS__)
#define PySequence_Fast(...) FL_FAULT_POINTER(PySequence_Fast, __VA_ARGS__)
#define PySequence_GetItem(...) FL_FAULT_POINTER(PySequence_GetItem, __VA_ARGS__)
#define PySequence_InPlaceConcat(...) \
    FL_FAULT_POINTER(PySequence_InPlaceConcat, __VA_ARGS__)
#define PySequence_List(...) FL_FAULT_POINTER(PySequence_List, __VA_ARGS__)
#define PySet_New(...) FL_FAULT_POINTER(PySet_New, __VA_ARGS__)
#define PyTuple_GetSlice(...) FL_FAULT_POINTER(PyTuple_GetSlice, __VA_ARGS__)
#define PyTuple_New(...) FL_FAULT_POINTER(PyTuple_New, __VA_ARGS__)
#define PyTuple_Pack(...) FL_FAULT_POINTER(PyTuple_Pack, __VA_ARGS__)
#define PyWeakref_NewRef(...) FL_FAULT_POINTER(PyWeakref_NewRef, __VA_ARGS__)
#define PyType_FromModuleAndSpec(...) \
    FL_FAULT_POINTER(PyType_FromModuleAndSpec, __VA_ARGS__)
#define PyUnicode_AsUTF8(...) FL_FAULT_POINTER(PyUnicode_AsUTF8, __VA_ARGS__)
#define PyUnicode_DecodeFSDefaultAndSize(...) \
    FL_FAULT_POINTER(PyUnicode_DecodeFSDefaultAndSize, __VA_ARGS__)
#define PyUnicode_EncodeFSDefault(...) \
    FL_FAULT_POINTER(PyUnicode_EncodeFSDefault, __VA_ARGS__)
#define PyUnicode_FromFormat(...) FL_FAULT_POINTER(PyUnicode_FromFormat, __VA_ARGS__)
#define PyUnicode_FromString(...) FL_FAULT_POINTER(PyUnicode_FromString, __VA_ARGS__)
#define PyUnicode_FromStringAndSize(...) \
    FL_FAULT_POINTER(PyUnicode_FromStringAndSize, __VA_ARGS__)
#define PyUnicode_New(...) FL_FAULT_POINTER(PyUnicode_New, __VA_ARGS__)
#define PyUnicode_InternFromString(...) \
    FL_FAULT_POINTER(PyUnicode_InternFromString, __VA_ARGS__)

/* ---- -1 ---- */

#define PyByteArray_Resize(...) FL_FAULT_INT(PyByteArray_Resize, __VA_ARGS__)
#define PyFunction_SetClosure(...) FL_FAULT_INT(PyFunction_SetClosure, __VA_ARGS__)
#define PyContext_Enter(...) FL_FAULT_INT(PyContext_Enter, __VA_ARGS__)
#define PyDict_AddWatcher(...) FL_FAULT_INT(PyDict_AddWatcher, __VA_ARGS__)
#define PyDict_Contains(...) FL_FAULT_INT(PyDict_Contains, __VA_ARGS__)
#define PyDict_DelItem(...) FL_FAULT_INT(PyDict_DelItem, __VA_ARGS__)
#define PyDict_SetItem(...) FL_FAULT_INT(PyDict_SetItem, __VA_ARGS__)
#define PyDict_SetItemString(...) FL_FAULT_INT(PyDict_SetItemString, __VA_ARGS__)
#define PyDict_Watch(...) FL_FAULT_INT(PyDict_Watch, __VA_ARGS__)
#define PyErr_CheckSignals(...) FL_FAULT_INT(PyErr_CheckSignals, __VA_ARGS__)
#define PyErr_ResourceWarning(...) FL_FAULT_INT(PyErr_ResourceWarning, __VA_ARGS__)
#define PyErr_WarnEx(...) FL_FAULT_INT(PyErr_WarnEx, __VA_ARGS__)
#define PyErr_WarnFormat(...) FL_FAULT_INT(PyErr_WarnFormat, __VA_ARGS__)
#define PyList_AsTuple(...) FL_FAULT_POINTER(PyList_AsTuple, __VA_ARGS__)
#define PyList_Append(...) FL_FAULT_INT(PyList_Append, __VA_ARGS__)
#define PyList_SetSlice(...) FL_FAULT_INT(PyList_SetSlice, __VA_ARGS__)
#define PyList_Sort(...) FL_FAULT_INT(PyList_Sort, __VA_ARGS__)
#define PyModule_AddObjectRef(...) FL_FAULT_INT(PyModule_AddObjectRef, __VA_ARGS__)
#define PyModule_AddType(...) FL_FAULT_INT(PyModule_AddType, __VA_ARGS__)
#define PyObject_AsFileDescriptor(...) \
    FL_FAULT_INT(PyObject_AsFileDescriptor, __VA_ARGS__)
#define PyObject_GenericSetAttr(...) FL_FAULT_INT(PyObject_GenericSetAttr, __VA_ARGS__)
#define PyObject_IsInstance(...) FL_FAULT_INT(PyObject_IsInstance, __VA_ARGS__)
#define PyObject_IsTrue(...) FL_FAULT_INT(PyObject_IsTrue, __VA_ARGS__)
#define PyObject_RichCompareBool(...) \
    FL_FAULT_INT(PyObject_RichCompareBool, __VA_ARGS__)
#define PyObject_SetAttr(...) FL_FAULT_INT(PyObject_SetAttr, __VA_ARGS__)
#define PyObject_SetAttrString(...) FL_FAULT_INT(PyObject_SetAttrString, __VA_ARGS__)
#define PyObject_SetItem(...) FL_FAULT_INT(PyObject_SetItem, __VA_ARGS__)
#define PyObject_Size(...) FL_FAULT_INT(PyObject_Size, __VA_ARGS__)
#define PySequence_DelSlice(...) FL_FAULT_INT(PySequence_DelSlice, __VA_ARGS__)
#define PySequence_Contains(...) FL_FAULT_INT(PySequence_Contains, __VA_ARGS__)
#define PySys_AddAuditHook(...) FL_FAULT_INT(PySys_AddAuditHook, __VA_ARGS__)
#define PySys_Audit(...) FL_FAULT_INT(PySys_Audit, __VA_ARGS__)
#define PySet_Add(...) FL_FAULT_INT(PySet_Add, __VA_ARGS__)
#define PySet_Contains(...) FL_FAULT_INT(PySet_Contains, __VA_ARGS__)
#define PySet_Discard(...) FL_FAULT_INT(PySet_Discard, __VA_ARGS__)
#define PySys_Audit(...) FL_FAULT_INT(PySys_Audit, __VA_ARGS__)
#define Py_EnterRecursiveCall(...) FL_FAULT_INT(Py_EnterRecursiveCall, __VA_ARGS__)

#define PyFloat_AsDouble(...) FL_FAULT_NUMBER(double, PyFloat_AsDouble, __VA_ARGS__)
#define PyLong_AsDouble(...) FL_FAULT_NUMBER(double, PyLong_AsDouble, __VA_ARGS__)
#define PyLong_AsLong(...) FL_FAULT_NUMBER(long, PyLong_AsLong, __VA_ARGS__)
#define PyLong_AsLongLongAndOverflow(...) \
    FL_FAULT_NUMBER(long long, PyLong_AsLongLongAndOverflow, __VA_ARGS__)
#define PyLong_AsSize_t(...) FL_FAULT_NUMBER(size_t, PyLong_AsSize_t, __VA_ARGS__)
#define PyLong_AsSsize_t(...) FL_FAULT_NUMBER(Py_ssize_t, PyLong_AsSsize_t, __VA_ARGS__)
#define PyLong_AsUnsignedLong(...) \
    FL_FAULT_NUMBER(unsigned long, PyLong_AsUnsignedLong, __VA_ARGS__)

/* ---- NULL without an exception ---- */

#define PyMem_Calloc(...) FL_FAULT_SILENT(PyMem_Calloc, __VA_ARGS__)
#define PyMem_Malloc(...) FL_FAULT_SILENT(PyMem_Malloc, __VA_ARGS__)
#define PyMem_Realloc(...) FL_FAULT_SILENT(PyMem_Realloc, __VA_ARGS__)
#define PyThread_allocate_lock(...) FL_FAULT_SILENT(PyThread_allocate_lock, __VA_ARGS__)

/* ---- those with manners of their own ---- */

#undef PyCFunction_New
#define PyCFunction_New(def, self) FL_FAULT_POINTER(PyCFunction_NewEx, def, self, NULL)
#undef PyObject_GC_New
#define PyObject_GC_New(type, heap_type) \
    ((type *)FL_FAULT_POINTER(_PyObject_GC_New, heap_type))
#define PyArg_ParseTuple(...) \
    (!FL_FAULT_RAISES("PyArg_ParseTuple") && PyArg_ParseTuple(__VA_ARGS__))
#define PyArg_ParseTupleAndKeywords(...)                \
    (!FL_FAULT_RAISES("PyArg_ParseTupleAndKeywords") && \
     PyArg_ParseTupleAndKeywords(__VA_ARGS__))
/* made in any case: its format may take references */
#define Py_BuildValue(...) \
    fl_fault_undo(Py_BuildValue(__VA_ARGS__), FL_FAULT_SITE("Py_BuildValue"))
#define PyList_SetItem(list, index, item)                    \
    (FL_FAULT_RAISES("PyList_SetItem") ? fl_fault_drop(item) \
                                       : PyList_SetItem(list, index, item))
#define _PyBytes_Resize(bytes, size)                              \
    (FL_FAULT_RAISES("_PyBytes_Resize") ? fl_fault_drop_at(bytes) \
                                        : _PyBytes_Resize(bytes, size))
/* left in any case: what runs next would be in a context that nobody leaves */
#define PyContext_Exit(context) \
    (PyContext_Exit(context) < 0 || FL_FAULT_RAISES("PyContext_Exit") ? -1 : 0)
#define PyIter_Send(iterator, value, result)                          \
    (FL_FAULT_RAISES("PyIter_Send") ? (*(result) = NULL, PYGEN_ERROR) \
                                    : PyIter_Send(iterator, value, result))
#define PyObject_GetBuffer(op, view, flags)                           \
    (FL_FAULT_RAISES("PyObject_GetBuffer") ? ((view)->obj = NULL, -1) \
                                           : PyObject_GetBuffer(op, view, flags))
#define PyObject_GetOptionalAttr(op, name, value) \
    (FL_FAULT_RAISES("PyObject_GetOptionalAttr")  \
         ? (*(value) = NULL, -1)                  \
         : PyObject_GetOptionalAttr(op, name, value))
#define _PyObject_LookupAttr(op, name, value)                        \
    (FL_FAULT_RAISES("_PyObject_LookupAttr") ? (*(value) = NULL, -1) \
                                             : _PyObject_LookupAttr(op, name, value))

/* ---- what becomes of a fault ---- */

#define PyErr_Clear() fl_fault_clear(__FILE__, __func__)
#define PyErr_NoMemory() fl_fault_no_memory()

#endif

#else

#define FL_SLOT_POINTER(call) (call)
#define FL_SLOT_SEND(call, result) (call)

#endif

#endif
