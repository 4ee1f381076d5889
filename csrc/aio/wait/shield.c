/* shield: asyncio.shield in C.
 *
 * Two futures that know of each other by one object, which the callbacks of both are
 * methods of. Releases of asyncio differ in who hears of an exception of the inner one
 * after the outer one was cancelled (state->aio.log_on_exception).
 */
#include "aio/wait/shield.h"

#include "aio/aio.h"
#include "aio/call.h"
#include "aio/futures.h"
#include "core/future/awaited_by.h"
#include "py/state/tables.h"

typedef struct {
    PyObject_HEAD
    struct fl_state *state; /* borrowed: the type keeps the module alive */
    PyObject *inner;
    PyObject *outer;
    PyObject *task; /* that awaits, for the call graph (3.14+), or NULL */
} ShieldObject;

/* ---- the inner future is done ---- */

/* Nobody will ask for its exception. escapes. 0 or -1. */
static int
ignore_inner(const struct fl_state *state, PyObject *inner)
{
    if (state->aio.log_on_exception != NULL) {
        return 0; /* asyncio's function, a callback of it, tells of it */
    }
    PyObject *exc = NULL;
    int cancelled = fl_aio_is_cancelled(state, inner); /* escapes */
    if (cancelled == 0 && fl_aio_exception(state, inner, &exc) < 0) {
        return -1;
    }
    Py_XDECREF(exc);
    return cancelled < 0 ? -1 : 0;
}

/* What became of the inner future becomes of the outer one. escapes. 0 or -1. */
static int
pass_on(const struct fl_state *state, PyObject *inner, PyObject *outer)
{
    int cancelled = fl_aio_is_cancelled(state, inner); /* escapes */
    if (cancelled != 0) {
        return cancelled < 0 || fl_aio_cancel(state, outer) < 0 ? -1 : 0;
    }
    PyObject *exc;
    if (fl_aio_exception(state, inner, &exc) < 0) {
        return -1;
    }
    PyObject *given = exc != NULL ? exc : fl_aio_result(state, inner);
    int status = given == NULL ? -1
                 : exc != NULL ? fl_aio_set_exception(state, outer, given)
                               : fl_aio_set_result(state, outer, given); /* escapes */
    Py_XDECREF(given);
    return status;
}

static PyObject *
shield_inner_done(PyObject *op, PyObject *inner)
{
    const ShieldObject *self = (ShieldObject *)op;
    const struct fl_state *state = self->state;
    PyObject *outer = fl_or_none(self->outer);
    int cancelled = fl_aio_is_cancelled(state, outer); /* escapes */
    int status = -1;
    if (cancelled >= 0) {
        status = cancelled ? ignore_inner(state, inner) : pass_on(state, inner, outer);
    }
    Py_DECREF(outer);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef inner_done_def = {
    "_inner_done_callback", shield_inner_done, METH_O, NULL
};

static PyObject *
shield_clear_awaited_by(PyObject *op, PyObject *inner)
{
    const ShieldObject *self = (ShieldObject *)op;
    if (self->task != NULL &&
        fl_awaited_by_discard(self->state, inner, self->task) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef clear_awaited_by_def = {
    "_clear_awaited_by_callback", shield_clear_awaited_by, METH_O, NULL
};

/* ---- the outer future is done ---- */

/* inner.remove_done_callback(the method). escapes. 0 or -1. */
static int
tell_not(ShieldObject *self, PyMethodDef *method)
{
    PyObject *callback = PyCFunction_New(method, (PyObject *)self);
    int status =
        callback == NULL ? -1 : fl_aio_tell_not(self->state, self->inner, callback);
    Py_XDECREF(callback);
    return status;
}

/* Has asyncio's function tell of an exception that nobody asks for. escapes. */
static int
have_it_logged(const struct fl_state *state, PyObject *inner)
{
    PyObject *log = state->aio.log_on_exception;
    if (log == NULL) {
        return 0;
    }
    PyObject *context = NULL;
    int status = fl_aio_tell_not(state, inner, log) < 0
                     ? -1
                     : fl_aio_tell(state, inner, log, &context);
    Py_XDECREF(context);
    return status;
}

static PyObject *
shield_outer_done(PyObject *op, PyObject *Py_UNUSED(outer))
{
    ShieldObject *self = (ShieldObject *)op;
    const struct fl_state *state = self->state;
    if (self->inner == NULL) {
        Py_RETURN_NONE; /* cleared by the garbage collector */
    }
    int done = fl_aio_is_done(state, self->inner); /* escapes */
    if (done < 0) {
        return NULL;
    }
    if (done == 0 && (tell_not(self, &inner_done_def) < 0 ||
                      have_it_logged(state, self->inner) < 0)) {
        return NULL;
    }
    if (done == 0 && self->task != NULL &&
        (tell_not(self, &clear_awaited_by_def) < 0 ||
         fl_awaited_by_discard(state, self->inner, self->task) < 0)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef outer_done_def = {
    "_outer_done_callback", shield_outer_done, METH_O, NULL
};

/* ---- shielding ---- */

static int
tell(ShieldObject *self, PyObject *future, PyMethodDef *method, PyObject **context)
{
    PyObject *callback = PyCFunction_New(method, (PyObject *)self);
    int status =
        callback == NULL
            ? -1
            : fl_aio_tell(self->state, future, callback, context); /* escapes */
    Py_XDECREF(callback);
    return status;
}

/* Who awaits what is shielded: 0 or -1. */
static int
find_task(ShieldObject *self, PyObject *loop)
{
    if (fl_aio_awaiting_task(self->state, loop, &self->task) < 0) {
        return -1;
    }
    return self->task == NULL ? 0
                              : fl_awaited_by_add(self->state, self->inner, self->task);
}

static ShieldObject *
shield_new(struct fl_state *state, PyObject *inner)
{
    ShieldObject *self = PyObject_GC_New(ShieldObject, state->shield_type);
    if (self != NULL) {
        self->state = state;
        self->inner = Py_NewRef(inner);
        self->outer = NULL;
        self->task = NULL;
        PyObject_GC_Track(self);
    }
    return self;
}

/* For an inner future that is not done: the outer one, new, or NULL. escapes. */
static PyObject *
shield(struct fl_state *state, PyObject *inner)
{
    ShieldObject *self = shield_new(state, inner);
    PyObject *loop = self == NULL ? NULL : fl_aio_loop_of(state, inner); /* escapes */
    if (loop != NULL) {
        self->outer = fl_aio_new_future(state, loop); /* escapes */
    }
    PyObject *context = NULL;
    PyObject *outer = NULL;
    if (loop != NULL && self->outer != NULL && find_task(self, loop) == 0 &&
        (self->task == NULL ||
         tell(self, inner, &clear_awaited_by_def, &context) == 0) &&
        tell(self, inner, &inner_done_def, &context) == 0 &&
        tell(self, self->outer, &outer_done_def, &context) == 0) {
        outer = Py_NewRef(self->outer);
    }
    PyObject *exc = outer == NULL ? fl_error_take() : NULL;
    Py_XDECREF(context);
    Py_XDECREF(loop);
    Py_XDECREF((PyObject *)self); /* escapes */
    if (exc != NULL) {
        fl_error_restore(exc);
    }
    return outer;
}

static PyObject *
shield_call(
    PyObject *function, PyObject *const *args, size_t n_args_flag, PyObject *kwnames
)
{
    const AioFunctionObject *self = (AioFunctionObject *)function;
    struct fl_state *state = self->state;
    bool plain = PyVectorcall_NARGS(n_args_flag) == 1 && kwnames == NULL;
    PyObject *loop = plain ? fl_aio_running_loop(state) : Py_NewRef(Py_None);
    if (loop == NULL) {
        return NULL;
    }
    bool running = loop != Py_None;
    Py_DECREF(loop);
    if (!running) { /* who asks for one may be warned */
        return PyObject_Vectorcall(self->stock, args, n_args_flag, kwnames);
    }
    PyObject *inner = fl_aio_ensure_future(state, args[0], NULL); /* escapes */
    int done = inner == NULL ? -1 : fl_aio_is_done(state, inner);
    if (done > 0) {
        return inner;
    }
    PyObject *outer = done < 0 ? NULL : shield(state, inner); /* escapes */
    Py_XDECREF(inner);
    return outer;
}

/* ---- the type ---- */

static int
shield_traverse(PyObject *op, visitproc visit, void *arg)
{
    const ShieldObject *self = (ShieldObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->inner);
    Py_VISIT(self->outer);
    Py_VISIT(self->task);
    return 0;
}

static int
shield_clear(PyObject *op)
{
    ShieldObject *self = (ShieldObject *)op;
    Py_CLEAR(self->inner); /* escapes, as do all of these */
    Py_CLEAR(self->outer);
    Py_CLEAR(self->task);
    return 0;
}

static void
shield_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    shield_clear(op);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyType_Slot shield_slots[] = {
    {Py_tp_dealloc, shield_dealloc},
    {Py_tp_traverse, shield_traverse},
    {Py_tp_clear, shield_clear},
    {0, NULL},
};

static PyType_Spec shield_spec = {
    .name = "fastloop._core.Shield",
    .basicsize = sizeof(ShieldObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = shield_slots,
};

int
fl_shield_add(PyObject *module, struct fl_state *state)
{
    if (fl_make_type(&state->shield_type, module, &shield_spec, NULL) < 0 ||
        fl_aio_optional(
            "asyncio.tasks", "_log_on_exception", &state->aio.log_on_exception
        ) < 0) {
        return -1;
    }
    return fl_aio_add_function(
        module, state, "shield", shield_call, state->asyncio_shield
    );
}
