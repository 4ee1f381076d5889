/* The loop object: life, close, debug flag, method table.
 *
 * A loop is complete once it exists: __new__ opens its fds, __init__ only
 * checks that it was given nothing. close() drops what is queued and watched
 * and closes the fds; the object lives on as a closed loop.
 */
#include "core/loop.h"

#include "core/source.h"
#include "core/timer_handle.h"
#include "py/args.h"
#include "py/error.h"
#include "py/tables.h"

#include <stdlib.h>

#define READY_CAPACITY 256

/* ---- life ---- */

static int
loop_open(LoopObject *self)
{
    if (fl_ring_init(&self->ready, READY_CAPACITY) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    int err = fl_poller_open(&self->poller);
    if (err < 0) {
        fl_raise_errno(err);
        return -1;
    }
    self->is_open = 1;
    return fl_loop_open_wakeup(self);
}

static int
loop_set_defaults(LoopObject *self)
{
    self->may_skip_polls = 1;
    self->may_defer_writes = 1;
    self->clock_resolution = 1e-9; /* time.get_clock_info('monotonic') on Linux */
    self->slow_callback_duration = PyFloat_FromDouble(0.1);
    if (self->slow_callback_duration == NULL) {
        return -1;
    }
    PyObject *debug = PyObject_CallNoArgs(self->state->is_debug_mode);
    int truth = debug == NULL ? -1 : PyObject_IsTrue(debug);
    Py_XDECREF(debug);
    self->debug = (char)(truth > 0);
    return truth < 0 ? -1 : 0;
}

static PyObject *
loop_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    struct fl_state *state = fl_state_of_type(type);
    if (state == NULL) {
        return NULL;
    }
    if (type == state->loop_type) {
        PyErr_SetString(PyExc_TypeError, "a base class: make a fastloop.Loop instead");
        return NULL;
    }
    LoopObject *self = (LoopObject *)FL_SLOT_POINTER(type->tp_alloc(type, 0));
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    self->poller.epoll_fd = -1;
    self->wakeup = (struct fl_wakeup)FL_WAKEUP_INIT;
    fl_list_init(&self->reader_watches);
    fl_list_init(&self->sources);
    fl_list_init(&self->deferred);
    fl_list_append(&state->loops, &self->live_loops);
    fl_timers_init(&self->timers, fl_clock_monotonic_s());
    fl_tick_rate_init(&self->tick_rate);
    state->counts.loops++;
    if (loop_set_defaults(self) < 0 || loop_open(self) < 0) {
        self->closed = 1; /* no warning of an unclosed loop */
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
loop_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) != 0 ||
        (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0)) {
        PyErr_Format(PyExc_TypeError, "%s() takes no arguments", Py_TYPE(op)->tp_name);
        return -1;
    }
    return 0;
}

static int
visit_timer(struct fl_timer *timer, void *arg)
{
    void **call = arg;
    visitproc visit = *(visitproc *)call[0];
    return fl_handle_traverse_queued(&fl_timer_handle_of(timer)->base, visit, call[1]);
}

static int
loop_traverse(PyObject *op, visitproc visit, void *arg)
{
    LoopObject *self = (LoopObject *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->contexts.last);
    Py_VISIT(self->contexts.spare);
    Py_VISIT(self->exception_handler);
    Py_VISIT(self->default_executor);
    Py_VISIT(self->task_factory);
    Py_VISIT(self->current_handle);
    Py_VISIT(self->signal_handlers);
    Py_VISIT(self->slow_callback_duration);
    Py_VISIT(self->coroutine_origin_tracking_saved_depth);
    Py_VISIT(self->old_agen_hooks);
    Py_VISIT(self->asyncgens);
    Py_VISIT(self->transports);
    Py_VISIT(self->unix_server_sockets);
    for (size_t i = 0; i < fl_ring_count(&self->ready); i++) {
        uintptr_t word = fl_ring_peek(&self->ready, i);
        uintptr_t kind = word & FL_ENTRY_KIND_MASK;
        if (kind != FL_ENTRY_HANDLE) {
            Py_VISIT(
                kind == FL_ENTRY_SOURCE ? fl_source_owner(word)
                                        : (PyObject *)(word & ~FL_ENTRY_KIND_MASK)
            );
            continue;
        }
        int status = fl_handle_traverse_queued((HandleObject *)word, visit, arg);
        if (status != 0) {
            return status;
        }
    }
    void *call[2] = {&visit, arg};
    int status = fl_timers_visit(&self->timers, visit_timer, call);
    if (status == 0) {
        status = fl_loop_traverse_watches(self, visit, arg);
    }
    return status != 0 ? status : fl_loop_traverse_sources(self, visit, arg);
}

static int
loop_clear(PyObject *op)
{
    LoopObject *self = (LoopObject *)op;
    fl_loop_drop_queued(self, Py_REFCNT(op) == 0);
    fl_loop_drop_watches(self);
    fl_loop_drop_sources(self);
    fl_context_drop(&self->contexts);
    Py_CLEAR(self->exception_handler);
    Py_CLEAR(self->default_executor);
    Py_CLEAR(self->task_factory);
    Py_CLEAR(self->current_handle);
    Py_CLEAR(self->signal_handlers);
    Py_CLEAR(self->coroutine_origin_tracking_saved_depth);
    Py_CLEAR(self->old_agen_hooks);
    Py_CLEAR(self->asyncgens);
    Py_CLEAR(self->transports);
    Py_CLEAR(self->unix_server_sockets);
    return 0;
}

static void
loop_close_fds(LoopObject *self)
{
    self->is_open = 0;
    fl_loop_close_wakeup(self);
    fl_poller_close(&self->poller);
    free(self->receive_buffer);
    self->receive_buffer = NULL;
}

static void
loop_dealloc(PyObject *op)
{
    LoopObject *self = (LoopObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    loop_clear(op);
    Py_CLEAR(self->slow_callback_duration);
    loop_close_fds(self);
    fl_fd_table_deinit(&self->fd_owners);
    fl_list_unlink(&self->live_loops);
    fl_handle_free_lists(self);
    fl_timers_deinit(&self->timers);
    fl_ring_deinit(&self->ready);
    self->state->counts.loops--;
    type->tp_free(op);
    Py_DECREF(type);
}

static PyObject *loop_close(PyObject *op, PyObject *ignored);

static void
loop_finalize(PyObject *op)
{
    LoopObject *self = (LoopObject *)op;
    if (self->closed) {
        return;
    }
    PyObject *exc = fl_error_take();
    if (PyErr_ResourceWarning(op, 1, "unclosed event loop %R", op) < 0) {
        PyErr_WriteUnraisable(op);
    }
    if (!self->running) {
        PyObject *result = loop_close(op, NULL);
        if (result == NULL) {
            PyErr_WriteUnraisable(op);
        }
        Py_XDECREF(result);
    }
    fl_error_restore(exc);
}

/* ---- close ---- */

static int
close_executor(LoopObject *self)
{
    self->executor_shutdown_called = 1;
    PyObject *executor = self->default_executor;
    self->default_executor = NULL;
    if (executor == NULL) {
        return 0;
    }
    PyObject *method = PyObject_GetAttrString(executor, "shutdown");
    PyObject *wait = method == NULL ? NULL : Py_BuildValue("{s:O}", "wait", Py_False);
    PyObject *nothing = wait == NULL ? NULL : PyTuple_New(0);
    PyObject *result = NULL;
    if (nothing != NULL) {
        result = PyObject_Call(method, nothing, wait); /* escapes */
    }
    Py_XDECREF(method);
    Py_XDECREF(wait);
    Py_XDECREF(nothing);
    Py_DECREF(executor);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int
log_close(PyObject *op)
{
    PyObject *result = PyObject_CallMethod(
        ((LoopObject *)op)->state->logger, "debug", "sO", "Close %r", op
    );
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

PyDoc_STRVAR(
    close_doc,
    "close($self, /)\n--\n\n"
    "Close the loop: drop what is queued, shut down the default executor.\n\n"
    "Closing a closed loop does nothing. Raises RuntimeError if it is running."
);

static PyObject *
loop_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LoopObject *self = (LoopObject *)op;
    if (self->running) {
        PyErr_SetString(PyExc_RuntimeError, "Cannot close a running event loop");
        return NULL;
    }
    if (self->closed) {
        Py_RETURN_NONE;
    }
    if (self->debug && log_close(op) < 0) { /* escapes */
        return NULL;
    }
    if (self->signal_handlers != NULL && PyDict_GET_SIZE(self->signal_handlers) > 0) {
        PyObject *result = PyObject_CallMethod(op, "_drop_signal_handlers", NULL);
        if (result == NULL) {
            return NULL;
        }
        Py_DECREF(result);
    }
    self->closed = 1;
    fl_loop_drop_queued(self, false);
    fl_loop_drop_watches(self);
    fl_loop_drop_sources(self);
    fl_context_drop(&self->contexts);
    loop_close_fds(self);
    fl_handle_free_lists(self);
    return close_executor(self) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- small methods ---- */

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

static PyObject *
loop_time(PyObject *Py_UNUSED(op), PyObject *Py_UNUSED(ignored))
{
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

/* ---- the type ---- */

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
    "Return what the loop has done and what waits, as a dict: iterations, polls,\n"
    "steps (callbacks run) since it was made; ready (callbacks queued), timers and\n"
    "watches (fds) now; longest_step_s, the longest callback so far in seconds."
);

#define CALLBACK_METHOD (METH_FASTCALL | METH_KEYWORDS)

static PyMethodDef loop_methods[] = {
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
    {"stop", loop_stop, METH_NOARGS, stop_doc},
    {"close", loop_close, METH_NOARGS, close_doc},
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
    {"_add_callback", fl_loop_add_callback, METH_O, NULL},
    {"_add_callback_signalsafe", fl_loop_add_callback_signalsafe, METH_O, NULL},
    {"_ensure_fd_no_transport", fl_loop_ensure_fd_no_transport, METH_O, NULL},
    {"_add_reader", FL_FASTCALL(fl_loop__add_reader), CALLBACK_METHOD, NULL},
    {"_add_writer", FL_FASTCALL(fl_loop__add_writer), CALLBACK_METHOD, NULL},
    {"_after_fork", fl_loop_after_fork, METH_NOARGS, NULL},
    {"_asyncgen_finalizer_hook", fl_loop_asyncgen_finalizer, METH_O, NULL},
    {"_asyncgen_firstiter_hook", fl_loop_asyncgen_firstiter, METH_O, NULL},
    {"_call_soon", FL_FASTCALL(fl_loop_call_soon_internal), METH_FASTCALL, NULL},
    {"_check_closed", loop_check_closed, METH_NOARGS, NULL},
    {"_check_thread", loop_check_thread, METH_NOARGS, NULL},
    {"_close_self_pipe", loop_nothing, METH_NOARGS, NULL},
    {"_handle_signal", fl_loop_handle_signal, METH_O, NULL},
    {"_make_handle", FL_FASTCALL(fl_loop_make_handle), METH_FASTCALL, NULL},
    {"_make_self_pipe", loop_nothing, METH_NOARGS, NULL},
    {"_process_events", fl_loop_process_events, METH_O, NULL},
    {"_read_from_self", fl_loop_read_from_self, METH_NOARGS, NULL},
    {"_remove_reader", fl_loop__remove_reader, METH_O, NULL},
    {"_remove_writer", fl_loop__remove_writer, METH_O, NULL},
    {"_run_forever_cleanup", fl_loop_run_forever_cleanup, METH_NOARGS, NULL},
    {"_run_forever_setup", fl_loop_run_forever_setup, METH_NOARGS, NULL},
    {"_run_once", fl_loop_run_once, METH_NOARGS, NULL},
    {"_signal_fd", fl_loop_signal_fd, METH_NOARGS, NULL},
    {"_timer_handle_cancelled", fl_loop_timer_handle_cancelled, METH_O, NULL},
    {"_watched_events", fl_loop_watched_events, METH_O, NULL},
    {"_write_to_self", fl_loop_write_to_self, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(loop_doc, "The C part of fastloop.Loop.");

static PyType_Slot loop_slots[] = {
    {Py_tp_doc, (void *)loop_doc},
    {Py_tp_new, loop_new},
    {Py_tp_init, loop_init},
    {Py_tp_dealloc, loop_dealloc},
    {Py_tp_finalize, loop_finalize},
    {Py_tp_traverse, loop_traverse},
    {Py_tp_clear, loop_clear},
    {Py_tp_setattro, fl_loop_setattro},
    {Py_tp_methods, loop_methods},
    {Py_tp_getset, fl_loop_getset},
    {0, NULL},
};

static PyType_Spec loop_spec = {
    .name = "fastloop._core.EventLoop",
    .basicsize = sizeof(LoopObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = loop_slots,
};

int
fl_loop_add_type(PyObject *module, struct fl_state *state)
{
    state->loop_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &loop_spec, NULL);
    if (state->loop_type == NULL) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "EventLoop", (PyObject *)state->loop_type);
}
