/* Plain text to the peer: what asyncio.sslproto does per record that is written. */
#include "net/stream/stream.h"
#include "py/args/call.h"
#include "py/args/keywords.h"
#include "tls/traffic.h"

#include <stdlib.h>

enum {
    PLACE_PLAIN = 8 * FL_RECORD_PLAIN,
    PLACE_BYTES = 8 * (FL_RECORD_PLAIN + FL_RECORD_EXTRA),
    GATHERED_MOST = 16 << 20, /* more goes through OpenSSL's queue */
};

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

/* escapes. 0 or -1. */
static int
send_bytes(TlsObject *self, PyObject *data)
{
    PyObject *transport = Py_NewRef(self->transport);
    /* fast: a 1 KiB echo takes 900 instructions less */
    PyObject *result =
        Py_IS_TYPE(transport, self->module->stream_type)
            ? fl_stream_write(transport, &data, 1, NULL) /* escapes */
            : PyObject_CallMethodOneArg(transport, self->module->str_write, data);
    Py_DECREF(transport);
    return fl_call_status(result);
}

static int
send_out(TlsObject *self, size_t size)
{
    PyObject *data = take_out(self, size);
    int status = data == NULL ? -1 : send_bytes(self, data); /* escapes */
    Py_XDECREF(data);
    return status;
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
seal(TlsObject *self, const char *data, size_t size)
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
        return seal(self, PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data));
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) { /* escapes */
        return -1;
    }
    int status = seal(self, view.buf, (size_t)view.len);
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

/* ---- where records go that nobody has seen yet ---- */

/* Goes what is written to the kernel, if it has room? */
static bool
sends_at_once(const TlsObject *self)
{
    return self->ssl_writing_paused == Py_False && self->transport != NULL &&
           Py_IS_TYPE(self->transport, self->module->stream_type);
}

/* owner: the bytes object that they are, or NULL. escapes. 0 or -1. */
static int
send_records(TlsObject *self, const struct fl_tls_records *records, PyObject *owner)
{
    if (!sends_at_once(self)) {
        if (!fl_tls_put_out(&self->engine, records->data, records->size)) {
            PyErr_NoMemory();
            return -1;
        }
        return fl_tls_send(self); /* escapes */
    }
    if (owner != NULL) {
        return send_bytes(self, owner) < 0 ? -1
                                           : fl_tls_mind_writing(self); /* escapes */
    }
    PyObject *transport = Py_NewRef(self->transport);
    int status = fl_stream_write_copy(
        (StreamObject *)transport, records->data, records->size
    ); /* escapes */
    Py_DECREF(transport);
    return status < 0 ? -1 : fl_tls_mind_writing(self); /* escapes */
}

/* Where up to PLACE_PLAIN bytes of plain text become records. One is kept, since the
 * pages of one that is new with each use cost more than copying. malloc's, or NULL. */
static char *
take_place(struct fl_openssl *openssl)
{
    char *place = openssl->place;
    openssl->place = NULL;
    return place != NULL ? place : malloc(PLACE_BYTES);
}

static void
give_place_back(const TlsObject *self, char *place)
{
    struct fl_openssl *openssl = self->module->tls.openssl;
    if (openssl != NULL && openssl->place == NULL) {
        openssl->place = place;
    }
    else {
        free(place);
    }
}

/* fast: the records of so much plain text go into the bytes that are sent, not through
 * a queue that grows. New, or NULL with an exception. */
static PyObject *
begin_gathering(
    TlsObject *self, struct fl_tls_records *records, size_t size, size_t n_pieces
)
{
    size_t room = size + (size / FL_RECORD_PLAIN + n_pieces) * FL_RECORD_EXTRA;
    PyObject *out = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)room);
    if (out != NULL) {
        *records =
            (struct fl_tls_records){.data = PyBytes_AS_STRING(out), .room = room};
        fl_tls_gather(&self->engine, records);
    }
    return out;
}

/* status: of what was encrypted meanwhile. Steals out. escapes. 0 or -1. */
static int
end_gathering(
    TlsObject *self, struct fl_tls_records *records, PyObject *out, int status
)
{
    bool unseen = fl_tls_gathered(&self->engine) && records->size > 0;
    if (unseen && status >= 0 && _PyBytes_Resize(&out, (Py_ssize_t)records->size) < 0) {
        return -1;
    }
    if (unseen && status >= 0) {
        records->data = PyBytes_AS_STRING(out);
        status = send_records(self, records, out); /* escapes */
    }
    else if (status >= 0) {
        status = fl_tls_send(self); /* escapes */
    }
    Py_DECREF(out);
    return status < 0 ? -1 : 0;
}

/* ---- one piece ---- */

/* Sent from where OpenSSL puts it. escapes. 0 or -1. */
static inline int
write_through(TlsObject *self, PyObject *data, struct fl_tls_records *records)
{
    fl_tls_gather(&self->engine, records);
    int status = encrypt_object(self, data); /* escapes */
    bool unseen = fl_tls_gathered(&self->engine) && records->size > 0;
    if (status < 0) {
        return -1;
    }
    return unseen ? send_records(self, records, NULL) : fl_tls_send(self); /* escapes */
}

/* fast: a record without queue and object; a 1 KiB echo takes 1,000 instructions less.
 * escapes. 0 or -1. */
static FL_APART int
write_short(TlsObject *self, PyObject *data)
{
    char place[FL_RECORD_PLAIN + FL_RECORD_EXTRA];
    struct fl_tls_records records = {.data = place, .room = sizeof(place)};
    return write_through(self, data, &records); /* escapes */
}

/* fast: the same of some records. escapes. 0 or -1. */
static int
write_some(TlsObject *self, PyObject *data)
{
    char *place = take_place(self->module->tls.openssl);
    if (place == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    struct fl_tls_records records = {.data = place, .room = PLACE_BYTES};
    int status = write_through(self, data, &records); /* escapes */
    give_place_back(self, place);
    return status;
}

static int
write_long(TlsObject *self, PyObject *data, size_t size)
{
    struct fl_tls_records records;
    PyObject *out = begin_gathering(self, &records, size, 1);
    if (out == NULL) {
        return -1;
    }
    int status = encrypt_object(self, data);           /* escapes */
    return end_gathering(self, &records, out, status); /* escapes */
}

static int
write_one(TlsObject *self, PyObject *data, size_t size)
{
    fl_tls_is_used(self);
    int status;
    if (!sends_at_once(self) || size > GATHERED_MOST) {
        status = encrypt_object(self, data) < 0 ? -1 : fl_tls_send(self); /* escapes */
    }
    else if (size <= FL_RECORD_PLAIN) {
        status = write_short(self, data); /* escapes */
    }
    else if (size <= PLACE_PLAIN) {
        status = write_some(self, data); /* escapes */
    }
    else {
        status = write_long(self, data, size); /* escapes */
    }
    return status < 0 ? fl_tls_failed(self) : 0; /* escapes */
}

/* ---- many pieces ---- */

/* A list or tuple of bytes none of which is empty: their sum, or 0. */
static size_t
plain_sum(PyObject *pieces)
{
    if (!PyList_CheckExact(pieces) && !PyTuple_CheckExact(pieces)) {
        return 0;
    }
    Py_ssize_t n = PySequence_Fast_GET_SIZE(pieces);
    PyObject *const *items = PySequence_Fast_ITEMS(pieces);
    size_t sum = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!PyBytes_CheckExact(items[i]) || PyBytes_GET_SIZE(items[i]) == 0) {
            return 0;
        }
        sum += (size_t)PyBytes_GET_SIZE(items[i]);
    }
    return sum;
}

/* 0, or -1 with an exception. escapes. */
static int
encrypt_all(TlsObject *self, PyObject *pieces)
{
    int status = 1;
    for (Py_ssize_t i = 0; status >= 0 && i < PySequence_Fast_GET_SIZE(pieces); i++) {
        PyObject *data = Py_NewRef(PySequence_Fast_ITEMS(pieces)[i]);
        status = status == 1 ? encrypt_object(self, data) : put_off(self, data);
        Py_DECREF(data);
    }
    return status < 0 ? -1 : 0;
}

static int
write_all(TlsObject *self, PyObject *pieces, size_t sum)
{
    int status = -1;
    if (!sends_at_once(self) || sum > GATHERED_MOST) {
        status = encrypt_all(self, pieces) < 0 ? -1 : fl_tls_send(self); /* escapes */
        return status < 0 ? fl_tls_failed(self) : 0;                     /* escapes */
    }
    struct fl_tls_records records;
    size_t n = (size_t)PySequence_Fast_GET_SIZE(pieces);
    PyObject *out = begin_gathering(self, &records, sum, n);
    if (out != NULL) {
        status = encrypt_all(self, pieces);                  /* escapes */
        status = end_gathering(self, &records, out, status); /* escapes */
    }
    return status < 0 ? fl_tls_failed(self) : 0; /* escapes */
}

PyObject *
fl_tls_write_appdata(PyObject *op, PyObject *pieces)
{
    TlsObject *self = (TlsObject *)op;
    size_t sum = plain_sum(pieces);
    int at_once = sum > 0 ? writes_at_once(self) : 0;
    if (at_once == 0) {
        return fl_tls_stock(
            self->module->tls.protocol_class, self->module->str_write_appdata, op,
            pieces
        );
    }
    return at_once < 0 || write_all(self, pieces, sum) < 0 ? NULL : Py_NewRef(Py_None);
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
