/* Contexts for callbacks: one snapshot shared by many handles. */
#include "py/context.h"

/* The start of CPython's context object, 3.11 to 3.15. */
struct context_mirror {
    PyObject_HEAD
    PyObject *previous;
    PyObject *variables; /* immutable map */
};

static PyObject *
variables_of(PyObject *context)
{
    return ((struct context_mirror *)context)->variables;
}

int
fl_context_probe(struct fl_state *state)
{
    int result = -1;
    PyObject *var = NULL, *token = NULL, *copy = NULL;
    PyObject *context = PyContext_New();
    if (context == NULL || PyContext_Enter(context) < 0) {
        goto done;
    }
    PyObject *empty = variables_of(context);
    var = PyContextVar_New("fastloop_probe", NULL);
    token = var == NULL ? NULL : PyContextVar_Set(var, Py_None);
    if (token != NULL) {
        copy = PyContext_Copy(context);
    }
    if (PyContext_Exit(context) < 0 || copy == NULL) {
        goto done;
    }
    state->context_layout_known = variables_of(context) != empty &&
                                  variables_of(copy) == variables_of(context) &&
                                  ((struct context_mirror *)copy)->previous == NULL;
    result = 0;
done:
    Py_XDECREF(copy);
    Py_XDECREF(token);
    Py_XDECREF(var);
    Py_XDECREF(context);
    return result;
}

/* Whether a context has the very variables of the current one. */
static bool
is_current(PyObject *context)
{
    PyObject *current = PyThreadState_Get()->context;
    return current != NULL && variables_of(current) == variables_of(context);
}

PyObject *
fl_context_snapshot(const struct fl_state *state, struct fl_contexts *kept)
{
    if (kept->last == NULL) {
        kept->last = kept->spare;
        kept->spare = NULL;
    }
    if (kept->last != NULL && is_current(kept->last)) {
        return Py_NewRef(kept->last);
    }
    PyObject *snapshot = PyContext_CopyCurrent();
    if (snapshot != NULL && state->context_layout_known) {
        Py_XSETREF(kept->last, Py_NewRef(snapshot));
    }
    return snapshot;
}

/* fast: the spare one if it is as a copy would be (170 instructions less), or NULL. */
static PyObject *
take_spare(PyObject *snapshot, struct fl_contexts *kept)
{
    PyObject *spare = kept == NULL ? NULL : kept->spare;
    if (spare == NULL || !PyContext_CheckExact(snapshot) ||
        variables_of(spare) != variables_of(snapshot)) {
        return NULL;
    }
    kept->spare = NULL;
    return spare;
}

int
fl_context_own(PyObject **snapshot, struct fl_contexts *kept)
{
    if (kept != NULL && Py_REFCNT(*snapshot) == 2 && kept->last == *snapshot) {
        Py_CLEAR(kept->last);
    }
    if (Py_REFCNT(*snapshot) == 1) {
        return 0;
    }
    PyObject *copy = take_spare(*snapshot, kept);
    if (copy == NULL) {
        copy = PyContext_Copy(*snapshot);
    }
    if (copy == NULL) {
        return -1;
    }
    Py_SETREF(*snapshot, copy);
    return 0;
}

void
fl_context_give_up(PyObject **context, struct fl_contexts *kept)
{
    if (kept->spare == NULL && *context != NULL && Py_REFCNT(*context) == 1 &&
        PyContext_CheckExact(*context) && is_current(*context)) {
        kept->spare = *context;
        *context = NULL;
    }
    else {
        Py_CLEAR(*context); /* escapes */
    }
}

bool
fl_context_trim(struct fl_contexts *kept)
{
    if (kept->last != NULL && !is_current(kept->last)) {
        Py_CLEAR(kept->last); /* escapes */
        return true;
    }
    return false;
}

void
fl_context_drop(struct fl_contexts *kept)
{
    Py_CLEAR(kept->last); /* escapes */
    Py_CLEAR(kept->spare);
}
