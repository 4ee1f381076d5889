/* What a fork does to the child's copies of the loops.
 *
 * The child shares the files of its parent's loops: a removal would reach into the
 * parent's epoll, a wake-up would end the parent's sleep. So the child closes its
 * descriptors of them, which costs the same however much is watched, and nothing of
 * a loop is thrown away before it is used again, if ever:
 *  - a loop that was idle is then given fds anew, and its watches with them;
 *  - a loop that was running belongs to the parent. Its copy goes on scheduling, for
 *    the child to unwind, and has lost its watches.
 */
#include "core/handle/handle.h"
#include "core/io/source.h"
#include "py/error.h"

static int
open_anew(LoopObject *self)
{
    if (self->revive == NULL || fl_loop_check_closed(self) < 0) { /* or was faster */
        return self->revive == NULL ? 0 : -1;
    }
    fl_loop_mark_stale(self);
    int err = fl_poller_reopen(&self->poller);
    if (err < 0) {
        fl_raise_errno(err);
        return -1;
    }
    if (fl_loop_open_wakeup(self) < 0) { /* escapes */
        fl_poller_disown(&self->poller);
        fl_loop_close_wakeup(self);
        return -1;
    }
    self->revive = NULL;
    return self->running ? fl_loop_take_wakeup_fd(self) : 0; /* escapes */
}

static int
revive_idle(LoopObject *self)
{
    Py_INCREF(self);
    int status = open_anew(self); /* escapes */
    Py_DECREF(self);
    return status;
}

static int
revive_running(LoopObject *self)
{
    Py_INCREF(self);
    fl_loop_drop_watches(self); /* escapes */
    fl_loop_drop_sources(self);
    int status = open_anew(self); /* escapes */
    Py_DECREF(self);
    return status;
}

/* Nothing here runs Python code, so that a dying loop may be among them. */
static void
leave_parent(LoopObject *self)
{
    fl_poller_disown(&self->poller);
    fl_loop_close_wakeup(self);
    self->may_defer_writes = 0; /* nobody would send what waits */
    self->sleeping = 0;
    self->took_wakeup_fd = self->asked_wakeup_fd = 0;
    if (self->revive == NULL || self->running) {
        self->revive = self->running ? revive_running : revive_idle;
    }
}

/* The process's wake-up fd, of which signal has no question without a change: the
 * previous one, or -1, also with an exception. */
static int
set_wakeup_fd(struct fl_state *state, int fd)
{
    PyObject *previous = PyObject_CallFunction(state->set_wakeup_fd, "i", fd);
    long number = previous == NULL ? -1 : PyLong_AsLong(previous);
    Py_XDECREF(previous);
    return (int)number;
}

static bool
may_be_wakeup_fd(const struct fl_list *loops)
{
    for (struct fl_list *link = loops->next; link != loops; link = link->next) {
        const LoopObject *loop = FL_CONTAINER_OF(link, LoopObject, live_loops);
        if (loop->wakeup.signal_write_fd >= 0 &&
            (loop->took_wakeup_fd || loop->signal_handlers != NULL)) {
            return true;
        }
    }
    return false;
}

int
fl_fork_leave_parent(struct fl_state *state)
{
    struct fl_list *loops = &state->loops;
    int wakeup_fd = may_be_wakeup_fd(loops) ? set_wakeup_fd(state, -1) : -1;
    PyObject *exc = fl_error_take();
    for (struct fl_list *link = loops->next; link != loops; link = link->next) {
        LoopObject *loop = FL_CONTAINER_OF(link, LoopObject, live_loops);
        if (loop->wakeup.signal_write_fd == wakeup_fd) {
            wakeup_fd = -1;
        }
        if (loop->is_open) {
            leave_parent(loop);
        }
    }
    fl_error_restore(exc);
    if (exc == NULL && wakeup_fd >= 0) { /* somebody else's */
        (void)set_wakeup_fd(state, wakeup_fd);
    }
    return PyErr_Occurred() ? -1 : 0;
}
