/* Timeout, timeout(), timeout_at(): asyncio's in C. */
#ifndef FASTLOOP_AIO_TIMEOUT_H
#define FASTLOOP_AIO_TIMEOUT_H

#include "aio/class.h"
#include "core/handle/alarm.h"

typedef struct {
    AioObject base;
    PyObject *state; /* a member of asyncio.timeouts._State, or what was put there */
    PyObject *task;
    PyObject *when;       /* a number of seconds of loop.time(), or None */
    PyObject *cancelling; /* an int; NULL before it is entered */
    struct fl_alarm_slot alarm;
} TimeoutObject;

static inline TimeoutObject *
fl_timeout_of(PyObject *op)
{
    return (TimeoutObject *)(void *)op;
}

/* state: one of fl_aio_state's. */
static inline bool
fl_timeout_is_in(const TimeoutObject *self, PyObject *state)
{
    return self->state == state;
}

static inline void
fl_timeout_set_state(TimeoutObject *self, PyObject *state)
{
    Py_XSETREF(self->state, Py_NewRef(state)); /* escapes if it was odd */
}

/* Finds asyncio's, for the loop's timers too: the members of asyncio.timeouts._State.
 * 0 or -1. */
int fl_timeout_find_states(struct fl_state *state);

int fl_timeout_add(PyObject *module, struct fl_state *state);

/* timeout(delay) on that loop, which is the running one: new, or NULL. escapes. */
PyObject *fl_timeout_new(struct fl_state *state, PyObject *loop, PyObject *delay);

/* One that is entered in that task, and expires when, whatever that is: new, or NULL.
 */
PyObject *fl_timeout_entered(
    struct fl_state *state, PyObject *when, PyObject *task, int cancelling
);

/* What entering one does that was made just now. escapes. 0, or -1 with an exception:
 * RuntimeError outside of a task. */
int fl_timeout_enter(PyObject *op, PyObject *loop);

/* What leaving it does; exc: the exception that was raised within, or NULL. escapes. 0,
 * or -1 with an exception in place of that. */
int fl_timeout_exit(PyObject *op, PyObject *exc);

/* Whether the two above do without asyncio's. */
bool fl_timeout_is_plain(PyObject *op);

/* ---- timeout_alarm.c ---- */

/* What _on_timeout does of one that is entered. escapes. 0 or -1. */
int fl_timeout_expire(TimeoutObject *self);

/* As fl_alarm_kind's call, of a Timeout. 0, or -1 with an exception. */
int fl_timeout_describe(PyObject *op, struct fl_alarm_call *call);

/* Has it expire when its time comes. The slot is empty. escapes. 0 or -1. */
int fl_timeout_schedule(TimeoutObject *self, PyObject *loop);

/* ---- timeout_error.c ---- */

/* `raise TimeoutError from exc`: -1. */
int fl_timeout_raise_from(PyObject *exc);

/* What is left of one that has expired: TimeoutError, unless somebody else cancelled
 * the task too. exc: the exception that was raised within, or NULL. escapes. 0 or -1.
 */
int fl_timeout_raise_expired(const TimeoutObject *self, PyObject *exc);

#endif
