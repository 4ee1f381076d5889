/* A step as a callable, for loops that are not ours.
 *
 * As with asyncio's, __self__ is the task: debuggers, and the loop's own messages,
 * find the task by it.
 */
#include "core/task/task_step.h"
#include "py/state/tables.h"

typedef struct {
    PyObject_HEAD
    PyObject *task;
    PyObject *exc; /* to throw in, or NULL */
} TaskStepObject;

PyObject *
fl_task_step_callable(const struct fl_state *state, TaskObject *self, PyObject *exc)
{
    TaskStepObject *step = PyObject_GC_New(TaskStepObject, state->task_step_type);
    if (step == NULL) {
        return NULL;
    }
    step->task = Py_NewRef((PyObject *)self);
    step->exc = Py_XNewRef(exc);
    PyObject_GC_Track(step);
    return (PyObject *)step;
}

static int
step_traverse(PyObject *op, visitproc visit, void *arg)
{
    TaskStepObject *step = (TaskStepObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(step->task);
    Py_VISIT(step->exc);
    return 0;
}

static int
step_clear(PyObject *op)
{
    TaskStepObject *step = (TaskStepObject *)op;
    Py_CLEAR(step->task);
    Py_CLEAR(step->exc);
    return 0;
}

static void
step_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    step_clear(op);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyObject *
step_call(PyObject *op, PyObject *args, PyObject *kwds)
{
    TaskStepObject *step = (TaskStepObject *)op;
    if (kwds != NULL && PyDict_GET_SIZE(kwds) != 0) {
        PyErr_SetString(PyExc_TypeError, "function takes no keyword arguments");
        return NULL;
    }
    if (PyTuple_GET_SIZE(args) != 0) {
        PyErr_SetString(PyExc_TypeError, "function takes no positional arguments");
        return NULL;
    }
    if (step->task == NULL) {
        Py_RETURN_NONE; /* cleared by the garbage collector */
    }
    PyObject *task = Py_NewRef(step->task);
    PyObject *exc = Py_XNewRef(step->exc);
    int status = fl_task_step((TaskObject *)(void *)task, exc); /* escapes */
    Py_XDECREF(exc);
    Py_DECREF(task);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
step_get_self(PyObject *op, void *Py_UNUSED(closure))
{
    return fl_or_none(((TaskStepObject *)op)->task);
}

static PyGetSetDef step_getset[] = {
    {"__self__", step_get_self, NULL, "the task", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot step_slots[] = {
    {Py_tp_dealloc, step_dealloc}, {Py_tp_traverse, step_traverse},
    {Py_tp_clear, step_clear},     {Py_tp_call, step_call},
    {Py_tp_getset, step_getset},   {0, NULL},
};

static PyType_Spec step_spec = {
    .name = "fastloop._core.TaskStep",
    .basicsize = sizeof(TaskStepObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = step_slots,
};

int
fl_task_callable_add_types(PyObject *module, struct fl_state *state)
{
    state->types.wake_task = fl_task_wakeup;
    return fl_make_type(&state->task_step_type, module, &step_spec, NULL);
}
