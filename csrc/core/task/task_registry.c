/* Which task runs, and which tasks there are. */
#include "core/task/task_registry.h"

#include "py/state/tables.h"

static int
raise_other_task(PyObject *task, PyObject *other)
{
    Py_INCREF(other);
    PyErr_Format(
        PyExc_RuntimeError,
        "Cannot enter into task %R while another task %R is being executed.", task,
        other
    ); /* escapes */
    Py_DECREF(other);
    return -1;
}

#if defined(FL_HAVE_TASK_SETS)

/* ---- all tasks: a list of ours ---- */

int
fl_tasks_join_sets(struct fl_state *state)
{
    PyObject *module = PyImport_ImportModule("fastloop._registry");
    if (module == NULL) {
        return -1;
    }
    PyObject *result = PyObject_CallMethod(module, "join", NULL);
    Py_DECREF(module);
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    state->types.joined = true;
    return 0;
}

PyObject *
fl_task_list_pending(struct fl_state *state)
{
    PyObject *list = PyList_New(0);
    struct fl_list *head = &state->types.pending;
    for (struct fl_list *at = head->next; list != NULL && at != head; at = at->next) {
        PyObject *task = (PyObject *)FL_CONTAINER_OF(at, TaskObject, pending);
        /* PyList_Append runs no code that could change the list of tasks */
        if (Py_REFCNT(task) > 0 && PyList_Append(list, task) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

void
fl_task_unlist(struct fl_state *state, PyObject *op)
{
    if (state->task_type != NULL && PyObject_TypeCheck(op, state->task_type)) {
        fl_task_unregister((TaskObject *)(void *)op);
    }
}

/* ---- the current task: asyncio's dict ---- */

static int
check_running_loop(
    const struct fl_state *Py_UNUSED(state), const TaskObject *Py_UNUSED(task)
)
{
    return 0; /* the dict has each loop's */
}

int
fl_current_enter(TaskObject *task)
{
    const struct fl_state *state = fl_future_state(fl_task_future(task));
    if (state == NULL) {
        return -1;
    }
    PyObject *current = state->types.current_tasks;
    LoopObject *own_loop = fl_future_loop(fl_task_future(task));
    if (own_loop != NULL) {
        fl_current_retract(own_loop);
    }
    PyObject *other =
        PyDict_GetItemWithError(current, task->base.future.loop); /* escapes */
    if (other != NULL) {
        return raise_other_task((PyObject *)task, other);
    }
    if (PyErr_Occurred()) {
        return -1;
    }
    return PyDict_SetItem(current, task->base.future.loop, (PyObject *)task);
}

/* Left in the dict, a task and its loop would stay for ever: tries twice. 0, or -1
 * with an exception, a KeyError if the loop has no current task. escapes. */
static int
take_out(PyObject *current, PyObject *loop)
{
    if (PyDict_DelItem(current, loop) == 0) {
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_KeyError)) {
        PyObject *exc = fl_error_take();
        if (PyDict_DelItem(current, loop) < 0) {
            PyErr_Clear();
        }
        fl_error_restore(exc);
    }
    return -1;
}

static int
leave_at_once(TaskObject *task)
{
    const struct fl_state *state = fl_future_state(fl_task_future(task));
    if (state == NULL) {
        return -1;
    }
    PyObject *current = state->types.current_tasks;
    PyObject *item =
        PyDict_GetItemWithError(current, task->base.future.loop); /* escapes */
    if (item == (PyObject *)task) {
        return take_out(current, task->base.future.loop);
    }
    if (item == NULL && PyErr_Occurred()) {
        PyObject *exc = fl_error_take();
        if (take_out(current, task->base.future.loop) < 0) {
            PyErr_Clear();
        }
        fl_error_restore(exc);
    }
    else {
        item = fl_or_none(item);
        PyErr_Format(
            PyExc_RuntimeError, "Leaving task %R does not match the current task %R.",
            task, item
        ); /* escapes */
        Py_DECREF(item);
    }
    return -1;
}

int
fl_current_leave(TaskObject *task)
{
    PyObject *outer = fl_error_take();
    int status = leave_at_once(task);
    if (outer == NULL) {
        return status;
    }
    if (status < 0) {
        PyObject *error = fl_error_take();
        PyException_SetContext(error, outer);
        outer = error;
    }
    fl_error_restore(outer);
    return status;
}

int
fl_current_publish(LoopObject *loop, TaskObject *task)
{
    PyObject *stale = loop->stale_task;
    loop->stale_task = NULL;
    if (stale == (PyObject *)task) {
        return 0;
    }
    if (stale == NULL && loop->n_nested != 1) {
        return fl_current_enter(task); /* inside somebody's callback or step */
    }
    PyObject *current = loop->state->types.current_tasks;
    int status =
        PyDict_SetItem(current, (PyObject *)loop, (PyObject *)task); /* escapes */
    if (status < 0) {
        loop->stale_task = stale; /* is in the dict still */
    }
    return status;
}

int
fl_current_withdraw(LoopObject *loop, TaskObject *task)
{
    /* A task about to die, held by the ring and the dict alone, goes at once: what
     * its death runs sees no current task. */
    if (task->base.future.status == FL_FUTURE_PENDING || Py_REFCNT(task) > 2) {
        loop->stale_task = (PyObject *)task;
        return 0;
    }
    return fl_current_leave(task);
}

void
fl_current_forget(LoopObject *loop)
{
    loop->stale_task = NULL;
    PyObject *outer = fl_error_take();
    PyObject *current = loop->state->types.current_tasks;
    if (current != NULL && take_out(current, (PyObject *)loop) < 0) {
        if (PyErr_ExceptionMatches(PyExc_KeyError)) {
            PyErr_Clear(); /* the step itself took it out */
        }
        else {
            PyErr_WriteUnraisable((PyObject *)loop);
        }
    }
    fl_error_restore(outer);
}

/* The current task of a loop: new, or NULL for none. escapes. 0 or -1. */
static int
read_current(const struct fl_state *state, PyObject *loop, PyObject **task)
{
    *task = Py_XNewRef(PyDict_GetItemWithError(state->types.current_tasks, loop));
    return *task == NULL && PyErr_Occurred() ? -1 : 0;
}

/* There is one before, or to be; task: NULL for none. escapes. 0 or -1. */
static int
write_current(const struct fl_state *state, PyObject *loop, PyObject *task)
{
    PyObject *current = state->types.current_tasks;
    return task != NULL ? PyDict_SetItem(current, loop, task) : take_out(current, loop);
}

#else

/* ---- all tasks: the thread's list ---- */

PyObject *
fl_task_list_pending(struct fl_state *Py_UNUSED(state))
{
    return PyList_New(0); /* asyncio's own list has them */
}

void
fl_task_unlist(struct fl_state *Py_UNUSED(state), PyObject *Py_UNUSED(op))
{
}

/* ---- the current task: the thread's ---- */

static int
check_running_loop(const struct fl_state *state, const TaskObject *task)
{
    if (*fl_thread_running_loop(state) != task->base.future.loop) {
        PyErr_Format(
            PyExc_RuntimeError, "loop %R is not the running loop",
            task->base.future.loop
        );
        return -1;
    }
    return 0;
}

int
fl_current_enter(TaskObject *task)
{
    const struct fl_state *state = fl_future_state(fl_task_future(task));
    if (state == NULL) {
        return -1;
    }
    PyObject **running = fl_thread_running_task(state);
    if (check_running_loop(state, task) < 0) {
        return -1;
    }
    if (*running != NULL) {
        return raise_other_task((PyObject *)task, *running);
    }
    *running = Py_NewRef((PyObject *)task);
    return 0;
}

int
fl_current_leave(TaskObject *task)
{
    const struct fl_state *state = fl_future_dying_state(fl_task_future(task));
    if (state == NULL) {
        return -1;
    }
    PyObject **running = fl_thread_running_task(state);
    if (*running == (PyObject *)task) {
        *running = NULL;
        Py_DECREF(task); /* its caller holds another reference */
        return 0;
    }
    PyObject *outer = fl_error_take();
    if (check_running_loop(state, task) == 0) {
        PyObject *other = fl_or_none(*running);
        PyErr_Format(
            PyExc_RuntimeError,
            "Invalid attempt to leave task %R while task %R is entered.", task, other
        ); /* escapes */
        Py_DECREF(other);
    }
    if (outer != NULL) {
        PyObject *error = fl_error_take();
        PyException_SetContext(error, outer);
        fl_error_restore(error);
    }
    return -1;
}

static int
read_current(const struct fl_state *state, PyObject *Py_UNUSED(loop), PyObject **task)
{
    *task = Py_XNewRef(*fl_thread_running_task(state));
    return 0;
}

static int
write_current(const struct fl_state *state, PyObject *Py_UNUSED(loop), PyObject *task)
{
    PyObject **running = fl_thread_running_task(state);
    Py_XSETREF(*running, Py_XNewRef(task)); /* escapes */
    return 0;
}

#endif

/* ---- the same for both ---- */

/* The current task is to be another, or none if that is NULL. 0 or -1. */
static int
swap(const struct fl_state *state, PyObject *loop, PyObject *task, PyObject **previous)
{
    if (read_current(state, loop, previous) < 0) {
        return -1;
    }
    if ((task != NULL || *previous != NULL) && write_current(state, loop, task) < 0) {
        Py_CLEAR(*previous); /* escaped */
        return -1;
    }
    return 0;
}

int
fl_current_swap(TaskObject *of, PyObject *task, PyObject **previous)
{
    *previous = NULL;
    const struct fl_state *state = fl_future_state(fl_task_future(of));
    if (state == NULL || check_running_loop(state, of) < 0) {
        return -1;
    }
    return swap(state, of->base.future.loop, task, previous);
}

int
fl_current_take(LoopObject *loop, PyObject **task)
{
    return swap(loop->state, (PyObject *)loop, NULL, task);
}

int
fl_current_give_back(LoopObject *loop, PyObject **task)
{
    PyObject *left;
    if (swap(loop->state, (PyObject *)loop, *task, &left) < 0) {
        return -1;
    }
    Py_XDECREF(left); /* escapes */
    Py_CLEAR(*task);
    return 0;
}
