/* Plain text to the peer: what asyncio.sslproto does per record that is written. */
#include "net/stream.h"
#include "py/call.h"
#include "py/keywords.h"
#include "tls/traffic.h"

/* ---- records to the peer ---- */

/* What is to go, which is something; it is taken. New, or NULL with an exception. */
static PyObject *
take_out(TlsObject *self, size_t size)
{
    PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (data != NULL &&
        !fl_tls_take_out(&self->engine, PyBytes_AS_STRING(data), size)) {
        Py_DECREF(data);
        return PyErr_NoMemory();
    }
    return data;
}

static int
send_out(TlsObject *self, size_t size)
{
    PyObject *data = take_out(self, size);
    if (data == NULL) {
        return -1;
    }
    PyObject *transport = Py_NewRef(self->transport);
    /* fast: a 1 KiB echo takes 900 instructions less */
    PyObject *result =
        Py_IS_TYPE(transport, self->module->stream_type)
            ? fl_stream_write(transport, &data, 1, NULL) /* escapes */
            : PyObject_CallMethodOneArg(transport, self->module->str_write, data);
    Py_DECREF(transport);
    Py_DECREF(data);
    return fl_call_status(result);
}

int
fl_tls_send(TlsObject *self)
{
    if (!fl_tls_is_driven(self) || !fl_tls_is_flag(self->ssl_writing_paused) ||
        self->transport == NULL) {
        return fl_tls_stock_noargs(self, self->module->str_process_outgoing);
    }
    if (self->ssl_writing_paused == Py_False) {
        size_t size = fl_tls_pending_out(&self->engine);
        if (size > 0 && send_out(self, size) < 0) { /* escapes */
            return -1;
        }
    }
    return fl_tls_mind_writing(self); /* escapes */
}

/* Puts what OpenSSL does not take now where asyncio's code goes on with it. 0 or -1. */
static int
put_off(TlsObject *self, PyObject *data)
{
    PyObject *size = PyLong_FromSsize_t(PyBytes_GET_SIZE(data));
    PyObject *sum = NULL;
    int status = -1;
    if (size != NULL && self->write_buffer_size != NULL &&
        self->write_backlog != NULL) {
        sum = PyNumber_Add(self->write_buffer_size, size); /* escapes */
    }
    if (sum != NULL) {
        status = fl_call_status(
            PyObject_CallMethod(self->write_backlog, "append", "O", data)
        );
    }
    if (status == 0 && self->write_buffer_size != NULL) { /* looked again */
        Py_XSETREF(self->write_buffer_size, Py_NewRef(sum));
    }
    Py_XDECREF(sum);
    Py_XDECREF(size);
    return status;
}

/* One piece, while nothing waits. 1 if all of it went; 0: the rest has been put off; -1
 * with an exception. */
static int
encrypt(TlsObject *self, const char *data, size_t size)
{
    size_t n;
    enum fl_tls_outcome outcome = fl_tls_write(&self->engine, data, size, &n);
    if (outcome == FL_TLS_DONE) {
        return 1;
    }
    PyObject *rest = PyBytes_FromStringAndSize(data + n, (Py_ssize_t)(size - n));
    int status = rest == NULL ? -1 : put_off(self, rest);
    Py_XDECREF(rest);
    if (status == 0 && outcome == FL_TLS_OTHER) {
        status = fl_tls_call(self, self->module->str_do_write); /* escapes: raises */
    }
    return status;
}

static int
encrypt_object(TlsObject *self, PyObject *data)
{
    if (PyBytes_CheckExact(data)) {
        return encrypt(self, PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data));
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) { /* escapes */
        return -1;
    }
    int status = encrypt(self, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return status;
}

/* Is what is written encrypted at once? -1 with an exception. */
static int
writes_at_once(TlsObject *self)
{
    if (!fl_tls_is_driven(self) || self->state != self->module->tls.wrapped ||
        self->write_backlog == NULL) {
        return 0;
    }
    Py_ssize_t n = PyObject_Size(self->write_backlog); /* escapes */
    return n < 0 ? -1 : n == 0;
}

static int
write_one(TlsObject *self, PyObject *data)
{
    int status = encrypt_object(self, data);
    return status < 0 || fl_tls_send(self) < 0 ? fl_tls_failed(self) : 0; /* escapes */
}

/* ---- many pieces ---- */

/* A list or tuple of bytes none of which is empty. */
static bool
are_plain(PyObject *pieces)
{
    if (!PyList_CheckExact(pieces) && !PyTuple_CheckExact(pieces)) {
        return false;
    }
    Py_ssize_t n = PySequence_Fast_GET_SIZE(pieces);
    PyObject *const *items = PySequence_Fast_ITEMS(pieces);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!PyBytes_CheckExact(items[i]) || PyBytes_GET_SIZE(items[i]) == 0) {
            return false;
        }
    }
    return true;
}

static int
write_all(TlsObject *self, PyObject *pieces)
{
    int status = 1;
    for (Py_ssize_t i = 0; status >= 0 && i < PySequence_Fast_GET_SIZE(pieces); i++) {
        PyObject *data = Py_NewRef(PySequence_Fast_ITEMS(pieces)[i]);
        status = status == 1 ? encrypt_object(self, data) : put_off(self, data);
        Py_DECREF(data);
    }
    return status < 0 || fl_tls_send(self) < 0 ? fl_tls_failed(self) : 0; /* escapes */
}

PyObject *
fl_tls_write_appdata(PyObject *op, PyObject *pieces)
{
    TlsObject *self = (TlsObject *)op;
    int at_once = are_plain(pieces) ? writes_at_once(self) : 0;
    if (at_once == 0) {
        return fl_tls_stock(
            self->module->tls.protocol_class, self->module->str_write_appdata, op,
            pieces
        );
    }
    return at_once < 0 || write_all(self, pieces) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- for the tables of the types ---- */

PyObject *
fl_tls_process_outgoing(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_tls_none(fl_tls_send((TlsObject *)op));
}

/* Bytes, not empty, of which encrypt_object sees each. */
static bool
is_plain_data(PyObject *data)
{
    if (!PyMemoryView_Check(data)) {
        return PyBytes_CheckExact(data) && PyBytes_GET_SIZE(data) > 0;
    }
    const Py_buffer *buffer = PyMemoryView_GET_BUFFER(data);
    return buffer->ndim == 1 && buffer->itemsize == 1 && buffer->len > 0;
}

PyObject *
fl_tls_transport_write(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    const struct fl_state *state = fl_state_of_type(Py_TYPE(op));
    const struct fl_keywords expected = {"write", 1, 1, 1, {state->str_data}};
    PyObject *data = NULL;
    if (fl_keywords_parse(&expected, args, n_args, kwnames, &data) < 0) {
        return NULL;
    }
    PyObject *protocol = NULL;
    int at_once = 0;
    if (is_plain_data(data)) {
        protocol = PyObject_GetAttr(op, state->str_ssl_protocol); /* escapes */
        at_once = protocol == NULL ? -1 : 0;
    }
    if (protocol != NULL && PyObject_TypeCheck(protocol, state->tls_type)) {
        at_once = writes_at_once((TlsObject *)protocol);
    }
    PyObject *result = NULL;
    if (at_once > 0) {
        result = fl_tls_none(write_one((TlsObject *)protocol, data)); /* escapes */
    }
    else if (at_once == 0) {
        result = fl_tls_stock(state->tls.transport_class, state->str_write, op, data);
    }
    Py_XDECREF(protocol);
    return result;
}
