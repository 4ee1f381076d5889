/* SockOp: the awaitable of one operation on a socket. */
#include "net/sock/sock_op.h"

#include "core/future/future.h"
#include "net/socket.h"
#include "py/error.h"
#include "py/state/tables.h"

#include <errno.h>

static const struct fl_coroutine_kind op_kind;

PyObject *
fl_sock_op_new(LoopObject *loop, const struct fl_sock_call *call, PyObject *const *args)
{
    struct fl_state *state = loop->state;
    SockOpObject *self = PyObject_GC_New(SockOpObject, state->sock_op_type);
    if (self == NULL) {
        return NULL;
    }
    fl_coroutine_begin(&self->base, &op_kind);
    self->loop = (LoopObject *)Py_NewRef(loop);
    for (int i = 0; i < FL_SOCK_N_ARGS; i++) {
        self->args[i] = Py_XNewRef(args[i]);
    }
    self->future = NULL;
    self->view.obj = NULL;
    self->position = 0;
    self->call = call;
    self->state = state;
    self->fd = -1;
    self->retrying = false;
    state->counts.sock_ops++;
    PyObject_GC_Track(self);
    if (FL_UNLIKELY(fl_coroutine_origin_depth() != 0)) {
        return fl_coroutine_with_origin((PyObject *)self);
    }
    return (PyObject *)self;
}

/* ---- the end ---- */

/* Drops all it holds; the watch of its fd too. escapes. */
static void
op_drop(PyObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
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
    Py_VISIT(self->loop);
    Py_VISIT(self->future);
    Py_VISIT(self->view.obj);
    for (int i = 0; i < FL_SOCK_N_ARGS; i++) {
        Py_VISIT(self->args[i]);
    }
    return fl_coroutine_traverse(&self->base, visit, arg);
}

static int
op_clear(PyObject *op)
{
    fl_coroutine_end((struct fl_coroutine *)op);
    return 0;
}

static void
op_dealloc(PyObject *op)
{
    SockOpObject *self = (SockOpObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    if (!fl_coroutine_may_die(&self->base)) {
        return;
    }
    PyObject_GC_UnTrack(op);
    self->state->counts.sock_ops--;
    fl_coroutine_end(&self->base); /* escapes */
    Py_CLEAR(self->base.origin);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

/* ---- asyncio's coroutine in our place ---- */

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
    PyObject *coro =
        PyObject_Vectorcall(function, stack, name == NULL ? n : n - 1, name);
    Py_DECREF(function);
    return fl_coroutine_delegate(&self->base, coro, result);
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
    if (fl_loop_flush(self->loop) < 0) { /* escapes */
        return FL_SOCK_FAILED;
    }
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
    self->base.phase = FL_COROUTINE_WAITING;
    fl_future(future)->blocking = 1;
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
op_start(PyObject *op, PyObject **result)
{
    SockOpObject *self = (SockOpObject *)op;
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
op_resume(PyObject *op, PyObject *Py_UNUSED(sent), PyObject **result)
{
    SockOpObject *self = (SockOpObject *)op;
    FutureObject *own = fl_future(self->future);
    if (own->status == FL_FUTURE_PENDING) {
        if (own->blocking) {
            PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
            return PYGEN_ERROR;
        }
        own->blocking = 1;
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
op_name(PyObject *op, bool qualified)
{
    const char *name = ((SockOpObject *)op)->call->name;
    return PyUnicode_FromFormat(qualified ? "Loop.%s" : "%s", name);
}

static void
op_look(PyObject *op, struct fl_coroutine_look *look)
{
    look->text = ((SockOpObject *)op)->call->name;
}

static const struct fl_coroutine_kind op_kind = {
    .start = op_start,
    .resume = op_resume,
    .drop = op_drop,
    .name = op_name,
    .look = op_look,
};

static PyType_Slot op_slots[] = {
    {Py_tp_dealloc, op_dealloc},
    {Py_tp_finalize, fl_coroutine_finalize},
    {Py_tp_traverse, op_traverse},
    {Py_tp_clear, op_clear},
    {Py_tp_repr, fl_coroutine_repr},
    {Py_tp_iternext, fl_coroutine_next},
    {Py_am_await, fl_coroutine_await},
    {Py_am_send, fl_coroutine_send},
    {Py_tp_methods, fl_coroutine_methods},
    {Py_tp_getset, fl_coroutine_getset},
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
