/* What fastloop/_watch.py asks of the lookout: functions of the module. */
#ifndef FASTLOOP_WATCH_WATCH_METHODS_H
#define FASTLOOP_WATCH_WATCH_METHODS_H

#include "py/compat.h"

PyObject *fl_watch_start(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *fl_watch_stop(PyObject *module, PyObject *ignored);
PyObject *fl_watch_take(PyObject *module, PyObject *ignored);
PyObject *fl_watch_loops(PyObject *module, PyObject *ignored);
PyObject *fl_watch_check_in(PyObject *module, PyObject *seconds);
PyObject *fl_watch_since(PyObject *module, PyObject *task);
PyObject *fl_watch_stuck(PyObject *module, PyObject *ignored);
PyObject *fl_watch_gc(PyObject *module, PyObject *const *args, Py_ssize_t n_args);

#endif
