/* Water marks, and what they make the protocol do.
 *
 * They may be any numbers that compare, as asyncio takes them; they are handed back as
 * they were given, and compared as counts of bytes.
 */
#include "net/transport/transport.h"
#include "py/args/keywords.h"
#include "py/error.h"

#define DEFAULT_HIGH_BYTES 65536

void
fl_transport_default_limits(TransportObject *self)
{
    self->high_bytes = DEFAULT_HIGH_BYTES;
    self->low_bytes = DEFAULT_HIGH_BYTES / 4;
}

/* ---- setting ---- */

/* A mark as a count: at or above SIZE_MAX it is never passed. */
static int
mark_in_bytes(PyObject *mark, size_t *size)
{
    double number = PyFloat_AsDouble(mark);
    if (number == -1.0 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        PyErr_Clear();
        *size = SIZE_MAX;
        return 0;
    }
    if (number >= 0x1p63) {
        *size = SIZE_MAX;
        return 0;
    }
    size_t exact = PyLong_Check(mark) ? PyLong_AsSize_t(mark) : (size_t)number;
    *size = exact;
    return exact == (size_t)-1 && PyErr_Occurred() ? -1 : 0;
}

/* 4 * low or high // 4; new, or NULL */
static PyObject *
derive(PyObject *mark, binaryfunc operation)
{
    PyObject *four = PyLong_FromLong(4);
    PyObject *result =
        four == NULL ? NULL : FL_SLOT_POINTER(operation(mark, four)); /* escapes */
    Py_XDECREF(four);
    return result;
}

/* high >= low >= 0: 1, 0, or -1 with an exception */
static int
in_order(PyObject *high, PyObject *low)
{
    int truth = PyObject_RichCompareBool(high, low, Py_GE); /* escapes */
    if (truth <= 0) {
        return truth;
    }
    PyObject *zero = PyLong_FromLong(0);
    truth = zero == NULL ? -1 : PyObject_RichCompareBool(low, zero, Py_GE);
    Py_XDECREF(zero);
    return truth;
}

static int
set_marks(TransportObject *self, PyObject *high, PyObject *low)
{
    size_t high_bytes, low_bytes;
    int ordered = in_order(high, low); /* escapes */
    if (ordered == 0) {
        PyErr_Format(
            PyExc_ValueError, "high (%R) must be >= low (%R) must be >= 0", high, low
        );
    }
    if (ordered <= 0 || mark_in_bytes(high, &high_bytes) < 0 ||
        mark_in_bytes(low, &low_bytes) < 0) {
        return -1;
    }
    self->high_bytes = high_bytes;
    self->low_bytes = low_bytes;
    Py_XSETREF(self->high, Py_NewRef(high));
    Py_XSETREF(self->low, Py_NewRef(low));
    return 0;
}

const char fl_transport_set_limits_doc[] =
    "set_write_buffer_limits($self, high=None, low=None)\n--\n\n"
    "Set the water marks of the unsent bytes: above high the protocol's\n"
    "pause_writing() is called, at low or below resume_writing().\n\n"
    "high: bytes, 64 KiB or 4 * low by default; low: a quarter of high by default.\n"
    "Raises ValueError unless high >= low >= 0.";

PyObject *
fl_transport_set_limits(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    TransportObject *self = (TransportObject *)op;
    const struct fl_state *state = fl_state_of_type(Py_TYPE(op));
    const struct fl_keywords expected = {
        "set_write_buffer_limits", 2, 0, 2, {state->str_high, state->str_low}
    };
    PyObject *values[2] = {Py_None, Py_None};
    if (fl_transport_flush(self) < 0 || /* escapes */
        fl_keywords_parse(&expected, args, n_args, kwnames, values) < 0) {
        return NULL;
    }
    PyObject *high = Py_NewRef(values[0]);
    PyObject *low = Py_NewRef(values[1]);
    if (high == Py_None) {
        Py_SETREF(
            high, low == Py_None ? PyLong_FromLong(DEFAULT_HIGH_BYTES)
                                 : derive(low, PyNumber_Multiply)
        );
    }
    if (high != NULL && low == Py_None) {
        Py_SETREF(low, derive(high, PyNumber_FloorDivide));
    }
    int status = high == NULL || low == NULL ? -1 : set_marks(self, high, low);
    Py_XDECREF(high);
    Py_XDECREF(low);
    if (status < 0) {
        return NULL;
    }
    size_t unsent = fl_transport_kind(self)->unsent(self);
    if (fl_transport_maybe_pause(self, unsent) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- looking ---- */

PyObject *
fl_transport_get_high(PyObject *op, void *Py_UNUSED(closure))
{
    TransportObject *self = (TransportObject *)op;
    return self->high != NULL ? Py_NewRef(self->high)
                              : PyLong_FromSize_t(self->high_bytes);
}

PyObject *
fl_transport_get_low(PyObject *op, void *Py_UNUSED(closure))
{
    TransportObject *self = (TransportObject *)op;
    return self->low != NULL ? Py_NewRef(self->low)
                             : PyLong_FromSize_t(self->low_bytes);
}

const char fl_transport_get_limits_doc[] =
    "get_write_buffer_limits($self, /)\n--\n\n"
    "Return the water marks in bytes, (low, high).";

PyObject *
fl_transport_get_limits(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    if (fl_transport_flush((TransportObject *)op) < 0) { /* escapes */
        return NULL;
    }
    return Py_BuildValue(
        "(NN)", fl_transport_get_low(op, NULL), fl_transport_get_high(op, NULL)
    );
}

/* ---- the protocol ---- */

/* Calls a method without arguments; what it raises is reported. */
static int
tell_protocol(TransportObject *self, PyObject *name, const char *message)
{
    PyObject *protocol = self->protocol;
    if (protocol == NULL) {
        return 0;
    }
    Py_INCREF(protocol);
    PyObject *result = PyObject_CallMethodNoArgs(protocol, name); /* escapes */
    Py_DECREF(protocol);
    if (result != NULL) {
        Py_DECREF(result);
        return 0;
    }
    if (self->source.loop == NULL || fl_error_is_exit()) {
        return -1;
    }
    PyObject *exc = fl_error_take();
    int status = fl_transport_report(self, message, exc); /* escapes */
    Py_DECREF(exc);
    return status;
}

int
fl_transport_pause_protocol(TransportObject *self)
{
    const struct fl_state *state = fl_state_of_type(Py_TYPE(self));
    self->protocol_paused = 1;
    return tell_protocol(
        self, state->str_pause_writing, "protocol.pause_writing() failed"
    );
}

int
fl_transport_resume_protocol(TransportObject *self)
{
    const struct fl_state *state = fl_state_of_type(Py_TYPE(self));
    self->protocol_paused = 0;
    return tell_protocol(
        self, state->str_resume_writing, "protocol.resume_writing() failed"
    );
}
