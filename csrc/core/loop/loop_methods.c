/* The table of the loop's methods, and those that need no file of their own. */
#include "core/run/loop_nested.h"
#include "core/run/loop_virtual.h"
#include "py/args/args.h"
#include "py/state/tables.h"
#include "py/time_watch.h"

int
fl_loop_check_thread(LoopObject *self)
{
    if (self->running && self->thread_id != PyThread_get_thread_ident()) {
        PyErr_SetString(
            PyExc_RuntimeError,
            "Non-thread-safe operation invoked on an event loop other than the "
            "current one"
        );
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(
    time_doc, "time($self, /)\n--\n\n"
              "Return the loop's clock: seconds, as time.monotonic()."
);

PyDoc_STRVAR(
    virtual_time_doc,
    "_virtual_time($self, /)\n--\n\n"
    "Return the loop's clock: seconds, of virtual time if it has that."
);

/* Who replaces time.monotonic may replace asyncio's loop.time() too, to have the loop
 * go on by the true one: from then on that stands before this. escapes. */
static FL_SLOW PyObject *
replaced_time(PyObject *op)
{
    struct fl_state *state = ((LoopObject *)op)->state;
    unsigned int before = state->base_version;
    if (fl_loop_show_patches(state) < 0) { /* escapes */
        return NULL;
    }
    if (state->base_version == before) {
        return fl_time_call(state); /* escapes */
    }
    return PyObject_CallMethodOneArg(
        state->SelectorEventLoop, state->str_time, op
    ); /* escapes */
}

static PyObject *
loop_time(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    struct fl_state *state = ((LoopObject *)op)->state;
    if (fl_time_is_replaced(state)) {
        return replaced_time(op); /* escapes */
    }
    return PyFloat_FromDouble(fl_clock_monotonic_s());
}

PyDoc_STRVAR(
    stop_doc, "stop($self, /)\n--\n\n"
              "Stop the loop at the end of the current iteration."
);

static PyObject *
loop_stop(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    ((LoopObject *)op)->stopping = 1;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    is_running_doc, "is_running($self, /)\n--\n\nReturn True if the loop runs."
);

static PyObject *
loop_is_running(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((LoopObject *)op)->running);
}

PyDoc_STRVAR(
    is_closed_doc, "is_closed($self, /)\n--\n\n"
                   "Return True if the loop was closed."
);

static PyObject *
loop_is_closed(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((LoopObject *)op)->closed);
}

PyDoc_STRVAR(
    get_debug_doc, "get_debug($self, /)\n--\n\n"
                   "Return True if the loop is in debug mode."
);

static PyObject *
loop_get_debug(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((LoopObject *)op)->debug);
}

PyDoc_STRVAR(
    set_debug_doc, "set_debug($self, enabled)\n--\n\n"
                   "Switch debug mode on or off."
);

static PyObject *
loop_set_debug(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    LoopObject *self = (LoopObject *)op;
    PyObject *enabled = fl_args_one("set_debug", "enabled", args, n_args, kwnames);
    int truth = enabled == NULL ? -1 : PyObject_IsTrue(enabled); /* escapes */
    if (truth < 0) {
        return NULL;
    }
    self->debug = (char)truth;
    if (self->running) {
        PyObject *method = PyObject_GetAttrString(op, "_set_coroutine_origin_tracking");
        PyObject *result = method == NULL
                               ? NULL
                               : PyObject_CallMethodObjArgs(
                                     op, self->state->str_call_soon_threadsafe, method,
                                     truth ? Py_True : Py_False, NULL
                                 );
        Py_XDECREF(method);
        Py_XDECREF(result);
        if (result == NULL) {
            return NULL;
        }
    }
    Py_RETURN_NONE;
}

static PyObject *
loop_check_closed(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_loop_check_closed((LoopObject *)op) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
loop_check_thread(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_loop_check_thread((LoopObject *)op) < 0 ? NULL : Py_NewRef(Py_None);
}

/* asyncio's self-pipe has no counterpart: the wake-up fds live with the loop. */
static PyObject *
loop_nothing(PyObject *Py_UNUSED(op), PyObject *Py_UNUSED(ignored))
{
    Py_RETURN_NONE;
}

/* ---- the table ---- */

PyDoc_STRVAR(
    call_soon_doc,
    "call_soon($self, callback, *args, context=None)\n--\n\n"
    "Run callback(*args) in the next iteration; return its Handle.\n\n"
    "context: the contextvars.Context to run it in; a copy of the current one if\n"
    "None. Raises RuntimeError if the loop is closed."
);
PyDoc_STRVAR(
    call_soon_threadsafe_doc,
    "call_soon_threadsafe($self, callback, *args, context=None)\n--\n\n"
    "Like call_soon(), from any thread; wakes the loop if it sleeps."
);
PyDoc_STRVAR(
    call_later_doc,
    "call_later($self, delay, callback, *args, context=None)\n--\n\n"
    "Run callback(*args) after delay seconds; return its TimerHandle.\n\n"
    "Raises TypeError if delay is None, RuntimeError if the loop is closed."
);
PyDoc_STRVAR(
    call_at_doc,
    "call_at($self, when, callback, *args, context=None)\n--\n\n"
    "Run callback(*args) when loop.time() has reached when, in seconds; return its\n"
    "TimerHandle. Equal times run in the order of the calls."
);
PyDoc_STRVAR(
    create_future_doc, "create_future($self, /)\n--\n\n"
                       "Return a new Future of this loop."
);
PyDoc_STRVAR(
    create_task_doc,
    "create_task($self, coro, **kwargs)\n--\n\n"
    "Schedule a coroutine; return its Task.\n\n"
    "Keywords are those of the running Python's asyncio: name, context and, from\n"
    "3.14, eager_start. A task factory is called as that asyncio calls it."
);
PyDoc_STRVAR(
    set_task_factory_doc,
    "set_task_factory($self, factory)\n--\n\n"
    "Make create_task() use factory(loop, coro, ...); None for the default."
);
PyDoc_STRVAR(
    get_task_factory_doc, "get_task_factory($self, /)\n--\n\n"
                          "Return the task factory, or None for the default."
);
PyDoc_STRVAR(
    set_exception_handler_doc,
    "set_exception_handler($self, handler)\n--\n\n"
    "Call handler(loop, context) for exceptions nobody took; None for the default."
);
PyDoc_STRVAR(
    get_exception_handler_doc, "get_exception_handler($self, /)\n--\n\n"
                               "Return the exception handler, or None for the default."
);
PyDoc_STRVAR(
    run_forever_doc, "run_forever($self, /)\n--\n\nRun until stop() is called."
);
PyDoc_STRVAR(
    run_until_complete_doc,
    "run_until_complete($self, future)\n--\n\n"
    "Run until future, or the coroutine given, is done; return its result.\n\n"
    "Raises its exception, or RuntimeError if the loop was stopped before."
);
PyDoc_STRVAR(
    run_nested_doc,
    "run_nested($self, awaitable, others='run')\n--\n\n"
    "Run until awaitable is done, also inside of a step of this very loop; return\n"
    "its result.\n\n"
    "others: 'run': all that the loop has to do goes on meanwhile, between two lines\n"
    "of the caller; or 'wait': tasks that were there before, what was scheduled with\n"
    "call_soon() before, and timers set before have their turns after the return, in\n"
    "order. Run then: the awaitable, tasks made meanwhile and what they schedule,\n"
    "callbacks of fds and transports, what other threads schedule. Whoever awaits one\n"
    "of those that wait, waits for ever.\n\n"
    "A turn in a Context that is entered waits, too. Without a running loop the same\n"
    "as run_until_complete(). Raises the awaitable's exception; RuntimeError if the\n"
    "loop runs in another thread, or was stopped before."
);
PyDoc_STRVAR(
    close_doc,
    "close($self, /)\n--\n\n"
    "Close the loop: drop what is queued, shut down the default executor.\n\n"
    "Closing a closed loop does nothing. Raises RuntimeError if it is running."
);
PyDoc_STRVAR(
    add_reader_doc,
    "add_reader($self, fd, callback, *args)\n--\n\n"
    "Call callback(*args) whenever fd, an int or an object with fileno(), can be\n"
    "read. Replaces the fd's reader. Raises OSError if fd can't be watched."
);
PyDoc_STRVAR(
    add_writer_doc,
    "add_writer($self, fd, callback, *args)\n--\n\n"
    "Call callback(*args) whenever fd, an int or an object with fileno(), can be\n"
    "written. Replaces the fd's writer. Raises OSError if fd can't be watched."
);
PyDoc_STRVAR(
    remove_reader_doc, "remove_reader($self, fd)\n--\n\n"
                       "Stop watching fd for reading; return whether it was watched."
);
PyDoc_STRVAR(
    remove_writer_doc, "remove_writer($self, fd)\n--\n\n"
                       "Stop watching fd for writing; return whether it was watched."
);
PyDoc_STRVAR(
    stats_doc,
    "stats($self, /)\n--\n\n"
    "Return what the loop has done and what waits, as a dict, from any thread:\n"
    "iterations, polls, steps (callbacks run) since it was made; ready (callbacks\n"
    "queued), timers and watches (fds) now; longest_step_s, the longest callback in\n"
    "seconds since the loop was made or reset_metrics() was called. metrics() has\n"
    "more."
);

PyDoc_STRVAR(
    reset_metrics_doc,
    "reset_metrics($self, /)\n--\n\n"
    "Begin anew with what metrics() shows of the past: the histograms, their maxima\n"
    "and the slowest steps. Totals go on."
);

#define CALLBACK_METHOD (METH_FASTCALL | METH_KEYWORDS)

PyMethodDef fl_loop_methods[] = {
    {"call_soon", FL_FASTCALL(fl_loop_call_soon), CALLBACK_METHOD, call_soon_doc},
    {"call_soon_threadsafe", FL_FASTCALL(fl_loop_call_soon_threadsafe), CALLBACK_METHOD,
     call_soon_threadsafe_doc},
    {"call_later", FL_FASTCALL(fl_loop_call_later), CALLBACK_METHOD, call_later_doc},
    {"call_at", FL_FASTCALL(fl_loop_call_at), CALLBACK_METHOD, call_at_doc},
    {"time", loop_time, METH_NOARGS, time_doc},
    {"create_future", fl_loop_create_future, METH_NOARGS, create_future_doc},
    {"create_task", FL_FASTCALL(fl_loop_create_task), CALLBACK_METHOD, create_task_doc},
    {"set_task_factory", FL_FASTCALL(fl_loop_set_task_factory), CALLBACK_METHOD,
     set_task_factory_doc},
    {"get_task_factory", fl_loop_get_task_factory, METH_NOARGS, get_task_factory_doc},
    {"set_exception_handler", FL_FASTCALL(fl_loop_set_exception_handler),
     CALLBACK_METHOD, set_exception_handler_doc},
    {"get_exception_handler", fl_loop_get_exception_handler, METH_NOARGS,
     get_exception_handler_doc},
    {"run_forever", fl_loop_run_forever, METH_NOARGS, run_forever_doc},
    {"run_until_complete", FL_FASTCALL(fl_loop_run_until_complete), CALLBACK_METHOD,
     run_until_complete_doc},
    {"run_nested", FL_FASTCALL(fl_loop_run_nested), CALLBACK_METHOD, run_nested_doc},
    {"stop", loop_stop, METH_NOARGS, stop_doc},
    {"close", fl_loop_close, METH_NOARGS, close_doc},
    {"is_running", loop_is_running, METH_NOARGS, is_running_doc},
    {"is_closed", loop_is_closed, METH_NOARGS, is_closed_doc},
    {"get_debug", loop_get_debug, METH_NOARGS, get_debug_doc},
    {"set_debug", FL_FASTCALL(loop_set_debug), CALLBACK_METHOD, set_debug_doc},
    {"add_reader", FL_FASTCALL(fl_loop_add_reader), CALLBACK_METHOD, add_reader_doc},
    {"add_writer", FL_FASTCALL(fl_loop_add_writer), CALLBACK_METHOD, add_writer_doc},
    {"remove_reader", FL_FASTCALL(fl_loop_remove_reader), CALLBACK_METHOD,
     remove_reader_doc},
    {"remove_writer", FL_FASTCALL(fl_loop_remove_writer), CALLBACK_METHOD,
     remove_writer_doc},
    {"stats", fl_loop_stats, METH_NOARGS, stats_doc},
    {"reset_metrics", fl_loop_reset_metrics, METH_NOARGS, reset_metrics_doc},
    {"_read_metrics", fl_loop_read_metrics, METH_NOARGS, NULL},
    {"_add_callback", fl_loop_add_callback, METH_O, NULL},
    {"_add_callback_signalsafe", fl_loop_add_callback_signalsafe, METH_O, NULL},
    {"_ensure_fd_no_transport", fl_loop_ensure_fd_no_transport, METH_O, NULL},
    {"_add_reader", FL_FASTCALL(fl_loop__add_reader), CALLBACK_METHOD, NULL},
    {"_add_writer", FL_FASTCALL(fl_loop__add_writer), CALLBACK_METHOD, NULL},
    {"_asyncgen_finalizer_hook", fl_loop_asyncgen_finalizer, METH_O, NULL},
    {"_asyncgen_firstiter_hook", fl_loop_asyncgen_firstiter, METH_O, NULL},
    {"_call_soon", FL_FASTCALL(fl_loop_call_soon_internal), METH_FASTCALL, NULL},
    {"_check_closed", loop_check_closed, METH_NOARGS, NULL},
    {"_check_thread", loop_check_thread, METH_NOARGS, NULL},
    {"_close_self_pipe", loop_nothing, METH_NOARGS, NULL},
    {"_handle_signal", fl_loop_handle_signal, METH_O, NULL},
    {"_make_handle", FL_FASTCALL(fl_loop_make_handle), METH_FASTCALL, NULL},
    {"_make_self_pipe", loop_nothing, METH_NOARGS, NULL},
    {"_poll_for", fl_loop_poll_for, METH_O, NULL},
    {"_poll_timeout", fl_loop_poll_timeout, METH_NOARGS, NULL},
    {"_process_events", fl_loop_process_events, METH_O, NULL},
    {"_run_handle", fl_loop_run_handle, METH_O, NULL},
    {"_read_from_self", fl_loop_read_from_self, METH_NOARGS, NULL},
    {"_remove_reader", fl_loop__remove_reader, METH_O, NULL},
    {"_remove_writer", fl_loop__remove_writer, METH_O, NULL},
    {"_run_forever_cleanup", fl_loop_run_forever_cleanup, METH_NOARGS, NULL},
    {"_run_forever_setup", fl_loop_run_forever_setup, METH_NOARGS, NULL},
    {"_run_once", fl_loop_run_once, METH_NOARGS, NULL},
    {"_send_waiting", fl_loop_send_waiting, METH_NOARGS, NULL},
    {"_signal_fd", fl_loop_signal_fd, METH_NOARGS, NULL},
    {"_begin_virtual", fl_virtual_begin, METH_O, NULL},
    {"_timer_handle_cancelled", fl_loop_timer_handle_cancelled, METH_O, NULL},
    {"_virtual_time", fl_virtual_time, METH_NOARGS, virtual_time_doc},
    {"_watched_events", fl_loop_watched_events, METH_O, NULL},
    {"_write_to_self", fl_loop_write_to_self, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
