/* TaskGroup: asyncio.TaskGroup in C.
 *
 * In C is what happens while nothing goes wrong. A task that fails, a block that ends
 * in an exception, a cancellation: asyncio's own methods go on from there, with the
 * state that they find in the attributes.
 */
#include "aio/group/task_group.h"

#include "aio/aio.h"
#include "aio/call.h"
#include "aio/futures.h"
#include "aio/lock/waiters.h"
#include "core/future/awaited_by.h"

static TaskGroupObject *
group_of(PyObject *op)
{
    return (TaskGroupObject *)(void *)op;
}

static PyObject *
stock_of(const TaskGroupObject *self)
{
    return self->base.state->asyncio_TaskGroup;
}

static bool
is_plain(TaskGroupObject *self)
{
    return self->base.state->types.own && fl_aio_is_plain(&self->base) &&
           self->tasks != NULL && PySet_CheckExact(self->tasks) &&
           self->on_completed != NULL && self->parent_task != NULL;
}

/* ---- tasks ---- */

/* Whether there is nothing to say of it but that it is done: a task of ours without an
 * exception. */
static bool
ended_well(const struct fl_state *state, PyObject *task)
{
    const FutureObject *own = fl_future_of(state, task);
    return own != NULL &&
           (own->status == FL_FUTURE_CANCELLED ||
            (own->status == FL_FUTURE_FINISHED && own->exception == NULL));
}

PyDoc_STRVAR(
    on_task_done_doc, "_on_task_done($self, task, /)\n--\n\n"
                      "What each task calls when it is done."
);

static PyObject *
group_on_task_done(PyObject *op, PyObject *task)
{
    TaskGroupObject *self = group_of(op);
    const struct fl_state *state = self->base.state;
    if (!is_plain(self) || !ended_well(state, task)) {
        Py_CLEAR(self->callback); /* escapes; the next task gets a new one */
        return fl_aio_stock(
            stock_of(self), state->str__on_task_done, op, &task, 1, NULL
        );
    }
    if (PySet_Discard(self->tasks, task) < 0 ||
        fl_awaited_by_discard(state, task, self->parent_task) < 0) {
        return NULL;
    }
    fl_future(task)->log_tb = 0;
    if (PySet_GET_SIZE(self->tasks) > 0) {
        Py_RETURN_NONE;
    }
    Py_CLEAR(self->callback); /* whose caller has it still */
    PyObject *waiter = Py_NewRef(self->on_completed);
    int done = waiter == Py_None ? 1 : fl_aio_is_done(state, waiter); /* escapes */
    int status = done != 0 ? done : fl_aio_set_result(state, waiter, Py_True);
    Py_DECREF(waiter);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef on_task_done_def = {
    "_on_task_done", group_on_task_done, METH_O, on_task_done_doc
};

/* A method for the tasks to call: borrowed, or NULL. All have the same one; the group
 * holds it no longer than it has tasks, which hold the group. */
static PyObject *
callback_of(TaskGroupObject *self)
{
    if (self->callback == NULL) {
        PyObject *callback =
            PyCFunction_New(&on_task_done_def, (PyObject *)(void *)self);
        Py_XSETREF(self->callback, callback);
    }
    return self->callback;
}

static int
add_to_tasks(const TaskGroupObject *self, PyObject *task)
{
    PyObject *tasks = self->tasks;
    if (tasks != NULL && PySet_CheckExact(tasks)) {
        return PySet_Add(tasks, task); /* escapes for tasks not ours */
    }
    return fl_call_status(
        PyObject_CallMethod(tasks != NULL ? tasks : Py_None, "add", "O", task)
    );
}

static int
have_it_tell(TaskGroupObject *self, PyObject *task)
{
    PyObject *callback = callback_of(self);
    PyObject *context = NULL;
    int status = -1;
    if (callback != NULL) {
        Py_INCREF(callback);
        status = fl_aio_tell(self->base.state, task, callback, &context); /* escapes */
        Py_DECREF(callback);
    }
    Py_XDECREF(context);
    return status;
}

/* Makes a new task one of the group's. escapes. 0 or -1. */
static int
add_task(TaskGroupObject *self, PyObject *task)
{
    const struct fl_state *state = self->base.state;
    if (state->aio.group_takes_done) {
        int done = fl_aio_is_done(state, task); /* escapes */
        if (done != 0) {
            return done < 0 ? -1
                            : fl_call_status(
                                  group_on_task_done((PyObject *)(void *)self, task)
                              );
        }
    }
    if (self->parent_task != NULL &&
        fl_awaited_by_add(state, task, self->parent_task) < 0) {
        return -1;
    }
    if (!FL_GROUP_ADDS_LAST) {
        return add_to_tasks(self, task) < 0 ? -1 : have_it_tell(self, task);
    }
    return have_it_tell(self, task) < 0 ? -1 : add_to_tasks(self, task);
}

/* Whether the loop would be asked for a task as here: a loop of ours. */
static bool
is_plain_loop(PyObject *loop)
{
    LoopObject *own = loop == NULL ? NULL : fl_loop_of(loop);
    return own != NULL && own->task_factory == NULL &&
           !(fl_loop_overrides(own) & FL_OVERRIDES_CREATE_TASK);
}

PyDoc_STRVAR(
    create_task_doc, "create_task($self, /, coro, " FL_GROUP_TASK_KEYWORDS ")\n--\n\n"
                     "Start a task in the group, and return it.\n\n"
                     "Raises: RuntimeError if the group has not been entered or has "
                     "ended."
);

static PyObject *
group_create_task(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    TaskGroupObject *self = group_of(op);
    const struct fl_state *state = self->base.state;
    bool plain = n_args == 1 && (kwnames == NULL || FL_GROUP_PASSES_KEYWORDS) &&
                 is_plain(self) && self->entered == Py_True &&
                 self->exiting == Py_False && self->aborting == Py_False &&
                 is_plain_loop(self->base.loop);
    if (!plain) {
        return fl_aio_stock(
            stock_of(self), state->str_create_task, op, args, n_args, kwnames
        );
    }
    PyObject *task =
        fl_loop_create_task(self->base.loop, args, n_args, kwnames); /* escapes */
    if (task != NULL && add_task(self, task) < 0) {
        Py_CLEAR(task);
    }
    return task;
}

/* ---- async with ---- */

static PySendResult
aenter_start(AioCallObject *call, PyObject **result)
{
    TaskGroupObject *self = group_of(call->args[0]);
    struct fl_state *state = self->base.state;
    if (!is_plain(self) || self->entered != Py_False ||
        (self->cancel_on_enter != NULL && self->cancel_on_enter != Py_False)) {
        return fl_aio_delegate(call, result);
    }
    PyObject *loop = self->base.loop == Py_None || self->base.loop == NULL
                         ? fl_aio_running_loop(state)
                         : Py_NewRef(self->base.loop);
    PyObject *parent = loop == NULL || loop == Py_None
                           ? NULL
                           : fl_aio_current_task(state, loop); /* escapes */
    if (parent == NULL || parent == Py_None || self->entered != Py_False) {
        bool odd = loop == Py_None || parent != NULL;
        Py_XDECREF(loop);
        Py_XDECREF(parent);
        return odd ? fl_aio_delegate(call, result) : PYGEN_ERROR;
    }
    Py_XSETREF(self->base.loop, loop); /* escape, as do all of these */
    Py_XSETREF(self->parent_task, parent);
    Py_XSETREF(self->entered, Py_NewRef(Py_True));
    *result = Py_NewRef(call->args[0]);
    return PYGEN_RETURN;
}

/* asyncio's __aexit__(et, exc, None) does the rest. escapes. */
static PySendResult
leave_to_stock(AioCallObject *call, PyObject *et, PyObject *exc, PyObject **result)
{
    PyObject *stack[4] = {call->args[0], et, exc, Py_None};
    PyObject *coro = PyObject_Vectorcall(call->function->stock, stack, 4, NULL);
    return fl_coroutine_delegate(&call->base, coro, result);
}

/* asyncio's of these releases gives up what the group holds, at its end. */
static void
let_go(TaskGroupObject *self)
{
    if (self->base.state->aio.group_lets_go) {
        Py_XSETREF(self->parent_task, Py_NewRef(Py_None)); /* escape */
        Py_XSETREF(self->errors, Py_NewRef(Py_None));
        Py_XSETREF(self->base_error, Py_NewRef(Py_None));
    }
}

/* Raises BaseExceptionGroup(message, errors), as asyncio's of 3.11 and 3.12 does. */
static PySendResult
raise_errors(TaskGroupObject *self)
{
    PyObject *group = PyObject_CallFunction(
        PyExc_BaseExceptionGroup, "sO", "unhandled errors in a TaskGroup", self->errors
    ); /* escapes */
    Py_XSETREF(self->errors, Py_NewRef(Py_None));
    if (group != NULL) {
        PyException_SetCause(group, NULL); /* raised from None */
        PyErr_SetObject((PyObject *)Py_TYPE(group), group);
        Py_DECREF(group);
    }
    return PYGEN_ERROR;
}

/* All tasks are done. pending: a CancelledError that came late, or NULL. */
static PySendResult
finish(AioCallObject *call, PyObject *pending, PyObject **result)
{
    TaskGroupObject *self = group_of(call->args[0]);
    bool failed = self->errors == NULL ||
                  (self->errors != Py_None && (!PyList_CheckExact(self->errors) ||
                                               PyList_GET_SIZE(self->errors) > 0));
    bool base_failed = self->base_error != Py_None;
    if (!failed && !base_failed &&
        (self->parent_cancel_requested == Py_False || !FL_GROUP_UNCANCELS_LAST)) {
        let_go(self);
        *result = Py_NewRef(FL_GROUP_RETURNS_TRUE ? Py_True : Py_None);
        return PYGEN_RETURN;
    }
    if (FL_GROUP_UNCANCELS_LAST) {
        bool asked = pending != NULL && self->parent_cancel_requested == Py_True;
        PyObject *type = (PyObject *)(void *)(asked ? Py_TYPE(pending) : NULL);
        return leave_to_stock(
            call, asked ? type : Py_None, asked ? pending : Py_None, result
        );
    }
    if (base_failed && self->base_error != NULL) {
        PyObject *error = Py_NewRef(self->base_error);
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
        return PYGEN_ERROR;
    }
    return raise_errors(self);
}

static PySendResult
wait_for_tasks(AioCallObject *call, PyObject *pending, PyObject **result)
{
    TaskGroupObject *self = group_of(call->args[0]);
    if (self->tasks == NULL || !PySet_CheckExact(self->tasks)) {
        return leave_to_stock(call, Py_None, Py_None, result);
    }
    if (PySet_GET_SIZE(self->tasks) == 0) {
        return finish(call, pending, result);
    }
    if (self->on_completed == Py_None || self->on_completed == NULL) {
        PyObject *loop = Py_NewRef(self->base.loop);
        PyObject *future = fl_aio_new_future(self->base.state, loop); /* escapes */
        Py_DECREF(loop);
        Py_XSETREF(self->on_completed, future);
    }
    return fl_aio_wait(call, Py_XNewRef(self->on_completed), result);
}

static PySendResult
aexit_start(AioCallObject *call, PyObject **result)
{
    TaskGroupObject *self = group_of(call->args[0]);
    if (!is_plain(self) || call->args[1] != Py_None || call->args[2] != Py_None ||
        self->aborting != Py_False || self->parent_cancel_requested != Py_False ||
        self->base.loop == NULL) {
        return fl_aio_delegate(call, result);
    }
    Py_XSETREF(self->exiting, Py_NewRef(Py_True)); /* escapes */
    return wait_for_tasks(call, NULL, result);
}

/* The wait was ended by the exception set. */
static PySendResult
aexit_interrupted(AioCallObject *call, PyObject **result)
{
    TaskGroupObject *self = group_of(call->args[0]);
    const struct fl_state *state = self->base.state;
    if (!PyErr_ExceptionMatches(state->CancelledError)) {
        PyObject *exc = fl_error_take();
        let_go(self); /* escapes */
        fl_error_restore(exc);
        return PYGEN_ERROR;
    }
    PyObject *exc = fl_error_take();
    int aborting = self->aborting == NULL ? 0 : PyObject_IsTrue(self->aborting);
    PySendResult status = PYGEN_ERROR;
    if (aborting == 0) { /* from outside: it is passed on once the tasks have ended */
        status = leave_to_stock(call, state->CancelledError, exc, result);
    }
    else if (aborting > 0) { /* so that it hears of a task that failed */
        Py_XSETREF(self->on_completed, Py_NewRef(Py_None));
        status = wait_for_tasks(call, exc, result);
    }
    Py_DECREF(exc);
    return status;
}

static PySendResult
aexit_after(
    AioCallObject *call, PyObject *Py_UNUSED(future), PyObject *value, PyObject **result
)
{
    TaskGroupObject *self = group_of(call->args[0]);
    if (value == NULL) {
        return aexit_interrupted(call, result);
    }
    Py_XSETREF(self->on_completed, Py_NewRef(Py_None)); /* escapes */
    return wait_for_tasks(call, NULL, result);
}

#define GROUP_TYPE offsetof(struct fl_state, task_group_type)

static const struct fl_aio_call aenter_call = {GROUP_TYPE, 1, 1, aenter_start, NULL};
static const struct fl_aio_call aexit_call = {
    GROUP_TYPE, 4, 4, aexit_start, aexit_after,
};

static const struct fl_aio_named group_coroutines[] = {
    {"__aenter__", &aenter_call},
    {"__aexit__", &aexit_call},
    {NULL, NULL},
};

/* ---- the type ---- */

static int
group_init(PyObject *op, PyObject *args, PyObject *kwds)
{
    TaskGroupObject *self = group_of(op);
    if (PyTuple_GET_SIZE(args) > 0 || kwds != NULL || !fl_aio_is_plain(&self->base)) {
        return fl_aio_stock_init(stock_of(self), op, args, kwds);
    }
    PyObject *tasks = PySet_New(NULL);
    PyObject *errors = tasks == NULL ? NULL : PyList_New(0);
    if (errors == NULL) {
        Py_XDECREF(tasks);
        return -1;
    }
    Py_XSETREF(self->tasks, tasks); /* escape, as do all of these */
    Py_XSETREF(self->errors, errors);
    Py_XSETREF(self->base.loop, Py_NewRef(Py_None));
    PyObject **const falses[] = {
        &self->entered,
        &self->exiting,
        &self->aborting,
        &self->parent_cancel_requested,
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(falses); i++) {
        Py_XSETREF(*falses[i], Py_NewRef(Py_False));
    }
    PyObject **const nones[] = {
        &self->parent_task,
        &self->base_error,
        &self->on_completed,
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(nones); i++) {
        Py_XSETREF(*nones[i], Py_NewRef(Py_None));
    }
    if (FL_GROUP_RETURNS_TRUE) {
        Py_XSETREF(self->cancel_on_enter, Py_NewRef(Py_False));
    }
    return 0;
}

static PyObject *
group_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    return fl_aio_new(type, FL_AIO_task_group);
}

static PyMethodDef group_methods[] = {
    {"create_task", FL_FASTCALL(group_create_task), METH_FASTCALL | METH_KEYWORDS,
     create_task_doc},
    {"_on_task_done", group_on_task_done, METH_O, on_task_done_doc},
    FL_AIO_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyMemberDef group_members[] = {
    FL_AIO_MEMBER("_entered", TaskGroupObject, entered),
    FL_AIO_MEMBER("_exiting", TaskGroupObject, exiting),
    FL_AIO_MEMBER("_aborting", TaskGroupObject, aborting),
    FL_AIO_MEMBER("_loop", TaskGroupObject, base.loop),
    FL_AIO_MEMBER("_parent_task", TaskGroupObject, parent_task),
    FL_AIO_MEMBER("_parent_cancel_requested", TaskGroupObject, parent_cancel_requested),
    FL_AIO_MEMBER("_tasks", TaskGroupObject, tasks),
    FL_AIO_MEMBER("_errors", TaskGroupObject, errors),
    FL_AIO_MEMBER("_base_error", TaskGroupObject, base_error),
    FL_AIO_MEMBER("_on_completed_fut", TaskGroupObject, on_completed),
    FL_AIO_MEMBER(FL_GROUP_CANCEL_ON_ENTER, TaskGroupObject, cancel_on_enter),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "callback", TaskGroupObject, callback),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    group_doc,
    "TaskGroup()\n--\n\n"
    "Tasks that are waited for at the end of an `async with`, and cancelled\n"
    "if one fails: asyncio.TaskGroup, which it derives from, in C."
);

static PyType_Slot group_slots[] = {
    {Py_tp_doc, (void *)group_doc},
    {Py_tp_new, group_new},
    {Py_tp_init, group_init},
    {Py_tp_setattro, fl_aio_setattro},
    {Py_tp_methods, group_methods},
    {Py_tp_members, group_members},
    {0, NULL},
};

static PyType_Spec group_spec = {
    .name = "fastloop.aio.TaskGroup",
    .basicsize = sizeof(TaskGroupObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = group_slots,
};

/* What patch releases of asyncio's differ in. 0 or -1. */
static int
find_habits(struct fl_state *state)
{
    PyObject *create_task =
        PyObject_GetAttr(state->asyncio_TaskGroup, state->str_create_task);
    PyObject *code =
        create_task == NULL ? NULL : PyObject_GetAttrString(create_task, "__code__");
    PyObject *names = code == NULL ? NULL : PyObject_GetAttrString(code, "co_names");
    int asks = names == NULL ? -1 : PySequence_Contains(names, state->str_done);
    PyObject *later = PyUnicode_InternFromString("_aexit");
    PyObject *found = NULL;
    int status =
        asks < 0 || later == NULL ||
                fl_optional_attribute(state->asyncio_TaskGroup, later, &found) < 0
            ? -1
            : 0;
    state->aio.group_takes_done = asks > 0 && !FL_GROUP_PASSES_KEYWORDS;
    state->aio.group_lets_go = found != NULL;
    Py_XDECREF(found);
    Py_XDECREF(later);
    Py_XDECREF(names);
    Py_XDECREF(code);
    Py_XDECREF(create_task);
    return status;
}

int
fl_task_group_add_type(PyObject *module, struct fl_state *state)
{
    const struct fl_aio_class description = {
        .kind = FL_AIO_task_group,
        .spec = &group_spec,
        .type = &state->task_group_type,
        .bases = state->asyncio_TaskGroup,
        .stock = state->asyncio_TaskGroup,
        .coroutines = group_coroutines,
    };
    return find_habits(state) < 0 ? -1 : fl_aio_add_class(module, state, &description);
}
