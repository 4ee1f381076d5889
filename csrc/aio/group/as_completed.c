/* as_completed(): asyncio's in C.
 *
 * It returns what asyncio's has from 3.13 on, an iterator and asynchronous iterator
 * whose class derives from asyncio's. Before that asyncio's is a generator, and so is
 * ours, in fastloop/_completions.py: it yields what this iterates over.
 *
 * What is not plain - no loop runs, or it iterates over some type of its own - is
 * asyncio's.
 */
#include "aio/group/as_completed.h"

#include "aio/aio.h"
#include "aio/class.h"
#include "aio/futures.h"
#include "aio/group/as_completed_one.h"
#include "core/future/awaited_by.h"
#include "py/state/tables.h"

typedef struct {
    AioObject base;
    PyObject *done;   /* a Queue: of futures that are done, and None once time is up */
    PyObject *todo;   /* a set: of those that are not */
    PyObject *task;   /* that waits, for the call graph (3.14+) */
    PyObject *n_left; /* an int: to be iterated over */
    struct fl_alarm_slot alarm;
} CompletionsObject;

static CompletionsObject *
completions_of(PyObject *op)
{
    return (CompletionsObject *)(void *)op;
}

/* ---- a future is done, or time is up ---- */

/* self._done.put_nowait(item). escapes. 0 or -1. */
static int
put(const CompletionsObject *self, PyObject *item)
{
    PyObject *queue = fl_or_none(self->done);
    PyObject *result =
        PyObject_CallMethodOneArg(queue, self->base.state->str_put_nowait, item);
    Py_DECREF(queue);
    return fl_call_status(result);
}

static int
forget_task(const CompletionsObject *self, PyObject *future)
{
    return self->task == NULL || self->task == Py_None
               ? 0
               : fl_awaited_by_discard(self->base.state, future, self->task);
}

/* How many are not done, of a set that is to be there: -1 with an exception. */
static Py_ssize_t
n_todo(const CompletionsObject *self)
{
    return PyObject_Size(self->todo != NULL ? self->todo : Py_None);
}

PyDoc_STRVAR(
    handle_completion_doc, "_handle_completion($self, future, /)\n--\n\n"
                           "What each future calls when it is done."
);

/* self._todo.remove(future). escapes. 0 or -1. */
static int
take_out(const CompletionsObject *self, PyObject *future)
{
    PyObject *todo = fl_or_none(self->todo);
    int there = 1;
    if (PySet_CheckExact(todo)) {
        there = PySet_Discard(todo, future); /* escapes */
        if (there == 0) {
            PyErr_SetObject(PyExc_KeyError, future);
        }
    }
    else {
        const struct fl_state *state = self->base.state;
        PyObject *done = PyObject_CallMethodOneArg(todo, state->str_remove, future);
        there = fl_call_status(done) < 0 ? -1 : 1; /* escapes */
    }
    Py_DECREF(todo);
    return there > 0 ? 0 : -1;
}

static PyObject *
handle_completion(PyObject *op, PyObject *future)
{
    CompletionsObject *self = completions_of(op);
    Py_ssize_t before = n_todo(self); /* escapes */
    if (before <= 0) {
        return before < 0 ? NULL : Py_NewRef(Py_None); /* time was up */
    }
    if (take_out(self, future) < 0 || forget_task(self, future) < 0 ||
        put(self, future) < 0) { /* escapes */
        return NULL;
    }
    Py_ssize_t left = n_todo(self);
    if (left < 0 || (left == 0 && fl_alarm_cancel(&self->alarm) < 0)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef handle_completion_def = {
    "_handle_completion", handle_completion, METH_O, handle_completion_doc
};

/* The future tells no more, and somebody is told that time is up. escapes. 0 or -1. */
static int
give_up_on(const CompletionsObject *self, PyObject *future, PyObject *callback)
{
    if (fl_aio_tell_not(self->base.state, future, callback) < 0 || /* escapes */
        forget_task(self, future) < 0) {
        return -1;
    }
    return put(self, Py_None);
}

PyDoc_STRVAR(
    handle_timeout_doc, "_handle_timeout($self, /)\n--\n\nIts timer's callback."
);

static PyObject *
handle_timeout(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const CompletionsObject *self = completions_of(op);
    PyObject *todo = fl_or_none(self->todo);
    PyObject *callback = PyCFunction_New(&handle_completion_def, op);
    PyObject *iterator = callback == NULL ? NULL : PyObject_GetIter(todo);
    int status = iterator == NULL ? -1 : 0;
    PyObject *future;
    while (status == 0 && (future = PyIter_Next(iterator)) != NULL) {
        status = give_up_on(self, future, callback); /* escapes */
        Py_DECREF(future);
    }
    if (status == 0 && PyErr_Occurred()) {
        status = -1;
    }
    Py_XDECREF(iterator);
    Py_XDECREF(callback);
    if (status == 0) {
        status = fl_call_status(
            PyObject_CallMethodNoArgs(todo, self->base.state->str_clear)
        ); /* escapes */
    }
    Py_DECREF(todo);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static int
end(PyObject *op)
{
    return fl_call_status(handle_timeout(op, NULL)); /* escapes */
}

static int
ring(
    LoopObject *Py_UNUSED(loop), PyObject *target, PyObject *Py_UNUSED(value),
    PyObject *context
)
{
    return fl_alarm_in_context(context, end, target); /* escapes */
}

static PyMethodDef handle_timeout_def = {
    "_handle_timeout", handle_timeout, METH_NOARGS, handle_timeout_doc
};

static int
describe(
    struct fl_state *Py_UNUSED(state), PyObject *target, PyObject *Py_UNUSED(value),
    struct fl_alarm_call *call
)
{
    *call = (struct fl_alarm_call){
        .callback = PyCFunction_New(&handle_timeout_def, target),
    };
    return call->callback == NULL ? -1 : 0;
}

static const struct fl_alarm_kind timeout_alarm = {
    .name = "as_completed",
    .ring = ring,
    .call = describe,
};

/* ---- what it iterates over ---- */

/* self._todo_left -= 1: 1, 0 if there is none, or -1. escapes. */
static int
take_turn(CompletionsObject *self)
{
    PyObject *left = fl_or_none(self->n_left);
    int any = PyObject_IsTrue(left);
    PyObject *less = any > 0 ? PyLong_FromLong(-1) : NULL;
    PyObject *rest = less == NULL ? NULL : PyNumber_Add(left, less); /* escapes */
    Py_XDECREF(less);
    Py_DECREF(left);
    if (rest != NULL) {
        Py_XSETREF(self->n_left, rest);
    }
    return any > 0 && rest == NULL ? -1 : any;
}

static PyObject *
completions_next(PyObject *op)
{
    CompletionsObject *self = completions_of(op);
    const struct fl_state *state = self->base.state;
    if (take_turn(self) <= 0) { /* escapes */
        return NULL;
    }
    PyObject *args[2] = {Py_None, fl_or_none(self->done)};
    PyObject *call =
        fl_aio_call_new((AioFunctionObject *)state->aio.wait_for_one, args, 2);
    Py_DECREF(args[1]);
    return call;
}

static PySendResult
anext_start(AioCallObject *call, PyObject **result)
{
    CompletionsObject *self = completions_of(call->args[0]);
    int any = take_turn(self); /* escapes */
    if (any <= 0) {
        if (any == 0) {
            PyErr_SetNone(PyExc_StopAsyncIteration);
        }
        return PYGEN_ERROR;
    }
    call->args[FL_ONE_QUEUE] = fl_or_none(self->done);
    return fl_one_start(call, result);
}

static const struct fl_aio_call next_call = {0, 2, 2, fl_one_start, fl_one_after};
static const struct fl_aio_call anext_call = {
    offsetof(struct fl_state, completions_type), 1, 1, anext_start, fl_one_after,
};

static const struct fl_aio_named completions_coroutines[] = {
    {"__anext__", &anext_call},
    {NULL, NULL},
};

/* ---- the beginning ---- */

/* self._todo: a future for each. escapes. 0 or -1. */
static int
take_futures(CompletionsObject *self, PyObject *loop, PyObject *fs)
{
    PyObject *given = PySet_New(fs); /* escapes */
    PyObject *todo = given == NULL ? NULL : PySet_New(NULL);
    PyObject *iterator = todo == NULL ? NULL : PyObject_GetIter(given);
    int status = iterator == NULL ? -1 : 0;
    PyObject *arg;
    while (status == 0 && (arg = PyIter_Next(iterator)) != NULL) {
        PyObject *future = fl_aio_ensure_future(self->base.state, arg, loop);
        status = future == NULL ? -1 : PySet_Add(todo, future); /* escapes */
        Py_XDECREF(future);
        Py_DECREF(arg);
    }
    if (status == 0 && PyErr_Occurred()) {
        status = -1;
    }
    Py_XDECREF(iterator);
    Py_XDECREF(given);
    if (status == 0) {
        self->todo = todo;
    }
    else {
        Py_XDECREF(todo);
    }
    return status;
}

/* Has each of the futures tell. escapes. 0 or -1. */
static int
tell_all(const CompletionsObject *self)
{
    const struct fl_state *state = self->base.state;
    PyObject *callback =
        PyCFunction_New(&handle_completion_def, (PyObject *)(void *)self);
    PyObject *iterator = callback == NULL ? NULL : PyObject_GetIter(self->todo);
    PyObject *context = NULL;
    int status = iterator == NULL ? -1 : 0;
    PyObject *future;
    while (status == 0 && (future = PyIter_Next(iterator)) != NULL) {
        status = fl_aio_tell(state, future, callback, &context); /* escapes */
        if (status == 0 && self->task != NULL && self->task != Py_None) {
            status = fl_awaited_by_add(state, future, self->task);
        }
        Py_DECREF(future);
    }
    Py_XDECREF(context);
    Py_XDECREF(iterator);
    Py_XDECREF(callback);
    return status < 0 || PyErr_Occurred() ? -1 : 0;
}

/* escapes. 0 or -1. */
static int
begin(CompletionsObject *self, PyObject *loop, PyObject *fs, PyObject *timeout)
{
    struct fl_state *state = self->base.state;
    self->done = PyObject_CallNoArgs((PyObject *)state->queue_type);
    if (self->done == NULL || fl_aio_awaiting_task(state, loop, &self->task) < 0) {
        return -1;
    }
    if (FL_GATHER_KNOWS_TASK && self->task == NULL) {
        self->task = Py_NewRef(Py_None);
    }
    if (take_futures(self, loop, fs) < 0 || tell_all(self) < 0) { /* escapes */
        return -1;
    }
    self->n_left = PyLong_FromSsize_t(PySet_GET_SIZE(self->todo));
    if (self->n_left == NULL) {
        return -1;
    }
    const struct fl_alarm_about about = {
        .kind = &timeout_alarm,
        .target = (PyObject *)(void *)self,
        .plain = true,
    };
    if (PySet_GET_SIZE(self->todo) == 0 || timeout == Py_None) {
        return 0;
    }
    return fl_alarm_later(&self->alarm, state, loop, timeout, &about);
}

/* Whether it is a generator that asyncio takes for no coroutine: 1, 0 or -1. */
static int
is_plain_generator(const struct fl_state *state, PyObject *fs)
{
    if (!PyGen_CheckExact(fs)) {
        return 0;
    }
    int taken = fl_call_truth(PyObject_CallOneArg(state->iscoroutine, fs));
    if (taken != 0) {
        return taken < 0 ? -1 : 0;
    }
    PyObject *code = PyObject_GetAttrString(fs, "gi_code");
    if (code == NULL) {
        return -1;
    }
    int flags = ((PyCodeObject *)code)->co_flags;
    Py_DECREF(code);
    return (flags & CO_ITERABLE_COROUTINE) == 0;
}

/* Whether it can be iterated over, and is no awaitable: 1, 0 or -1. */
static int
is_plain_iterable(const struct fl_state *state, PyObject *fs)
{
    bool known = PyList_CheckExact(fs) || PyTuple_CheckExact(fs) ||
                 PyAnySet_CheckExact(fs) || PyDict_CheckExact(fs);
    return known ? 1 : is_plain_generator(state, fs);
}

/* The running loop, None if asyncio's does it all: new, or NULL. */
static PyObject *
loop_of_plain_call(
    const struct fl_state *state, PyObject *const *args, Py_ssize_t n_args,
    PyObject *kwnames
)
{
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    int plain = n_args == 1 && n_keywords <= 1;
    if (plain && n_keywords == 1) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, 0);
        plain = PyUnicode_Compare(name, state->str_timeout) == 0;
    }
    if (plain) {
        plain = is_plain_iterable(state, args[0]);
    }
    return plain > 0    ? fl_aio_running_loop(state)
           : plain == 0 ? Py_NewRef(Py_None)
                        : NULL;
}

/* as_completed(fs, *, timeout=None) */
static PyObject *
as_completed(
    PyObject *function, PyObject *const *args, size_t n_args_flag, PyObject *kwnames
)
{
    const AioFunctionObject *call = (const AioFunctionObject *)function;
    struct fl_state *state = call->state;
    PyObject *loop =
        loop_of_plain_call(state, args, PyVectorcall_NARGS(n_args_flag), kwnames);
    if (loop == NULL) {
        return NULL;
    }
    if (loop == Py_None) {
        Py_DECREF(loop);
        return PyObject_Vectorcall(call->stock, args, n_args_flag, kwnames);
    }
    PyObject *op = fl_aio_new(state->completions_type, FL_AIO_completions);
    if (op != NULL &&
        begin(completions_of(op), loop, args[0], kwnames != NULL ? args[1] : Py_None) <
            0) { /* escapes */
        Py_CLEAR(op);
    }
    Py_DECREF(loop);
    return op;
}

/* ---- the type ---- */

static PyObject *
completions_new(
    PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds)
)
{
    return fl_aio_new(type, FL_AIO_completions);
}

static PyObject *
get_handle(PyObject *op, void *Py_UNUSED(closure))
{
    return fl_alarm_handle(&completions_of(op)->alarm);
}

static int
set_handle(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    CompletionsObject *self = completions_of(op);
    fl_alarm_forget(&self->alarm); /* escapes */
    if (value != NULL && value != Py_None) {
        Py_XSETREF(self->alarm.handle, Py_NewRef(value));
    }
    return 0;
}

static PyMethodDef completions_methods[] = {
    {"_handle_completion", handle_completion, METH_O, handle_completion_doc},
    {"_handle_timeout", handle_timeout, METH_NOARGS, handle_timeout_doc},
    FL_AIO_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef completions_getset[] = {
    {"_timeout_handle", get_handle, set_handle, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef completions_members[] = {
    FL_AIO_MEMBER("_done", CompletionsObject, done),
    FL_AIO_MEMBER("_todo", CompletionsObject, todo),
    FL_AIO_MEMBER("_todo_left", CompletionsObject, n_left),
    FL_AIO_MEMBER("_cur_task", CompletionsObject, task),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "loop", CompletionsObject, base.loop),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "handle", CompletionsObject, alarm.handle),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(completions_doc, "What as_completed() returns.");

static PyType_Slot completions_slots[] = {
    {Py_tp_doc, (void *)completions_doc},
    {Py_tp_new, completions_new},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, completions_next},
    {Py_am_aiter, PyObject_SelfIter},
    {Py_tp_methods, completions_methods},
    {Py_tp_getset, completions_getset},
    {Py_tp_members, completions_members},
    {0, NULL},
};

static PyType_Spec completions_spec = {
    .name = "asyncio.tasks._AsCompletedIterator",
    .basicsize = sizeof(CompletionsObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = completions_slots,
};

#if FL_AS_COMPLETED_IS_GENERATOR
/* What has the names of the coroutines that asyncio's generator yields: new, or NULL.
 */
static PyObject *
names_in_generator(void)
{
    PyObject *types = PyImport_ImportModule("types");
    PyObject *space =
        types == NULL ? NULL : PyObject_GetAttrString(types, "SimpleNamespace");
    Py_XDECREF(types);
    PyObject *names = space == NULL ? NULL : PyObject_CallNoArgs(space);
    PyObject *qualified = PyUnicode_FromString("as_completed.<locals>._wait_for_one");
    PyObject *name = PyUnicode_FromString("_wait_for_one");
    Py_XDECREF(space);
    if (names == NULL || qualified == NULL || name == NULL ||
        PyObject_SetAttrString(names, "__name__", name) < 0 ||
        PyObject_SetAttrString(names, "__qualname__", qualified) < 0) {
        Py_CLEAR(names);
    }
    Py_XDECREF(qualified);
    Py_XDECREF(name);
    return names;
}

static PyObject *
new_base(void)
{
    return PyObject_CallFunction(
        (PyObject *)&PyType_Type, "s(){}", "_AsCompletedIterator"
    );
}
#endif

/* asyncio's class, or one in its place where its function is a generator; and what
 * __next__() calls. New, or NULL. */
static PyObject *
find_base(struct fl_state *state)
{
#if FL_AS_COMPLETED_IS_GENERATOR
    PyObject *base = new_base();
    PyObject *one = base == NULL ? NULL : names_in_generator();
#else
    PyObject *base;
    if (fl_aio_optional("asyncio.tasks", "_AsCompletedIterator", &base) < 0) {
        return NULL;
    }
    if (base == NULL) {
        PyErr_SetString(PyExc_ImportError, "asyncio has no _AsCompletedIterator");
        return NULL;
    }
    PyObject *one = PyObject_GetAttrString(base, "_wait_for_one");
#endif
    if (one != NULL) {
        state->aio.wait_for_one = fl_aio_function_new(state, &next_call, one);
        Py_DECREF(one);
    }
    if (state->aio.wait_for_one == NULL) {
        Py_CLEAR(base);
    }
    return base;
}

int
fl_as_completed_add(PyObject *module, struct fl_state *state)
{
    static const struct fl_aio_named none[] = {{NULL, NULL}};
    PyObject *base = find_base(state);
    if (base == NULL) {
        return -1;
    }
    const struct fl_aio_class description = {
        .kind = FL_AIO_completions,
        .spec = &completions_spec,
        .type = &state->completions_type,
        .bases = base,
        .stock = base,
        .coroutines = FL_AS_COMPLETED_IS_GENERATOR ? none : completions_coroutines,
    };
    int status = fl_aio_add_class(module, state, &description);
    Py_DECREF(base);
    return status < 0 ? -1
                      : fl_aio_add_function(
                            module, state, "as_completed", as_completed,
                            state->asyncio_as_completed
                        );
}
