/* What coroutine objects written in C have in common. */
#include "py/await/awaitable.h"

#include "py/await/awaitable_iter.h"
#include "py/error.h"
#include "py/state/tables.h"

/* Every await that ends with a value comes here, from 3.12 on: by its fields
 * instead of by a call it costs 200 instructions less (3.14). */
void
fl_raise_stop_iteration(PyObject *value)
{
    PyTypeObject *type = (PyTypeObject *)PyExc_StopIteration;
    PyObject *args = PyTuple_New(1);
    if (args == NULL) {
        return;
    }
    PyTuple_SET_ITEM(args, 0, Py_NewRef(value));
    PyObject *stop = FL_SLOT_POINTER(type->tp_alloc(type, 0));
    if (stop == NULL) {
        Py_DECREF(args);
        return;
    }
    PyStopIterationObject *fields = (PyStopIterationObject *)(void *)stop;
    fields->args = args; /* the others are NULL, as they are to be */
    fields->value = Py_NewRef(value);
    fl_error_restore(stop);
}

PySendResult
fl_thrown_status(PyObject **result)
{
    if (*result != NULL) {
        return PYGEN_NEXT;
    }
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return PYGEN_ERROR;
    }
    PyObject *stop = fl_error_take();
    PyObject *value = ((PyStopIterationObject *)(void *)stop)->value;
    *result = Py_NewRef(value != NULL ? value : Py_None);
    Py_DECREF(stop);
    return PYGEN_RETURN;
}

/* The exception that throw(type, value, traceback) raises: new, or NULL with
 * another one set. */
static PyObject *
thrown_exception(PyObject *type, PyObject *value, PyObject *traceback)
{
    PyObject *exc;
    if (PyExceptionClass_Check(type)) {
        if (value != NULL && PyObject_TypeCheck(value, (PyTypeObject *)type)) {
            exc = Py_NewRef(value);
            if (traceback == NULL) {
                fl_forget_traceback(exc); /* as a generator's */
            }
        }
        else if (value != NULL && PyTuple_Check(value)) {
            exc = PyObject_Call(type, value, NULL); /* escapes */
        }
        else {
            exc = PyObject_CallFunctionObjArgs(type, value, NULL); /* escapes */
        }
    }
    else if (!PyExceptionInstance_Check(type)) {
        PyErr_SetString(
            PyExc_TypeError, "exceptions must be classes deriving BaseException or "
                             "instances of such a class"
        );
        return NULL;
    }
    else if (value != NULL) {
        PyErr_SetString(
            PyExc_TypeError, "instance exception may not have a separate value"
        );
        return NULL;
    }
    else {
        exc = Py_NewRef(type);
    }
    if (exc != NULL && traceback != NULL &&
        PyException_SetTraceback(exc, traceback) < 0) {
        Py_CLEAR(exc);
    }
    return exc;
}

PyObject *
fl_thrown_exception(PyObject *const *args, Py_ssize_t n_args)
{
    if (n_args < 1 || n_args > 3) {
        PyErr_Format(
            PyExc_TypeError, "throw expected 1 to 3 arguments, got %zd", n_args
        );
        return NULL;
    }
    if (n_args > 1 && FL_THROW_WARNS &&
        PyErr_WarnEx(
            PyExc_DeprecationWarning,
            "the (type, exc, tb) signature of throw() is deprecated, "
            "use the single-arg signature instead.",
            1
        ) < 0) {
        return NULL;
    }
    PyObject *value = n_args > 1 && args[1] != Py_None ? args[1] : NULL;
    PyObject *traceback = n_args > 2 && args[2] != Py_None ? args[2] : NULL;
    if (traceback != NULL && !PyTraceBack_Check(traceback)) {
        PyErr_SetString(PyExc_TypeError, "throw() third argument must be a traceback");
        return NULL;
    }
    PyObject *exc = thrown_exception(args[0], value, traceback);
    if (exc != NULL && !PyExceptionInstance_Check(exc)) {
        PyErr_Format(PyExc_TypeError, "%R is not an exception", exc);
        Py_CLEAR(exc);
    }
    return exc;
}

/* ---- steps ---- */

void
fl_coroutine_end(struct fl_coroutine *self)
{
    if (self->phase == FL_COROUTINE_ENDED) { /* by what was run below */
        return;
    }
    self->phase = FL_COROUTINE_ENDED;
    self->kind->drop((PyObject *)self); /* escapes */
    Py_CLEAR(self->delegate);           /* escapes */
}

static PySendResult
send_to_delegate(struct fl_coroutine *self, PyObject *sent, PyObject **result)
{
    if (Py_EnterRecursiveCall("")) { /* coroutines in C within each other */
        return PYGEN_ERROR;
    }
    PyObject *delegate = Py_NewRef(self->delegate);
    PySendResult status = PyIter_Send(delegate, sent, result); /* escapes */
    Py_LeaveRecursiveCall();
    Py_DECREF(delegate);
    return status;
}

PySendResult
fl_coroutine_delegate(struct fl_coroutine *self, PyObject *coro, PyObject **result)
{
    if (coro == NULL) {
        return PYGEN_ERROR;
    }
    Py_XSETREF(self->delegate, coro);
    self->phase = FL_COROUTINE_DELEGATED;
    return send_to_delegate(self, Py_None, result);
}

static PyObject *
refuse_reuse(void)
{
    PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    return NULL;
}

static PySendResult
start(struct fl_coroutine *self, PyObject *sent, PyObject **result)
{
    if (sent != Py_None) {
        PyErr_SetString(
            PyExc_TypeError, "can't send non-None value to a just-started coroutine"
        );
        return PYGEN_NEXT; /* of nothing: it may still be started */
    }
    return self->kind->start((PyObject *)self, result); /* escapes */
}

static PySendResult
step(struct fl_coroutine *self, PyObject *sent, PyObject **result)
{
    switch ((enum fl_coroutine_phase)self->phase) {
    case FL_COROUTINE_NEW:
        return start(self, sent, result);
    case FL_COROUTINE_WAITING:
        return self->kind->resume((PyObject *)self, sent, result); /* escapes */
    case FL_COROUTINE_DELEGATED:
        return send_to_delegate(self, sent, result);
    default:
        *result = refuse_reuse();
        return PYGEN_ERROR;
    }
}

/* 0, or -1 with ValueError if it is being run. */
static int
enter(struct fl_coroutine *self)
{
    if (self->running) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return -1;
    }
    self->running = true;
    return 0;
}

/* RuntimeError in place of stop, stolen, which no coroutine raises. */
static PyObject *
wrap_stop_iteration(PyObject *stop)
{
    PyObject *error = PyObject_CallFunction(
        PyExc_RuntimeError, "s", "coroutine raised StopIteration"
    );
    if (error == NULL) {
        Py_DECREF(stop);
        return fl_error_take();
    }
    PyException_SetCause(error, Py_NewRef(stop));
    PyException_SetContext(error, stop);
    return error;
}

/* Ends it with the exception set, which stays. */
static void
leave_failed(struct fl_coroutine *self)
{
    PyObject *exc = fl_error_take();
    if (self->phase != FL_COROUTINE_DELEGATED && exc != NULL &&
        PyErr_GivenExceptionMatches(exc, PyExc_StopIteration)) {
        exc = wrap_stop_iteration(exc);
    }
    fl_coroutine_end(self); /* escapes */
    fl_error_restore(exc);
}

PySendResult
fl_coroutine_leave(struct fl_coroutine *self, PySendResult status)
{
    self->running = false;
    if (status == PYGEN_RETURN) {
        fl_coroutine_end(self); /* escapes */
    }
    else if (status == PYGEN_ERROR && self->phase != FL_COROUTINE_ENDED) {
        leave_failed(self);
    }
    return status;
}

PySendResult
fl_coroutine_send(PyObject *op, PyObject *sent, PyObject **result)
{
    struct fl_coroutine *self = (struct fl_coroutine *)op;
    *result = NULL;
    if (enter(self) < 0) {
        return PYGEN_ERROR;
    }
    PySendResult status = fl_coroutine_leave(self, step(self, sent, result));
    return *result == NULL ? PYGEN_ERROR : status;
}

PyObject *
fl_coroutine_next(PyObject *op)
{
    PyObject *result;
    PySendResult status = fl_coroutine_send(op, Py_None, &result);
    return fl_sent_to_next(status, result);
}

PyObject *
fl_coroutine_await(PyObject *op)
{
    const struct fl_coroutine *self = (struct fl_coroutine *)op;
    if (self->phase == FL_COROUTINE_WAITING || self->phase == FL_COROUTINE_DELEGATED) {
        PyErr_SetString(PyExc_RuntimeError, "coroutine is being awaited already");
        return NULL;
    }
    return Py_NewRef(op);
}

void
fl_coroutine_look(PyObject *op, struct fl_coroutine_look *look)
{
    const struct fl_coroutine *self = (struct fl_coroutine *)op;
    if (self->phase != FL_COROUTINE_ENDED) {
        self->kind->look(op, look);
    }
    if (self->phase == FL_COROUTINE_DELEGATED) {
        look->inner = self->delegate;
    }
}

/* ---- methods ---- */

PyDoc_STRVAR(
    send_doc, "send($self, value, /)\n--\n\n"
              "Go on until it waits or, by StopIteration, has its result."
);

static PyObject *
coroutine_send(PyObject *op, PyObject *sent)
{
    PyObject *result;
    PySendResult status = fl_coroutine_send(op, sent, &result);
    return fl_sent_to_send(status, result);
}

static PyObject *
throw_into_delegate(struct fl_coroutine *self, PyObject *const *args, Py_ssize_t n_args)
{
    PyObject *method = PyObject_GetAttrString(self->delegate, "throw");
    PyObject *result = NULL;
    if (method != NULL && enter(self) == 0) {
        result = PyObject_Vectorcall(method, args, (size_t)n_args, NULL); /* escapes */
        fl_coroutine_leave(self, result == NULL ? PYGEN_ERROR : PYGEN_NEXT);
    }
    Py_XDECREF(method);
    return result;
}

/* The step that begins with the exception set. */
static PySendResult
throw_here(struct fl_coroutine *self, PyObject **result)
{
    bool cares = self->phase == FL_COROUTINE_WAITING && self->kind->caught != NULL;
    PySendResult status = PYGEN_ERROR;
    if (cares) {
        status = self->kind->caught((PyObject *)self, result); /* escapes */
    }
    return fl_coroutine_leave(self, status);
}

PyDoc_STRVAR(
    throw_doc, "throw($self, typ, val=None, tb=None, /)\n--\n\n"
               "Raise the exception where it waits.\n\n"
               "The form with three arguments is deprecated."
);

static PyObject *
coroutine_throw(PyObject *op, PyObject *const *args, Py_ssize_t n_args)
{
    struct fl_coroutine *self = (struct fl_coroutine *)op;
    if (self->phase == FL_COROUTINE_DELEGATED) {
        return throw_into_delegate(self, args, n_args);
    }
    if (self->phase == FL_COROUTINE_ENDED) {
        return refuse_reuse();
    }
    PyObject *exc = fl_thrown_exception(args, n_args); /* escapes */
    if (exc == NULL || enter(self) < 0) {
        Py_XDECREF(exc);
        return NULL;
    }
    fl_error_restore(exc);
    PyObject *result = NULL;
    PySendResult status = throw_here(self, &result);
    return fl_sent_to_send(status, result);
}

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\nEnd it; it need not be awaited.");

/* Raises GeneratorExit where it waits. 0, or -1 with an exception. */
static int
close_waiting(struct fl_coroutine *self)
{
    PyObject *result = NULL;
    PyErr_SetNone(PyExc_GeneratorExit);
    PySendResult status = throw_here(self, &result);
    Py_XDECREF(result);
    if (status == PYGEN_NEXT) {
        PyErr_SetString(PyExc_RuntimeError, "coroutine ignored GeneratorExit");
        return -1;
    }
    if (status == PYGEN_ERROR) {
        if (!PyErr_ExceptionMatches(PyExc_GeneratorExit)) {
            return -1;
        }
        PyErr_Clear();
    }
    return 0;
}

static PyObject *
coroutine_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    struct fl_coroutine *self = (struct fl_coroutine *)op;
    if (enter(self) < 0) {
        return NULL;
    }
    if (self->phase == FL_COROUTINE_WAITING && self->kind->caught != NULL) {
        return close_waiting(self) < 0 ? NULL : Py_NewRef(Py_None);
    }
    PyObject *result = Py_NewRef(Py_None);
    if (self->phase == FL_COROUTINE_DELEGATED) {
        Py_SETREF(result, PyObject_CallMethod(self->delegate, "close", NULL));
    }
    fl_coroutine_leave(self, result == NULL ? PYGEN_ERROR : PYGEN_RETURN);
    return result;
}

PyDoc_STRVAR(
    await_doc, "__await__($self, /)\n--\n\n"
               "Return an iterator to be used in await expression."
);

static PyObject *
coroutine_await(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const struct fl_state *state = fl_state_of_type(Py_TYPE(op));
    PyObject *self = state == NULL ? NULL : fl_coroutine_await(op);
    PyObject *iterator =
        self == NULL ? NULL : fl_coroutine_iter_new(state->coroutine_iter_type, op);
    Py_XDECREF(self);
    return iterator;
}

PyMethodDef fl_coroutine_methods[] = {
    {"__await__", coroutine_await, METH_NOARGS | METH_COEXIST, await_doc},
    {"send", coroutine_send, METH_O, send_doc},
    {"throw", FL_FASTCALL(coroutine_throw), METH_FASTCALL, throw_doc},
    {"close", coroutine_close, METH_NOARGS, close_doc},
    {NULL, NULL, 0, NULL},
};

/* ---- its end without an end ---- */

/* As Python's coroutines warn, by a function of the module warnings that tells of the
 * origin too; in a word where that is not there, at the interpreter's end. escapes. 0,
 * or -1 with an exception. */
static int
warn_never_awaited(PyObject *op)
{
    PyObject *module_name = PyUnicode_InternFromString("warnings");
    PyObject *warnings = module_name == NULL ? NULL : PyImport_GetModule(module_name);
    Py_XDECREF(module_name);
    if (warnings != NULL) {
        PyObject *done = PyObject_CallMethod(
            warnings, "_warn_unawaited_coroutine", "O", op
        ); /* escapes */
        Py_DECREF(warnings);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    PyObject *name = PyErr_Occurred() ? NULL : fl_coroutine_get_qualname(op, NULL);
    if (name == NULL) {
        return -1;
    }
    int status = PyErr_WarnFormat(
        PyExc_RuntimeWarning, 1, "coroutine '%U' was never awaited", name
    ); /* escapes */
    Py_DECREF(name);
    return status;
}

void
fl_coroutine_finalize(PyObject *op)
{
    struct fl_coroutine *self = (struct fl_coroutine *)op;
    int status = 0;
    self->finalized = true;
    PyObject *exc = fl_error_take();
    if (self->phase == FL_COROUTINE_NEW) {
        status = warn_never_awaited(op); /* escapes */
    }
    else if (self->phase == FL_COROUTINE_WAITING && self->kind->caught != NULL) {
        self->running = true;
        status = close_waiting(self); /* escapes */
    }
    if (status < 0) {
        PyErr_WriteUnraisable(op);
    }
    fl_error_restore(exc);
}

/* ---- looking at it ---- */

PyObject *
fl_coroutine_get_name(PyObject *op, void *Py_UNUSED(closure))
{
    return ((struct fl_coroutine *)op)->kind->name(op, false);
}

PyObject *
fl_coroutine_get_qualname(PyObject *op, void *Py_UNUSED(closure))
{
    return ((struct fl_coroutine *)op)->kind->name(op, true);
}

PyObject *
fl_coroutine_get_running(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((struct fl_coroutine *)op)->running);
}

PyGetSetDef fl_coroutine_getset[] = {
    FL_COROUTINE_GETSET,
    {NULL, NULL, NULL, NULL, NULL},
};

PyObject *
fl_coroutine_repr(PyObject *op)
{
    PyObject *name = fl_coroutine_get_qualname(op, NULL);
    if (name == NULL) {
        return NULL;
    }
    PyObject *repr = PyUnicode_FromFormat("<coroutine object %U at %p>", name, op);
    Py_DECREF(name);
    return repr;
}
