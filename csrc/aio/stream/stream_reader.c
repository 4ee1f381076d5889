/* StreamReader: asyncio's in C.
 *
 * What it is fed, and what it is asked; stream_read.c reads. Its repr, set_transport()
 * and what subclasses override are asyncio's own, on the same attributes.
 */
#include "aio/stream/stream_reader.h"

#include "aio/futures.h"
#include "py/args/args.h"
#include "py/bytearray.h"

static StreamReaderObject *
reader_of(PyObject *op)
{
    return fl_stream_reader(op);
}

/* ---- the plain case ---- */

bool
fl_stream_is_size(PyObject *value, Py_ssize_t *size)
{
    int overflow;
    return fl_plain_int(value, size, &overflow);
}

bool
fl_stream_reader_goes_on(StreamReaderObject *self, Py_ssize_t *limit)
{
    return fl_stream_reader_is_usual(self) && fl_stream_is_size(self->limit, limit);
}

bool
fl_stream_reader_is_plain(StreamReaderObject *self, Py_ssize_t *limit)
{
    return fl_stream_reader_goes_on(self, limit) &&
           (self->buffer == NULL || !fl_bytearray_is_viewed(self->buffer));
}

static PyObject *
stock_of(const StreamReaderObject *self)
{
    return self->base.state->asyncio_StreamReader;
}

static int
need_buffer(StreamReaderObject *self)
{
    if (self->buffer == NULL) {
        self->buffer = PyByteArray_FromStringAndSize(NULL, 0);
    }
    return self->buffer == NULL ? -1 : 0;
}

/* ---- the chunk ---- */

/* What a read() takes less of at once is received together, and copied. */
#define LEAST_WANTED ((Py_ssize_t)64 * 1024)

int
fl_stream_reader_unpack(StreamReaderObject *self)
{
    PyObject *chunk = self->chunk;
    if (need_buffer(self) < 0) {
        return -1;
    }
    if (chunk != NULL &&
        fl_bytearray_append(
            self->buffer, PyBytes_AS_STRING(chunk), PyBytes_GET_SIZE(chunk)
        ) < 0) {
        return -1;
    }
    Py_CLEAR(self->chunk);
    return 0;
}

bool
fl_stream_reader_try_unpack(StreamReaderObject *self)
{
    if (fl_stream_reader_unpack(self) < 0) {
        PyErr_Clear(); /* MemoryError */
        return false;
    }
    return true;
}

Py_ssize_t
fl_stream_reader_wanted(StreamReaderObject *self)
{
    if (self->wanted < LEAST_WANTED || self->chunk != NULL ||
        !fl_stream_reader_looks_usual(self) || self->waiter == Py_None ||
        self->eof == Py_True) {
        return 0;
    }
    bool may_be_seen = self->buffer != NULL &&
                       (Py_SIZE(self->buffer) > 0 || Py_REFCNT(self->buffer) > 1);
    return may_be_seen ? 0 : self->wanted;
}

PyObject *
fl_stream_reader_take_chunk(StreamReaderObject *self, Py_ssize_t n)
{
    PyObject *chunk = self->chunk;
    Py_ssize_t limit;
    if (chunk == NULL || PyBytes_GET_SIZE(chunk) > n ||
        !fl_stream_reader_looks_usual(self) ||
        !fl_stream_is_size(self->limit, &limit)) {
        return NULL;
    }
    self->chunk = NULL;
    if (self->paused != Py_False &&
        fl_stream_reader_maybe_resume(self) < 0) { /* escapes */
        Py_CLEAR(chunk);
    }
    return chunk;
}

/* ---- being fed ---- */

/* Takes the waiter out that is to be told: new; NULL if there is none, or if it was
 * cancelled, or with an exception. escapes. */
static PyObject *
take_waiter(StreamReaderObject *self)
{
    PyObject *waiter = self->waiter;
    if (waiter == Py_None) {
        return NULL;
    }
    self->waiter = Py_NewRef(Py_None);
    if (fl_aio_is_cancelled(self->base.state, waiter) != 0) { /* escapes */
        Py_CLEAR(waiter);
    }
    return waiter;
}

/* _wakeup_waiter(). escapes. 0 or -1. */
static int
wake_up(StreamReaderObject *self)
{
    PyObject *waiter = take_waiter(self); /* escapes */
    if (waiter == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    int status = fl_aio_set_result(self->base.state, waiter, Py_None); /* escapes */
    Py_DECREF(waiter);
    return status;
}

static void
set_paused(StreamReaderObject *self, PyObject *paused)
{
    Py_XSETREF(self->paused, Py_NewRef(paused)); /* escapes if it was odd */
}

/* Has the transport read no more. escapes. 0 or -1. */
static int
pause_transport(StreamReaderObject *self)
{
    PyObject *transport = Py_NewRef(self->transport);
    PyObject *done =
        PyObject_CallMethodNoArgs(transport, self->base.state->str_pause_reading);
    Py_DECREF(transport); /* escapes */
    if (done != NULL) {
        Py_DECREF(done);
        set_paused(self, Py_True);
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_NotImplementedError)) {
        return -1;
    }
    PyErr_Clear();
    Py_XSETREF(self->transport, Py_NewRef(Py_None));
    return 0;
}

int
fl_stream_reader_resume(StreamReaderObject *self)
{
    set_paused(self, Py_False);
    PyObject *transport = Py_NewRef(self->transport);
    PyObject *done =
        PyObject_CallMethodNoArgs(transport, self->base.state->str_resume_reading);
    Py_DECREF(transport); /* escapes */
    return fl_call_status(done);
}

int
fl_stream_reader_maybe_resume(StreamReaderObject *self)
{
    Py_ssize_t limit;
    if (!fl_stream_reader_goes_on(self, &limit)) {
        return fl_call_status(PyObject_CallMethodNoArgs(
            (PyObject *)(void *)self, self->base.state->str__maybe_resume_transport
        )); /* escapes */
    }
    if (self->paused == Py_False || fl_stream_reader_size(self) > limit) {
        return 0;
    }
    return fl_stream_reader_resume(self);
}

/* Whether it has more than twice its limit. */
static bool
is_over(const StreamReaderObject *self, Py_ssize_t limit)
{
    return limit < 0 || (size_t)fl_stream_reader_size(self) > 2 * (size_t)limit;
}

int
fl_stream_reader_feed(StreamReaderObject *self, const char *data, Py_ssize_t size)
{
    if (need_buffer(self) < 0 || fl_bytearray_append(self->buffer, data, size) < 0 ||
        wake_up(self) < 0) { /* escapes */
        return -1;
    }
    Py_ssize_t limit;
    if (self->transport == Py_None || !fl_stream_reader_goes_on(self, &limit) ||
        self->paused == Py_True || !is_over(self, limit)) {
        return 0;
    }
    return pause_transport(self);
}

int
fl_stream_reader_give(StreamReaderObject *self, PyObject *bytes)
{
    Py_ssize_t size = PyBytes_GET_SIZE(bytes);
    Py_ssize_t limit;
    if (size <= fl_stream_reader_wanted(self) &&
        fl_stream_is_size(self->limit, &limit) && limit > size / 2) {
        self->chunk = Py_NewRef(bytes);
        return wake_up(self); /* escapes */
    }
    return fl_stream_reader_feed(self, PyBytes_AS_STRING(bytes), size);
}

/* ---- methods ---- */

PyDoc_STRVAR(
    feed_data_doc, "feed_data($self, /, data)\n--\n\n"
                   "Put bytes in, which those that read take out.\n\n"
                   "data: any object with bytes; none may come after feed_eof()."
);

static PyObject *
reader_feed_data(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    StreamReaderObject *self = reader_of(op);
    Py_ssize_t limit;
    if (n_args != 1 || kwnames != NULL || !PyBytes_CheckExact(args[0]) ||
        !fl_stream_reader_is_plain(self, &limit) || self->eof == Py_True) {
        return fl_aio_stock(
            stock_of(self), self->base.state->str_feed_data, op, args, n_args, kwnames
        );
    }
    Py_ssize_t size = PyBytes_GET_SIZE(args[0]);
    if (size > 0 && fl_stream_reader_feed(self, PyBytes_AS_STRING(args[0]), size) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    feed_eof_doc, "feed_eof($self, /)\n--\n\nSay that no more bytes will come."
);

static PyObject *
reader_feed_eof(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamReaderObject *self = reader_of(op);
    Py_ssize_t limit;
    if (!fl_stream_reader_is_plain(self, &limit)) {
        return fl_aio_stock_noargs(stock_of(self), self->base.state->str_feed_eof, op);
    }
    Py_XSETREF(self->eof, Py_NewRef(Py_True));
    return wake_up(self) < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(
    at_eof_doc, "at_eof($self, /)\n--\n\n"
                "Return True if all bytes were taken out and no more will come."
);

static PyObject *
reader_at_eof(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamReaderObject *self = reader_of(op);
    Py_ssize_t limit;
    if (!fl_stream_reader_is_plain(self, &limit)) {
        return fl_aio_stock_noargs(stock_of(self), self->base.state->str_at_eof, op);
    }
    return PyBool_FromLong(self->eof == Py_True && fl_stream_reader_size(self) == 0);
}

PyDoc_STRVAR(
    exception_doc, "exception($self, /)\n--\n\n"
                   "Return the exception that was set, or None."
);

static PyObject *
reader_exception(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamReaderObject *self = reader_of(op);
    Py_ssize_t limit;
    if (!fl_stream_reader_is_plain(self, &limit)) {
        return fl_aio_stock_noargs(stock_of(self), self->base.state->str_exception, op);
    }
    return Py_NewRef(self->exception);
}

PyDoc_STRVAR(
    set_exception_doc, "set_exception($self, /, exc)\n--\n\n"
                       "Have those that read raise an exception, now and later."
);

static PyObject *
reader_set_exception(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    StreamReaderObject *self = reader_of(op);
    const struct fl_state *state = self->base.state;
    Py_ssize_t limit;
    if (n_args != 1 || kwnames != NULL || !fl_stream_reader_is_plain(self, &limit)) {
        return fl_aio_stock(
            stock_of(self), state->str_set_exception, op, args, n_args, kwnames
        );
    }
    Py_XSETREF(self->exception, Py_NewRef(args[0])); /* escapes */
    PyObject *waiter = take_waiter(self);            /* escapes */
    if (waiter == NULL) {
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    }
    int status = fl_aio_set_exception(state, waiter, args[0]); /* escapes */
    Py_DECREF(waiter);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

PyDoc_STRVAR(aiter_doc, "__aiter__($self, /)\n--\n\nReturn it, to give line by line.");

static PyObject *
reader_aiter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(op);
}

/* ---- the type ---- */

/* The arguments of StreamReader(limit, loop): false if they are odd. */
static bool
take_arguments(PyObject *args, PyObject *kwds, PyObject **limit, PyObject **loop)
{
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    *limit = n > 0 ? PyTuple_GET_ITEM(args, 0) : NULL;
    *loop = n > 1 ? PyTuple_GET_ITEM(args, 1) : NULL;
    Py_ssize_t place = 0;
    PyObject *name, *value;
    while (kwds != NULL && PyDict_Next(kwds, &place, &name, &value)) {
        bool is_loop = PyUnicode_CompareWithASCIIString(name, "loop") == 0;
        PyObject **argument = is_loop ? loop : limit;
        if (*argument != NULL ||
            (!is_loop && PyUnicode_CompareWithASCIIString(name, "limit") != 0)) {
            return false;
        }
        *argument = value;
    }
    return n <= 2;
}

/* As asyncio keeps it in debug mode: of who makes it. escapes. 0 or -1. */
static int
note_source(StreamReaderObject *self)
{
    const struct fl_state *state = self->base.state;
    PyObject *frame = (PyObject *)PyEval_GetFrame();
    PyObject *stack =
        PyObject_CallOneArg(state->extract_stack, frame != NULL ? frame : Py_None);
    if (stack == NULL) {
        return -1;
    }
    int status =
        PyObject_SetAttr((PyObject *)(void *)self, state->str__source_traceback, stack);
    Py_DECREF(stack);
    return status;
}

static int
reader_init(PyObject *op, PyObject *args, PyObject *kwds)
{
    StreamReaderObject *self = reader_of(op);
    struct fl_state *state = self->base.state;
    PyObject *limit, *loop;
    Py_ssize_t number;
    if (!take_arguments(args, kwds, &limit, &loop) || loop == NULL || loop == Py_None ||
        !fl_aio_is_plain(&self->base) ||
        (limit != NULL && (!fl_stream_is_size(limit, &number) || number <= 0))) {
        return fl_aio_stock_init(state->asyncio_StreamReader, op, args, kwds);
    }
    if (limit == NULL) {
        limit = state->aio.stream_limit;
    }
    Py_XSETREF(self->limit, Py_NewRef(limit));
    Py_XSETREF(self->base.loop, Py_NewRef(loop)); /* escapes */
    Py_CLEAR(self->buffer);
    Py_CLEAR(self->chunk);
    Py_XSETREF(self->eof, Py_NewRef(Py_False));
    Py_XSETREF(self->waiter, Py_NewRef(Py_None));
    Py_XSETREF(self->exception, Py_NewRef(Py_None));
    Py_XSETREF(self->transport, Py_NewRef(Py_None));
    Py_XSETREF(self->paused, Py_NewRef(Py_False));
    int debug = fl_call_truth(PyObject_CallMethodNoArgs(loop, state->str_get_debug));
    if (debug > 0) {
        return note_source(self); /* escapes */
    }
    return debug;
}

static PyObject *
reader_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    return fl_aio_new(type, FL_AIO_stream_reader);
}

static PyObject *
get_buffer(PyObject *op, void *Py_UNUSED(closure))
{
    StreamReaderObject *self = reader_of(op);
    if (self->limit == NULL) { /* not initialised */
        PyErr_SetString(PyExc_AttributeError, "_buffer");
        return NULL;
    }
    return fl_stream_reader_unpack(self) < 0 ? NULL : Py_NewRef(self->buffer);
}

static int
set_buffer(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    StreamReaderObject *self = reader_of(op);
    Py_CLEAR(self->chunk);
    Py_XSETREF(self->buffer, Py_XNewRef(value)); /* escapes */
    return 0;
}

static PyMethodDef reader_methods[] = {
    {"feed_data", FL_FASTCALL(reader_feed_data), METH_FASTCALL | METH_KEYWORDS,
     feed_data_doc},
    {"feed_eof", reader_feed_eof, METH_NOARGS, feed_eof_doc},
    {"at_eof", reader_at_eof, METH_NOARGS, at_eof_doc},
    {"exception", reader_exception, METH_NOARGS, exception_doc},
    {"set_exception", FL_FASTCALL(reader_set_exception), METH_FASTCALL | METH_KEYWORDS,
     set_exception_doc},
    {"__aiter__", reader_aiter, METH_NOARGS, aiter_doc},
    FL_AIO_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef reader_getset[] = {
    {"_buffer", get_buffer, set_buffer, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef reader_members[] = {
    FL_AIO_MEMBER("_loop", StreamReaderObject, base.loop),
    FL_AIO_MEMBER("_limit", StreamReaderObject, limit),
    FL_AIO_MEMBER("_eof", StreamReaderObject, eof),
    FL_AIO_MEMBER("_waiter", StreamReaderObject, waiter),
    FL_AIO_MEMBER("_exception", StreamReaderObject, exception),
    FL_AIO_MEMBER("_transport", StreamReaderObject, transport),
    FL_AIO_MEMBER("_paused", StreamReaderObject, paused),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "buffer", StreamReaderObject, buffer),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "chunk", StreamReaderObject, chunk),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    reader_doc,
    "StreamReader(limit=65536, loop=None)\n--\n\n"
    "What a stream has received, to be read by tasks: asyncio.StreamReader,\n"
    "which it derives from, in C.\n\n"
    "limit: bytes that a line may have; twice as many pause the transport."
);

static PyType_Slot reader_slots[] = {
    {Py_tp_doc, (void *)reader_doc}, {Py_tp_new, reader_new},
    {Py_tp_init, reader_init},       {Py_tp_setattro, fl_aio_setattro},
    {Py_tp_methods, reader_methods}, {Py_tp_getset, reader_getset},
    {Py_tp_members, reader_members}, {0, NULL},
};

static PyType_Spec reader_spec = {
    .name = "fastloop.aio.StreamReader",
    .basicsize = sizeof(StreamReaderObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = reader_slots,
};

int
fl_stream_reader_add_type(PyObject *module, struct fl_state *state)
{
    const struct fl_aio_class description = {
        .kind = FL_AIO_stream_reader,
        .spec = &reader_spec,
        .type = &state->stream_reader_type,
        .bases = state->asyncio_StreamReader,
        .stock = state->asyncio_StreamReader,
        .coroutines = fl_stream_reads,
    };
    state->aio.stream_limit = PyLong_FromLong(1 << 16);
    return state->aio.stream_limit == NULL
               ? -1
               : fl_aio_add_class(module, state, &description);
}
