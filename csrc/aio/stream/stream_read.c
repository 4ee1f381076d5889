/* Reading from a StreamReader: what all that read do, read() and readexactly(). */
#include "aio/stream/stream_read.h"

#include "aio/futures.h"
#include "py/bytearray.h"

/* A call's `reached` if it waits for a coroutine that reads a block of all. */
#define BY_ANOTHER (-1)

/* ---- waiting ---- */

PyObject *
fl_stream_begin_wait(StreamReaderObject *self, const char *name)
{
    if (self->waiter != Py_None) {
        PyErr_Format(
            PyExc_RuntimeError,
            "%s() called while another coroutine is already waiting for incoming data",
            name
        );
        return NULL;
    }
    if (self->paused == Py_True && fl_stream_reader_resume(self) < 0) { /* escapes */
        return NULL;
    }
    PyObject *loop = Py_NewRef(self->base.loop);
    PyObject *future = fl_aio_new_future(self->base.state, loop); /* escapes */
    Py_DECREF(loop);
    if (future != NULL) {
        Py_XSETREF(self->waiter, Py_NewRef(future));
    }
    return future;
}

void
fl_stream_wait_no_more(StreamReaderObject *self)
{
    self->wanted = 0;
    Py_XSETREF(self->waiter, Py_NewRef(Py_None)); /* escapes */
}

/* ---- what all have in common ---- */

bool
fl_stream_is_readable(StreamReaderObject *self, Py_ssize_t *limit)
{
    return fl_stream_reader_is_plain(self, limit) &&
           (self->exception == Py_None || PyExceptionInstance_Check(self->exception));
}

int
fl_stream_check_exception(const StreamReaderObject *self)
{
    if (self->exception == Py_None) {
        return 0;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(self->exception), self->exception);
    return -1;
}

PyObject *
fl_stream_take(StreamReaderObject *self, Py_ssize_t n)
{
    PyObject *taken = self->buffer == NULL ? PyBytes_FromStringAndSize(NULL, 0)
                                           : fl_bytearray_take(self->buffer, n);
    /* fast: one that is not paused is not looked at again; nothing has escaped */
    if (taken != NULL && self->paused != Py_False &&
        fl_stream_reader_maybe_resume(self) < 0) { /* escapes */
        Py_CLEAR(taken);
    }
    return taken;
}

PyObject *
fl_stream_take_rest(const StreamReaderObject *self)
{
    return self->buffer == NULL
               ? PyBytes_FromStringAndSize(NULL, 0)
               : fl_bytearray_take(self->buffer, fl_stream_reader_size(self));
}

void
fl_stream_raise_incomplete(
    const struct fl_state *state, PyObject *partial, PyObject *expected
)
{
    if (partial == NULL) {
        return;
    }
    PyObject *stack[2] = {partial, expected};
    PyObject *exc = PyObject_Vectorcall(state->IncompleteReadError, stack, 2, NULL);
    Py_DECREF(partial);
    if (exc != NULL) {
        PyErr_SetObject(state->IncompleteReadError, exc);
        Py_DECREF(exc);
    }
}

/* ---- read ---- */

/* All that there is, joined: `blocks`, a bytearray, is in place of the size. */
static PySendResult
end_of_all(const AioCallObject *call, PyObject **result)
{
    PyObject *blocks = call->args[1];
    return fl_stream_answer(fl_bytearray_take(blocks, Py_SIZE(blocks)), result);
}

/* One block more: 1, 0 at the end, or -1. escapes. */
static int
take_block(const AioCallObject *call, Py_ssize_t limit)
{
    StreamReaderObject *self = fl_stream_reader_of(call);
    Py_ssize_t n = Py_MIN(limit, fl_stream_reader_size(self));
    if (self->buffer != NULL && fl_bytearray_is_viewed(self->buffer)) {
        PyObject *block = fl_bytearray_take(self->buffer, n); /* if it lets itself */
        if (fl_call_status(block) < 0) {
            return -1;
        }
    }
    else if (
        n > 0 &&
        (fl_bytearray_append(call->args[1], PyByteArray_AS_STRING(self->buffer), n) <
             0 ||
         fl_bytearray_drop(self->buffer, n) < 0)
    ) {
        return -1;
    }
    return fl_stream_reader_maybe_resume(self) < 0 ? -1 : n > 0;
}

/* The next block is taken by read(self._limit), whatever that is. */
static PySendResult
take_block_by_another(AioCallObject *call, PyObject **result)
{
    PyObject *op = call->args[0];
    const struct fl_state *state = fl_aio_state_of(call);
    PyObject *limit = PyObject_GetAttr(op, state->str__limit);
    if (limit == NULL) { /* escapes */
        return PYGEN_ERROR;
    }
    PyObject *coro = PyObject_CallMethodOneArg(op, state->str_read, limit);
    Py_DECREF(limit); /* escapes */
    call->reached = BY_ANOTHER;
    return fl_aio_wait(call, coro, result);
}

/* woken: a block is taken as it is, the first time; call->reached is its limit. */
static PySendResult
read_all_step(AioCallObject *call, bool woken, PyObject **result)
{
    for (;;) {
        StreamReaderObject *self = fl_stream_reader_of(call);
        Py_ssize_t limit;
        bool goes_on = woken ? fl_stream_reader_goes_on(self, &limit)
                             : fl_stream_is_readable(self, &limit);
        if (!goes_on || (limit <= 0 && !woken)) {
            return take_block_by_another(call, result);
        }
        if (!woken) {
            call->reached = limit;
            if (fl_stream_check_exception(self) < 0) {
                return PYGEN_ERROR;
            }
            if (fl_stream_reader_size(self) == 0 && self->eof == Py_False) {
                return fl_aio_wait(call, fl_stream_begin_wait(self, "read"), result);
            }
        }
        woken = false;
        int more = take_block(call, call->reached); /* escapes */
        if (more <= 0) {
            return more < 0 ? PYGEN_ERROR : end_of_all(call, result);
        }
    }
}

/* What another has taken has been joined to the rest if there was something. */
static PySendResult
after_another(AioCallObject *call, PyObject *block, PyObject **result)
{
    int more = PyObject_IsTrue(block); /* escapes */
    if (more <= 0) {
        return more < 0 ? PYGEN_ERROR : end_of_all(call, result);
    }
    PyObject *joined = PySequence_InPlaceConcat(call->args[1], block);
    if (joined == NULL) {
        return PYGEN_ERROR;
    }
    Py_SETREF(call->args[1], joined);
    return read_all_step(call, false, result);
}

static PySendResult
read_start(AioCallObject *call, PyObject **result)
{
    StreamReaderObject *self = fl_stream_reader_of(call);
    Py_ssize_t n = -1;
    Py_ssize_t limit;
    if ((call->args[1] != NULL && !fl_stream_is_size(call->args[1], &n)) ||
        !fl_stream_is_readable(self, &limit)) {
        return fl_aio_delegate(call, result);
    }
    if (fl_stream_check_exception(self) < 0) {
        return PYGEN_ERROR;
    }
    if (n < 0) {
        PyObject *blocks = PyByteArray_FromStringAndSize(NULL, 0);
        if (blocks == NULL) {
            return PYGEN_ERROR;
        }
        Py_XSETREF(call->args[1], blocks);
        return read_all_step(call, false, result);
    }
    if (n > 0 && fl_stream_reader_size(self) == 0 && self->eof == Py_False) {
        PyObject *future = fl_stream_begin_wait(self, "read"); /* escapes */
        if (future != NULL) {
            self->wanted = n;
        }
        return fl_aio_wait(call, future, result);
    }
    if (n == 0) {
        return fl_stream_answer(PyBytes_FromStringAndSize(NULL, 0), result);
    }
    return fl_stream_answer(
        fl_stream_take(self, Py_MIN(n, fl_stream_reader_size(self))), result
    );
}

static PySendResult
read_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    (void)future;
    StreamReaderObject *self = fl_stream_reader_of(call);
    bool by_another = call->reached == BY_ANOTHER;
    if (!by_another) {
        fl_stream_wait_no_more(self); /* escapes */
    }
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    if (by_another) {
        return after_another(call, value, result);
    }
    if (PyByteArray_CheckExact(call->args[1])) {
        return read_all_step(call, true, result);
    }
    Py_ssize_t n, limit;
    bool is_size = fl_stream_is_size(call->args[1], &n);
    if (is_size && self->chunk != NULL) {
        PyObject *chunk = fl_stream_reader_take_chunk(self, n); /* escapes */
        if (chunk != NULL || PyErr_Occurred()) {
            return fl_stream_answer(chunk, result);
        }
    }
    if (!is_size || !fl_stream_reader_goes_on(self, &limit)) {
        return fl_aio_delegate(call, result);
    }
    return fl_stream_answer(
        fl_stream_take(self, Py_MIN(n, fl_stream_reader_size(self))), result
    );
}

/* ---- readexactly ---- */

static PySendResult
exactly_step(AioCallObject *call, Py_ssize_t n, PyObject **result)
{
    StreamReaderObject *self = fl_stream_reader_of(call);
    if (fl_stream_reader_size(self) >= n) {
        return fl_stream_answer(fl_stream_take(self, n), result);
    }
    if (self->eof == Py_True) {
        fl_stream_raise_incomplete(
            self->base.state, fl_stream_take_rest(self), call->args[1]
        );
        return PYGEN_ERROR;
    }
    return fl_aio_wait(call, fl_stream_begin_wait(self, "readexactly"), result);
}

/* As fl_stream_is_readable, but for the limit: that matters to who is paused only. */
static bool
is_exactly_readable(StreamReaderObject *self)
{
    return fl_stream_reader_is_usual(self) &&
           (self->buffer == NULL || !fl_bytearray_is_viewed(self->buffer)) &&
           (self->exception == Py_None || PyExceptionInstance_Check(self->exception));
}

static PySendResult
exactly_start(AioCallObject *call, PyObject **result)
{
    StreamReaderObject *self = fl_stream_reader_of(call);
    Py_ssize_t n;
    if (!fl_stream_is_size(call->args[1], &n) || !is_exactly_readable(self)) {
        return fl_aio_delegate(call, result);
    }
    if (n < 0) {
        PyErr_SetString(PyExc_ValueError, "readexactly size can not be less than zero");
        return PYGEN_ERROR;
    }
    if (fl_stream_check_exception(self) < 0) {
        return PYGEN_ERROR;
    }
    return n == 0 ? fl_stream_answer(PyBytes_FromStringAndSize(NULL, 0), result)
                  : exactly_step(call, n, result);
}

static PySendResult
exactly_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    (void)future;
    StreamReaderObject *self = fl_stream_reader_of(call);
    fl_stream_wait_no_more(self); /* escapes */
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    Py_ssize_t n, limit;
    if (!fl_stream_is_size(call->args[1], &n) ||
        !fl_stream_reader_goes_on(self, &limit)) {
        return fl_aio_delegate(call, result);
    }
    return exactly_step(call, n, result);
}

static const struct fl_aio_call read_call = {
    FL_STREAM_READER_TYPE, 2, 1, read_start, read_after
};
static const struct fl_aio_call exactly_call = {
    FL_STREAM_READER_TYPE, 2, 2, exactly_start, exactly_after
};

const struct fl_aio_named fl_stream_reads[] = {
    {"read", &read_call},
    {"readexactly", &exactly_call},
    {"readuntil", &fl_stream_until_call},
    {"readline", &fl_stream_line_call},
    {"__anext__", &fl_stream_next_call},
    {NULL, NULL},
};
