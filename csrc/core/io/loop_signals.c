/* Waking a sleeping loop: other threads, signals, fork.
 *
 * While it runs in the main thread, and has slept, the loop is the process's wake-up
 * fd, so a signal ends its poll whichever thread the kernel gave it to, and also if it
 * came just before the poll. A wake-up fd that somebody else has set stays,
 * unless add_signal_handler asks for ours, as asyncio's does.
 */
#include "core/handle/handle.h"
#include "core/io/source.h"
#include "core/loop/sched.h"
#include "py/args/call.h"
#include "py/error.h"

#include <errno.h>

static void
event_on_ready(struct fl_watch *watch, uint32_t Py_UNUSED(events))
{
    fl_wakeup_drain(&FL_CONTAINER_OF(watch, LoopObject, event_watch)->wakeup);
}

static int
act_on_signal(LoopObject *self, PyObject *signum, PyObject *handle)
{
    int cancelled = fl_handle_is_cancelled(self, handle); /* escapes */
    if (cancelled < 0) {
        return -1;
    }
    return fl_call_status(
        cancelled ? PyObject_CallMethod(
                        (PyObject *)self, "remove_signal_handler", "O", signum
                    )
                  : fl_loop_add_callback((PyObject *)self, handle)
    );
}

/* One signal CPython has written to the wake-up fd. */
static int
handle_signal(LoopObject *self, long signum)
{
    if (self->signal_handlers == NULL) {
        return 0;
    }
    PyObject *key = PyLong_FromLong(signum);
    if (key == NULL) {
        return -1;
    }
    PyObject *handle = Py_XNewRef(PyDict_GetItemWithError(self->signal_handlers, key));
    int status = PyErr_Occurred() ? -1 : 0;
    if (handle != NULL) {
        status = act_on_signal(self, key, handle); /* escapes */
        Py_DECREF(handle);
    }
    Py_DECREF(key);
    return status;
}

static bool
has_handlers(const LoopObject *self)
{
    return self->signal_handlers != NULL && PyDict_GET_SIZE(self->signal_handlers) > 0;
}

/* The handler is looked for in the iteration of the poll, and runs in the next one, as
 * in asyncio, whose loop reads its pipe in a callback. */
static int
queue_signal(LoopObject *self, long signum)
{
    PyObject *look =
        PyObject_GetAttrString((PyObject *)self, "_handle_signal"); /* escapes */
    PyObject *number = look == NULL ? NULL : PyLong_FromLong(signum);
    int status = -1;
    if (number != NULL) {
        status = fl_sched_push(self, fl_handle_new(self, look, &number, 1, NULL));
    }
    Py_XDECREF(number);
    Py_XDECREF(look);
    return status;
}

static void
signal_on_ready(struct fl_watch *watch, uint32_t Py_UNUSED(events))
{
    LoopObject *self = FL_CONTAINER_OF(watch, LoopObject, signal_watch);
    unsigned char numbers[256];
    int n_read;
    do {
        n_read = fl_wakeup_read_signals(&self->wakeup, numbers, sizeof(numbers));
        for (int i = 0; i < n_read; i++) {
            if (numbers[i] != 0 && has_handlers(self) &&
                queue_signal(self, numbers[i]) < 0) { /* escapes */
                PyErr_WriteUnraisable((PyObject *)self);
            }
        }
    } while (n_read == (int)sizeof(numbers));
}

static int
watch_internal(LoopObject *self, struct fl_watch *watch, int fd)
{
    fl_loop_drop_stale_watch(self, fd);
    watch->fd = fd;
    watch->events = FL_POLL_READ;
    return fl_poller_add(&self->poller, watch);
}

int
fl_loop_open_wakeup(LoopObject *self)
{
    int err = fl_wakeup_open(&self->wakeup);
    if (err >= 0) {
        self->event_watch.on_ready = event_on_ready;
        err = watch_internal(self, &self->event_watch, self->wakeup.event_fd);
    }
    if (err < 0) {
        fl_raise_errno(err);
        return -1;
    }
    return 0;
}

void
fl_loop_close_wakeup(LoopObject *self)
{
    if (self->wakeup.event_fd >= 0) {
        fl_poller_remove(&self->poller, &self->event_watch);
    }
    if (self->wakeup.signal_read_fd >= 0) {
        fl_poller_remove(&self->poller, &self->signal_watch);
    }
    fl_wakeup_close(&self->wakeup);
}

static int
open_signal_pair(LoopObject *self)
{
    if (fl_loop_ensure_own(self) < 0) { /* escapes */
        return -1;
    }
    if (self->wakeup.signal_read_fd >= 0) {
        return 0;
    }
    int err = fl_wakeup_open_signals(&self->wakeup);
    if (err >= 0) {
        self->signal_watch.on_ready = signal_on_ready;
        err = watch_internal(self, &self->signal_watch, self->wakeup.signal_read_fd);
    }
    if (err < 0) {
        fl_wakeup_close_signals(&self->wakeup); /* an open pair counts as watched */
        fl_raise_errno(err);
        return -1;
    }
    return 0;
}

static int
in_main_thread(LoopObject *self)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        return 0;
    }
    PyObject *thread = PyObject_CallNoArgs(self->state->main_thread);
    PyObject *ident = thread == NULL ? NULL : PyObject_GetAttrString(thread, "ident");
    Py_XDECREF(thread);
    unsigned long main_id = ident == NULL ? 0 : PyLong_AsUnsignedLong(ident);
    Py_XDECREF(ident);
    if (PyErr_Occurred()) {
        return -1;
    }
    return main_id == PyThread_get_thread_ident();
}

/* signal.set_wakeup_fd(fd, warn_on_full_buffer=False): the previous fd, or -2 with an
 * exception. Nobody listens to a full pair's warning: the loop wakes all the same, and
 * what has a handler of ours is read in time. */
static int
set_wakeup_fd(LoopObject *self, int fd)
{
    PyObject *number_of = PyLong_FromLong(fd);
    if (number_of == NULL) {
        return -2;
    }
    PyObject *stack[2] = {number_of, Py_False};
    PyObject *previous = PyObject_Vectorcall(
        self->state->set_wakeup_fd, stack, 1, self->state->kw_warn_on_full_buffer
    );
    Py_DECREF(number_of);
    if (previous == NULL) {
        return -2;
    }
    long number = PyLong_AsLong(previous);
    Py_DECREF(previous);
    if (number == -1) {
        PyErr_Clear(); /* fd is set; as if there had been none before */
    }
    return (int)number;
}

/* Another's fd is put back, as far as Python lets us without the flag that went with
 * it. One that was closed meanwhile it refuses: then there is none. */
static int
leave_wakeup_fd(LoopObject *self, int previous)
{
    if (set_wakeup_fd(self, previous) != -2) {
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_OSError) &&
        !PyErr_ExceptionMatches(PyExc_ValueError)) {
        return -1;
    }
    PyErr_Clear();
    self->took_wakeup_fd = 1;
    return 0;
}

int
fl_loop_take_wakeup_fd(LoopObject *self)
{
    int main_thread = in_main_thread(self); /* escapes */
    if (main_thread < 0) {
        return -1;
    }
    if (main_thread == 0) {
        self->asked_wakeup_fd = 1;
        return 0;
    }
    if (open_signal_pair(self) < 0) {
        return -1;
    }
    int ours = self->wakeup.signal_write_fd;
    int previous = set_wakeup_fd(self, ours);
    if (previous == -2) {
        return -1;
    }
    self->asked_wakeup_fd = 1;
    self->took_wakeup_fd = previous == -1 || previous == ours ? 1 : 0;
    return self->took_wakeup_fd ? 0 : leave_wakeup_fd(self, previous);
}

int
fl_loop_begin_signals(LoopObject *self)
{
    self->asked_wakeup_fd = 0;
    if (has_handlers(self)) {
        return fl_loop_take_wakeup_fd(self); /* escapes */
    }
    /* what it opens is there from the first run on: who counts fds within one must not
     * take it for a leak */
    if (self->wakeup.signal_read_fd >= 0) {
        return 0;
    }
    int main_thread = in_main_thread(self); /* escapes */
    return main_thread <= 0 ? main_thread : open_signal_pair(self);
}

/* Between runs the fd stays only for signal handlers: what they are to hear
 * waits in the pair until the next run, as in asyncio. */
int
fl_loop_return_wakeup_fd(LoopObject *self)
{
    if (!self->took_wakeup_fd) {
        return 0;
    }
    int ours = self->wakeup.signal_write_fd;
    if (has_handlers(self)) {
        self->took_wakeup_fd = 0;
        return 0;
    }
    int current = set_wakeup_fd(self, -1);
    if (current == -2) {
        return -1; /* and may be tried again */
    }
    self->took_wakeup_fd = 0;
    if (current < 0 || current == ours) {
        return 0;
    }
    int status = leave_wakeup_fd(self, current); /* somebody else's by now */
    self->took_wakeup_fd = 0;
    return status;
}

/* _signal_fd(): the fd to give to signal.set_wakeup_fd; opened on demand. */
PyObject *
fl_loop_signal_fd(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LoopObject *self = (LoopObject *)op;
    if (open_signal_pair(self) < 0) {
        return NULL;
    }
    return PyLong_FromLong(self->wakeup.signal_write_fd);
}

void
fl_loop_wake(LoopObject *self)
{
    /* Both flags change only under the GIL: a loop that is not asleep looks at
     * its ring before it sleeps. */
    if (self->sleeping && !self->woken) {
        self->woken = (char)(fl_wakeup_notify(&self->wakeup) == 0);
        self->n_wakeups++;
    }
}

PyObject *
fl_loop_write_to_self(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LoopObject *self = (LoopObject *)op;
    if (self->wakeup.event_fd >= 0) {
        fl_wakeup_notify(&self->wakeup);
    }
    Py_RETURN_NONE;
}

PyObject *
fl_loop_read_from_self(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LoopObject *self = (LoopObject *)op;
    if (self->wakeup.event_fd >= 0) {
        fl_wakeup_drain(&self->wakeup);
    }
    Py_RETURN_NONE;
}

PyObject *
fl_loop_handle_signal(PyObject *op, PyObject *signum)
{
    long number = PyLong_AsLong(signum);
    if (number == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (handle_signal((LoopObject *)op, number) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
