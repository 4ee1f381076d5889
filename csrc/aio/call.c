/* Coroutine functions in C, and the coroutine objects that they make. */
#include "aio/call.h"

#include "py/tables.h"

/* ---- the coroutine ---- */

#define LINK offsetof(AioCallObject, function)

static const struct fl_coroutine_kind call_kind;

FL_INLINE PyObject *
call_new(AioFunctionObject *function, PyObject *const *args, Py_ssize_t n_args)
{
    struct fl_state *state = function->state;
    AioCallObject *self = (AioCallObject *)(void *)fl_freelist_take(
        &state->aio.free_calls, state->aio_call_type, LINK
    );
    if (self == NULL) {
        self = PyObject_GC_New(AioCallObject, state->aio_call_type);
    }
    if (self == NULL) {
        return NULL;
    }
    fl_coroutine_begin(&self->base, &call_kind);
    self->function = (AioFunctionObject *)Py_NewRef((PyObject *)function);
    for (Py_ssize_t i = 0; i < FL_AIO_N_ARGS; i++) {
        self->args[i] = i < n_args ? Py_NewRef(args[i]) : NULL;
    }
    self->future = NULL;
    self->iterator = NULL;
    self->reached = 0;
    self->alarm = (struct fl_alarm_slot){NULL, NULL};
    PyObject_GC_Track(self);
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
    if (state->aio.free_calls.count >= FL_FREELIST_IDLE ||
        !fl_freelist_keep(&state->aio.free_calls, op, LINK)) {
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
    PyObject *iterator = Py_NewRef(self->iterator);
    PySendResult status = PyIter_Send(iterator, sent, result); /* escapes */
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
        PyErr_Format(
            PyExc_TypeError, "object %.100s can't be used in 'await' expression",
            Py_TYPE(future)->tp_name
        );
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
};

static PyType_Slot call_slots[] = {
    {Py_tp_dealloc, call_dealloc},
    {Py_tp_finalize, fl_coroutine_finalize},
    {Py_tp_traverse, call_traverse},
    {Py_tp_clear, call_clear},
    {Py_tp_repr, fl_coroutine_repr},
    {Py_tp_iternext, fl_coroutine_next},
    {Py_am_await, fl_coroutine_await},
    {Py_am_send, fl_coroutine_send},
    {Py_tp_methods, fl_coroutine_methods},
    {Py_tp_getset, fl_coroutine_getset},
    {0, NULL},
};

static PyType_Spec call_spec = {
    .name = "fastloop._core.Coroutine",
    .basicsize = sizeof(AioCallObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = call_slots,
};

/* ---- the function ---- */

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

static PyObject *
function_vectorcall(
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

PyObject *
fl_aio_function_new(
    struct fl_state *state, const struct fl_aio_call *call, PyObject *stock
)
{
    AioFunctionObject *self =
        PyObject_GC_New(AioFunctionObject, state->aio_function_type);
    if (self == NULL) {
        return NULL;
    }
    self->vectorcall = function_vectorcall;
    self->call = call;
    self->state = state;
    self->stock = Py_NewRef(stock);
    self->last = NULL;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

int
fl_aio_add_coroutine(
    PyObject *module, struct fl_state *state, const char *name,
    const struct fl_aio_call *call, PyObject *stock, PyObject *last
)
{
    PyObject *function = fl_aio_function_new(state, call, stock);
    if (function == NULL) {
        return -1;
    }
    ((AioFunctionObject *)function)->last = last;
    int status = PyModule_AddObjectRef(module, name, function);
    Py_DECREF(function);
    return status;
}

int
fl_aio_add_function(
    PyObject *module, struct fl_state *state, const char *name, vectorcallfunc call,
    PyObject *stock
)
{
    PyObject *function = fl_aio_function_new(state, NULL, stock);
    if (function == NULL) {
        return -1;
    }
    ((AioFunctionObject *)function)->vectorcall = call;
    int status = PyModule_AddObjectRef(module, name, function);
    Py_DECREF(function);
    return status;
}

static int
function_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((AioFunctionObject *)op)->stock);
    return 0;
}

static int
function_clear(PyObject *op)
{
    AioFunctionObject *self = (AioFunctionObject *)op;
    Py_SETREF(self->stock, Py_NewRef(Py_None)); /* calls may outlive it */
    return 0;
}

static void
function_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_DECREF(((AioFunctionObject *)op)->stock);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyObject *
function_descr_get(PyObject *op, PyObject *instance, PyObject *Py_UNUSED(owner))
{
    if (instance == NULL || instance == Py_None) {
        return Py_NewRef(op);
    }
    return PyMethod_New(op, instance);
}

static PyObject *
function_getattro(PyObject *op, PyObject *name)
{
    PyObject *value = PyObject_GenericGetAttr(op, name);
    if (value != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return value;
    }
    PyErr_Clear();
    return PyObject_GetAttr(((AioFunctionObject *)op)->stock, name);
}

static PyObject *
function_repr(PyObject *op)
{
    const AioFunctionObject *self = (AioFunctionObject *)op;
    PyObject *name = PyObject_GetAttr(self->stock, self->state->str___qualname__);
    if (name == NULL) {
        return NULL;
    }
    PyObject *repr = PyUnicode_FromFormat("<function %U at %p>", name, op);
    Py_DECREF(name);
    return repr;
}

static PyObject *
function_get_doc(PyObject *op, void *Py_UNUSED(closure))
{
    const AioFunctionObject *self = (AioFunctionObject *)op;
    return PyObject_GetAttr(self->stock, self->state->str___doc__);
}

static PyObject *
function_get_module(PyObject *op, void *Py_UNUSED(closure))
{
    const AioFunctionObject *self = (AioFunctionObject *)op;
    return PyObject_GetAttr(self->stock, self->state->str___module__);
}

PyDoc_STRVAR(
    function_reduce_doc, "__reduce__($self, /)\n--\n\nAs a function: by its name."
);

static PyObject *
function_reduce(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const AioFunctionObject *self = (AioFunctionObject *)op;
    return PyObject_GetAttr(self->stock, self->state->str___qualname__);
}

static PyMethodDef function_methods[] = {
    {"__reduce__", function_reduce, METH_NOARGS, function_reduce_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef function_getset[] = {
    {"__doc__", function_get_doc, NULL, NULL, NULL},
    {"__module__", function_get_module, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef function_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(AioFunctionObject, vectorcall),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot function_slots[] = {
    {Py_tp_dealloc, function_dealloc},
    {Py_tp_traverse, function_traverse},
    {Py_tp_clear, function_clear},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_descr_get, function_descr_get},
    {Py_tp_getattro, function_getattro},
    {Py_tp_repr, function_repr},
    {Py_tp_methods, function_methods},
    {Py_tp_getset, function_getset},
    {Py_tp_members, function_members},
    {0, NULL},
};

static PyType_Spec function_spec = {
    .name = "fastloop._core.CoroutineFunction",
    .basicsize = sizeof(AioFunctionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = function_slots,
};

int
fl_aio_call_add_types(PyObject *module, struct fl_state *state)
{
    if (fl_make_type(&state->aio_call_type, module, &call_spec, NULL) < 0) {
        return -1;
    }
    return fl_make_type(&state->aio_function_type, module, &function_spec, NULL);
}
