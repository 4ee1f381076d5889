/* Plain text and records, both ways: what asyncio.sslproto does per record. */
#include "tls/protocol.h"

#include "net/stream.h"
#include "py/call.h"
#include "py/error.h"
#include "py/keywords.h"

/* Of one record, so an answer of OpenSSL's fits. */
#define SHORT_BYTES ((size_t)16 * 1024)

/* What asyncio's code reads at once. */
#define MAX_SIZE ((size_t)256 * 1024)

/* asyncio's method of that name, on the same object. New or NULL. */
static PyObject *
stock(PyObject *class, PyObject *name, PyObject *op, PyObject *argument)
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

static int
stock_noargs(TlsObject *self, PyObject *name)
{
    return fl_call_status(
        stock(self->module->tls.protocol_class, name, (PyObject *)self, NULL)
    );
}

static int
call(TlsObject *self, PyObject *name)
{
    return fl_call_status(PyObject_CallMethodNoArgs((PyObject *)self, name));
}

/* except Exception: self._fatal_error(...). escapes. 0, or -1 with an exception. */
static int
failed(TlsObject *self)
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

static bool
is_driven(const TlsObject *self)
{
    return self->engine.openssl != NULL;
}

static bool
is_flag(const PyObject *value)
{
    return value == Py_True || value == Py_False;
}

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
    if (!is_flag(paused)) {
        return false;
    }
    Py_ssize_t mark = bytes_of(paused == Py_True ? low : high);
    if (mark < 0) {
        return false;
    }
    return paused == Py_True ? size > (size_t)mark : size < (size_t)mark;
}

/* ---- flow control ---- */

static int
control_app_writing(TlsObject *self)
{
    Py_ssize_t backlog = bytes_of(self->write_buffer_size);
    if (is_driven(self) && backlog >= 0 &&
        is_within(
            fl_tls_pending_out(&self->engine) + (size_t)backlog,
            self->outgoing_high_water, self->outgoing_low_water,
            self->app_writing_paused
        )) {
        return 0;
    }
    return stock_noargs(self, self->module->str_control_app_writing); /* escapes */
}

static int
control_ssl_reading(TlsObject *self)
{
    if (is_driven(self) &&
        is_within(
            fl_tls_pending_in(&self->engine), self->incoming_high_water,
            self->incoming_low_water, self->ssl_reading_paused
        )) {
        return 0;
    }
    return stock_noargs(self, self->module->str_control_ssl_reading); /* escapes */
}

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

static int
process_outgoing(TlsObject *self)
{
    if (!is_driven(self) || !is_flag(self->ssl_writing_paused) ||
        self->transport == NULL) {
        return stock_noargs(self, self->module->str_process_outgoing);
    }
    if (self->ssl_writing_paused == Py_False) {
        size_t size = fl_tls_pending_out(&self->engine);
        if (size > 0 && send_out(self, size) < 0) { /* escapes */
            return -1;
        }
    }
    return control_app_writing(self); /* escapes */
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
        status = call(self, self->module->str_do_write); /* escapes: raises */
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
    if (!is_driven(self) || self->state != self->module->tls.wrapped ||
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
    return status < 0 || process_outgoing(self) < 0 ? failed(self) : 0; /* escapes */
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
    return status < 0 || process_outgoing(self) < 0 ? failed(self) : 0; /* escapes */
}

PyObject *
fl_tls_write_appdata(PyObject *op, PyObject *pieces)
{
    TlsObject *self = (TlsObject *)op;
    int at_once = are_plain(pieces) ? writes_at_once(self) : 0;
    if (at_once == 0) {
        return stock(
            self->module->tls.protocol_class, self->module->str_write_appdata, op,
            pieces
        );
    }
    return at_once < 0 || write_all(self, pieces) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- records from the peer ---- */

/* Plain text, first on the stack. */
struct plain {
    PyObject *bytes; /* NULL: still there */
    size_t size;
    char stack[SHORT_BYTES];
};

/* Room for more, *n bytes of it; at least size. NULL with an exception. */
static char *
room(TlsObject *self, struct plain *text, size_t size, size_t *n)
{
    size_t capacity =
        text->bytes == NULL ? SHORT_BYTES : (size_t)PyBytes_GET_SIZE(text->bytes);
    if (capacity - text->size < size) {
        size_t more = fl_tls_pending_in(&self->engine) + SHORT_BYTES + size;
        if (text->bytes != NULL) {
            more += capacity / 2;
            if (_PyBytes_Resize(&text->bytes, (Py_ssize_t)(capacity + more)) < 0) {
                return NULL;
            }
        }
        else {
            text->bytes =
                PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(capacity + more));
            if (text->bytes == NULL) {
                return NULL;
            }
            memcpy(PyBytes_AS_STRING(text->bytes), text->stack, text->size);
        }
        capacity += more;
    }
    *n = capacity - text->size;
    return (text->bytes == NULL ? text->stack : PyBytes_AS_STRING(text->bytes)) +
           text->size;
}

/* As much as there is. AGAIN, OTHER, or DONE with an exception. */
static enum fl_tls_outcome
decrypt(TlsObject *self, struct plain *text)
{
    enum fl_tls_outcome outcome = FL_TLS_DONE;
    while (outcome == FL_TLS_DONE) {
        size_t n, free_bytes;
        char *place = room(self, text, 1, &free_bytes);
        if (place == NULL) {
            return FL_TLS_DONE;
        }
        outcome = fl_tls_read(&self->engine, place, free_bytes, &n);
        if (outcome == FL_TLS_DONE) {
            text->size += n;
            /* fast: OpenSSL is not asked in vain, 3,000 instructions */
            outcome = fl_tls_is_exhausted(&self->engine) ? FL_TLS_AGAIN : FL_TLS_DONE;
        }
    }
    return outcome;
}

/* What ssl_object.read() says, when OpenSSL has refused to go on. 1: *chunk, new, of
 * max bytes at most and not empty; 0: not now, or, if *closed, not any more; -1 with an
 * exception. */
static int
ask_object(TlsObject *self, size_t max, PyObject **chunk, bool *closed)
{
    *chunk = NULL;
    if (self->sslobj == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_sslobj");
        return -1;
    }
    PyObject *data =
        PyObject_CallMethod(self->sslobj, "read", "n", (Py_ssize_t)max); /* escapes */
    if (data == NULL) {
        if (!PyErr_ExceptionMatches(self->module->tls.again)) {
            return -1;
        }
        PyErr_Clear();
        return 0;
    }
    if (PyBytes_Check(data) && PyBytes_GET_SIZE(data) > 0 &&
        (size_t)PyBytes_GET_SIZE(data) <= max) {
        *chunk = data;
        return 1;
    }
    *closed = true;
    Py_DECREF(data);
    return 0;
}

/* The same, with what it says put behind the rest. 1, 0, or -1. */
static int
ask_object_for_more(TlsObject *self, struct plain *text, bool *closed)
{
    PyObject *chunk;
    int more = ask_object(self, MAX_SIZE, &chunk, closed); /* escapes */
    if (more <= 0) {
        return more;
    }
    size_t size = (size_t)PyBytes_GET_SIZE(chunk);
    size_t n;
    char *place = room(self, text, size, &n);
    if (place != NULL) {
        memcpy(place, PyBytes_AS_STRING(chunk), size);
        text->size += size;
    }
    Py_DECREF(chunk);
    return place == NULL ? -1 : is_driven(self);
}

/* All plain text there is: new; empty if there is none, NULL with an exception. */
static __attribute__((noinline)) PyObject *
read_all(TlsObject *self, bool *closed)
{
    struct plain text;
    text.bytes = NULL;
    text.size = 0;
    int more = 1;
    while (more > 0) {
        enum fl_tls_outcome outcome = decrypt(self, &text);
        more = outcome == FL_TLS_AGAIN   ? 0
               : outcome == FL_TLS_OTHER ? ask_object_for_more(self, &text, closed)
                                         : -1;
    }
    if (more < 0) {
        Py_XDECREF(text.bytes);
        return NULL;
    }
    if (text.bytes == NULL) {
        return PyBytes_FromStringAndSize(text.stack, (Py_ssize_t)text.size);
    }
    _PyBytes_Resize(&text.bytes, (Py_ssize_t)text.size);
    return text.bytes;
}

/* Gives the protocol above what came. escapes. 0, or -1 with an exception. */
static int
deliver(TlsObject *self, PyObject *data)
{
    PyObject *stack[2] = {Py_XNewRef(self->app_protocol), data};
    if (stack[0] == NULL) {
        return 0;
    }
    const struct fl_protocol_calls *calls = fl_protocol_calls(self->module, stack[0]);
    int status = calls != NULL ? calls->received(
                                     stack[0], PyBytes_AS_STRING(data),
                                     (size_t)PyBytes_GET_SIZE(data)
                                 ) /* escapes */
                               : fl_call_status(PyObject_VectorcallMethod(
                                     self->module->str_data_received, stack,
                                     2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL
                                 )); /* escapes */
    Py_DECREF(stack[0]);
    return status;
}

/* The peer's close_notify has come. */
static int
end_reading(TlsObject *self)
{
    return call(self, self->module->str_call_eof_received) < 0 || /* escapes */
                   call(self, self->module->str_start_shutdown) < 0
               ? -1
               : 0;
}

static int
read_plain(TlsObject *self)
{
    bool closed = false;
    PyObject *data = read_all(self, &closed); /* escapes */
    if (data == NULL) {
        return -1;
    }
    int status = PyBytes_GET_SIZE(data) == 0 ? 0 : deliver(self, data); /* escapes */
    Py_DECREF(data);
    return status < 0 || !closed ? status : end_reading(self); /* escapes */
}

/* What came of plain text into a buffer of the protocol's. */
struct filled {
    Py_buffer view;
    size_t size;
    bool closed;
};

/* What ssl_object.read() says. As ask_object. */
static int
ask_object_to_fill(TlsObject *self, struct filled *buffer)
{
    PyObject *chunk;
    size_t free_bytes = (size_t)buffer->view.len - buffer->size;
    int more = ask_object(self, free_bytes, &chunk, &buffer->closed); /* escapes */
    if (more > 0) {
        size_t size = (size_t)PyBytes_GET_SIZE(chunk);
        memcpy((char *)buffer->view.buf + buffer->size, PyBytes_AS_STRING(chunk), size);
        buffer->size += size;
        Py_DECREF(chunk);
    }
    return more;
}

/* As much as there is, and has room. 0, or -1 with an exception. */
static int
fill(TlsObject *self, struct filled *buffer)
{
    size_t size = (size_t)buffer->view.len;
    int more = 1;
    while (more > 0 && buffer->size < size && is_driven(self)) {
        size_t n;
        enum fl_tls_outcome outcome = fl_tls_read(
            &self->engine, (char *)buffer->view.buf + buffer->size, size - buffer->size,
            &n
        );
        if (outcome == FL_TLS_DONE) {
            buffer->size += n;
            more = buffer->size == size || !fl_tls_is_exhausted(&self->engine);
        }
        else {
            more = outcome == FL_TLS_OTHER ? ask_object_to_fill(self, buffer) : 0;
        }
    }
    return more < 0 ? -1 : 0;
}

/* There may be more than the buffer takes: loop.call_soon(self._do_read). */
static int
read_on_soon(TlsObject *self)
{
    PyObject *method = PyObject_GetAttr((PyObject *)self, self->module->str_do_read);
    PyObject *handle = NULL;
    if (method != NULL && self->loop != NULL) {
        handle = PyObject_CallMethodOneArg(
            self->loop, self->module->str_call_soon, method
        ); /* escapes */
    }
    Py_XDECREF(method);
    return fl_call_status(handle);
}

/* Fills what get_buffer() gave, and says so by updated(). */
static int
fill_object(TlsObject *self, PyObject *object, PyObject *updated, bool *closed)
{
    struct filled buffer = {.size = 0, .closed = false};
    if (PyObject_GetBuffer(object, &buffer.view, PyBUF_WRITABLE) < 0) { /* escapes */
        return -1;
    }
    int status = fill(self, &buffer); /* escapes */
    bool full = buffer.size == (size_t)buffer.view.len;
    PyBuffer_Release(&buffer.view); /* escapes */
    *closed = buffer.closed;
    if (status < 0 || (full && read_on_soon(self) < 0)) { /* escapes */
        return -1;
    }
    if (buffer.size == 0) {
        return 0;
    }
    PyObject *count = PyLong_FromSize_t(buffer.size);
    PyObject *result =
        count == NULL ? NULL : PyObject_CallOneArg(updated, count); /* escapes */
    Py_XDECREF(count);
    return fl_call_status(result);
}

static int
read_buffered(TlsObject *self)
{
    PyObject *updated = Py_NewRef(self->app_protocol_buffer_updated);
    PyObject *hint = PyLong_FromSize_t(fl_tls_pending_in(&self->engine));
    PyObject *object =
        hint == NULL
            ? NULL
            : PyObject_CallOneArg(self->app_protocol_get_buffer, hint); /* escapes */
    Py_XDECREF(hint);
    bool closed = false;
    Py_ssize_t size = object == NULL ? -1 : PyObject_Size(object); /* escapes */
    if (size == 0) { /* asyncio takes the nothing that it reads for the end */
        closed = true;
    }
    int status = size <= 0 ? (int)size
                           : fill_object(self, object, updated, &closed); /* escapes */
    Py_XDECREF(object);
    Py_DECREF(updated);
    return status < 0 || !closed ? status : end_reading(self); /* escapes */
}

static int
read_by_kind(TlsObject *self)
{
    if (self->app_protocol_is_buffer == Py_False ||
        (self->app_protocol != NULL &&
         fl_protocol_calls(self->module, self->app_protocol) != NULL)) {
        return read_plain(self); /* escapes */
    }
    if (self->app_protocol_get_buffer == NULL ||
        self->app_protocol_buffer_updated == NULL) {
        return call(self, self->module->str_do_read_buffered); /* escapes */
    }
    return read_buffered(self); /* escapes */
}

static int
read_and_answer(TlsObject *self)
{
    if (self->app_reading_paused == Py_False) {
        if (read_by_kind(self) < 0) { /* escapes */
            return -1;
        }
        Py_ssize_t waiting =
            self->write_backlog == NULL ? 0 : PyObject_Size(self->write_backlog);
        if (waiting < 0 || (waiting > 0 ? call(self, self->module->str_do_write)
                                        : process_outgoing(self)) < 0) { /* escapes */
            return -1;
        }
    }
    return control_ssl_reading(self); /* escapes */
}

static int
do_read(TlsObject *self)
{
    if (!is_driven(self) || !is_flag(self->app_reading_paused) ||
        !is_flag(self->app_protocol_is_buffer)) {
        return stock_noargs(self, self->module->str_do_read);
    }
    const struct fl_tls_state *tls = &self->module->tls;
    if (self->state != tls->wrapped && self->state != tls->flushing) {
        return 0;
    }
    return read_and_answer(self) < 0 ? failed(self) : 0; /* escapes */
}

/* What buffer_updated() does. */
static int
received(PyObject *op, const char *data, size_t size)
{
    TlsObject *self = (TlsObject *)op;
    const struct fl_state *module = self->module;
    if (fl_tls_feed(&self->engine, data, size) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    if (self->state == module->tls.wrapped) {
        return do_read(self); /* escapes */
    }
    if (self->state == module->tls.handshaking) {
        return call(self, module->str_handshake); /* escapes */
    }
    if (self->state == module->tls.flushing) {
        return call(self, module->str_do_flush); /* escapes */
    }
    return self->state == module->tls.shutting_down
               ? call(self, module->str_do_shutdown) /* escapes */
               : 0;
}

const struct fl_protocol_calls fl_tls_calls = {received};

/* ---- for the tables of the types ---- */

static PyObject *
none_or_null(int status)
{
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

PyObject *
fl_tls_do_read(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return none_or_null(do_read((TlsObject *)op));
}

PyObject *
fl_tls_process_outgoing(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return none_or_null(process_outgoing((TlsObject *)op));
}

PyObject *
fl_tls_control_app_writing(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return none_or_null(control_app_writing((TlsObject *)op));
}

PyObject *
fl_tls_control_ssl_reading(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return none_or_null(control_ssl_reading((TlsObject *)op));
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
        result = none_or_null(write_one((TlsObject *)protocol, data)); /* escapes */
    }
    else if (at_once == 0) {
        result = stock(state->tls.transport_class, state->str_write, op, data);
    }
    Py_XDECREF(protocol);
    return result;
}
