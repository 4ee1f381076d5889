/* The loop object: life and close.
 *
 * A loop is complete once it exists: __new__ opens its fds, __init__ only
 * checks that it was given nothing. close() drops what is queued and watched
 * and closes the fds; the object lives on as a closed loop. One that was not closed is
 * finalized by the __del__ that fastloop.Loop inherits from asyncio, with its warning.
 */
#include "core/loop/loop.h"
#include "core/handle/alarm.h"

#include "core/handle/timer_handle.h"
#include "core/io/source.h"
#include "core/run/loop_virtual.h"
#include "core/task/task_observe.h"
#include "py/args/call.h"
#include "py/error.h"
#include "py/state/tables.h"

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
    self->run_task = fl_observe_runner(self->state);
    self->may_defer_writes = 1;
    self->clock_resolution = FL_CLOCK_RESOLUTION;
    self->slow_callback_duration = PyFloat_FromDouble(0.1);
    if (self->slow_callback_duration == NULL) {
        return -1;
    }
    int truth = fl_call_truth(PyObject_CallNoArgs(self->state->is_debug_mode));
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
    if (fl_loop_show_patches(state) < 0 || fl_refuse_abstract(type) < 0) { /* escapes */
        return NULL;
    }
    LoopObject *self = (LoopObject *)FL_SLOT_POINTER(type->tp_alloc(type, 0));
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    self->type_version = FL_NO_TYPE_VERSION;
    self->poller.epoll_fd = -1;
    self->wakeup = (struct fl_wakeup)FL_WAKEUP_INIT;
    fl_list_init(&self->reader_watches);
    fl_list_init(&self->sources);
    fl_list_append(&state->loops, &self->live_loops);
    fl_timers_init(&self->timers, fl_clock_monotonic_s());
    self->birth_ns = fl_clock_monotonic_ns();
    self->last_step_ticks = fl_clock_ticks();
    self->tick_rate = state->tick_rate;
    fl_tick_rate_settle(&self->tick_rate, self->last_step_ticks, self->birth_ns);
    fl_metrics_set_rate(&self->metrics, self->tick_rate.ticks_per_ns);
    state->counts.loops++;
    if (loop_set_defaults(self) < 0 || loop_open(self) < 0) {
        self->closed = 1; /* no warning of an unclosed loop */
        Py_DECREF(self);
        return NULL;
    }
    fl_recorder_take_loop(self);
    return (PyObject *)self;
}

/* What subclasses of asyncio's loop hand on is taken, and named in the log alone. */
static int
loop_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"selector", NULL};
    PyObject *selector = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:Loop", names, &selector)) {
        return -1;
    }
    const char *name =
        selector == Py_None ? "EpollSelector" : fl_type_short_name(Py_TYPE(selector));
    return fl_call_status(PyObject_CallMethod(
        ((LoopObject *)op)->state->logger, "debug", "ss", "Using selector: %s", name
    )); /* escapes */
}

static int
visit_timer(struct fl_timer *timer, void *arg)
{
    void **call = arg;
    visitproc visit = *(visitproc *)call[0];
    if (timer->kind == FL_TIMER_OF_ALARM) {
        return fl_alarm_traverse(timer, visit, call[1]);
    }
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
    Py_VISIT(self->outer_loop);
    Py_VISIT(self->outer_task);
    Py_VISIT(self->asyncgens);
    Py_VISIT(self->transports);
    Py_VISIT(self->unix_server_sockets);
    for (size_t i = 0; i < fl_ring_count(&self->ready); i++) {
        uintptr_t word = fl_ring_peek(&self->ready, i);
        uintptr_t kind = word & FL_ENTRY_KIND_MASK;
        if (kind == FL_ENTRY_ALARM) {
            int status = fl_alarm_traverse_word(word, visit, arg);
            if (status != 0) {
                return status;
            }
            continue;
        }
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
    Py_CLEAR(self->outer_loop);
    Py_CLEAR(self->outer_task);
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
    fl_lookout_leave(self);
    fl_list_unlink(&self->live_loops); /* who walks them must not find the dying */
    loop_clear(op);                    /* escapes */
    Py_CLEAR(self->slow_callback_duration);
    loop_close_fds(self);
    fl_fd_table_deinit(&self->fd_owners);
    fl_handle_free_lists(self);
    fl_alarm_free_list(self, 0);
    fl_timers_deinit(&self->timers);
    fl_virtual_free(self);
    fl_ring_deinit(&self->ready);
    fl_metrics_reset(&self->metrics);
    self->state->counts.loops--;
    type->tp_free(op);
    Py_DECREF(type);
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
    return fl_call_status(result);
}

/* The last that can fail, as in another thread it does: the loop is closed by then. */
static int
drop_signal_handlers(LoopObject *self)
{
    if (self->signal_handlers == NULL) {
        return 0;
    }
    return fl_call_status(
        PyObject_CallMethod((PyObject *)self, "_drop_signal_handlers", NULL)
    ); /* escapes */
}

static int
log_close(PyObject *op)
{
    return fl_call_status(PyObject_CallMethod(
        ((LoopObject *)op)->state->logger, "debug", "sO", "Close %r", op
    ));
}

PyObject *
fl_loop_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LoopObject *self = (LoopObject *)op;
    if (self->running) {
        PyErr_SetString(PyExc_RuntimeError, "Cannot close a running event loop");
        return NULL;
    }
    if (self->closed) { /* but for handlers that an earlier close failed to drop */
        return drop_signal_handlers(self) < 0 ? NULL : Py_NewRef(Py_None);
    }
    if (self->debug && log_close(op) < 0) { /* escapes */
        return NULL;
    }
    self->closed = 1;
    fl_loop_drop_queued(self, false); /* escapes */
    fl_loop_drop_watches(self);
    fl_loop_drop_sources(self);
    fl_context_drop(&self->contexts);
    int status = close_executor(self) < 0 ? -1 : drop_signal_handlers(self);
    PyObject *exc = fl_error_take();
    loop_close_fds(self);
    fl_handle_free_lists(self);
    fl_alarm_free_list(self, 0);
    fl_error_restore(exc);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- the type ---- */

PyDoc_STRVAR(loop_doc, "The C part of fastloop.Loop.");

static PyType_Slot loop_slots[] = {
    {Py_tp_doc, (void *)loop_doc},
    {Py_tp_new, loop_new},
    {Py_tp_init, loop_init},
    {Py_tp_dealloc, loop_dealloc},
    {Py_tp_traverse, loop_traverse},
    {Py_tp_is_gc, fl_loop_is_gc},
    {Py_tp_clear, loop_clear},
    {Py_tp_setattro, fl_loop_setattro},
    {Py_tp_methods, fl_loop_methods},
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

#ifdef FL_HAVE_DICT_WATCHERS
/* Somebody may have replaced time.monotonic: each loop looks in its next iteration. */
static void
suspect_clock(struct fl_state *state)
{
    struct fl_list *head = &state->loops;
    for (struct fl_list *link = head->next; link != head; link = link->next) {
        FL_CONTAINER_OF(link, LoopObject, live_loops)->skips_freely = 0;
    }
}
#endif

int
fl_loop_add_type(PyObject *module, struct fl_state *state)
{
#ifdef FL_HAVE_DICT_WATCHERS
    state->time_watch.on_suspect = suspect_clock;
#endif
    if (fl_make_type(&state->loop_type, module, &loop_spec, NULL) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "EventLoop", (PyObject *)state->loop_type);
}
