/* Reading up to a separator: readuntil(), readline() and `async for`. */
#include "aio/futures.h"
#include "aio/lock/waiters.h"
#include "aio/stream/stream_read.h"
#include "py/bytearray.h"

struct separator {
    const char *bytes;
    Py_ssize_t size;
};

static const struct separator newline = {"\n", 1};

/* Where it is in the buffer, from reached on; -1 if nowhere. */
static Py_ssize_t
find(const StreamReaderObject *self, struct separator separator, Py_ssize_t reached)
{
    const char *bytes = PyByteArray_AS_STRING(self->buffer);
    size_t size = (size_t)(Py_SIZE(self->buffer) - reached);
    const char *found =
        separator.size == 1
            ? memchr(bytes + reached, separator.bytes[0], size)
            : memmem(bytes + reached, size, separator.bytes, (size_t)separator.size);
    return found == NULL ? -1 : found - bytes;
}

/* What a look at the buffer of a plain one says. */
enum look { FAILED = -1, HAS_ENDED, HAS_NONE, HAS_CHUNK };

/* Raises LimitOverrunError(message, consumed). */
static enum look
raise_overrun(const struct fl_state *state, const char *message, Py_ssize_t consumed)
{
    PyObject *exc =
        PyObject_CallFunction(state->LimitOverrunError, "sn", message, consumed);
    if (exc != NULL) {
        PyErr_SetObject(state->LimitOverrunError, exc);
        Py_DECREF(exc);
    }
    return FAILED;
}

/* HAS_CHUNK: then *chunk, new. escapes. */
static enum look
look_for(
    AioCallObject *call, struct separator separator, Py_ssize_t limit, PyObject **chunk
)
{
    StreamReaderObject *self = fl_stream_reader_of(call);
    const struct fl_state *state = self->base.state;
    Py_ssize_t size = fl_stream_reader_size(self);
    if (size - call->reached >= separator.size) {
        Py_ssize_t found = find(self, separator, call->reached);
        if (found > limit) {
            return raise_overrun(
                state, "Separator is found, but chunk is longer than limit", found
            );
        }
        if (found >= 0) {
            *chunk = fl_stream_take(self, found + separator.size); /* escapes */
            return *chunk == NULL ? FAILED : HAS_CHUNK;
        }
        call->reached = size + 1 - separator.size;
        if (call->reached > limit) {
            return raise_overrun(
                state, "Separator is not found, and chunk exceed the limit",
                call->reached
            );
        }
    }
    return self->eof == Py_True ? HAS_ENDED : HAS_NONE;
}

/* The separator that was given, or newline: false if it is odd. */
static bool
take_separator(const AioCallObject *call, struct separator *separator)
{
    PyObject *given = call->args[1];
    *separator = newline;
    if (given == NULL) {
        return true;
    }
    if (!PyBytes_CheckExact(given) || PyBytes_GET_SIZE(given) == 0) {
        return false;
    }
    separator->bytes = PyBytes_AS_STRING(given);
    separator->size = PyBytes_GET_SIZE(given);
    return true;
}

static PySendResult
until_step(
    AioCallObject *call, struct separator separator, Py_ssize_t limit, PyObject **result
)
{
    StreamReaderObject *self = fl_stream_reader_of(call);
    switch (look_for(call, separator, limit, result)) { /* escapes */
    case HAS_CHUNK:
        return PYGEN_RETURN;
    case HAS_NONE:
        return fl_aio_wait(call, fl_stream_begin_wait(self, "readuntil"), result);
    case HAS_ENDED:
        fl_stream_raise_incomplete(
            self->base.state, fl_stream_take_rest(self), Py_None
        );
        break;
    default:
        break;
    }
    return PYGEN_ERROR;
}

static PySendResult
until_start(AioCallObject *call, PyObject **result)
{
    struct separator separator;
    Py_ssize_t limit;
    if (!take_separator(call, &separator) ||
        !fl_stream_is_readable(fl_stream_reader_of(call), &limit)) {
        return fl_aio_delegate(call, result);
    }
    if (fl_stream_check_exception(fl_stream_reader_of(call)) < 0) {
        return PYGEN_ERROR;
    }
    return until_step(call, separator, limit, result);
}

static PySendResult
until_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    (void)future;
    fl_stream_wait_no_more(fl_stream_reader_of(call)); /* escapes */
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    struct separator separator;
    Py_ssize_t limit;
    if (!take_separator(call, &separator) ||
        !fl_stream_reader_goes_on(fl_stream_reader_of(call), &limit)) {
        return fl_aio_delegate(call, result);
    }
    return until_step(call, separator, limit, result);
}

/* ---- readline ---- */

/* The line that was too long is taken out, or what there is of it. escapes. 0 or -1. */
static int
drop_line(StreamReaderObject *self, PyObject *overrun)
{
    const struct fl_state *state = self->base.state;
    PyObject *op = (PyObject *)(void *)self;
    PyObject *consumed = PyObject_GetAttr(overrun, state->str_consumed);
    PyObject *buffer =
        consumed == NULL ? NULL : PyObject_GetAttr(op, state->str__buffer);
    int status = -1;
    if (buffer != NULL) {
        status = fl_call_truth(
            PyObject_CallMethod(buffer, "startswith", "yO", newline.bytes, consumed)
        ); /* escapes */
    }
    if (status > 0) {
        Py_ssize_t end = PyLong_AsSsize_t(consumed);
        status = end == -1 && PyErr_Occurred()
                     ? -1
                     : PySequence_DelSlice(buffer, 0, end + 1);
    }
    else if (status == 0) {
        status = fl_call_status(PyObject_CallMethodNoArgs(buffer, state->str_clear));
    }
    Py_XDECREF(consumed);
    Py_XDECREF(buffer);
    return status < 0 ? -1 : fl_stream_reader_maybe_resume(self);
}

/* The error set, in readuntil(), as readline() has it. escapes. */
static PySendResult
line_failed(AioCallObject *call, PyObject **result)
{
    const struct fl_state *state = fl_aio_state_of(call);
    bool incomplete = PyErr_ExceptionMatches(state->IncompleteReadError);
    if (!incomplete && !PyErr_ExceptionMatches(state->LimitOverrunError)) {
        return PYGEN_ERROR;
    }
    PyObject *exc = fl_error_take();
    if (incomplete) {
        PySendResult status =
            fl_stream_answer(PyObject_GetAttr(exc, state->str_partial), result);
        Py_DECREF(exc);
        return status;
    }
    if (drop_line(fl_stream_reader_of(call), exc) == 0) { /* escapes */
        PyObject *args = PyObject_GetAttr(exc, state->str_args);
        PyObject *said = args == NULL ? NULL : PySequence_GetItem(args, 0);
        PyObject *error =
            said == NULL ? NULL : PyObject_CallOneArg(PyExc_ValueError, said);
        if (error != NULL) {
            PyErr_SetObject(PyExc_ValueError, error);
        }
        Py_XDECREF(args);
        Py_XDECREF(said);
        Py_XDECREF(error);
    }
    fl_aio_raise_over(exc);
    return PYGEN_ERROR;
}

static PySendResult
line_step(AioCallObject *call, Py_ssize_t limit, PyObject **result)
{
    StreamReaderObject *self = fl_stream_reader_of(call);
    PyObject *future = NULL;
    switch (look_for(call, newline, limit, result)) { /* escapes */
    case HAS_CHUNK:
        return PYGEN_RETURN;
    case HAS_ENDED:
        return fl_stream_answer(fl_stream_take_rest(self), result);
    case HAS_NONE:
        future = fl_stream_begin_wait(self, "readuntil");
        break;
    default:
        break;
    }
    return future == NULL ? line_failed(call, result)
                          : fl_aio_wait(call, future, result);
}

static PySendResult
line_start(AioCallObject *call, PyObject **result)
{
    Py_ssize_t limit;
    if (!fl_stream_is_readable(fl_stream_reader_of(call), &limit)) {
        return fl_aio_delegate(call, result);
    }
    return fl_stream_check_exception(fl_stream_reader_of(call)) < 0
               ? line_failed(call, result)
               : line_step(call, limit, result);
}

static PySendResult
line_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    (void)future;
    fl_stream_wait_no_more(fl_stream_reader_of(call)); /* escapes */
    Py_ssize_t limit;
    if (value == NULL) {
        return line_failed(call, result);
    }
    if (!fl_stream_reader_goes_on(fl_stream_reader_of(call), &limit)) {
        return fl_aio_delegate(call, result);
    }
    return line_step(call, limit, result);
}

/* ---- async for ---- */

/* A line as __anext__() gives it: its end is an empty one. */
static PySendResult
next_line(PySendResult status, PyObject **result)
{
    if (status != PYGEN_RETURN || !PyBytes_CheckExact(*result) ||
        PyBytes_GET_SIZE(*result) > 0) {
        return status;
    }
    Py_CLEAR(*result);
    PyErr_SetNone(PyExc_StopAsyncIteration);
    return PYGEN_ERROR;
}

static PySendResult
next_start(AioCallObject *call, PyObject **result)
{
    Py_ssize_t limit;
    if (!fl_stream_is_readable(fl_stream_reader_of(call), &limit)) {
        return fl_aio_delegate(call, result);
    }
    return next_line(line_start(call, result), result);
}

static PySendResult
next_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    return next_line(line_after(call, future, value, result), result);
}

const struct fl_aio_call fl_stream_until_call = {
    FL_STREAM_READER_TYPE, 2, 1, until_start, until_after
};
const struct fl_aio_call fl_stream_line_call = {
    FL_STREAM_READER_TYPE, 1, 1, line_start, line_after
};
const struct fl_aio_call fl_stream_next_call = {
    FL_STREAM_READER_TYPE, 1, 1, next_start, next_after
};
