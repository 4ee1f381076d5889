/* StreamWriter: asyncio's in C.
 *
 * Its methods pass on to the transport. drain() with room asks the reader, the
 * transport and the protocol, and makes no coroutine of the protocol's. start_tls(),
 * its repr and its finalizer are asyncio's own, on the same attributes.
 */
#include "aio/stream/stream_writer.h"

#include "aio/call.h"
#include "aio/futures.h"
#include "aio/stream/stream_feed.h"
#include "aio/stream/stream_protocol.h"
#include "aio/stream/stream_reader.h"

static StreamWriterObject *
writer_of(PyObject *op)
{
    return (StreamWriterObject *)(void *)op;
}

static bool
is_plain(StreamWriterObject *self)
{
    return fl_aio_is_plain(&self->base) && self->transport != NULL &&
           self->protocol != NULL && self->reader != NULL && self->base.loop != NULL;
}

static PyObject *
stock_of(const StreamWriterObject *self)
{
    return self->base.state->asyncio_StreamWriter;
}

/* ---- drain ---- */

static void
raise_it(PyObject *exc)
{
    if (PyExceptionInstance_Check(exc)) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    }
    else if (PyExceptionClass_Check(exc)) {
        PyErr_SetNone(exc);
    }
    else {
        PyErr_SetString(PyExc_TypeError, "exceptions must derive from BaseException");
    }
}

/* Raises the reader's exception if it has one. escapes. 0 or -1. */
static int
check_reader(const StreamWriterObject *self)
{
    const struct fl_state *state = self->base.state;
    PyObject *reader = self->reader;
    if (reader == Py_None) {
        return 0;
    }
    if (Py_IS_TYPE(reader, state->stream_reader_type) &&
        fl_stream_reader_looks_usual(fl_stream_reader(reader)) &&
        fl_stream_reader(reader)->exception == Py_None) {
        return 0; /* fast: no call */
    }
    Py_INCREF(reader);
    PyObject *exc = PyObject_CallMethodNoArgs(reader, state->str_exception);
    Py_DECREF(reader); /* escapes */
    if (exc == NULL) {
        return -1;
    }
    if (exc != Py_None) {
        raise_it(exc);
    }
    int status = exc == Py_None ? 0 : -1;
    Py_DECREF(exc);
    return status;
}

/* 1 if the attribute is False, 0 or -1. escapes. */
static int
is_false(PyObject *op, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(op, name);
    if (value == NULL) {
        return -1;
    }
    bool is_false = value == Py_False;
    Py_DECREF(value);
    return is_false;
}

/* Whether asyncio's own _drain_helper() of protocol, or ours, would return at once: 1,
 * 0 or -1. escapes. */
static int
has_room(const struct fl_state *state, PyObject *protocol)
{
    if (Py_IS_TYPE(protocol, state->stream_protocol_type)) { /* fast: no look-up */
        StreamProtocolObject *own = fl_stream_protocol(protocol);
        return fl_stream_protocol_is_plain(own) && fl_stream_protocol_has_room(own);
    }
    int answer = fl_stream_has_method(
        protocol, state->str__drain_helper, state->aio.stock_drain_helper
    );
    if (answer > 0) {
        answer = is_false(protocol, state->str__connection_lost);
    }
    return answer > 0 ? is_false(protocol, state->str__paused) : answer;
}

/* await self._protocol._drain_helper(), the last step. */
static PySendResult
wait_for_room(AioCallObject *call, PyObject **result)
{
    StreamWriterObject *self = writer_of(call->args[0]);
    const struct fl_state *state = self->base.state;
    PyObject *protocol = fl_or_none(self->protocol);
    int room = has_room(state, protocol); /* escapes */
    PyObject *coro =
        room != 0 ? NULL
                  : PyObject_CallMethodNoArgs(protocol, state->str__drain_helper);
    Py_DECREF(protocol); /* escapes */
    if (room > 0) {
        *result = Py_NewRef(Py_None);
        return PYGEN_RETURN;
    }
    return fl_aio_wait(call, coro, result);
}

static PySendResult
drain_start(AioCallObject *call, PyObject **result)
{
    StreamWriterObject *self = writer_of(call->args[0]);
    if (!is_plain(self)) {
        return fl_aio_delegate(call, result);
    }
    if (check_reader(self) < 0) { /* escapes */
        return PYGEN_ERROR;
    }
    PyObject *transport = fl_or_none(self->transport);
    int closing = fl_call_truth(
        PyObject_CallMethodNoArgs(transport, self->base.state->str_is_closing)
    ); /* escapes */
    Py_DECREF(transport);
    if (closing != 0) {
        return closing < 0 ? PYGEN_ERROR : fl_aio_yield(call, result);
    }
    return wait_for_room(call, result);
}

static PySendResult
drain_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    if (future == NULL) { /* a turn has passed */
        return wait_for_room(call, result);
    }
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

/* ---- wait_closed ---- */

static PySendResult
closed_start(AioCallObject *call, PyObject **result)
{
    PyObject *op = call->args[0];
    StreamWriterObject *self = writer_of(op);
    if (!is_plain(self)) {
        return fl_aio_delegate(call, result);
    }
    PyObject *protocol = Py_NewRef(self->protocol);
    PyObject *waiter = PyObject_CallMethodOneArg(
        protocol, self->base.state->str__get_close_waiter, op
    ); /* escapes */
    Py_DECREF(protocol);
    return fl_aio_wait(call, waiter, result);
}

static PySendResult
closed_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    (void)call;
    (void)future;
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

#define WRITER_TYPE offsetof(struct fl_state, stream_writer_type)

static const struct fl_aio_call drain_call = {
    WRITER_TYPE, 1, 1, drain_start, drain_after
};
static const struct fl_aio_call closed_call = {
    WRITER_TYPE, 1, 1, closed_start, closed_after
};

static const struct fl_aio_named writer_coroutines[] = {
    {"drain", &drain_call},
    {"wait_closed", &closed_call},
    {NULL, NULL},
};

/* ---- methods ---- */

/* The transport's method of that name: the call as it is, or asyncio's own if it has
 * not this many arguments. escapes. */
static PyObject *
pass_on(
    PyObject *op, PyObject *name, Py_ssize_t n_wanted, PyObject *const *args,
    Py_ssize_t n_args, PyObject *kwnames
)
{
    StreamWriterObject *self = writer_of(op);
    if (n_args != n_wanted || kwnames != NULL || !is_plain(self)) {
        return fl_aio_stock(stock_of(self), name, op, args, n_args, kwnames);
    }
    PyObject *stack[3] = {Py_NewRef(self->transport), NULL, NULL};
    for (Py_ssize_t i = 0; i < n_args; i++) {
        stack[1 + i] = args[i];
    }
    PyObject *result =
        PyObject_VectorcallMethod(name, stack, 1 + (size_t)n_args, NULL); /* escapes */
    Py_DECREF(stack[0]);
    return result;
}

/* The same, and None, whatever it returned. escapes. */
static PyObject *
pass_on_to_none(
    PyObject *op, PyObject *name, PyObject *const *args, Py_ssize_t n_args,
    PyObject *kwnames
)
{
    PyObject *result = pass_on(op, name, 1, args, n_args, kwnames);
    if (result != NULL) {
        Py_SETREF(result, Py_NewRef(Py_None));
    }
    return result;
}

PyDoc_STRVAR(
    write_doc, "write($self, /, data)\n--\n\n"
               "Send data, or keep what there is no room for.\n\n"
               "data: what the transport's write() takes."
);

static PyObject *
writer_write(PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames)
{
    PyObject *name = writer_of(op)->base.state->str_write;
    return pass_on_to_none(op, name, args, n_args, kwnames);
}

PyDoc_STRVAR(
    writelines_doc, "writelines($self, /, data)\n--\n\n"
                    "Send several pieces of data.\n\n"
                    "data: what the transport's writelines() takes."
);

static PyObject *
writer_writelines(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    PyObject *name = writer_of(op)->base.state->str_writelines;
    return pass_on_to_none(op, name, args, n_args, kwnames);
}

PyDoc_STRVAR(
    write_eof_doc, "write_eof($self, /)\n--\n\n"
                   "Close the sending direction once all is sent."
);

static PyObject *
writer_write_eof(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return pass_on(op, writer_of(op)->base.state->str_write_eof, 0, NULL, 0, NULL);
}

PyDoc_STRVAR(
    can_write_eof_doc, "can_write_eof($self, /)\n--\n\n"
                       "Return True if the transport has write_eof()."
);

static PyObject *
writer_can_write_eof(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return pass_on(op, writer_of(op)->base.state->str_can_write_eof, 0, NULL, 0, NULL);
}

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\nClose the transport.");

static PyObject *
writer_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return pass_on(op, writer_of(op)->base.state->str_close, 0, NULL, 0, NULL);
}

PyDoc_STRVAR(
    is_closing_doc, "is_closing($self, /)\n--\n\n"
                    "Return True if the transport is closing or closed."
);

static PyObject *
writer_is_closing(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return pass_on(op, writer_of(op)->base.state->str_is_closing, 0, NULL, 0, NULL);
}

PyDoc_STRVAR(
    get_extra_info_doc, "get_extra_info($self, /, name, default=None)\n--\n\n"
                        "Return what the transport knows under that name, or default."
);

static PyObject *
writer_get_extra_info(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    PyObject *name = writer_of(op)->base.state->str_get_extra_info;
    if (n_args == 1 && kwnames == NULL) {
        PyObject *stack[2] = {args[0], Py_None};
        return pass_on(op, name, 2, stack, 2, NULL);
    }
    return pass_on(op, name, 2, args, n_args, kwnames);
}

/* ---- attributes ---- */

static PyObject *
get_transport(PyObject *op, void *Py_UNUSED(closure))
{
    const StreamWriterObject *self = writer_of(op);
    return PyObject_GetAttr(op, self->base.state->str__transport);
}

/* In the words of asyncio's property. */
static int
refuse_transport(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    PyErr_Format(
        PyExc_AttributeError, "property 'transport' of '%s' object has no %s",
        fl_type_short_name(Py_TYPE(op)), value == NULL ? "deleter" : "setter"
    );
    return -1;
}

static PyObject *
get_complete(PyObject *op, void *Py_UNUSED(closure))
{
    StreamWriterObject *self = writer_of(op);
    const struct fl_state *state = self->base.state;
    if (self->complete == NULL && self->base.loop != NULL) {
        PyObject *loop = Py_NewRef(self->base.loop);
        PyObject *future = fl_aio_new_future(state, loop); /* escapes */
        Py_DECREF(loop);
        if (future == NULL || fl_aio_set_result(state, future, Py_None) < 0) {
            Py_XDECREF(future);
            return NULL;
        }
        Py_XSETREF(self->complete, future);
    }
    if (self->complete == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_complete_fut");
        return NULL;
    }
    return Py_NewRef(self->complete);
}

static int
set_complete(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    StreamWriterObject *self = writer_of(op);
    Py_XSETREF(self->complete, Py_XNewRef(value)); /* escapes */
    return 0;
}

/* ---- the type ---- */

static int
writer_init(PyObject *op, PyObject *args, PyObject *kwds)
{
    static char *names[] = {"transport", "protocol", "reader", "loop", NULL};
    StreamWriterObject *self = writer_of(op);
    const struct fl_state *state = self->base.state;
    PyObject *transport, *protocol, *reader, *loop;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwds, "OOOO", names, &transport, &protocol, &reader, &loop
        )) {
        PyErr_Clear();
        return fl_aio_stock_init(stock_of(self), op, args, kwds);
    }
    if (!fl_aio_is_plain(&self->base) || loop == Py_None ||
        (reader != Py_None &&
         !PyObject_TypeCheck(reader, (PyTypeObject *)state->asyncio_StreamReader))) {
        return fl_aio_stock_init(stock_of(self), op, args, kwds);
    }
    Py_XSETREF(self->transport, Py_NewRef(transport)); /* escapes */
    Py_XSETREF(self->protocol, Py_NewRef(protocol));
    Py_XSETREF(self->reader, Py_NewRef(reader));
    Py_XSETREF(self->base.loop, Py_NewRef(loop));
    Py_CLEAR(self->complete);
    return 0;
}

static PyObject *
writer_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    return fl_aio_new(type, FL_AIO_stream_writer);
}

static PyMethodDef writer_methods[] = {
    {"write", FL_FASTCALL(writer_write), METH_FASTCALL | METH_KEYWORDS, write_doc},
    {"writelines", FL_FASTCALL(writer_writelines), METH_FASTCALL | METH_KEYWORDS,
     writelines_doc},
    {"write_eof", writer_write_eof, METH_NOARGS, write_eof_doc},
    {"can_write_eof", writer_can_write_eof, METH_NOARGS, can_write_eof_doc},
    {"close", writer_close, METH_NOARGS, close_doc},
    {"is_closing", writer_is_closing, METH_NOARGS, is_closing_doc},
    {"get_extra_info", FL_FASTCALL(writer_get_extra_info),
     METH_FASTCALL | METH_KEYWORDS, get_extra_info_doc},
    FL_AIO_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef writer_getset[] = {
    {"transport", get_transport, refuse_transport, NULL, NULL},
    {"_complete_fut", get_complete, set_complete, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef writer_members[] = {
    FL_AIO_MEMBER("_loop", StreamWriterObject, base.loop),
    FL_AIO_MEMBER("_transport", StreamWriterObject, transport),
    FL_AIO_MEMBER("_protocol", StreamWriterObject, protocol),
    FL_AIO_MEMBER("_reader", StreamWriterObject, reader),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "complete", StreamWriterObject, complete),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    writer_doc, "StreamWriter(transport, protocol, reader, loop)\n--\n\n"
                "A transport to write to, and to wait for room in:\n"
                "asyncio.StreamWriter, which it derives from, in C.\n\n"
                "reader: whose exception drain() raises; a StreamReader or None."
);

static PyType_Slot writer_slots[] = {
    {Py_tp_doc, (void *)writer_doc}, {Py_tp_new, writer_new},
    {Py_tp_init, writer_init},       {Py_tp_setattro, fl_aio_setattro},
    {Py_tp_methods, writer_methods}, {Py_tp_getset, writer_getset},
    {Py_tp_members, writer_members}, {0, NULL},
};

static PyType_Spec writer_spec = {
    .name = "fastloop.aio.StreamWriter",
    .basicsize = sizeof(StreamWriterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = writer_slots,
};

int
fl_stream_writer_add_type(PyObject *module, struct fl_state *state)
{
    const struct fl_aio_class description = {
        .kind = FL_AIO_stream_writer,
        .spec = &writer_spec,
        .type = &state->stream_writer_type,
        .bases = state->asyncio_StreamWriter,
        .stock = state->asyncio_StreamWriter,
        .coroutines = writer_coroutines,
    };
    PyObject *helper = _PyType_Lookup(
        (PyTypeObject *)state->asyncio_StreamReaderProtocol, state->str__drain_helper
    );
    state->aio.stock_drain_helper = fl_or_none(helper);
    return fl_aio_add_class(module, state, &description);
}
