/* wait: asyncio.wait in C.
 *
 * What is not plain - a generator, no futures at all, a coroutine among them - is left
 * to asyncio's coroutine, which refuses or does it.
 */
#include "aio/wait/wait.h"

#include "aio/call.h"
#include "aio/futures.h"
#include "core/future/awaited_by.h"
#include "py/state/tables.h"

enum return_when { ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION };

/* What the callback of each future is a method of. */
typedef struct {
    PyObject_HEAD
    const struct fl_state *state; /* borrowed: the type keeps the module alive */
    PyObject *waiter;             /* the future that the waiting task awaits */
    PyObject *timer;              /* Handle, or NULL */
    PyObject *task;               /* that waits, for the call graph (3.14+), or NULL */
    Py_ssize_t n_left;
    enum return_when when;
} WaitObject;

/* The arguments of the call, and what becomes of the first two. */
enum { FS, TIMEOUT, RETURN_WHEN };

static WaitObject *
wait_of(PyObject *op)
{
    return (WaitObject *)(void *)op;
}

/* ---- a future is done ---- */

/* Whether it is the last to wait for: 1, 0 or -1. escapes. */
static int
ends_wait(const WaitObject *self, PyObject *future)
{
    if (self->n_left <= 0 || self->when == FIRST_COMPLETED) {
        return 1;
    }
    if (self->when == ALL_COMPLETED) {
        return 0;
    }
    PyObject *exc = NULL;
    int cancelled = fl_aio_is_cancelled(self->state, future); /* escapes */
    if (cancelled < 0 ||
        (!cancelled && fl_aio_exception(self->state, future, &exc) < 0)) {
        return -1;
    }
    Py_XDECREF(exc);
    return exc != NULL;
}

/* timer.cancel(). escapes. 0 or -1. */
static int
cancel_timer(const WaitObject *self)
{
    PyObject *timer = self->timer;
    return timer == NULL ? 0
                         : fl_call_status(
                               PyObject_CallMethodNoArgs(timer, self->state->str_cancel)
                           );
}

static int
end_wait(const WaitObject *self)
{
    if (cancel_timer(self) < 0) { /* escapes */
        return -1;
    }
    PyObject *waiter = fl_or_none(self->waiter);
    int done = fl_aio_is_done(self->state, waiter);
    int status = done != 0 ? done : fl_aio_set_result(self->state, waiter, Py_None);
    Py_DECREF(waiter);
    return status < 0 ? -1 : 0;
}

static int
forget_task(const WaitObject *self, PyObject *future)
{
    return self->task == NULL ? 0
                              : fl_awaited_by_discard(self->state, future, self->task);
}

static PyObject *
wait_on_completion(PyObject *op, PyObject *future)
{
    WaitObject *self = wait_of(op);
    self->n_left--;
    int ends = ends_wait(self, future); /* escapes */
    if (ends < 0 || (ends && end_wait(self) < 0) || forget_task(self, future) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef on_completion_def = {
    "_on_completion", wait_on_completion, METH_O, NULL
};

/* ---- the beginning ---- */

static bool
is_plain_collection(PyObject *fs)
{
    return PyList_CheckExact(fs) || PyTuple_CheckExact(fs) || PyAnySet_CheckExact(fs);
}

static bool
is_return_when(const struct fl_state *state, PyObject *given, enum return_when *when)
{
    if (given == state->str_ALL_COMPLETED) {
        *when = ALL_COMPLETED;
        return true;
    }
    if (given == NULL || !PyUnicode_CheckExact(given)) {
        return false;
    }
    bool first = PyUnicode_Compare(given, state->str_FIRST_COMPLETED) == 0;
    *when = first ? FIRST_COMPLETED : FIRST_EXCEPTION;
    if (PyUnicode_Compare(given, state->str_ALL_COMPLETED) == 0) {
        *when = ALL_COMPLETED;
        return true;
    }
    return first || PyUnicode_Compare(given, state->str_FIRST_EXCEPTION) == 0;
}

/* 1 if a coroutine is among them, 0, or -1. escapes. */
static int
has_coroutine(const struct fl_state *state, PyObject *futures)
{
    PyObject *iterator = PyObject_GetIter(futures);
    if (iterator == NULL) {
        return -1;
    }
    int found = 0;
    PyObject *future;
    while (found == 0 && (future = PyIter_Next(iterator)) != NULL) {
        if (fl_future_of(state, future) == NULL) {
            found = fl_call_truth(PyObject_CallOneArg(state->iscoroutine, future));
        }
        Py_DECREF(future);
    }
    Py_DECREF(iterator);
    return found == 0 && PyErr_Occurred() ? -1 : found;
}

/* asyncio's coroutine does it all. */
static PySendResult
delegate(AioCallObject *call, PyObject **result)
{
    const struct fl_state *state = fl_aio_state_of(call);
    PyObject *coro =
        PyObject_Vectorcall(call->function->stock, call->args, 1, state->kw_wait);
    return fl_coroutine_delegate(&call->base, coro, result);
}

static PyObject *
wait_new(const struct fl_state *state, PyObject *futures, enum return_when when)
{
    WaitObject *self = PyObject_GC_New(WaitObject, state->wait_type);
    if (self != NULL) {
        self->state = state;
        self->waiter = self->timer = self->task = NULL;
        self->n_left = PySet_GET_SIZE(futures);
        self->when = when;
        PyObject_GC_Track(self);
    }
    return (PyObject *)self;
}

/* loop.call_later(timeout, asyncio's _release_waiter, waiter). escapes. 0 or -1. */
static int
start_timer(WaitObject *self, PyObject *loop, PyObject *timeout)
{
    if (timeout == Py_None) {
        return 0;
    }
    const struct fl_state *state = self->state;
    PyObject *stack[4] = {loop, timeout, state->asyncio_release_waiter, self->waiter};
    PyObject *timer =
        PyObject_VectorcallMethod(state->str_call_later, stack, 4, NULL); /* escapes */
    Py_XSETREF(self->timer, timer);
    return timer == NULL ? -1 : 0;
}

/* Has each of the futures tell. escapes. 0 or -1. */
static int
tell_all(WaitObject *self, PyObject *futures)
{
    PyObject *callback = PyCFunction_New(&on_completion_def, (PyObject *)self);
    PyObject *iterator = callback == NULL ? NULL : PyObject_GetIter(futures);
    PyObject *context = NULL;
    int status = iterator == NULL ? -1 : 0;
    PyObject *future;
    while (status == 0 && (future = PyIter_Next(iterator)) != NULL) {
        status = fl_aio_tell(self->state, future, callback, &context); /* escapes */
        if (status == 0 && self->task != NULL) {
            status = fl_awaited_by_add(self->state, future, self->task);
        }
        Py_DECREF(future);
    }
    Py_XDECREF(context);
    Py_XDECREF(iterator);
    Py_XDECREF(callback);
    return status < 0 || PyErr_Occurred() ? -1 : 0;
}

/* The call's first two arguments become the set of futures and what waits for them. */
static PySendResult
begin(
    AioCallObject *call, PyObject *loop, PyObject *futures, enum return_when when,
    PyObject **result
)
{
    struct fl_state *state = fl_aio_state_of(call);
    PyObject *op = wait_new(state, futures, when);
    if (op == NULL) {
        return PYGEN_ERROR;
    }
    WaitObject *self = wait_of(op);
    self->waiter = fl_aio_new_future(state, loop); /* escapes */
    int status = self->waiter == NULL ||
                         start_timer(self, loop, call->args[TIMEOUT]) < 0 ||
                         fl_aio_awaiting_task(state, loop, &self->task) < 0
                     ? -1
                     : 0;
    Py_SETREF(call->args[FS], Py_NewRef(futures)); /* escapes */
    Py_SETREF(call->args[TIMEOUT], op);
    if (status < 0 || tell_all(self, futures) < 0) {
        return PYGEN_ERROR;
    }
    return fl_aio_wait(call, Py_NewRef(self->waiter), result);
}

static PySendResult
wait_start(AioCallObject *call, PyObject **result)
{
    const struct fl_state *state = fl_aio_state_of(call);
    enum return_when when;
    if (!is_plain_collection(call->args[FS]) ||
        !is_return_when(state, call->args[RETURN_WHEN], &when)) {
        return delegate(call, result);
    }
    PyObject *futures = PySet_New(call->args[FS]); /* escapes */
    PyObject *loop = futures == NULL ? NULL : fl_aio_running_loop(state);
    int odd = loop == NULL ? -1 : loop == Py_None || PySet_GET_SIZE(futures) == 0;
    if (odd == 0) {
        odd = has_coroutine(state, futures); /* escapes */
    }
    PySendResult status = odd < 0   ? PYGEN_ERROR
                          : odd > 0 ? delegate(call, result)
                                    : begin(call, loop, futures, when, result);
    Py_XDECREF(loop);
    Py_XDECREF(futures);
    return status;
}

/* ---- the end ---- */

/* Whether a future of ours has no callback that could be taken out. */
static bool
tells_nobody(const struct fl_state *state, PyObject *future)
{
    const FutureObject *own = fl_future_of(state, future);
    return own != NULL && own->loop != NULL && own->callback0 == NULL &&
           own->callbacks == NULL;
}

/* No future tells any more. escapes. 0 or -1. */
static int
tell_none(WaitObject *self, PyObject *futures)
{
    PyObject *callback = PyCFunction_New(&on_completion_def, (PyObject *)self);
    PyObject *iterator = callback == NULL ? NULL : PyObject_GetIter(futures);
    int status = iterator == NULL ? -1 : 0;
    PyObject *future;
    while (status == 0 && (future = PyIter_Next(iterator)) != NULL) {
        if (!tells_nobody(self->state, future)) {
            status = fl_aio_tell_not(self->state, future, callback); /* escapes */
        }
        if (status == 0) {
            status = forget_task(self, future);
        }
        Py_DECREF(future);
    }
    Py_XDECREF(iterator);
    Py_XDECREF(callback);
    return status < 0 || PyErr_Occurred() ? -1 : 0;
}

/* (done, pending): new, or NULL. escapes. */
static PyObject *
sort_out(const struct fl_state *state, PyObject *futures)
{
    PyObject *pair = NULL;
    PyObject *sets[2] = {PySet_New(NULL), PySet_New(NULL)};
    PyObject *iterator =
        sets[0] == NULL || sets[1] == NULL ? NULL : PyObject_GetIter(futures);
    int status = iterator == NULL ? -1 : 0;
    PyObject *future;
    while (status == 0 && (future = PyIter_Next(iterator)) != NULL) {
        int done = fl_aio_is_done(state, future); /* escapes */
        status = done < 0 ? -1 : PySet_Add(sets[!done], future);
        Py_DECREF(future);
    }
    Py_XDECREF(iterator);
    if (status == 0 && !PyErr_Occurred()) {
        pair = PyTuple_Pack(2, sets[0], sets[1]);
    }
    Py_XDECREF(sets[0]);
    Py_XDECREF(sets[1]);
    return pair;
}

static PySendResult
wait_after(
    AioCallObject *call, PyObject *Py_UNUSED(future), PyObject *value, PyObject **result
)
{
    PyObject *exc = value == NULL ? fl_error_take() : NULL;
    WaitObject *self = wait_of(call->args[TIMEOUT]);
    if (cancel_timer(self) < 0 || tell_none(self, call->args[FS]) < 0) { /* escapes */
        if (exc != NULL) {
            PyObject *newer = fl_error_take();
            PyException_SetContext(newer, exc);
            fl_error_restore(newer);
        }
        return PYGEN_ERROR;
    }
    if (exc != NULL) {
        fl_error_restore(exc);
        return PYGEN_ERROR;
    }
    *result = sort_out(self->state, call->args[FS]); /* escapes */
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

static const struct fl_aio_call wait_call = {0, 3, 1, wait_start, wait_after};

/* wait(fs, *, timeout=None, return_when=ALL_COMPLETED) */
static PyObject *
wait_vectorcall(
    PyObject *function, PyObject *const *args, size_t n_args_flag, PyObject *kwnames
)
{
    AioFunctionObject *self = (AioFunctionObject *)function;
    const struct fl_state *state = self->state;
    PyObject *given[3] = {NULL, Py_None, state->str_ALL_COMPLETED};
    bool plain = PyVectorcall_NARGS(n_args_flag) == 1;
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; plain && i < n_keywords; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        if (PyUnicode_Compare(name, state->str_timeout) == 0) {
            given[TIMEOUT] = args[1 + i];
        }
        else if (PyUnicode_Compare(name, state->str_return_when) == 0) {
            given[RETURN_WHEN] = args[1 + i];
        }
        else {
            plain = false;
        }
    }
    if (!plain) {
        return PyObject_Vectorcall(self->stock, args, n_args_flag, kwnames);
    }
    given[FS] = args[0];
    return fl_aio_call_new(self, given, 3);
}

/* ---- the type ---- */

static int
wait_traverse(PyObject *op, visitproc visit, void *arg)
{
    const WaitObject *self = wait_of(op);
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->waiter);
    Py_VISIT(self->timer);
    Py_VISIT(self->task);
    return 0;
}

static int
wait_clear(PyObject *op)
{
    WaitObject *self = wait_of(op);
    Py_CLEAR(self->waiter); /* escapes, as do all of these */
    Py_CLEAR(self->timer);
    Py_CLEAR(self->task);
    return 0;
}

static void
wait_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    wait_clear(op);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyType_Slot wait_slots[] = {
    {Py_tp_dealloc, wait_dealloc},
    {Py_tp_traverse, wait_traverse},
    {Py_tp_clear, wait_clear},
    {0, NULL},
};

static PyType_Spec wait_spec = {
    .name = "fastloop._core.Wait",
    .basicsize = sizeof(WaitObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = wait_slots,
};

int
fl_wait_add(PyObject *module, struct fl_state *state)
{
    if (fl_make_type(&state->wait_type, module, &wait_spec, NULL) < 0) {
        return -1;
    }
    PyObject *function = fl_aio_function_new(state, &wait_call, state->asyncio_wait);
    if (function == NULL) {
        return -1;
    }
    ((AioFunctionObject *)function)->vectorcall = wait_vectorcall;
    int status = PyModule_AddObjectRef(module, "wait", function);
    Py_DECREF(function);
    return status;
}
