/* A StopIteration that is kept, for results of what `await` drives. */
#include "py/await/stop.h"

#include "py/await/awaitable.h"
#include "py/error.h"

static PyStopIterationObject *
fields_of(PyObject *stop)
{
    return (PyStopIterationObject *)(void *)stop;
}

/* Whether nobody else has it, and nobody has left anything in it. */
static bool
is_untouched(PyObject *stop)
{
    const PyStopIterationObject *self = fields_of(stop);
    return Py_REFCNT(stop) == 1 &&
           Py_IS_TYPE(stop, (PyTypeObject *)PyExc_StopIteration) &&
           self->dict == NULL && self->notes == NULL && self->traceback == NULL &&
           self->context == NULL && self->cause == NULL && !self->suppress_context &&
           PyTuple_CheckExact(self->args) && Py_REFCNT(self->args) == 1 &&
           PyTuple_GET_SIZE(self->args) == 1 &&
           PyTuple_GET_ITEM(self->args, 0) == self->value;
}

/* Of one that is untouched. escapes. */
static void
set_value(PyObject *stop, PyObject *value)
{
    PyStopIterationObject *self = fields_of(stop);
    PyObject *before = self->value;
    PyTuple_SET_ITEM(self->args, 0, Py_NewRef(value));
    self->value = Py_NewRef(value);
    Py_DECREF(before);
    Py_DECREF(before);
}

/* A new one, which is kept. */
static FL_SLOW void
raise_new(struct fl_state *state, PyObject *by, PyObject *value)
{
    fl_raise_stop_iteration(value);
    PyObject *stop = fl_error_take();
    if (stop != NULL && Py_IS_TYPE(stop, (PyTypeObject *)PyExc_StopIteration)) {
        state->types.stop = Py_NewRef(stop);
        state->types.stop_by = by;
    }
    fl_error_restore(stop);
}

void
fl_stop_raise(struct fl_state *state, PyObject *by, PyObject *value)
{
    PyObject *kept = state->types.stop;
    if (state->types.stop_by != NULL) { /* it carries what another one gave */
        fl_raise_stop_iteration(value);
        return;
    }
    if (kept == NULL) {
        raise_new(state, by, value);
        return;
    }
    state->types.stop_by = by;
    set_value(kept, value);
    PyObject_GC_Track(kept);
    fl_error_restore(Py_NewRef(kept));
}

void
fl_stop_take_back(struct fl_state *state)
{
    PyObject *stop = state->types.stop;
    state->types.stop_by = NULL;
    if (!is_untouched(stop)) {
        state->types.stop = NULL;
        Py_DECREF(stop); /* escapes */
        return;
    }
    /* where nobody finds it, so that it stays as it is */
    PyObject_GC_UnTrack(stop);
    set_value(stop, Py_None); /* escapes */
}
