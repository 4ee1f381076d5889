/* Coroutine functions in C, and the coroutine objects that they make. */
#include "aio/call.h"

#include "aio/call_look.h"
#include "py/await/stop.h"
#include "py/error.h"
#include "py/state/tables.h"

/* ---- the coroutine ---- */

#define LINK offsetof(AioCallObject, function)

static const struct fl_coroutine_kind call_kind;

/* A new one, with nothing in it, as call_drop() leaves one that is dead; or NULL. */
static FL_SLOW AioCallObject *
call_make(struct fl_state *state)
{
    AioCallObject *self = PyObject_GC_New(AioCallObject, state->aio_call_type);
    if (self != NULL) {
        fl_coroutine_begin(&self->base, &call_kind);
        for (int i = 0; i < FL_AIO_N_ARGS; i++) {
            self->args[i] = NULL;
        }
        self->future = NULL;
        self->iterator = NULL;
        self->alarm = (struct fl_alarm_slot){NULL, NULL};
    }
    return self;
}

FL_INLINE PyObject *
call_new(AioFunctionObject *function, PyObject *const *args, Py_ssize_t n_args)
{
    struct fl_state *state = function->state;
    AioCallObject *self = (AioCallObject *)(void *)fl_freelist_take(
        &state->aio.free_calls, state->aio_call_type, LINK
    );
    if (self == NULL) {
        self = call_make(state);
        if (self == NULL) {
            return NULL;
        }
    }
    fl_coroutine_begin_again(&self->base);
    self->function = (AioFunctionObject *)Py_NewRef((PyObject *)function);
    for (Py_ssize_t i = 0; i < n_args; i++) {
        self->args[i] = Py_NewRef(args[i]);
    }
    self->reached = 0;
    PyObject_GC_Track(self);
    if (FL_UNLIKELY(fl_coroutine_origin_depth() != 0)) {
        return fl_coroutine_with_origin((PyObject *)self);
    }
    return (PyObject *)self;
}

PyObject *
fl_aio_call_new(AioFunctionObject *function, PyObject *const *args, Py_ssize_t n_args)
{
    return call_new(function, args, n_args);
}

static void
call_drop(PyObject *op)
{
    AioCallObject *self = (AioCallObject *)op;
    Py_CLEAR(self->future);
    Py_CLEAR(self->iterator);
    fl_alarm_forget(&self->alarm);
    for (int i = 0; i < FL_AIO_N_ARGS && self->args[i] != NULL; i++) {
        Py_CLEAR(self->args[i]);
    }
}

static int
call_traverse(PyObject *op, visitproc visit, void *arg)
{
    AioCallObject *self = (AioCallObject *)op;
    Py_VISIT((PyObject *)self->function);
    Py_VISIT(self->future);
    Py_VISIT(self->iterator);
    Py_VISIT(self->alarm.handle);
    for (int i = 0; i < FL_AIO_N_ARGS; i++) {
        Py_VISIT(self->args[i]);
    }
    return fl_coroutine_traverse(&self->base, visit, arg);
}

static int
call_clear(PyObject *op)
{
    fl_coroutine_end((struct fl_coroutine *)op);
    return 0;
}

/* Of the StopIteration(True) that is kept: who has caught it, by hand, has it alone,
 * and its traceback leads to all that was running. */
static inline void
let_true_go(struct fl_state *state)
{
    PyObject *kept = state->aio.stop_true;
    if (kept != NULL && (Py_REFCNT(kept) != 1 ||
                         ((PyStopIterationObject *)(void *)kept)->traceback != NULL)) {
        Py_CLEAR(state->aio.stop_true); /* escapes */
    }
}

static void
call_dealloc(PyObject *op)
{
    AioCallObject *self = (AioCallObject *)op;
    if (!fl_coroutine_may_die(&self->base)) {
        return;
    }
    PyTypeObject *type = Py_TYPE(op);
    AioFunctionObject *function = self->function;
    struct fl_state *state = function->state;
    PyObject_GC_UnTrack(op);
    fl_coroutine_end(&self->base); /* escapes */
    if (FL_UNLIKELY(self->base.origin != NULL)) {
        Py_CLEAR(self->base.origin);
    }
    fl_stop_gone(state, op); /* escapes */
    let_true_go(state);      /* escapes */
    if (state->aio.free_calls.count >= FL_FREELIST_IDLE ||
        !fl_freelist_keep_unless(
            &state->aio.free_calls, op, LINK, self->base.finalized
        )) {
        PyObject_GC_Del(op);
    }
    Py_DECREF((PyObject *)function);
    Py_DECREF(type);
}

void
fl_aio_call_trim(struct fl_state *state, int max)
{
    fl_freelist_trim(&state->aio.free_calls, max, LINK);
}

/* ---- its steps ---- */

static PySendResult
call_start(PyObject *op, PyObject **result)
{
    AioCallObject *self = (AioCallObject *)op;
    return self->function->call->start(self, result); /* escapes */
}

/* What it waited for has ended, with value, stolen, or with the exception set. */
static PySendResult
go_on(AioCallObject *self, PyObject *value, PyObject **result)
{
    PyObject *future = self->future;
    self->future = NULL;
    Py_CLEAR(self->iterator);
    *result = NULL;
    PySendResult status =
        self->function->call->after(self, future, value, result); /* escapes */
    Py_XDECREF(future);
    Py_XDECREF(value);
    return status;
}

static PySendResult
resume_foreign(AioCallObject *self, PyObject *sent, PyObject **result)
{
    if (Py_EnterRecursiveCall("")) { /* coroutines in C within each other */
        return go_on(self, NULL, result);
    }
    PyObject *iterator = Py_NewRef(self->iterator);
    PySendResult status = PyIter_Send(iterator, sent, result); /* escapes */
    Py_LeaveRecursiveCall();
    Py_DECREF(iterator);
    if (status == PYGEN_NEXT) {
        return status;
    }
    return go_on(self, status == PYGEN_RETURN ? *result : NULL, result);
}

static PySendResult
call_resume(PyObject *op, PyObject *sent, PyObject **result)
{
    AioCallObject *self = (AioCallObject *)op;
    if (self->iterator != NULL) {
        return resume_foreign(self, sent, result);
    }
    if (self->future == NULL) { /* fl_aio_yield */
        return go_on(self, Py_NewRef(Py_None), result);
    }
    FutureObject *own = fl_future_of(fl_aio_state_of(self), self->future);
    if (own->status == FL_FUTURE_PENDING) {
        if (own->blocking) {
            PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
            return go_on(self, NULL, result);
        }
        own->blocking = 1;
        *result = Py_NewRef(self->future);
        return PYGEN_NEXT;
    }
    return go_on(self, fl_future_result(own), result);
}

/* What iterator.throw(), or close() for a GeneratorExit, makes of the exception set, as
 * `await` does it: the answer of a step. escapes. */
static PySendResult
throw_into(struct fl_state *state, PyObject *iterator, PyObject **result)
{
    PyObject *exc = fl_error_take();
    bool closes = PyErr_GivenExceptionMatches(exc, PyExc_GeneratorExit);
    PyObject *method;
    PyObject *name = closes ? state->str_close : state->str_throw;
    if (fl_optional_attribute(iterator, name, &method) < 0) { /* escapes */
        Py_DECREF(exc);
        return PYGEN_ERROR;
    }
    PyObject *given = method == NULL ? NULL
                      : closes       ? PyObject_CallNoArgs(method)
                                     : PyObject_CallOneArg(method, exc); /* escapes */
    bool failed = method != NULL && given == NULL;
    Py_XDECREF(method);
    if (failed || (given != NULL && !closes)) {
        Py_DECREF(exc);
        *result = given;
        return fl_thrown_status(result);
    }
    Py_XDECREF(given);
    fl_error_restore(exc);
    return PYGEN_ERROR;
}

static PySendResult
call_caught(PyObject *op, PyObject **result)
{
    AioCallObject *self = (AioCallObject *)op;
    if (self->iterator == NULL) {
        return go_on(self, NULL, result);
    }
    PyObject *iterator = Py_NewRef(self->iterator);
    PySendResult status = throw_into(fl_aio_state_of(self), iterator, result);
    Py_DECREF(iterator); /* escapes */
    if (status == PYGEN_NEXT) {
        return status;
    }
    return go_on(self, status == PYGEN_RETURN ? *result : NULL, result);
}

/* Of a coroutine of Python's `await` asks whether another one awaits it. 0 or -1. */
static int
check_not_awaited(PyObject *coro)
{
    PyObject *awaited = PyObject_GetAttrString(coro, "cr_await");
    if (awaited == NULL) {
        return -1;
    }
    bool free = awaited == Py_None;
    Py_DECREF(awaited);
    if (!free) {
        PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
    }
    return free ? 0 : -1;
}

/* What `await future` iterates over: new, or NULL. */
static PyObject *
iterator_of(PyObject *future)
{
    if (PyCoro_CheckExact(future)) {
        return check_not_awaited(future) < 0 ? NULL : Py_NewRef(future);
    }
    const PyAsyncMethods *methods = Py_TYPE(future)->tp_as_async;
    if (methods == NULL || methods->am_await == NULL) {
        PyErr_Format(PyExc_TypeError, FL_NOT_AWAITABLE, Py_TYPE(future)->tp_name);
        return NULL;
    }
    return FL_SLOT_POINTER(methods->am_await(future)); /* escapes */
}

PySendResult
fl_aio_wait(AioCallObject *self, PyObject *future, PyObject **result)
{
    if (future == NULL) {
        return PYGEN_ERROR;
    }
    Py_XSETREF(self->future, future);
    self->base.phase = FL_COROUTINE_WAITING;
    if (fl_future_of(fl_aio_state_of(self), future) == NULL) {
        self->iterator = iterator_of(future);
        if (self->iterator == NULL) {
            return go_on(self, NULL, result);
        }
    }
    return call_resume((PyObject *)self, Py_None, result);
}

PySendResult
fl_aio_yield(AioCallObject *self, PyObject **result)
{
    self->base.phase = FL_COROUTINE_WAITING;
    *result = Py_NewRef(Py_None);
    return PYGEN_NEXT;
}

PySendResult
fl_aio_delegate(AioCallObject *self, PyObject **result)
{
    PyObject *stack[FL_AIO_N_ARGS];
    size_t n = 0;
    while (n < FL_AIO_N_ARGS && self->args[n] != NULL) {
        stack[n] = self->args[n];
        n++;
    }
    PyObject *coro =
        PyObject_Vectorcall(self->function->stock, stack, n, NULL); /* escapes */
    return fl_coroutine_delegate(&self->base, coro, result);
}

/* Whether nobody has it but the state, and nobody has left anything in it. */
static bool
is_untouched(PyObject *stop)
{
    const PyStopIterationObject *self = (PyStopIterationObject *)(void *)stop;
    return Py_REFCNT(stop) == 1 && self->value == Py_True && self->traceback == NULL &&
           self->context == NULL && self->cause == NULL && self->dict == NULL &&
           !self->suppress_context && PyTuple_GET_SIZE(self->args) == 1 &&
           PyTuple_GET_ITEM(self->args, 0) == Py_True;
}

/* Raises StopIteration(True), which is kept: it holds nothing that could die. */
static void
raise_true(struct fl_state *state)
{
    PyObject *kept = state->aio.stop_true;
    if (kept == NULL || !is_untouched(kept)) {
        fl_raise_stop_iteration(Py_True);
        kept = fl_error_take();
        if (kept != NULL && Py_IS_TYPE(kept, (PyTypeObject *)PyExc_StopIteration)) {
            Py_XSETREF(state->aio.stop_true, Py_NewRef(kept)); /* escapes */
        }
        fl_error_restore(kept);
        return;
    }
    fl_error_restore(Py_NewRef(kept));
}

FL_INLINE PySendResult
call_step(PyObject *op, PyObject *sent, PyObject **result)
{
    AioCallObject *self = (AioCallObject *)op;
    if (self->base.phase != FL_COROUTINE_NEW || self->base.running || sent != Py_None) {
        return fl_coroutine_send(op, sent, result);
    }
    /* fast: the first step, and often the only one: what fl_coroutine_send() does */
    self->base.running = true;
    *result = NULL;
    PySendResult status = self->function->call->start(self, result); /* escapes */
    if (FL_LIKELY(status == PYGEN_RETURN)) {
        self->base.running = false;
        fl_coroutine_end(&self->base); /* escapes */
        return status;
    }
    return fl_coroutine_leave(&self->base, status);
}

/* Up to 3.11 `await` comes here, ... */
static PySendResult
call_send(PyObject *op, PyObject *sent, PyObject **result)
{
    return call_step(op, sent, result);
}

/* ... and from 3.12 on here. */
static PyObject *
call_next(PyObject *op)
{
    struct fl_state *state = ((AioCallObject *)op)->function->state;
    PyObject *result;
    PySendResult status = call_step(op, Py_None, &result);
    if (status == PYGEN_RETURN && result == Py_True) {
        /* fast: 400 of 1,800 instructions of a free lock (3.14) */
        Py_DECREF(result);
        raise_true(state);
        return NULL;
    }
    return fl_stop_or_next(state, op, status, result);
}

static PyObject *
call_name(PyObject *op, bool qualified)
{
    const AioFunctionObject *function = ((AioCallObject *)op)->function;
    const struct fl_state *state = function->state;
    return PyObject_GetAttr(
        function->stock, qualified ? state->str___qualname__ : state->str___name__
    );
}

static const struct fl_coroutine_kind call_kind = {
    .start = call_start,
    .resume = call_resume,
    .caught = call_caught,
    .drop = call_drop,
    .name = call_name,
    .look = fl_aio_call_look,
};

static PyType_Slot call_slots[] = {
    {Py_tp_dealloc, call_dealloc},
    {Py_tp_finalize, fl_coroutine_finalize},
    {Py_tp_traverse, call_traverse},
    {Py_tp_clear, call_clear},
    {Py_tp_repr, fl_coroutine_repr},
    {Py_tp_iternext, call_next},
    {Py_am_await, fl_coroutine_await},
    {Py_am_send, call_send},
    {Py_tp_methods, fl_coroutine_methods},
    {Py_tp_getset, fl_aio_call_getset},
    {0, NULL},
};

static PyType_Spec call_spec = {
    .name = "fastloop._core.Coroutine",
    .basicsize = sizeof(AioCallObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = call_slots,
};

/* ---- made by a function ---- */

static bool
is_plain_call(
    const AioFunctionObject *self, PyObject *const *args, Py_ssize_t n_args,
    PyObject *kwnames
)
{
    const struct fl_aio_call *call = self->call;
    if (kwnames != NULL || n_args > call->n_args || n_args < call->n_needed) {
        return false;
    }
    if (call->type == 0) {
        return true;
    }
    PyTypeObject *type = *(PyTypeObject **)(void *)((char *)self->state + call->type);
    return PyObject_TypeCheck(args[0], type);
}

/* Whether all but the last argument are given by position, and that by its name. */
static bool
is_last_named(const AioFunctionObject *self, Py_ssize_t n_args, PyObject *kwnames)
{
    return self->last != NULL && kwnames != NULL && PyTuple_GET_SIZE(kwnames) == 1 &&
           n_args == self->call->n_args - 1 &&
           PyTuple_GET_ITEM(kwnames, 0) == self->last;
}

PyObject *
fl_aio_function_vectorcall(
    PyObject *op, PyObject *const *args, size_t n_args_flag, PyObject *kwnames
)
{
    AioFunctionObject *self = (AioFunctionObject *)op;
    Py_ssize_t n_args = PyVectorcall_NARGS(n_args_flag);
    if (is_plain_call(self, args, n_args, kwnames)) {
        return call_new(self, args, n_args);
    }
    if (is_last_named(self, n_args, kwnames)) {
        return call_new(self, args, n_args + 1); /* its value follows the others */
    }
    return PyObject_Vectorcall(self->stock, args, n_args_flag, kwnames); /* escapes */
}

int
fl_aio_call_add_type(PyObject *module, struct fl_state *state)
{
    return fl_make_type(&state->aio_call_type, module, &call_spec, NULL);
}
