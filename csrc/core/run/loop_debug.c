/* Debug mode: a handle's run is timed, and the handle shown meanwhile. */
#include "core/handle/handle.h"
#include "core/run/loop_nested.h"
#include "py/args/call.h"

static int
warn_if_slow(LoopObject *self, PyObject *handle, double took_s)
{
    double limit_s = PyFloat_AsDouble(self->slow_callback_duration);
    if (limit_s == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (took_s < limit_s) {
        return 0;
    }
    PyObject *globals = self->state->base_events_dict; /* tests put loggers there */
    PyObject *logger = PyMapping_GetItemString(globals, "logger");
    PyObject *text =
        logger == NULL ? NULL : PyObject_CallOneArg(self->state->format_handle, handle);
    PyObject *result = text == NULL ? NULL
                                    : PyObject_CallMethod(
                                          logger, "warning", "sOd",
                                          "Executing %s took %.3f seconds", text, took_s
                                      ); /* escapes */
    Py_XDECREF(text);
    Py_XDECREF(logger);
    return fl_call_status(result);
}

int
fl_run_handle_debug(LoopObject *self, PyObject *handle)
{
    Py_XSETREF(self->current_handle, Py_NewRef(handle));
    int status = -1;
    double start_s = fl_loop_now(self);
    if (start_s != -1.0 || !PyErr_Occurred()) {
        status = fl_handle_run((HandleObject *)handle); /* escapes */
    }
    if (status == 0) {
        double end_s = fl_loop_now(self);
        status = end_s == -1.0 && PyErr_Occurred()
                     ? -1
                     : warn_if_slow(self, handle, end_s - start_s);
    }
    Py_CLEAR(self->current_handle);
    return status;
}
