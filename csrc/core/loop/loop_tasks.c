/* Futures, tasks, factories, exception handlers, asynchronous generators.
 *
 * Imitates asyncio.BaseEventLoop.create_future, create_task, set_task_factory,
 * set_exception_handler and the asyncgen hooks.
 */
#include "core/loop/loop.h"
#include "core/task/task.h"
#include "py/args/args.h"
#include "py/state/tables.h"

PyObject *
fl_loop_create_future(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    struct fl_state *state = ((LoopObject *)op)->state;
    if (state->types.own) {
        return fl_future_new((LoopObject *)op);
    }
    return PyObject_Vectorcall(state->asyncio_Future, &op, 0, state->kw_loop);
}

/* With a factory the running asyncio's own create_task calls it, as it does for
 * its loops: what it passes differs between patch releases. */
static PyObject *
create_task_by_factory(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    struct fl_state *state = ((LoopObject *)op)->state;
    Py_ssize_t n = n_args + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    PyObject *few[8];
    PyObject **stack = few;
    if (1 + n > (Py_ssize_t)Py_ARRAY_LENGTH(few)) {
        stack = PyMem_Malloc((size_t)(1 + n) * sizeof(*stack));
        if (stack == NULL) {
            return PyErr_NoMemory();
        }
    }
    stack[0] = op;
    for (Py_ssize_t i = 0; i < n; i++) {
        stack[1 + i] = args[i];
    }
    PyObject *method = PyObject_GetAttr(state->BaseEventLoop, state->str_create_task);
    PyObject *result = NULL;
    if (method != NULL) {
        result = PyObject_Vectorcall(
            method, stack, (size_t)(1 + n_args), kwnames
        ); /* escapes */
        Py_DECREF(method);
    }
    if (stack != few) {
        PyMem_Free(stack);
    }
    return result;
}

static int
check_task_keyword(const struct fl_state *state, PyObject *name)
{
    if (state->create_task_takes_kwargs ||
        PyUnicode_Compare(name, state->str_name) == 0 ||
        PyUnicode_Compare(name, state->str_context) == 0) {
        return 0;
    }
    PyErr_Format(
        PyExc_TypeError, "create_task() got an unexpected keyword argument '%U'", name
    );
    return -1;
}

#define MAX_TASK_KEYWORDS 6

/* Takes one keyword of create_task: 1, 0 if it is none of Task's, or -1. */
static int
take_task_keyword(
    const struct fl_state *state, struct fl_task_args *args, PyObject *name,
    PyObject *value
)
{
    if (PyUnicode_Compare(name, state->str_name) == 0) {
        args->name = value;
        return 1;
    }
    if (PyUnicode_Compare(name, state->str_context) == 0) {
        args->context = value;
        return 1;
    }
#if defined(FL_HAVE_EAGER_START)
    if (PyUnicode_Compare(name, state->str_eager_start) == 0) {
        int truth = PyObject_IsTrue(value); /* escapes */
        args->eager_start = truth > 0;
        return truth < 0 ? -1 : 1;
    }
#endif
    return 0;
}

/* Our Task, without the round through its constructor's argument parsing. */
static PyObject *
make_own_task(
    LoopObject *self, PyObject *coro, PyObject *const *values, PyObject *kwnames
)
{
    struct fl_task_args args = {coro, NULL, NULL, NULL, false};
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < n_keywords; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        int taken = take_task_keyword(self->state, &args, name, values[i]);
        if (taken == 0) {
            PyErr_Format(
                PyExc_TypeError, "Task() got an unexpected keyword argument '%U'", name
            );
        }
        if (taken <= 0) {
            return NULL;
        }
    }
    return fl_task_new(self, &args);
}

/* Task(coro, loop=loop, **keywords) */
static PyObject *
make_task(LoopObject *self, PyObject *coro, PyObject *const *values, PyObject *kwnames)
{
    struct fl_state *state = self->state;
    if (state->types.own) {
        return make_own_task(self, coro, values, kwnames);
    }
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    PyObject *stack[2 + MAX_TASK_KEYWORDS] = {coro, (PyObject *)self};
    if (n_keywords == 0) {
        return PyObject_Vectorcall(state->asyncio_Task, stack, 1, state->kw_loop);
    }
    PyObject *names = PyTuple_New(1 + n_keywords);
    if (names == NULL) {
        return NULL;
    }
    PyTuple_SET_ITEM(names, 0, Py_NewRef(state->str_loop));
    for (Py_ssize_t i = 0; i < n_keywords; i++) {
        PyTuple_SET_ITEM(names, 1 + i, Py_NewRef(PyTuple_GET_ITEM(kwnames, i)));
        stack[2 + i] = values[i];
    }
    PyObject *task = PyObject_Vectorcall(state->asyncio_Task, stack, 1, names);
    Py_DECREF(names);
    return task;
}

static FL_APART PyObject *
create_task_of(
    LoopObject *self, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    PyObject *op = (PyObject *)self;
    if (fl_loop_check_closed(self) < 0) {
        return NULL;
    }
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (self->task_factory != NULL) {
        if (self->task_factory == self->state->types.eager_factory && n_args == 1 &&
            n_keywords == 0) {
            /* fast: what own_eager_factory does, but for its two calls in Python */
            const struct fl_task_args eager = {args[0], NULL, NULL, NULL, true};
            return fl_task_new(self, &eager); /* escapes */
        }
        return create_task_by_factory(op, args, n_args, kwnames); /* escapes */
    }
    if (n_keywords > MAX_TASK_KEYWORDS || n_args != 1) {
        /* coro given by keyword, or a wrong call: let Python's own code say */
        return create_task_by_factory(op, args, n_args, kwnames);
    }
    for (Py_ssize_t i = 0; i < n_keywords; i++) {
        if (check_task_keyword(self->state, PyTuple_GET_ITEM(kwnames, i)) < 0) {
            return NULL;
        }
    }
    return make_task(self, args[0], args + 1, kwnames);
}

PyObject *
fl_loop_create_task(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    LoopObject *self = (LoopObject *)op;
    if (kwnames == NULL && n_args == 1 && self->task_factory == NULL && !self->closed &&
        self->state->types.own) {
        /* fast: nothing to look at (30 instructions) */
        const struct fl_task_args plain = {args[0], NULL, NULL, NULL, false};
        return fl_task_new(self, &plain);
    }
    return create_task_of(self, args, n_args, kwnames);
}

PyObject *
fl_loop_set_task_factory(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    PyObject *factory =
        fl_args_one("set_task_factory", "factory", args, n_args, kwnames);
    if (factory == NULL) {
        return NULL;
    }
    if (factory != Py_None && !PyCallable_Check(factory)) {
        PyErr_SetString(PyExc_TypeError, "task factory must be a callable or None");
        return NULL;
    }
    LoopObject *self = (LoopObject *)op;
    Py_XSETREF(self->task_factory, factory == Py_None ? NULL : Py_NewRef(factory));
    Py_RETURN_NONE;
}

PyObject *
fl_loop_get_inner_task_factory(PyObject *op, void *Py_UNUSED(closure))
{
    LoopObject *self = (LoopObject *)op;
    const struct fl_types_state *types = &self->state->types;
    PyObject *factory = self->task_factory;
    if (factory != NULL && factory == types->eager_factory) {
        factory = types->own_eager_factory;
    }
    return fl_or_none(factory);
}

PyObject *
fl_loop_get_task_factory(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    PyObject *factory = ((LoopObject *)op)->task_factory;
    return fl_or_none(factory);
}

PyObject *
fl_loop_set_exception_handler(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    PyObject *handler =
        fl_args_one("set_exception_handler", "handler", args, n_args, kwnames);
    if (handler == NULL) {
        return NULL;
    }
    if (handler != Py_None && !PyCallable_Check(handler)) {
        PyErr_Format(
            PyExc_TypeError, "A callable object or None is expected, got %R", handler
        );
        return NULL;
    }
    LoopObject *self = (LoopObject *)op;
    Py_XSETREF(self->exception_handler, handler == Py_None ? NULL : Py_NewRef(handler));
    Py_RETURN_NONE;
}

PyObject *
fl_loop_get_exception_handler(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    PyObject *handler = ((LoopObject *)op)->exception_handler;
    return fl_or_none(handler);
}

/* ---- asynchronous generators ---- */

static PyObject *
live_asyncgens(PyObject *op)
{
    return PyObject_GetAttrString(op, "_asyncgens");
}

PyObject *
fl_loop_asyncgen_firstiter(PyObject *op, PyObject *agen)
{
    LoopObject *self = (LoopObject *)op;
    if (self->asyncgens_shutdown_called &&
        PyErr_ResourceWarning(
            op, 1,
            "asynchronous generator %R was scheduled after "
            "loop.shutdown_asyncgens() call",
            agen
        ) < 0) {
        return NULL;
    }
    PyObject *asyncgens = live_asyncgens(op);
    if (asyncgens == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_CallMethod(asyncgens, "add", "O", agen);
    Py_DECREF(asyncgens);
    return result;
}

/* Any thread: the garbage collector calls it wherever it runs. */
PyObject *
fl_loop_asyncgen_finalizer(PyObject *op, PyObject *agen)
{
    LoopObject *self = (LoopObject *)op;
    PyObject *asyncgens = live_asyncgens(op);
    if (asyncgens == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_CallMethod(asyncgens, "discard", "O", agen);
    Py_DECREF(asyncgens);
    if (result == NULL || self->closed) {
        return result;
    }
    Py_DECREF(result);
    PyObject *create_task = PyObject_GetAttr(op, self->state->str_create_task);
    PyObject *closing =
        create_task == NULL ? NULL : PyObject_CallMethod(agen, "aclose", NULL);
    result = closing == NULL ? NULL
                             : PyObject_CallMethodObjArgs(
                                   op, self->state->str_call_soon_threadsafe,
                                   create_task, closing, NULL
                               );
    Py_XDECREF(create_task);
    Py_XDECREF(closing);
    Py_XDECREF(result);
    return result == NULL ? NULL : Py_NewRef(Py_None);
}
