/* The bound method that wakes a waiting task.
 *
 * It is what lies among the callbacks of the awaited future, and is of the kind that
 * asyncio adds: whoever finds it there, asyncio's own code among them, can call it,
 * compare it and take it out. Its __self__ is the task.
 *
 * One that nobody else holds is kept when its task wakes up, with no __self__, and
 * given to the next task that waits: a wait makes no object. The garbage collector does
 * not know of kept ones, else gc.freeze() would freeze the cycles of who has them next;
 * state->types.wakeups owns them until fl_task_wakeup_trim.
 */
#ifndef FASTLOOP_CORE_TASK_WAKEUP_H
#define FASTLOOP_CORE_TASK_WAKEUP_H

#include "py/state/state.h"

extern PyMethodDef fl_task_wakeup_def;

/* For task to wait with. New or NULL. */
static inline PyObject *
fl_task_wakeup_method(struct fl_state *state, PyObject *task)
{
    struct fl_wakeups *wakeups = &state->types.wakeups;
    if (wakeups->count == 0) {
        return PyCFunction_New(&fl_task_wakeup_def, task);
    }
    PyObject *op = wakeups->kept[--wakeups->count];
    ((PyCFunctionObject *)(void *)op)->m_self = Py_NewRef(task);
    PyObject_GC_Track(op);
    return op;
}

/* The task that callback wakes, or NULL if it is something else. Borrowed. */
static inline PyObject *
fl_task_woken_by(PyObject *callback)
{
    const PyCFunctionObject *method = (const PyCFunctionObject *)(void *)callback;
    return Py_IS_TYPE(callback, &PyCFunction_Type) &&
                   method->m_ml == &fl_task_wakeup_def
               ? method->m_self
               : NULL;
}

/* Steals op, which wakes a task, and returns a new reference to the task. */
static inline PyObject *
fl_task_wakeup_keep(struct fl_state *state, PyObject *op)
{
    struct fl_wakeups *wakeups = &state->types.wakeups;
    PyCFunctionObject *method = (PyCFunctionObject *)(void *)op;
    PyObject *task = method->m_self;
    if (Py_REFCNT(op) == 1 && method->m_weakreflist == NULL &&
        wakeups->count < FL_WAKEUPS_MAX) {
        PyObject_GC_UnTrack(op);
        method->m_self = NULL;
        wakeups->kept[wakeups->count++] = op;
        return task;
    }
    Py_INCREF(task);
    Py_DECREF(op); /* the task lives */
    return task;
}

/* Frees all but max of the kept ones. */
void fl_task_wakeup_trim(struct fl_state *state, int max);

#endif
