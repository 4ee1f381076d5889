/* The loop's attributes.
 *
 * asyncio's inherited code reads private attributes of the loop; here is the
 * one table of them. Containers are made on first use.
 */
#include "core/handle/alarm.h"
#include "core/handle/timer_handle.h"
#include "core/io/source.h"
#include "core/run/loop_nested.h"
#include "core/run/loop_virtual.h"
#include "py/state/tables.h"

/* A container made when it is first asked for. */
static PyObject *
get_made(PyObject *op, void *closure)
{
    LoopObject *self = (LoopObject *)op;
    PyObject **slot = (PyObject **)((char *)op + (Py_ssize_t)closure);
    if (*slot == NULL) {
        PyObject *made;
        if (slot == &self->asyncgens) {
            made = PyObject_CallNoArgs(self->state->WeakSet); /* escapes */
        }
        else if (slot == &self->transports) {
            made = PyObject_CallNoArgs(self->state->WeakValueDictionary); /* escapes */
        }
        else {
            made = PyDict_New();
        }
        if (made == NULL) {
            return NULL;
        }
        if (*slot == NULL) {
            *slot = made;
        }
        else {
            Py_DECREF(made); /* somebody else has asked meanwhile */
        }
    }
    if (slot == &self->transports && fl_source_list_owners(self) < 0) { /* escapes */
        return NULL;
    }
    return fl_or_none(*slot);
}

/* For what the core looks into: it must be of that type. None and deletion make it
 * NULL. */
static int
set_of_type(PyObject *op, PyObject *value, void *offset, PyTypeObject *type)
{
    if (value != NULL && value != Py_None && !PyObject_TypeCheck(value, type)) {
        PyErr_Format(
            PyExc_TypeError, "a %s was expected, got %s", type->tp_name,
            Py_TYPE(value)->tp_name
        );
        return -1;
    }
    return fl_attr_set_object(op, value, offset);
}

static int
set_dict(PyObject *op, PyObject *value, void *offset)
{
    return set_of_type(op, value, offset, &PyDict_Type);
}

static int
set_tuple(PyObject *op, PyObject *value, void *offset)
{
    return set_of_type(op, value, offset, &PyTuple_Type);
}

static PyObject *get_scheduled(PyObject *op, void *Py_UNUSED(closure));

static PyObject *
get_clock_resolution(PyObject *op, void *Py_UNUSED(closure))
{
    return PyFloat_FromDouble(((LoopObject *)op)->clock_resolution);
}

static int
set_clock_resolution(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    double resolution_s = value == NULL ? FL_CLOCK_RESOLUTION : PyFloat_AsDouble(value);
    if (resolution_s == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    ((LoopObject *)op)->clock_resolution = resolution_s;
    return 0;
}

#define FLAG(name, field)                            \
    {name, fl_attr_get_flag, fl_attr_set_flag, NULL, \
     (void *)offsetof(LoopObject, field)}
#define OBJECT(name, field)                              \
    {name, fl_attr_get_object, fl_attr_set_object, NULL, \
     (void *)offsetof(LoopObject, field)}
#define MADE(name, field) \
    {name, get_made, fl_attr_set_object, NULL, (void *)offsetof(LoopObject, field)}

PyGetSetDef fl_loop_getset[] = {
    FLAG("_asyncgens_shutdown_called", asyncgens_shutdown_called),
    FLAG("_closed", closed),
    FLAG("_coroutine_origin_tracking_enabled", coroutine_origin_tracking_enabled),
    FLAG("_debug", debug),
    FLAG("_executor_shutdown_called", executor_shutdown_called),
    FLAG("_may_defer_writes", may_defer_writes),
    FLAG("_may_skip_polls", may_skip_polls),
    FLAG("_stopping", stopping),
    FLAG("_took_wakeup_fd", took_wakeup_fd),
    OBJECT(
        "_coroutine_origin_tracking_saved_depth", coroutine_origin_tracking_saved_depth
    ),
    OBJECT("_current_handle", current_handle),
    OBJECT("_default_executor", default_executor),
    OBJECT("_exception_handler", exception_handler),
    {"_old_agen_hooks", fl_attr_get_object, set_tuple, NULL,
     (void *)offsetof(LoopObject, old_agen_hooks)},
    {"_task_factory", fl_loop_get_inner_task_factory, fl_attr_set_object, NULL,
     (void *)offsetof(LoopObject, task_factory)},
    {"slow_callback_duration", fl_attr_get_object, fl_attr_set_object,
     "Seconds; in debug mode a callback that takes longer is logged.",
     (void *)offsetof(LoopObject, slow_callback_duration)},
    MADE("_asyncgens", asyncgens),
    {"_signal_handlers", get_made, set_dict, NULL,
     (void *)offsetof(LoopObject, signal_handlers)},
    MADE("_transports", transports),
    MADE("_unix_server_sockets", unix_server_sockets),
    {"_clock_resolution", get_clock_resolution, set_clock_resolution, NULL, NULL},
    {"_nest_patched", fl_nested_get_patched, NULL, NULL, NULL},
    {"_scheduled", get_scheduled, NULL, NULL, NULL},
    FL_VIRTUAL_GETSET("_virtual_askers", askers),
    FL_VIRTUAL_GETSET("_virtual_end", end_s),
    FL_VIRTUAL_GETSET("_virtual_frozen", frozen),
    FL_VIRTUAL_GETSET("_virtual_grace", grace_s),
    FL_VIRTUAL_GETSET("_virtual_holds", holds),
    FL_VIRTUAL_GETSET("_virtual_now", now_s),
    FL_VIRTUAL_GETSET("_virtual_seed", seed),
    FL_VIRTUAL_GETSET("_virtual_starts", starts),
    FL_VIRTUAL_GETSET("_virtual_wait", wait_s),
    {NULL, NULL, NULL, NULL, NULL},
};

/* ---- what waits ---- */

static int
append_timer_handle(struct fl_timer *timer, void *arg)
{
    return PyList_Append(arg, (PyObject *)fl_timer_handle_of(timer));
}

/* The live TimerHandles, soonest first. */
static PyObject *
get_scheduled(PyObject *op, void *Py_UNUSED(closure))
{
    if (fl_alarm_show_all((LoopObject *)op) < 0) {
        return NULL;
    }
    PyObject *handles = PyList_New(0);
    if (handles == NULL ||
        fl_timers_visit(&((LoopObject *)op)->timers, append_timer_handle, handles) <
            0 ||
        PyList_Sort(handles) < 0) {
        Py_XDECREF(handles);
        return NULL;
    }
    return handles;
}
