/* A StreamReaderProtocol's flow control: pause_writing(), resume_writing(), and what
 * drain() of a StreamWriter waits for.
 */
#include "aio/stream/stream_protocol.h"

#include "aio/futures.h"
#include "aio/lock/waiters.h"
#include "py/args/call.h"

static PyObject *
stock_noargs(StreamProtocolObject *self, PyObject *name)
{
    return fl_aio_stock_noargs(
        self->base.state->asyncio_StreamReaderProtocol, name, (PyObject *)(void *)self
    );
}

/* Whether asyncio's would write to its log: 1, 0 or -1. escapes. */
static int
is_debugging(const StreamProtocolObject *self)
{
    const LoopObject *own = fl_loop_of(self->base.loop);
    if (own != NULL) {
        return own->debug != 0;
    }
    PyObject *loop = Py_NewRef(self->base.loop);
    int debug =
        fl_call_truth(PyObject_CallMethodNoArgs(loop, self->base.state->str_get_debug));
    Py_DECREF(loop);
    return debug;
}

/* Whether pause_writing() and resume_writing() do without asyncio's: paused is how it
 * must be. 1, 0 or -1. escapes. */
static int
may_turn(StreamProtocolObject *self, PyObject *paused)
{
    if (!fl_stream_protocol_is_plain(self) || self->paused != paused) {
        return 0;
    }
    int debug = is_debugging(self); /* escapes */
    return debug < 0 ? -1 : debug == 0 && self->paused == paused;
}

PyObject *
fl_stream_pause_writing(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamProtocolObject *self = fl_stream_protocol(op);
    int plain = may_turn(self, Py_False); /* escapes */
    if (plain <= 0) {
        return plain < 0 ? NULL
                         : stock_noargs(self, self->base.state->str_pause_writing);
    }
    Py_XSETREF(self->paused, Py_NewRef(Py_True));
    Py_RETURN_NONE;
}

PyObject *
fl_stream_resume_writing(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    StreamProtocolObject *self = fl_stream_protocol(op);
    const struct fl_state *state = self->base.state;
    int plain = may_turn(self, Py_True); /* escapes */
    if (plain <= 0) {
        return plain < 0 ? NULL : stock_noargs(self, state->str_resume_writing);
    }
    Py_XSETREF(self->paused, Py_NewRef(Py_False));
    if (fl_aio_wake(state, self->drain_waiters, PY_SSIZE_T_MAX, Py_None) < 0) {
        return NULL; /* escaped */
    }
    Py_RETURN_NONE;
}

/* Waits in the deque of those that drain. */
static PySendResult
queue_up(AioCallObject *call, StreamProtocolObject *self, PyObject **result)
{
    const struct fl_state *state = self->base.state;
    PyObject *loop = Py_NewRef(self->base.loop);
    PyObject *future = fl_aio_new_future(state, loop); /* escapes */
    Py_DECREF(loop);
    PyObject *waiters =
        future == NULL ? NULL
                       : PyObject_GetAttr(call->args[0], state->str__drain_waiters);
    int status = -1;
    if (waiters != NULL) {
        status = fl_call_status(
            PyObject_CallMethodOneArg(waiters, state->str_append, future)
        ); /* escapes */
        Py_DECREF(waiters);
    }
    if (status < 0) {
        Py_XDECREF(future);
        return PYGEN_ERROR;
    }
    return fl_aio_wait(call, future, result);
}

static PySendResult
drain_start(AioCallObject *call, PyObject **result)
{
    StreamProtocolObject *self = fl_stream_protocol(call->args[0]);
    if (!fl_stream_protocol_is_plain(self) || self->lost == NULL) {
        return fl_aio_delegate(call, result);
    }
    int lost = PyObject_IsTrue(self->lost); /* escapes */
    if (lost != 0) {
        if (lost > 0) {
            PyErr_SetString(PyExc_ConnectionResetError, "Connection lost");
        }
        return PYGEN_ERROR;
    }
    if (self->paused == Py_True) {
        return queue_up(call, self, result);
    }
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

static PySendResult
drain_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    const StreamProtocolObject *self = fl_stream_protocol(call->args[0]);
    PyObject *exc = value == NULL ? fl_error_take() : NULL;
    if (fl_aio_remove_waiter(self->base.state, self->drain_waiters, future) < 0) {
        fl_aio_raise_over(exc); /* escaped */
        return PYGEN_ERROR;
    }
    if (exc != NULL) {
        fl_error_restore(exc);
        return PYGEN_ERROR;
    }
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

const struct fl_aio_call fl_stream_drain_call = {
    offsetof(struct fl_state, stream_protocol_type), 1, 1, drain_start, drain_after
};
