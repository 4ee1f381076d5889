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
    int status = -1;
    if (rest != NULL && !fl_tls_bio_keep_records(&self->engine.bio)) {
        PyErr_NoMemory();
    }
    else if (rest != NULL) {
        status = put_off(self, rest); /* escapes */
    }
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

/* ---- one piece ---- */

/* Goes what is written to the kernel, if it has room? */
static bool
sends_at_once(const TlsObject *self)
{
    return self->ssl_writing_paused == Py_False && self->transport != NULL &&
           Py_IS_TYPE(self->transport, self->module->stream_type);
}

/* Records that nobody has seen yet. escapes. 0 or -1. */
static int
send_records(TlsObject *self, const struct fl_tls_records *records)
{
    if (!sends_at_once(self)) {
        if (!fl_tls_put_out(&self->engine, records->data, records->size)) {
            PyErr_NoMemory();
            return -1;
        }
        return fl_tls_send(self); /* escapes */
    }
    PyObject *transport = Py_NewRef(self->transport);
    int status = fl_stream_write_copy(
        (StreamObject *)transport, records->data, records->size
    ); /* escapes */
    Py_DECREF(transport);
    return status < 0 ? -1 : fl_tls_mind_writing(self); /* escapes */
}

/* fast: a record is sent from where OpenSSL puts it, without queue and object; a 1 KiB
 * echo takes 1,000 instructions less. escapes. 0 or -1. */
static FL_APART int
write_short(TlsObject *self, PyObject *data)
{
    struct fl_tls_records records;
    fl_tls_gather(&self->engine, &records);
    int status = encrypt_object(self, data); /* escapes */
    bool unseen = fl_tls_gathered(&self->engine) && records.size > 0;
    if (status < 0) {
        return -1;
    }
    return unseen ? send_records(self, &records) : fl_tls_send(self); /* escapes */
}

static int
write_long(TlsObject *self, PyObject *data)
{
    return encrypt_object(self, data) < 0 ? -1 : fl_tls_send(self); /* escapes */
}

static int
write_one(TlsObject *self, PyObject *data, size_t size)
{
    fl_tls_is_used(self);
    int status = size <= FL_RECORD_PLAIN && sends_at_once(self)
                     ? write_short(self, data)
                     : write_long(self, data);   /* escapes */
    return status < 0 ? fl_tls_failed(self) : 0; /* escapes */
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

/* The size of bytes of which encrypt_object sees each; 0 if they are none, or none of
 * that kind. */
static size_t
plain_size(PyObject *data)
{
    if (!PyMemoryView_Check(data)) {
        return PyBytes_CheckExact(data) ? (size_t)PyBytes_GET_SIZE(data) : 0;
    }
    const Py_buffer *buffer = PyMemoryView_GET_BUFFER(data);
    return buffer->ndim == 1 && buffer->itemsize == 1 ? (size_t)buffer->len : 0;
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
    size_t size = plain_size(data);
    if (size > 0) {
        protocol = PyObject_GetAttr(op, state->str_ssl_protocol); /* escapes */
        at_once = protocol == NULL ? -1 : 0;
    }
    if (protocol != NULL && PyObject_TypeCheck(protocol, state->tls_type)) {
        at_once = writes_at_once((TlsObject *)protocol);
    }
    PyObject *result = NULL;
    if (at_once > 0) {
        result =
            fl_tls_none(write_one((TlsObject *)protocol, data, size)); /* escapes */
    }
    else if (at_once == 0) {
        result = fl_tls_stock(state->tls.transport_class, state->str_write, op, data);
    }
    Py_XDECREF(protocol);
    return result;
}
