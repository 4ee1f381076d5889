/* The bound method that wakes a waiting task. */
#include "core/future/task_wakeup.h"

#include "core/future/future.h"

/* The loop itself wakes a task without this call. */
static PyObject *
task_wakeup(PyObject *task, PyObject *future)
{
    const struct fl_state *state = fl_future_state(fl_future(task));
    if (state == NULL || state->types.wake_task(task, future) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_NONE;
}

PyMethodDef fl_task_wakeup_def = {"task_wakeup", task_wakeup, METH_O, NULL};

void
fl_task_wakeup_trim(struct fl_state *state, int max)
{
    struct fl_wakeups *wakeups = &state->types.wakeups;
    while (wakeups->count > max) {
        PyObject *op = wakeups->kept[--wakeups->count];
        Py_DECREF(op);
    }
}
