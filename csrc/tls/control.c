/* Flow control, and what is left to asyncio's methods. */
#include "net/stream/stream.h"
#include "py/args/call.h"
#include "py/error.h"
#include "tls/traffic.h"

/* ---- asyncio's methods ---- */

PyObject *
fl_tls_stock(PyObject *class, PyObject *name, PyObject *op, PyObject *argument)
{
    PyObject *method = PyObject_GetAttr(class, name);
    PyObject *stack[2] = {op, argument};
    PyObject *result = method == NULL
                           ? NULL
                           : PyObject_Vectorcall(
                                 method, stack, argument == NULL ? 1 : 2, NULL
                             ); /* escapes */
    Py_XDECREF(method);
    return result;
}

int
fl_tls_stock_noargs(TlsObject *self, PyObject *name)
{
    return fl_call_status(
        fl_tls_stock(self->module->tls.protocol_class, name, (PyObject *)self, NULL)
    );
}

int
fl_tls_call(TlsObject *self, PyObject *name)
{
    return fl_call_status(PyObject_CallMethodNoArgs((PyObject *)self, name));
}

/* except Exception: self._fatal_error(...). */
int
fl_tls_failed(TlsObject *self)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    PyObject *exc = fl_error_take();
    struct fl_handling handling;
    fl_handling_begin(&handling, exc);
    PyObject *result = PyObject_CallMethodObjArgs(
        (PyObject *)self, self->module->str_fatal_error, exc,
        self->module->str_fatal_tls, NULL
    ); /* escapes */
    fl_handling_end(&handling);
    Py_DECREF(exc);
    return fl_call_status(result);
}

/* ---- what attributes say ---- */

/* A number of bytes: at least 0, or -1 if it is something else. */
static Py_ssize_t
bytes_of(PyObject *value)
{
    if (value == NULL || !PyLong_CheckExact(value)) {
        return -1;
    }
    Py_ssize_t n = PyLong_AsSsize_t(value);
    if (n < 0) {
        PyErr_Clear();
    }
    return n < 0 ? -1 : n;
}

/* Is nothing to be done about that many bytes? False also if the marks are odd. */
static bool
is_within(size_t size, PyObject *high, PyObject *low, const PyObject *paused)
{
    if (!fl_tls_is_flag(paused)) {
        return false;
    }
    Py_ssize_t mark = bytes_of(paused == Py_True ? low : high);
    if (mark < 0) {
        return false;
    }
    return paused == Py_True ? size > (size_t)mark : size < (size_t)mark;
}

/* ---- flow control ---- */

int
fl_tls_mind_writing(TlsObject *self)
{
    Py_ssize_t backlog = bytes_of(self->write_buffer_size);
    if (fl_tls_is_driven(self) && backlog >= 0 &&
        is_within(
            fl_tls_pending_out(&self->engine) + (size_t)backlog,
            self->outgoing_high_water, self->outgoing_low_water,
            self->app_writing_paused
        )) {
        return 0;
    }
    return fl_tls_stock_noargs(
        self, self->module->str_control_app_writing
    ); /* escapes */
}

int
fl_tls_mind_reading(TlsObject *self)
{
    if (fl_tls_is_driven(self) &&
        is_within(
            fl_tls_pending_in(&self->engine), self->incoming_high_water,
            self->incoming_low_water, self->ssl_reading_paused
        )) {
        return 0;
    }
    return fl_tls_stock_noargs(
        self, self->module->str_control_ssl_reading
    ); /* escapes */
}

/* ---- for the table of the type ---- */

/* connection_lost() in the context of reading, whoever has ended the connection. */
PyObject *
fl_tls_connection_lost(PyObject *op, PyObject *exc)
{
    const TlsObject *self = (TlsObject *)op;
    PyObject *context = NULL;
    if (self->transport != NULL &&
        Py_IS_TYPE(self->transport, self->module->stream_type)) {
        context = Py_XNewRef(((TransportObject *)self->transport)->source.context);
    }
    if (context != NULL && PyContext_Enter(context) < 0) { /* it is the current one */
        PyErr_Clear();
        Py_CLEAR(context);
    }
    PyObject *result = fl_tls_stock(
        self->module->tls.protocol_class, self->module->str_connection_lost, op, exc
    ); /* escapes */
    if (context != NULL) {
        PyObject *error = fl_error_take();
        if (PyContext_Exit(context) < 0 && error == NULL) {
            Py_CLEAR(result);
        }
        else {
            fl_error_restore(error);
        }
        Py_DECREF(context);
    }
    return result;
}

PyObject *
fl_tls_control_app_writing(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_tls_none(fl_tls_mind_writing((TlsObject *)op));
}

PyObject *
fl_tls_control_ssl_reading(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_tls_none(fl_tls_mind_reading((TlsObject *)op));
}
