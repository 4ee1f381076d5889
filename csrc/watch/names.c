/* What a step is called, for people. */
#include "watch/names.h"

#include "core/handle/handle.h"
#include "core/io/source.h"
#include "core/task/task.h"

#include <string.h>

/* The __qualname__ of an object of a type of Python's own, or NULL with no exception.
 */
static PyObject *
qualname(PyObject *op)
{
    PyObject *name = PyObject_GetAttrString(op, "__qualname__");
    if (name != NULL && !PyUnicode_CheckExact(name)) {
        Py_CLEAR(name);
    }
    if (name == NULL) {
        PyErr_Clear();
    }
    return name;
}

static PyObject *
type_name(PyObject *op)
{
    return PyUnicode_FromString(fl_type_short_name(Py_TYPE(op)));
}

static PyObject *
callable_name(PyObject *op)
{
    if (PyMethod_Check(op)) {
        op = PyMethod_GET_FUNCTION(op);
    }
    PyObject *name = NULL;
    if (PyFunction_Check(op) || PyCFunction_CheckExact(op)) {
        name = qualname(op);
    }
    return name == NULL ? type_name(op) : name;
}

static PyObject *
coroutine_name(PyObject *coro)
{
    PyObject *name = NULL;
    if (PyCoro_CheckExact(coro) || Py_IS_TYPE(coro, &PyGen_Type)) {
        name = qualname(coro);
    }
    return name == NULL ? type_name(coro) : name;
}

/* Steals what is run. */
static PyObject *
named(PyObject *name, PyObject *what)
{
    PyObject *text = NULL;
    if (what == NULL) {
        return NULL;
    }
    if (name != NULL && PyLong_CheckExact(name)) {
        /* not %S: PyObject_Str() runs signal handlers, whose exception would be lost */
        long number = PyLong_AsLong(name);
        text =
            number == -1 ? NULL : PyUnicode_FromFormat("Task-%ld (%U)", number, what);
    }
    else if (name != NULL && PyUnicode_CheckExact(name)) {
        text = PyUnicode_FromFormat("%U (%U)", name, what);
    }
    else {
        text = PyUnicode_FromFormat("a task (%U)", what);
    }
    Py_DECREF(what);
    return text;
}

static PyObject *
task_name(PyObject *op)
{
    const struct fl_base_task *task = fl_base_task(op);
    return named(task->name, coroutine_name(task->coro == NULL ? op : task->coro));
}

/* A task of asyncio's in C. Its get_name() may run signal handlers. */
static PyObject *
stock_task_name(PyObject *op)
{
    PyObject *coro = PyObject_CallMethod(op, "get_coro", NULL);
    PyObject *text =
        coro == NULL ? NULL : named(NULL, coroutine_name(coro == Py_None ? op : coro));
    Py_XDECREF(coro);
    return text;
}

/* Is it a type of C's, whatever a program calls its classes? */
static bool
is_type_in_c(const PyTypeObject *type, const char *name)
{
    return (type->tp_flags & Py_TPFLAGS_IMMUTABLETYPE) != 0 &&
           strcmp(fl_type_short_name(type), name) == 0;
}

/* Whose step or wake-up the callback is: borrowed from it, or NULL with no exception.
 */
static PyObject *
task_of_callback(PyObject *callback)
{
    if (PyCFunction_CheckExact(callback)) {
        return PyCFunction_GET_SELF(callback);
    }
    if (!is_type_in_c(Py_TYPE(callback), "TaskStepMethWrapper")) {
        return NULL;
    }
    PyObject *task = PyObject_GetAttrString(callback, "__self__");
    if (task == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(task); /* the callback has it */
    return task;
}

/* A callback that is a method of a task's, such as asyncio's own tasks queue, is its
 * step. Theirs are told by a type of C's. */
static PyObject *
handle_name(LoopObject *loop, const HandleObject *handle)
{
    PyObject *callback = handle->callback;
    if (callback == NULL) {
        return PyUnicode_FromString("a cancelled callback");
    }
    PyObject *of = task_of_callback(callback);
    if (of != NULL && Py_IS_TYPE(of, loop->state->task_type)) {
        return task_name(of);
    }
    if (of != NULL && is_type_in_c(Py_TYPE(of), "Task")) {
        return stock_task_name(of);
    }
    return callable_name(callback);
}

PyObject *
fl_callback_coroutine(const struct fl_state *state, PyObject *callback)
{
    PyObject *of = task_of_callback(callback);
    if (of == NULL || Py_IS_TYPE(of, state->task_type) ||
        !is_type_in_c(Py_TYPE(of), "Task")) {
        return NULL;
    }
    PyObject *coro = PyObject_CallMethod(of, "get_coro", NULL);
    if (coro == NULL) {
        PyErr_Clear(); /* of memory */
    }
    else if (coro == Py_None) {
        Py_CLEAR(coro);
    }
    return coro;
}

static PyObject *
source_name(uintptr_t word)
{
    PyObject *what = type_name(fl_source_owner(word));
    PyObject *name = what == NULL ? NULL : PyUnicode_FromFormat("a turn of %U", what);
    Py_XDECREF(what);
    return name;
}

PyObject *
fl_entry_name(LoopObject *loop, uintptr_t word)
{
    if (word == 0) {
        return PyUnicode_FromString("between steps");
    }
    switch (word & FL_ENTRY_KIND_MASK) {
    case FL_ENTRY_HANDLE:
        return handle_name(loop, (const HandleObject *)word);
    case FL_ENTRY_SOURCE:
        return source_name(word);
    case FL_ENTRY_ALARM:
        return PyUnicode_FromString("a timer"); /* it may be gone */
    default:
        return task_name((PyObject *)(word & ~FL_ENTRY_KIND_MASK));
    }
}
