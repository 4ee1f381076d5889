/* Future: a result that is not there yet.
 *
 * A C subclass of asyncio's own Future that keeps its state in the inherited struct,
 * where asyncio keeps it (py/mirror/mirror.h), so that asyncio's methods, called by
 * their full name, act on ours as they do on asyncio's. Nothing lies behind that
 * struct. A task begins with the same struct: the functions below take both. Instances
 * of Python subclasses are used by our own code as any foreign future is, through their
 * methods; fl_future_of (core/task/task.h) tells an object that is exactly one of our
 * two types.
 *
 *   future.c            the type
 *   future_methods.c    the methods that a task has too
 *   future_state.c      pending -> finished or cancelled, and what that yields
 *   future_callbacks.c  who is told
 *   future_attrs.c      the private attributes that libraries read
 *   future_iter.c       what `await future` iterates over
 *   task_wakeup.c       the method among the callbacks that wakes a task
 *   awaited_by.c        who awaits whom, where asyncio notes it
 *
 * asyncio's code may have changed any field of it, so no two fields of it are
 * believed to agree, and whether its loop is one of ours is asked of the loop.
 *
 * Everything runs under the GIL; as with asyncio's, a future belongs to the
 * thread of its loop.
 */
#ifndef FASTLOOP_CORE_FUTURE_H
#define FASTLOOP_CORE_FUTURE_H

#include "core/loop/loop.h"
#include "py/mirror/mirror.h"

enum fl_future_status { FL_FUTURE_PENDING, FL_FUTURE_CANCELLED, FL_FUTURE_FINISHED };

typedef struct fl_base_future FutureObject; /* of a future or a task */

/* op: a future or task of ours, or of a Python subclass. */
static inline FutureObject *
fl_future(PyObject *op)
{
    return fl_base_future(op);
}

/* Its loop if that is one of ours, else NULL. Borrowed. */
static inline LoopObject *
fl_future_loop(const FutureObject *self)
{
    return self->loop == NULL ? NULL : fl_loop_of(self->loop);
}

/* The module's state; NULL with an exception once the type has lost its module. */
static inline struct fl_state *
fl_future_state(FutureObject *self)
{
    const LoopObject *loop = fl_future_loop(self);
    return loop != NULL ? loop->state : fl_state_of_type(Py_TYPE(self));
}

/* The same where no exception may be set or lost. */
static inline struct fl_state *
fl_future_dying_state(FutureObject *self)
{
    const LoopObject *loop = fl_future_loop(self);
    return loop != NULL ? loop->state : fl_state_of_dying(Py_TYPE(self));
}

int fl_future_add_type(PyObject *module, struct fl_state *state);

/* A pending future of loop, as loop.create_future() returns it; source
 * traceback included in debug mode. New reference or NULL. */
PyObject *fl_future_new(LoopObject *loop);

/* Frees all but max of the dead futures that are kept. */
void fl_future_trim(struct fl_state *state, int max);

/* ---- future_state.c ---- */

/* __init__: (re)starts as pending. loop: borrowed; None or NULL is the current
 * loop. escapes. 0 or -1. */
int fl_future_init(FutureObject *self, PyObject *loop);

/* The same for a zeroed one on a loop of ours. */
int fl_future_init_fresh(FutureObject *self, LoopObject *loop);

/* Raises RuntimeError and returns -1 if __init__ has not run. */
int fl_future_check_alive(const FutureObject *self);

/* pending -> finished; escapes while telling callbacks. 0, or -1 with
 * InvalidStateError if it is not pending, or what a callback's scheduling raised. */
int fl_future_set_result(FutureObject *self, PyObject *result);
int fl_future_set_exception(FutureObject *self, PyObject *exception);

/* pending -> cancelled; message may be NULL. escapes. 1; 0 if it is not
 * pending; -1 with an exception. */
int fl_future_cancel(FutureObject *self, PyObject *message);

/* The CancelledError to raise; a kept one is handed out once. New or NULL. */
PyObject *fl_future_cancelled_error(FutureObject *self);

/* 0 and *value the result; 1 and *value the exception; -1 with CancelledError or
 * InvalidStateError set. *value: new. */
int fl_future_outcome(FutureObject *self, PyObject **value);

/* The result, or NULL with its exception set. */
PyObject *fl_future_result(FutureObject *self);
PyObject *fl_future_exception(FutureObject *self);

/* Tells the loop's exception handler about an exception nobody asked for. */
void fl_future_report_unretrieved(FutureObject *self);

/* Calls loop.call_exception_handler({"message": message, key: op, ...}); exception
 * may be NULL. Steals message, which may be NULL with an exception set. An
 * exception that was set before stays set. escapes. */
void fl_future_report(
    FutureObject *self, const struct fl_state *state, PyObject *message, PyObject *key,
    PyObject *exception
);

/* All but the references, as in a new object. */
static inline void
fl_future_reset(FutureObject *self)
{
    self->status = FL_FUTURE_PENDING;
    self->log_tb = 0;
    self->blocking = 0;
#if defined(FL_HAVE_THREAD_TASKS)
    self->is_task = 0;
    self->awaited_by_is_set = 0;
#endif
}

/* tp_traverse and tp_clear of both types: all but what only a task has. */
int fl_future_traverse_base(PyObject *op, visitproc visit, void *arg);
void fl_future_clear_base(PyObject *op);

/* tp_dealloc of what derives from it; clear: its tp_clear. */
void fl_future_dealloc_derived(PyObject *op, inquiry clear);

/* ---- future_callbacks.c ---- */

/* context: borrowed. Schedules at once if the future is done. escapes. 0 or -1. */
int fl_future_add_callback(FutureObject *self, PyObject *callback, PyObject *context);

/* The same for a task of ours that waits for the future, which is one of ours. */
int fl_future_add_waiter(FutureObject *self, struct fl_state *state, PyObject *task);

/* Takes out every callback equal to callback. escapes. New int or NULL. */
PyObject *fl_future_remove_callback(FutureObject *self, PyObject *callback);

/* A list of (callback, context), or None. New. */
PyObject *fl_future_list_callbacks(FutureObject *self);

/* Schedules and forgets all callbacks. escapes. 0 or -1. */
int fl_future_schedule_callbacks(FutureObject *self);

/* add_done_callback(fn, /, *, context=<copy of the current one>) */
PyObject *fl_future_add_done_callback(
    FutureObject *self, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);

/* future_methods.c: added to both types. */
extern PyMethodDef fl_future_methods[];

/* ---- future_attrs.c ---- */

/* Getters and setters of the attributes both types have. */
PyObject *fl_future_get_state(PyObject *op, void *closure);
PyObject *fl_future_get_blocking(PyObject *op, void *closure);
int fl_future_set_blocking(PyObject *op, PyObject *value, void *closure);
PyObject *fl_future_get_loop_attr(PyObject *op, void *closure);
PyObject *fl_future_get_callbacks(PyObject *op, void *closure);
PyObject *fl_future_get_result_attr(PyObject *op, void *closure);
PyObject *fl_future_get_exception_attr(PyObject *op, void *closure);
PyObject *fl_future_get_log_traceback(PyObject *op, void *closure);
int fl_future_set_log_traceback(PyObject *op, PyObject *value, void *closure);
PyObject *fl_future_get_source_traceback(PyObject *op, void *closure);
PyObject *fl_future_get_cancel_message(PyObject *op, void *closure);
int fl_future_set_cancel_message(PyObject *op, PyObject *value, void *closure);

#if defined(FL_HAVE_THREAD_TASKS)
PyObject *fl_future_get_awaited_by(PyObject *op, void *closure);
#define FL_FUTURE_AWAITED_BY \
    FL_FUTURE_ATTR("_asyncio_awaited_by", get_awaited_by, NULL),
#else
#define FL_FUTURE_AWAITED_BY
#endif

#define FL_FUTURE_ATTR(name, get, set) {name, fl_future_##get, set, NULL, NULL}
#define FL_FUTURE_ATTR_SET(name, attr) \
    FL_FUTURE_ATTR(name, get_##attr, fl_future_set_##attr)

/* Their lines in the table of a type. */
#define FL_FUTURE_GETSET                                                 \
    FL_FUTURE_AWAITED_BY                                                 \
    FL_FUTURE_ATTR("_state", get_state, NULL),                           \
        FL_FUTURE_ATTR_SET("_asyncio_future_blocking", blocking),        \
        FL_FUTURE_ATTR("_loop", get_loop_attr, NULL),                    \
        FL_FUTURE_ATTR("_callbacks", get_callbacks, NULL),               \
        FL_FUTURE_ATTR("_result", get_result_attr, NULL),                \
        FL_FUTURE_ATTR("_exception", get_exception_attr, NULL),          \
        FL_FUTURE_ATTR_SET("_log_traceback", log_traceback),             \
        FL_FUTURE_ATTR("_source_traceback", get_source_traceback, NULL), \
        FL_FUTURE_ATTR_SET("_cancel_message", cancel_message)

#endif
