/* What users and libraries look at: extra info, the protocol, the private
 * attributes that asyncio's own code and packages read, the repr. */
#include "net/stream.h"

#include "py/keywords.h"

/* ---- the protocol ---- */

int
fl_stream_use_protocol(StreamObject *self, PyObject *protocol)
{
    const struct fl_state *state = fl_state_of_type(Py_TYPE(self));
    int buffered = PyObject_IsInstance(protocol, state->BufferedProtocol); /* escapes */
    if (buffered < 0) {
        return -1;
    }
    self->buffered = (char)buffered;
    Py_XSETREF(self->protocol, Py_NewRef(protocol)); /* escapes */
    return 0;
}

PyObject *
fl_stream_set_protocol(PyObject *op, PyObject *protocol)
{
    return fl_stream_use_protocol((StreamObject *)op, protocol) < 0
               ? NULL
               : Py_NewRef(Py_None);
}

static PyObject *
or_none(PyObject *value)
{
    return Py_NewRef(value != NULL ? value : Py_None);
}

PyObject *
fl_stream_get_protocol(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return or_none(((StreamObject *)op)->protocol);
}

/* ---- extra info ---- */

PyObject *
fl_stream_get_extra_info(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    StreamObject *self = (StreamObject *)op;
    const struct fl_state *state = fl_state_of_type(Py_TYPE(op));
    const struct fl_keywords expected = {
        "get_extra_info", 2, 1, 2, {state->str_name, state->str_default}
    };
    PyObject *values[2] = {NULL, Py_None};
    if (fl_keywords_parse(&expected, args, n_args, kwnames, values) < 0) {
        return NULL;
    }
    /* who has the socket may use it: what was written goes first */
    int is_socket = PyObject_RichCompareBool(values[0], state->str_socket, Py_EQ);
    if (is_socket < 0 || (is_socket && fl_stream_flush(self) < 0)) { /* escapes */
        return NULL;
    }
    PyObject *extra = Py_XNewRef(fl_stream_extra(self));
    if (extra == NULL) {
        return NULL;
    }
    PyObject *value = PyObject_GetItem(extra, values[0]); /* escapes */
    Py_DECREF(extra);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_KeyError)) {
        PyErr_Clear();
        value = Py_NewRef(values[1]);
    }
    return value;
}

/* ---- private attributes ---- */

static PyObject *
get_loop(PyObject *op, void *Py_UNUSED(closure))
{
    return or_none((PyObject *)((StreamObject *)op)->source.loop);
}

static PyObject *
get_extra(PyObject *op, void *Py_UNUSED(closure))
{
    return Py_XNewRef(fl_stream_extra((StreamObject *)op));
}

static PyObject *
get_sock(PyObject *op, void *Py_UNUSED(closure))
{
    StreamObject *self = (StreamObject *)op;
    return fl_stream_flush(self) < 0 ? NULL : or_none(self->sock); /* escapes */
}

static PyObject *
get_sock_fd(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(((StreamObject *)op)->source.watch.fd);
}

static PyObject *
get_protocol(PyObject *op, void *Py_UNUSED(closure))
{
    return or_none(((StreamObject *)op)->protocol);
}

static int
set_protocol(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_protocol can't be deleted");
        return -1;
    }
    return fl_stream_use_protocol((StreamObject *)op, value);
}

static PyObject *
get_object(PyObject *op, void *closure)
{
    return or_none(*(PyObject **)((char *)op + (Py_ssize_t)closure));
}

static PyObject *
get_flag(PyObject *op, void *closure)
{
    return PyBool_FromLong(*((char *)op + (Py_ssize_t)closure));
}

static PyObject *
get_conn_lost(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(((StreamObject *)op)->conn_lost);
}

static PyObject *
get_protocol_connected(PyObject *Py_UNUSED(op), void *Py_UNUSED(closure))
{
    Py_RETURN_TRUE;
}

static PyObject *
get_context(PyObject *op, void *Py_UNUSED(closure))
{
    StreamObject *self = (StreamObject *)op;
    return or_none(self->own_context ? self->source.context : NULL);
}

/* What waits, as a deque of copies; it is not the queue itself. */
static PyObject *
get_buffer(PyObject *op, void *Py_UNUSED(closure))
{
    StreamObject *self = (StreamObject *)op;
    PyObject *pieces = fl_write_queue_copy(&self->queue);
    PyObject *result =
        pieces == NULL
            ? NULL
            : PyObject_CallOneArg(fl_state_of_type(Py_TYPE(op))->deque, pieces);
    Py_XDECREF(pieces);
    return result;
}

static PyObject *
get_buffer_size(PyObject *op, void *Py_UNUSED(closure))
{
    StreamObject *self = (StreamObject *)op;
    if (fl_stream_flush(self) < 0) { /* escapes */
        return NULL;
    }
    return PyLong_FromSize_t(self->queue.size_bytes);
}

#define FLAG(name, field) \
    {name, get_flag, NULL, NULL, (void *)offsetof(StreamObject, field)}
#define OBJECT(name, field) \
    {name, get_object, NULL, NULL, (void *)offsetof(StreamObject, field)}

PyGetSetDef fl_stream_getset[] = {
    FLAG("_closing", closing),
    FLAG("_eof", eof),
    FLAG("_paused", paused),
    FLAG("_protocol_paused", protocol_paused),
    OBJECT("_empty_waiter", empty_waiter),
    OBJECT("_server", server),
    {"_buffer", get_buffer, NULL, NULL, NULL},
    {"_buffer_size", get_buffer_size, NULL, NULL, NULL},
    {"_conn_lost", get_conn_lost, NULL, NULL, NULL},
    {"_context", get_context, NULL, NULL, NULL},
    {"_extra", get_extra, NULL, NULL, NULL},
    {"_high_water", fl_stream_get_high, NULL, NULL, NULL},
    {"_loop", get_loop, NULL, NULL, NULL},
    {"_low_water", fl_stream_get_low, NULL, NULL, NULL},
    {"_protocol", get_protocol, set_protocol, NULL, NULL},
    {"_protocol_connected", get_protocol_connected, NULL, NULL, NULL},
    {"_sock", get_sock, NULL, NULL, NULL},
    {"_sock_fd", get_sock_fd, NULL, NULL, NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyObject *
fl_stream_get_write_buffer_size(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return get_buffer_size(op, NULL);
}

/* ---- repr ---- */

PyObject *
fl_stream_repr(PyObject *op)
{
    StreamObject *self = (StreamObject *)op;
    const char *state = self->sock == NULL ? " closed"
                        : self->closing    ? " closing"
                                           : "";
    const char *name = fl_type_short_name(Py_TYPE(op));
    int fd = self->source.watch.fd;
    if (self->source.loop == NULL || self->source.loop->closed) {
        return PyUnicode_FromFormat("<%s%s fd=%d>", name, state, fd);
    }
    uint32_t events = self->source.watch.events;
    return PyUnicode_FromFormat(
        "<%s%s fd=%d read=%s write=<%s, bufsize=%zu>>", name, state, fd,
        events & FL_POLL_READ ? "polling" : "idle",
        events & FL_POLL_WRITE ? "polling" : "idle", self->queue.size_bytes
    );
}
