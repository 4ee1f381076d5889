/* The lookout as the module's functions. */
#include "watch/watch_methods.h"

#include "core/future/future.h"
#include "core/loop/loop.h"
#include "watch/lookout.h"
#include "watch/names.h"

PyObject *
fl_watch_start(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"limit_s",     "dump_read_fd", "dump_write_fd",
                            "dump_signal", "tell_fd",      "listen_fd",
                            "teller",      "linter",       NULL};
    struct fl_state *state = fl_state_of_module(module);
    struct fl_lookout_settings settings;
    PyObject *teller, *linter;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "diiiiiOO:_watch_start", names, &settings.limit_s,
            &settings.dump_read_fd, &settings.dump_write_fd, &settings.dump_signal,
            &settings.tell_fd, &settings.listen_fd, &teller, &linter
        )) {
        return NULL;
    }
    if (state->lookout != NULL || !(settings.limit_s > 0.0)) {
        PyErr_SetString(PyExc_ValueError, "it is on, or has no limit");
        return NULL;
    }
    if (fl_lookout_start(state, &settings, teller, linter) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
fl_watch_stop(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    fl_lookout_stop(fl_state_of_module(module));
    Py_RETURN_NONE;
}

/* The name of a step that goes on, or what is known of one that is over. New, or NULL
 * with an exception. */
static PyObject *
step_name(PyObject *op, bool live, const char *name)
{
    LoopObject *loop = (LoopObject *)(void *)op;
    if (op != NULL && live) {
        return fl_entry_name(loop, loop->step_word);
    }
    return PyUnicode_FromString(name);
}

PyObject *
fl_watch_take(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    struct fl_lookout *lookout = fl_state_of_module(module)->lookout;
    struct fl_sight sight;
    PyObject *loop = NULL;
    bool live = false;
    if (lookout == NULL || !fl_lookout_take(lookout, &sight, &loop, &live)) {
        Py_RETURN_NONE;
    }
    PyObject *name = step_name(loop, live, sight.name);
    PyObject *told = NULL;
    if (name != NULL) {
        told = Py_BuildValue(
            "(OKOOLidddIOOdsy)", loop == NULL ? Py_None : loop,
            (unsigned long long)sight.run, live ? Py_True : Py_False, name,
            (long long)sight.stamp, (int)sight.kind, sight.elapsed_s, sight.awake_share,
            sight.gc_share, sight.n_untold, sight.blind ? Py_True : Py_False,
            sight.awake ? Py_True : Py_False,
            (double)(fl_clock_monotonic_ns() - sight.queued_ns) / 1e9, sight.call,
            sight.dump
        );
    }
    Py_XDECREF(name);
    Py_XDECREF(loop);
    return told;
}

/* Its row, or NULL with an exception. */
static PyObject *
loop_row(const struct fl_watched_now *now)
{
    PyObject *loop = (PyObject *)now->loop;
    PyObject *name = step_name(loop, now->over_s > 0.0, "");
    return name == NULL
               ? NULL
               : Py_BuildValue("(OidN)", loop, (int)now->thread, now->over_s, name);
}

/* [(loop, thread, seconds, name)] of loops that run; seconds and name of a step that is
 * over the limit, else 0.0 and "". */
PyObject *
fl_watch_loops(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    struct fl_lookout *lookout = fl_state_of_module(module)->lookout;
    PyObject *list = PyList_New(0);
    if (list == NULL || lookout == NULL) {
        return list;
    }
    /* none begins or ends to run without the GIL */
    size_t n = fl_lookout_loops(lookout, NULL, 0);
    struct fl_watched_now *loops = PyMem_New(struct fl_watched_now, n);
    if (loops == NULL) {
        Py_DECREF(list);
        return PyErr_NoMemory();
    }
    (void)fl_lookout_loops(lookout, loops, n);
    for (size_t i = 0; i < n; i++) {
        PyObject *row = list == NULL ? NULL : loop_row(&loops[i]);
        if (row == NULL || PyList_Append(list, row) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(row);
        Py_DECREF(loops[i].loop); /* escapes */
    }
    PyMem_Free(loops);
    return list;
}

PyObject *
fl_watch_check_in(PyObject *module, PyObject *seconds)
{
    struct fl_lookout *lookout = fl_state_of_module(module)->lookout;
    double in_s = PyFloat_AsDouble(seconds);
    if (in_s == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    if (lookout != NULL) {
        fl_lookout_check_in(lookout, in_s);
    }
    Py_RETURN_NONE;
}

/* Of a task: (seconds, exactly) since its last step, or since it was made; exactly:
 * else that is only the least. None: nobody knows. */
PyObject *
fl_watch_since(PyObject *module, PyObject *op)
{
    const struct fl_state *state = fl_state_of_module(module);
    const LoopObject *loop = NULL;
    if (state->types.own && PyObject_TypeCheck(op, state->task_type)) {
        loop = fl_future_loop(fl_future(op));
    }
    if (loop == NULL || loop->watched.lookout == NULL) {
        Py_RETURN_NONE;
    }
    bool exact;
    double since_s = fl_lookout_since(
        loop->watched.lookout, loop, fl_base_task(op)->stepped, &exact
    );
    return Py_BuildValue("(dO)", since_s, exact ? Py_True : Py_False);
}

/* Whether nothing that the loop knows of will wake it. */
static bool
is_stuck(const LoopObject *loop)
{
    return loop->watched.lookout != NULL && loop->sleeping && loop->deferred == NULL &&
           fl_ring_count(&loop->ready) == 0 && loop->timers.count == 0 &&
           !fl_loop_has_watches(loop) &&
           (loop->signal_handlers == NULL ||
            PyDict_GET_SIZE(loop->signal_handlers) == 0);
}

/* A list of those loops that run. */
PyObject *
fl_watch_stuck(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    const struct fl_state *state = fl_state_of_module(module);
    PyObject *list = PyList_New(0);
    const struct fl_list *link = state->loops.next;
    for (; list != NULL && link != &state->loops; link = link->next) {
        LoopObject *loop = FL_CONTAINER_OF(link, LoopObject, live_loops);
        /* PyList_Append runs no code that could change the list of loops */
        if (Py_REFCNT(loop) > 0 && is_stuck(loop) &&
            PyList_Append(list, (PyObject *)loop) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

/* One of gc.callbacks. */
PyObject *
fl_watch_gc(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
    struct fl_lookout *lookout = fl_state_of_module(module)->lookout;
    if (lookout != NULL && n_args > 0 && PyUnicode_Check(args[0])) {
        fl_lookout_gc(lookout, PyUnicode_CompareWithASCIIString(args[0], "start") == 0);
    }
    Py_RETURN_NONE;
}
