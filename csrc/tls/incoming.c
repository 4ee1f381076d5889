/* Records from the peer: what asyncio.sslproto does per record that comes. */
#include "py/args/call.h"
#include "py/error.h"
#include "tls/traffic.h"

/* Of one record, so an answer of OpenSSL's fits. */
#define SHORT_BYTES ((size_t)16 * 1024)

/* ---- records from the peer ---- */

static int
no_memory(void)
{
    PyErr_NoMemory();
    return -1;
}

/* What came and is not read now is where others look for it. 0 or -1. */
static int
settle(TlsObject *self)
{
    return fl_tls_keep(&self->engine) ? 0 : no_memory();
}

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
    self->engine.depth++;
    PyObject *data =
        PyObject_CallMethod(self->sslobj, "read", "n", (Py_ssize_t)max); /* escapes */
    self->engine.depth--;
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
    int more = ask_object(self, FL_TLS_MAX_SIZE, &chunk, closed); /* escapes */
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
    return place == NULL ? -1 : fl_tls_is_driven(self);
}

/* Gives it to a stream's reader, if that is fed. escapes. 1, 0 or -1. */
static int
feed(TlsObject *self, const struct plain *text)
{
    if (text->size == 0 || self->app_protocol == NULL ||
        !fl_protocol_is_fed(self->module, self->app_protocol)) {
        return 0;
    }
    if (settle(self) < 0) {
        return -1;
    }
    PyObject *protocol = Py_NewRef(self->app_protocol);
    int fed = self->module->net.feed(
        self->module, protocol, text->stack, (Py_ssize_t)text->size
    ); /* escapes */
    Py_DECREF(protocol);
    return fed;
}

/* All plain text there is: new; empty if there is none or it was fed, NULL with an
 * exception. */
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
        int fed = feed(self, &text); /* escapes; fast: no object, 500 instructions */
        return fed < 0 ? NULL
                       : PyBytes_FromStringAndSize(
                             text.stack, fed > 0 ? 0 : (Py_ssize_t)text.size
                         );
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
    const char *bytes = PyBytes_AS_STRING(data);
    Py_ssize_t size = PyBytes_GET_SIZE(data);
    const struct fl_protocol_calls *calls = fl_protocol_calls(self->module, stack[0]);
    int status = 0;
    if (calls != NULL) {
        status = calls->received(stack[0], bytes, (size_t)size); /* escapes */
    }
    else {
        int fed = fl_protocol_is_fed(self->module, stack[0])
                      ? self->module->net.feed(self->module, stack[0], bytes, size)
                      : 0; /* escapes */
        status = fed != 0 ? fed
                          : fl_call_status(PyObject_VectorcallMethod(
                                self->module->str_data_received, stack,
                                2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL
                            )); /* escapes */
    }
    status = status < 0 ? -1 : 0;
    Py_DECREF(stack[0]);
    return status;
}

/* The peer's close_notify has come. */
static int
end_reading(TlsObject *self)
{
    return fl_tls_call(self, self->module->str_call_eof_received) < 0 || /* escapes */
                   fl_tls_call(self, self->module->str_start_shutdown) < 0
               ? -1
               : 0;
}

static int
read_plain(TlsObject *self)
{
    bool closed = false;
    PyObject *data = read_all(self, &closed); /* escapes */
    int status = settle(self);
    if (data == NULL) {
        return -1;
    }
    if (status == 0 && PyBytes_GET_SIZE(data) > 0) {
        status = deliver(self, data); /* escapes */
    }
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
    while (more > 0 && buffer->size < size && fl_tls_is_driven(self)) {
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

/* Says of what get_buffer() gave, and cannot be filled, what ssl_object.read() does. -1
 * with an exception. */
static FL_SLOW int
refuse_object(TlsObject *self, PyObject *object)
{
    PyObject *exc = fl_error_take();
    PyObject *result = NULL;
    if (self->sslobj != NULL && (PyErr_GivenExceptionMatches(exc, PyExc_BufferError) ||
                                 PyErr_GivenExceptionMatches(exc, PyExc_TypeError))) {
        result = PyObject_CallMethod(self->sslobj, "read", "iO", 1, object);
    } /* escapes */
    if (result == NULL && PyErr_Occurred()) {
        Py_DECREF(exc);
        return -1;
    }
    Py_XDECREF(result);
    fl_error_restore(exc);
    return -1;
}

/* Fills what get_buffer() gave, and says so by updated(). */
static int
fill_object(TlsObject *self, PyObject *object, PyObject *updated, bool *closed)
{
    struct filled buffer = {.size = 0, .closed = false};
    if (PyObject_GetBuffer(object, &buffer.view, PyBUF_WRITABLE) < 0) { /* escapes */
        return refuse_object(self, object);
    }
    int status = fill(self, &buffer); /* escapes */
    bool full = buffer.size == (size_t)buffer.view.len;
    PyBuffer_Release(&buffer.view); /* escapes */
    *closed = buffer.closed;
    if (settle(self) < 0 || status < 0 ||
        (full && read_on_soon(self) < 0)) { /* escapes */
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
        return fl_tls_call(self, self->module->str_do_read_buffered); /* escapes */
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
        if (waiting < 0 || (waiting > 0 ? fl_tls_call(self, self->module->str_do_write)
                                        : fl_tls_send(self)) < 0) { /* escapes */
            return -1;
        }
    }
    else if (settle(self) < 0) {
        return -1;
    }
    return fl_tls_mind_reading(self); /* escapes */
}

/* What lies right behind the handshake: first whoever waits for that wakes up. */
static int
answer_and_read_later(TlsObject *self)
{
    if (fl_tls_send(self) < 0) { /* escapes */
        return -1;
    }
    return !fl_tls_is_driven(self) || fl_tls_is_exhausted(&self->engine)
               ? 0
               : read_on_soon(self); /* escapes */
}

static int
do_read(TlsObject *self)
{
    if (!fl_tls_is_driven(self) || !fl_tls_is_flag(self->app_reading_paused) ||
        !fl_tls_is_flag(self->app_protocol_is_buffer)) {
        return settle(self) < 0
                   ? -1
                   : fl_tls_stock_noargs(self, self->module->str_do_read); /* escapes */
    }
    const struct fl_tls_state *tls = &self->module->tls;
    if (self->state != tls->wrapped && self->state != tls->flushing) {
        return 0;
    }
    int status = self->reads_later == Py_True ? answer_and_read_later(self)
                                              : read_and_answer(self); /* escapes */
    return status < 0 ? fl_tls_failed(self) : 0;                       /* escapes */
}

/* fast: what is read at once does not pass through a queue, 1,000 instructions. It is
 * copied, for OpenSSL may call the program while it reads, and that let the loop go on;
 * which costs 40. */
static FL_APART int
receive_short(TlsObject *self, const char *data, size_t size)
{
    char copy[FL_RECORD_BYTES];
    memcpy(copy, data, size);
    if (!fl_tls_lend(&self->engine, copy, size)) {
        return no_memory();
    }
    int status = do_read(self); /* escapes */
    if (!fl_tls_keep(&self->engine) && status == 0) {
        return no_memory();
    }
    return status;
}

/* What buffer_updated() does. */
static int
received(PyObject *op, const char *data, size_t size)
{
    TlsObject *self = (TlsObject *)op;
    const struct fl_state *module = self->module;
    if (self->state == module->tls.wrapped) {
        fl_tls_is_used(self);
    }
    if (self->state == module->tls.wrapped && size <= FL_RECORD_BYTES) {
        return receive_short(self, data, size); /* escapes */
    }
    if (!fl_tls_feed(&self->engine, data, size)) {
        return no_memory();
    }
    if (self->state == module->tls.wrapped) {
        return do_read(self); /* escapes */
    }
    if (self->state == module->tls.handshaking) {
        return fl_tls_call(self, module->str_handshake); /* escapes */
    }
    if (self->state == module->tls.flushing) {
        return fl_tls_call(self, module->str_do_flush); /* escapes */
    }
    return self->state == module->tls.shutting_down
               ? fl_tls_call(self, module->str_do_shutdown) /* escapes */
               : 0;
}

const struct fl_protocol_calls fl_tls_calls = {received};

/* ---- for the table of the type ---- */

PyObject *
fl_tls_do_read(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_tls_none(do_read((TlsObject *)op));
}
