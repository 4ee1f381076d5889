/* SockOp: the awaitable of one operation on a socket. */
#include "net/sock_op.h"

#include "core/future.h"
#include "net/socket.h"
#include "py/awaitable.h"
#include "py/error.h"
#include "py/tables.h"

#include <errno.h>

PyObject *
fl_sock_op_new(LoopObject *loop, const struct fl_sock_call *call, PyObject *const *args)
{
    struct fl_state *state = loop->state;
    SockOpObject *self = PyObject_GC_New(SockOpObject, state->sock_op_type);
    if (self == NULL) {
        return NULL;
    }
    self->loop = (LoopObject *)Py_NewRef(loop);
    for (int i = 0; i < FL_SOCK_N_ARGS; i++) {
        self->args[i] = Py_XNewRef(args[i]);
    }
    self->future = NULL;
    self->delegate = NULL;
    self->view.obj = NULL;
    self->position = 0;
    self->call = call;
    self->state = state;
    self->fd = -1;
    self->phase = FL_SOCK_NEW;
    self->running = false;
    self->retrying = false;
    state->counts.sock_ops++;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

/* ---- the end ---- */

/* Drops all it holds; the watch of its fd too. escapes. */
static void
op_end(SockOpObject *self)
{
    if (self->phase == FL_SOCK_ENDED) { /* closed by what was run below */
        return;
    }
    self->phase = FL_SOCK_ENDED;
    LoopObject *loop = self->loop;
    if (self->future != NULL) {
        fl_loop_unwatch_future(loop, self->fd, self->call->event, self->future);
        if (self->call->abandon != NULL) {
            self->call->abandon(self);
        }
    }
    if (self->view.obj != NULL) {
        self->state->counts.buffers--;
        PyBuffer_Release(&self->view);
    }
    Py_CLEAR(self->future);
    Py_CLEAR(self->delegate);
    for (int i = 0; i < FL_SOCK_N_ARGS; i++) {
        Py_CLEAR(self->args[i]);
    }
    self->loop = NULL;
    Py_XDECREF(loop);
}

static int
op_traverse(PyObject *op, visitproc visit, void *arg)
{
    SockOpObject *self = (SockOpObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->loop);
    Py_VISIT(self->future);
    Py_VISIT(self->delegate);
    Py_VISIT(self->view.obj);
    for (int i = 0; i < FL_SOCK_N_ARGS; i++) {
        Py_VISIT(self->args[i]);
    }
    return 0;
}

static int
op_clear(PyObject *op)
{
    op_end((SockOpObject *)op);
    return 0;
}

static void
op_finalize(PyObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    if (self->phase != FL_SOCK_NEW) {
        return;
    }
    PyObject *exc = fl_error_take();
    if (PyErr_WarnFormat(
            PyExc_RuntimeWarning, 1, "coroutine 'Loop.%s' was never awaited",
            self->call->name
        ) < 0) {
        PyErr_WriteUnraisable(op);
    }
    fl_error_restore(exc);
}

static void
op_dealloc(PyObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    if (self->phase == FL_SOCK_NEW && PyObject_CallFinalizerFromDealloc(op) < 0) {
        return; /* resurrected */
    }
    PyObject_GC_UnTrack(op);
    self->state->counts.sock_ops--;
    if (self->phase != FL_SOCK_ENDED) {
        op_end(self); /* escapes */
    }
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

/* ---- asyncio's coroutine in our place ---- */

static PySendResult
op_send_delegate(SockOpObject *self, PyObject *sent, PyObject **result)
{
    PyObject *delegate = Py_NewRef(self->delegate);
    PySendResult status = PyIter_Send(delegate, sent, result); /* escapes */
    Py_DECREF(delegate);
    return status;
}

static PySendResult
op_delegate(SockOpObject *self, PyObject **result)
{
    PyObject *stack[1 + FL_SOCK_N_ARGS] = {(PyObject *)self->loop};
    size_t n = 1;
    for (int i = 0; i < FL_SOCK_N_ARGS; i++) {
        if (self->args[i] != NULL) {
            stack[n++] = self->args[i];
        }
    }
    PyObject *name = self->args[4] != NULL ? self->state->net.kw_fallback : NULL;
    PyObject *function =
        PyObject_GetAttrString(self->state->SelectorEventLoop, self->call->name);
    if (function == NULL) {
        return PYGEN_ERROR;
    }
    self->delegate =
        PyObject_Vectorcall(function, stack, name == NULL ? n : n - 1, name);
    Py_DECREF(function);
    if (self->delegate == NULL) {
        return PYGEN_ERROR;
    }
    self->phase = FL_SOCK_DELEGATED;
    return op_send_delegate(self, Py_None, result);
}

/* ---- its socket ---- */

#define OVERRIDES_WATCHING                                                            \
    (FL_OVERRIDES_ADD_READER | FL_OVERRIDES_REMOVE_READER | FL_OVERRIDES_ADD_WRITER | \
     FL_OVERRIDES_REMOVE_WRITER)

int
fl_sock_int(PyObject *member, PyObject *sock)
{
    PyObject *value = FL_SLOT_POINTER(
        Py_TYPE(member)->tp_descr_get(member, sock, (PyObject *)Py_TYPE(sock))
    );
    long number = value == NULL ? -1 : PyLong_AsLong(value);
    Py_XDECREF(value);
    if (number == -1) {
        PyErr_Clear();
    }
    return (int)number;
}

int
fl_sock_family(const SockOpObject *self)
{
    return fl_sock_int(self->state->net.socket_family, fl_sock_of(self));
}

Py_ssize_t
fl_sock_size(PyObject *value)
{
    if (!PyLong_CheckExact(value)) {
        return -1;
    }
    Py_ssize_t size = PyLong_AsSsize_t(value);
    if (size == -1 && PyErr_Occurred()) {
        PyErr_Clear();
    }
    return size < 0 ? -1 : size;
}

/* 1 if its timeout is 0, else 0; -1 with an exception. */
static int
is_nonblocking(SockOpObject *self)
{
    PyObject *timeout =
        PyObject_CallOneArg(self->state->net.socket_gettimeout, fl_sock_of(self));
    if (timeout == NULL) {
        return -1;
    }
    bool zero = PyFloat_CheckExact(timeout) && PyFloat_AS_DOUBLE(timeout) == 0.0;
    Py_DECREF(timeout);
    return zero;
}

/* Whether the first attempt may be made: DONE, FAILED or FOREIGN. */
static enum fl_sock_outcome
op_check(SockOpObject *self)
{
    if (!self->state->types.own ||
        !fl_socket_is_unpatched(self->state, fl_sock_of(self)) ||
        fl_loop_overrides(self->loop) & OVERRIDES_WATCHING) {
        return FL_SOCK_FOREIGN;
    }
    if (!self->loop->debug && !self->call->may_block) {
        return FL_SOCK_DONE;
    }
    int nonblocking = is_nonblocking(self);
    if (nonblocking < 0) {
        return FL_SOCK_FAILED;
    }
    return nonblocking ? FL_SOCK_DONE : FL_SOCK_FOREIGN;
}

enum fl_sock_outcome
fl_sock_refused(int err)
{
    if (err == EAGAIN || err == EWOULDBLOCK) {
        return FL_SOCK_AGAIN;
    }
    if (err == EINTR) {
        return PyErr_CheckSignals() < 0 ? FL_SOCK_FAILED : FL_SOCK_DONE;
    }
    fl_raise_errno(err);
    return FL_SOCK_FAILED;
}

static enum fl_sock_outcome
op_attempt(SockOpObject *self, PyObject **result)
{
    fl_sock_look_again(self);
    /* who counts sleep(0)s from here is to see asyncio's */
    fl_loop_note_io(self->loop);
    enum fl_sock_outcome outcome;
    do {
        outcome = self->call->attempt(self, result); /* escapes */
    } while (outcome == FL_SOCK_DONE && *result == NULL);
    self->retrying = true;
    return outcome;
}

/* ---- awaiting ---- */

static int
op_watch(SockOpObject *self, PyObject *future)
{
    int waits = self->call->wait == NULL ? 0 : self->call->wait(self, future);
    if (waits != 0) {
        return waits < 0 ? -1 : 0;
    }
    if (fl_loop_check_no_transport(self->loop, self->fd) < 0) { /* escapes */
        return -1;
    }
    return fl_loop_watch_future(self->loop, self->fd, self->call->event, future);
}

static PySendResult
op_wait(SockOpObject *self, PyObject **result)
{
    PyObject *future = fl_future_new(self->loop);
    if (future == NULL) {
        return PYGEN_ERROR;
    }
    if (op_watch(self, future) < 0) {
        Py_DECREF(future);
        return PYGEN_ERROR;
    }
    self->future = future;
    self->phase = FL_SOCK_WAITING;
    fl_future_own(future)->blocking = true;
    *result = Py_NewRef(future);
    return PYGEN_NEXT;
}

static PySendResult
op_try(SockOpObject *self, PyObject **result)
{
    switch (op_attempt(self, result)) {
    case FL_SOCK_DONE:
        return PYGEN_RETURN;
    case FL_SOCK_AGAIN:
        return op_wait(self, result);
    case FL_SOCK_FOREIGN:
        return op_delegate(self, result);
    default:
        return PYGEN_ERROR;
    }
}

static PySendResult
op_start(SockOpObject *self, PyObject *sent, PyObject **result)
{
    if (sent != Py_None) {
        PyErr_SetString(
            PyExc_TypeError, "can't send non-None value to a just-started coroutine"
        );
        return PYGEN_NEXT; /* of nothing: it may still be started */
    }
    switch (op_check(self)) {
    case FL_SOCK_DONE:
        return op_try(self, result);
    case FL_SOCK_FOREIGN:
        return op_delegate(self, result);
    default:
        return PYGEN_ERROR;
    }
}

static PySendResult
op_resume(SockOpObject *self, PyObject **result)
{
    struct fl_future_state *own = fl_future_own(self->future);
    if (own->status == FL_FUTURE_PENDING) {
        if (own->blocking) {
            PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
            return PYGEN_ERROR;
        }
        own->blocking = true;
        *result = Py_NewRef(self->future);
        return PYGEN_NEXT;
    }
    PyObject *nothing = fl_future_result(own);
    if (nothing == NULL) {
        return PYGEN_ERROR;
    }
    Py_DECREF(nothing);
    Py_CLEAR(self->future); /* escapes */
    return op_try(self, result);
}

static PyObject *
refuse_reuse(void)
{
    PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    return NULL;
}

static PySendResult
op_step(SockOpObject *self, PyObject *sent, PyObject **result)
{
    switch ((enum fl_sock_phase)self->phase) {
    case FL_SOCK_NEW:
        return op_start(self, sent, result);
    case FL_SOCK_WAITING:
        return op_resume(self, result);
    case FL_SOCK_DELEGATED:
        return op_send_delegate(self, sent, result);
    default:
        *result = refuse_reuse();
        return PYGEN_ERROR;
    }
}

/* 0, or -1 with ValueError if it is being run. */
static int
op_enter(SockOpObject *self)
{
    if (self->running) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return -1;
    }
    self->running = true;
    return 0;
}

/* Ends it unless it yielded; the exception set stays. */
static PySendResult
op_leave(SockOpObject *self, PySendResult status)
{
    self->running = false;
    if (status == PYGEN_RETURN) {
        op_end(self); /* escapes */
    }
    else if (status == PYGEN_ERROR && self->phase != FL_SOCK_ENDED) {
        PyObject *exc = fl_error_take();
        op_end(self); /* escapes */
        fl_error_restore(exc);
    }
    return status;
}

static PySendResult
op_am_send(PyObject *op, PyObject *sent, PyObject **result)
{
    SockOpObject *self = (SockOpObject *)op;
    *result = NULL;
    if (op_enter(self) < 0) {
        return PYGEN_ERROR;
    }
    PySendResult status = op_leave(self, op_step(self, sent, result));
    return *result == NULL ? PYGEN_ERROR : status;
}

static PyObject *
op_next(PyObject *op)
{
    PyObject *result;
    PySendResult status = op_am_send(op, Py_None, &result);
    return fl_sent_to_next(status, result);
}

PyDoc_STRVAR(
    op_send_doc, "send($self, value, /)\n--\n\n"
                 "Go on until it waits or, by StopIteration, has its result."
);

static PyObject *
op_send(PyObject *op, PyObject *sent)
{
    PyObject *result;
    PySendResult status = op_am_send(op, sent, &result);
    return fl_sent_to_send(status, result);
}

PyDoc_STRVAR(
    op_throw_doc, "throw($self, typ, val=None, tb=None, /)\n--\n\n"
                  "End it by raising the exception where it waits.\n\n"
                  "The form with three arguments is deprecated."
);

static PyObject *
op_throw(PyObject *op, PyObject *const *args, Py_ssize_t n_args)
{
    SockOpObject *self = (SockOpObject *)op;
    if (self->phase == FL_SOCK_DELEGATED) {
        PyObject *method = PyObject_GetAttr(self->delegate, self->state->str_throw);
        PyObject *result = NULL;
        if (method != NULL && op_enter(self) == 0) {
            result = PyObject_Vectorcall(method, args, (size_t)n_args, NULL);
            op_leave(self, result == NULL ? PYGEN_ERROR : PYGEN_NEXT);
        }
        Py_XDECREF(method);
        return result;
    }
    if (self->phase == FL_SOCK_ENDED) {
        return refuse_reuse();
    }
    PyObject *exc = fl_thrown_exception(args, n_args); /* escapes */
    if (exc == NULL || op_enter(self) < 0) {
        Py_XDECREF(exc);
        return NULL;
    }
    self->running = false;
    op_end(self); /* escapes */
    fl_error_restore(exc);
    return NULL;
}

PyDoc_STRVAR(op_close_doc, "close($self, /)\n--\n\nEnd it; it need not be awaited.");

static PyObject *
op_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    SockOpObject *self = (SockOpObject *)op;
    if (op_enter(self) < 0) {
        return NULL;
    }
    PyObject *result = Py_NewRef(Py_None);
    if (self->phase == FL_SOCK_DELEGATED) {
        Py_SETREF(result, PyObject_CallMethod(self->delegate, "close", NULL));
    }
    op_leave(self, result == NULL ? PYGEN_ERROR : PYGEN_RETURN);
    return result;
}

/* ---- looking at it ---- */

static PyObject *
op_get_name(PyObject *op, void *Py_UNUSED(closure))
{
    return PyUnicode_FromString(((SockOpObject *)op)->call->name);
}

static PyObject *
op_get_qualname(PyObject *op, void *Py_UNUSED(closure))
{
    return PyUnicode_FromFormat("Loop.%s", ((SockOpObject *)op)->call->name);
}

static PyObject *
op_get_running(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((SockOpObject *)op)->running);
}

static PyObject *
op_repr(PyObject *op)
{
    return PyUnicode_FromFormat(
        "<coroutine object Loop.%s at %p>", ((SockOpObject *)op)->call->name, op
    );
}

static PyGetSetDef op_getset[] = {
    {"__name__", op_get_name, NULL, "The name of the loop's method.", NULL},
    {"__qualname__", op_get_qualname, NULL, "The same, behind its class.", NULL},
    {"cr_running", op_get_running, NULL, "Whether it is being run.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef op_methods[] = {
    {"send", op_send, METH_O, op_send_doc},
    {"throw", FL_FASTCALL(op_throw), METH_FASTCALL, op_throw_doc},
    {"close", op_close, METH_NOARGS, op_close_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot op_slots[] = {
    {Py_tp_dealloc, op_dealloc},
    {Py_tp_finalize, op_finalize},
    {Py_tp_traverse, op_traverse},
    {Py_tp_clear, op_clear},
    {Py_tp_repr, op_repr},
    {Py_tp_iternext, op_next},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, op_am_send},
    {Py_tp_methods, op_methods},
    {Py_tp_getset, op_getset},
    {0, NULL},
};

static PyType_Spec op_spec = {
    .name = "fastloop._core.SockOp",
    .basicsize = sizeof(SockOpObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = op_slots,
};

int
fl_sock_op_add_type(PyObject *module, struct fl_state *state)
{
    return fl_make_type(&state->sock_op_type, module, &op_spec, NULL);
}
