/* StreamReaderProtocol: asyncio's in C.
 *
 * Between a transport and a StreamReader, and what drain() and wait_closed() of a
 * StreamWriter wait for. stream_connect.c has its beginning, stream_flow.c what pauses
 * it. What is rare (replacing the transport, a connection that is rejected) is
 * asyncio's own, on the same attributes.
 */
#include "aio/stream/stream_protocol.h"

#include "aio/futures.h"
#include "aio/lock/waiters.h"
#include "aio/stream/stream_reader.h"
#include "py/args/call.h"

static StreamProtocolObject *
protocol_of(PyObject *op)
{
    return fl_stream_protocol(op);
}

static PyObject *
stock_of(const StreamProtocolObject *self)
{
    return self->base.state->asyncio_StreamReaderProtocol;
}

static PyObject *
stock_noargs(PyObject *op, PyObject *name)
{
    return fl_aio_stock_noargs(stock_of(protocol_of(op)), name, op);
}

/* ---- the plain case ---- */

bool
fl_stream_protocol_is_plain(StreamProtocolObject *self)
{
    return fl_aio_is_plain(&self->base) && self->base.loop != NULL &&
           self->reader_wr != NULL &&
           (self->paused == Py_False || self->paused == Py_True) &&
           fl_aio_are_waiters(self->base.state, self->drain_waiters) &&
           self->drain_waiters != Py_None;
}

/* The same, for what calls `super()` in asyncio's: none but its own is next to it. */
static bool
is_exact_and_plain(StreamProtocolObject *self)
{
    return Py_IS_TYPE(
               (PyObject *)(void *)self, self->base.state->stream_protocol_type
           ) &&
           fl_stream_protocol_is_plain(self);
}

int
fl_stream_protocol_reader(const StreamProtocolObject *self, PyObject **reader)
{
    PyObject *reference = self->reader_wr;
    *reader = NULL;
    if (reference == Py_None) {
        return 1;
    }
    if (!PyWeakref_CheckRefExact(reference)) {
        return 0;
    }
    *reader = fl_weakref_target(reference);
    return 1;
}

bool
fl_stream_protocol_has_room(const StreamProtocolObject *self)
{
    return self->lost == Py_False && self->paused == Py_False;
}

/* ---- from the transport ---- */

/* reader.feed_data(data). escapes. 0 or -1. */
static int
feed_data(const struct fl_state *state, PyObject *reader, PyObject *data)
{
    Py_ssize_t limit;
    if (Py_IS_TYPE(reader, state->stream_reader_type) && PyBytes_CheckExact(data) &&
        PyBytes_GET_SIZE(data) > 0) {
        StreamReaderObject *own = fl_stream_reader(reader);
        if (fl_stream_reader_is_plain(own, &limit) && own->eof == Py_False) {
            return fl_stream_reader_feed(
                own, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
            ); /* escapes */
        }
    }
    return fl_call_status(
        PyObject_CallMethodOneArg(reader, state->str_feed_data, data)
    );
}

PyDoc_STRVAR(
    data_received_doc, "data_received($self, /, data)\n--\n\n"
                       "Feed the reader with bytes that the transport has received."
);

static PyObject *
protocol_data_received(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    StreamProtocolObject *self = protocol_of(op);
    const struct fl_state *state = self->base.state;
    PyObject *reader;
    if (n_args != 1 || kwnames != NULL || !fl_stream_protocol_is_plain(self) ||
        fl_stream_protocol_reader(self, &reader) == 0) {
        return fl_aio_stock(
            stock_of(self), state->str_data_received, op, args, n_args, kwnames
        );
    }
    int status = reader == NULL ? 0 : feed_data(state, reader, args[0]);
    Py_XDECREF(reader); /* escapes */
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(
    eof_received_doc,
    "eof_received($self, /)\n--\n\n"
    "Feed the reader with the end; return True to keep the transport open."
);

static PyObject *
protocol_eof_received(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamProtocolObject *self = protocol_of(op);
    const struct fl_state *state = self->base.state;
    PyObject *reader;
    if (!fl_stream_protocol_is_plain(self) ||
        (self->over_ssl != Py_False && self->over_ssl != Py_True) ||
        fl_stream_protocol_reader(self, &reader) == 0) {
        return stock_noargs(op, state->str_eof_received);
    }
    int status = 0;
    if (reader != NULL) {
        status = fl_call_status(PyObject_CallMethodNoArgs(reader, state->str_feed_eof));
        Py_DECREF(reader); /* escapes */
    }
    return status < 0 ? NULL : PyBool_FromLong(self->over_ssl != Py_True);
}

/* What the reader is told of the end. escapes. 0 or -1. */
static int
tell_reader(const StreamProtocolObject *self, PyObject *exc)
{
    const struct fl_state *state = self->base.state;
    PyObject *reader;
    (void)fl_stream_protocol_reader(self, &reader);
    if (reader == NULL) {
        return 0;
    }
    int status = fl_call_status(
        exc == Py_None
            ? PyObject_CallMethodNoArgs(reader, state->str_feed_eof)
            : PyObject_CallMethodOneArg(reader, state->str_set_exception, exc)
    );
    Py_DECREF(reader); /* escapes */
    return status;
}

/* What wait_closed() waits for ends. escapes. 0 or -1. */
static int
end_closed(StreamProtocolObject *self, PyObject *exc)
{
    const struct fl_state *state = self->base.state;
    if (self->closed == NULL && exc == Py_None) {
        self->ended = true;
        return 0;
    }
    PyObject *closed = PyObject_GetAttr((PyObject *)(void *)self, state->str__closed);
    int done = closed == NULL ? -1 : fl_aio_is_done(state, closed); /* escapes */
    if (done == 0) {
        done = exc == Py_None ? fl_aio_set_result(state, closed, Py_None)
                              : fl_aio_set_exception(state, closed, exc);
    }
    Py_XDECREF(closed); /* escapes */
    return done < 0 ? -1 : 0;
}

/* FlowControlMixin.connection_lost(). escapes. 0 or -1. */
static int
end_drains(StreamProtocolObject *self, PyObject *exc)
{
    const struct fl_state *state = self->base.state;
    if (self->paused == Py_False) {
        Py_XSETREF(self->lost, Py_NewRef(Py_True)); /* escapes */
        return 0;
    }
    return fl_call_status(fl_aio_stock(
        state->streams_FlowControlMixin, state->str_connection_lost,
        (PyObject *)(void *)self, &exc, 1, NULL
    ));
}

static void
set_none(PyObject **field)
{
    Py_XSETREF(*field, Py_NewRef(Py_None)); /* escapes */
}

PyDoc_STRVAR(
    connection_lost_doc,
    "connection_lost($self, /, exc)\n--\n\n"
    "Tell the reader, and those that drain or wait for the end.\n\n"
    "exc: why the connection ended; None if nothing went wrong."
);

static PyObject *
protocol_connection_lost(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    StreamProtocolObject *self = protocol_of(op);
    const struct fl_state *state = self->base.state;
    PyObject *reader;
    if (n_args != 1 || kwnames != NULL || !is_exact_and_plain(self) ||
        fl_stream_protocol_reader(self, &reader) == 0) {
        return fl_aio_stock(
            stock_of(self), state->str_connection_lost, op, args, n_args, kwnames
        );
    }
    Py_XDECREF(reader);
    if (tell_reader(self, args[0]) < 0 || end_closed(self, args[0]) < 0 ||
        end_drains(self, args[0]) < 0) {
        return NULL; /* escaped */
    }
    set_none(&self->reader_wr);
    if (state->aio.lost_clears_writer) {
        set_none(&self->writer);
    }
    set_none(&self->task);
    set_none(&self->transport);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    connection_made_doc,
    "connection_made($self, /, transport)\n--\n\n"
    "Give the reader its transport, and a server's callback both streams."
);

PyDoc_STRVAR(
    pause_writing_doc, "pause_writing($self, /)\n--\n\nHave drain() wait for room."
);

PyDoc_STRVAR(
    resume_writing_doc, "resume_writing($self, /)\n--\n\nLet all go on that drain."
);

static const struct fl_aio_named protocol_coroutines[] = {
    {"_drain_helper", &fl_stream_drain_call},
    {NULL, NULL},
};

/* ---- attributes ---- */

static PyObject *
get_closed(PyObject *op, void *Py_UNUSED(closure))
{
    StreamProtocolObject *self = protocol_of(op);
    const struct fl_state *state = self->base.state;
    if (self->closed == NULL && self->over_ssl != NULL && self->base.loop != NULL) {
        PyObject *loop = Py_NewRef(self->base.loop);
        PyObject *future = fl_aio_new_future(state, loop); /* escapes */
        Py_DECREF(loop);
        if (future == NULL ||
            (self->ended && fl_aio_set_result(state, future, Py_None) < 0)) {
            Py_XDECREF(future); /* escaped */
            return NULL;
        }
        if (self->closed == NULL) {
            self->closed = future;
        }
        else {
            Py_DECREF(future);
        }
    }
    if (self->closed == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_closed");
        return NULL;
    }
    return Py_NewRef(self->closed);
}

static int
set_closed(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    StreamProtocolObject *self = protocol_of(op);
    Py_XSETREF(self->closed, Py_XNewRef(value)); /* escapes */
    return 0;
}

PyDoc_STRVAR(
    get_close_waiter_doc, "_get_close_waiter($self, /, stream)\n--\n\n"
                          "Return what is done when the connection has ended."
);

static PyObject *
protocol_get_close_waiter(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    const struct fl_state *state = protocol_of(op)->base.state;
    if (n_args != 1 || kwnames != NULL) {
        return fl_aio_stock(
            stock_of(protocol_of(op)), state->str__get_close_waiter, op, args, n_args,
            kwnames
        );
    }
    return PyObject_GetAttr(op, state->str__closed);
}

/* ---- its end ---- */

/* Takes note of the future's exception, so that nobody reports it. escapes. 0 or -1. */
static int
retrieve(const struct fl_state *state, PyObject *closed)
{
    int done = fl_aio_is_done(state, closed);
    int cancelled = done > 0 ? fl_aio_is_cancelled(state, closed) : 1;
    PyObject *exc = NULL;
    if (done < 0 || cancelled != 0) {
        return done < 0 || cancelled < 0 ? -1 : 0;
    }
    int status = fl_aio_exception(state, closed, &exc);
    Py_XDECREF(exc);
    return status;
}

static void
protocol_finalize(PyObject *op)
{
    const StreamProtocolObject *self = protocol_of(op);
    if (self->closed == NULL) {
        return;
    }
    PyObject *raised = fl_error_take();
    PyObject *closed = Py_NewRef(self->closed);
    if (retrieve(self->base.state, closed) < 0) { /* escapes */
        PyErr_WriteUnraisable(op);
    }
    Py_DECREF(closed);
    fl_error_restore(raised);
}

/* ---- the type ---- */

/* The reference to the reader, and where it was made. escapes. 0 or -1. */
static int
use_reader(StreamProtocolObject *self, PyObject *reader)
{
    const struct fl_state *state = self->base.state;
    if (reader == Py_None) {
        set_none(&self->reader_wr);
        return 0;
    }
    PyObject *reference = PyWeakref_NewRef(reader, NULL);
    if (reference == NULL) {
        return -1;
    }
    Py_XSETREF(self->reader_wr, reference); /* escapes */
    PyObject *source = PyObject_GetAttr(reader, state->str__source_traceback);
    if (source == NULL) { /* escapes */
        return -1;
    }
    int status = 0;
    if (source != Py_None) { /* as the class has it */
        status = PyObject_SetAttr(
            (PyObject *)(void *)self, state->str__source_traceback, source
        );
    }
    Py_DECREF(source); /* escapes */
    return status;
}

static int
protocol_init(PyObject *op, PyObject *args, PyObject *kwds)
{
    static char *names[] = {"stream_reader", "client_connected_cb", "loop", NULL};
    StreamProtocolObject *self = protocol_of(op);
    const struct fl_state *state = self->base.state;
    PyObject *reader, *callback = Py_None, *loop = Py_None;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwds, "O|OO", names, &reader, &callback, &loop
        )) {
        PyErr_Clear();
        return fl_aio_stock_init(stock_of(self), op, args, kwds);
    }
    if (!Py_IS_TYPE(op, state->stream_protocol_type) || !fl_aio_is_plain(&self->base) ||
        loop == Py_None || self->closed != NULL || fl_loop_of(loop) == NULL ||
        fl_loop_of(loop)->debug) {
        return fl_aio_stock_init(stock_of(self), op, args, kwds);
    }
    Py_XSETREF(self->base.loop, Py_NewRef(loop)); /* escapes */
    Py_XSETREF(self->paused, Py_NewRef(Py_False));
    Py_CLEAR(self->drain_waiters);
    Py_XSETREF(self->lost, Py_NewRef(Py_False));
    if (use_reader(self, reader) < 0) { /* escapes */
        return -1;
    }
    if (callback != Py_None) {
        Py_XSETREF(self->strong_reader, Py_NewRef(reader)); /* escapes */
    }
    Py_XSETREF(self->reject, Py_NewRef(Py_False));
    if (state->aio.protocol_has_writer) {
        set_none(&self->writer);
    }
    set_none(&self->task);
    set_none(&self->transport);
    Py_XSETREF(self->connected_cb, Py_NewRef(callback)); /* escapes */
    Py_XSETREF(self->over_ssl, Py_NewRef(Py_False));
    return 0;
}

static PyObject *
protocol_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    return fl_aio_new(type, FL_AIO_stream_protocol);
}

static PyMethodDef protocol_methods[] = {
    {"connection_made", FL_FASTCALL(fl_stream_connection_made),
     METH_FASTCALL | METH_KEYWORDS, connection_made_doc},
    {"connection_lost", FL_FASTCALL(protocol_connection_lost),
     METH_FASTCALL | METH_KEYWORDS, connection_lost_doc},
    {"data_received", FL_FASTCALL(protocol_data_received),
     METH_FASTCALL | METH_KEYWORDS, data_received_doc},
    {"eof_received", protocol_eof_received, METH_NOARGS, eof_received_doc},
    {"pause_writing", fl_stream_pause_writing, METH_NOARGS, pause_writing_doc},
    {"resume_writing", fl_stream_resume_writing, METH_NOARGS, resume_writing_doc},
    {"_get_close_waiter", FL_FASTCALL(protocol_get_close_waiter),
     METH_FASTCALL | METH_KEYWORDS, get_close_waiter_doc},
    FL_AIO_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef protocol_getset[] = {
    FL_AIO_DEQUE("_drain_waiters", StreamProtocolObject, drain_waiters),
    {"_closed", get_closed, set_closed, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef protocol_members[] = {
    FL_AIO_MEMBER("_loop", StreamProtocolObject, base.loop),
    FL_AIO_MEMBER("_paused", StreamProtocolObject, paused),
    FL_AIO_MEMBER("_connection_lost", StreamProtocolObject, lost),
    FL_AIO_MEMBER("_stream_reader_wr", StreamProtocolObject, reader_wr),
    FL_AIO_MEMBER("_strong_reader", StreamProtocolObject, strong_reader),
    FL_AIO_MEMBER("_reject_connection", StreamProtocolObject, reject),
    FL_AIO_MEMBER("_stream_writer", StreamProtocolObject, writer),
    FL_AIO_MEMBER("_task", StreamProtocolObject, task),
    FL_AIO_MEMBER("_transport", StreamProtocolObject, transport),
    FL_AIO_MEMBER("_client_connected_cb", StreamProtocolObject, connected_cb),
    FL_AIO_MEMBER("_over_ssl", StreamProtocolObject, over_ssl),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "drain_waiters", StreamProtocolObject, drain_waiters),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "closed", StreamProtocolObject, closed),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    protocol_doc,
    "StreamReaderProtocol(stream_reader, client_connected_cb=None, loop=None)\n--\n\n"
    "What gives a reader what a transport receives:\n"
    "asyncio.StreamReaderProtocol, which it derives from, in C.\n\n"
    "client_connected_cb: called with a reader and a writer; a coroutine that it\n"
    "    returns is run as a task."
);

static PyType_Slot protocol_slots[] = {
    {Py_tp_doc, (void *)protocol_doc},
    {Py_tp_new, protocol_new},
    {Py_tp_init, protocol_init},
    {Py_tp_finalize, protocol_finalize},
    {Py_tp_setattro, fl_aio_setattro},
    {Py_tp_methods, protocol_methods},
    {Py_tp_getset, protocol_getset},
    {Py_tp_members, protocol_members},
    {0, NULL},
};

static PyType_Spec protocol_spec = {
    .name = "fastloop.aio.StreamReaderProtocol",
    .basicsize = sizeof(StreamProtocolObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = protocol_slots,
};

int
fl_stream_protocol_add_type(PyObject *module, struct fl_state *state)
{
    const struct fl_aio_class description = {
        .kind = FL_AIO_stream_protocol,
        .spec = &protocol_spec,
        .type = &state->stream_protocol_type,
        .bases = state->asyncio_StreamReaderProtocol,
        .stock = state->asyncio_StreamReaderProtocol,
        .coroutines = protocol_coroutines,
    };
    if (fl_stream_connect_find(state) < 0 ||
        fl_aio_add_class(module, state, &description) < 0) {
        return -1;
    }
    state->net.fed_types[1] = state->stream_protocol_type;
    return 0;
}
