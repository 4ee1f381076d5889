/* Future: a result that is not there yet.
 *
 * A C subclass of asyncio's own Future. What is ours, struct fl_future_state,
 * lies behind the inherited struct, which stays zero (py/mirror.h). Task holds
 * the same struct behind a longer one, so the functions below take the object
 * and its state: fl_future_of finds the state of an object that is exactly one
 * of our two types. Instances of Python subclasses are used by our own code as
 * any foreign future is, through their methods.
 *
 *   future.c            the type and its methods
 *   future_state.c      pending -> finished or cancelled, and what that yields
 *   future_callbacks.c  who is told
 *   future_attrs.c      the private attributes that libraries read
 *   future_iter.c       what `await future` iterates over
 *
 * Everything runs under the GIL; as with asyncio's, a future belongs to the
 * thread of its loop.
 */
#ifndef FASTLOOP_CORE_FUTURE_H
#define FASTLOOP_CORE_FUTURE_H

#include "core/loop.h"
#include "py/mirror.h"

enum fl_future_status { FL_FUTURE_PENDING, FL_FUTURE_CANCELLED, FL_FUTURE_FINISHED };

/* Who is told when the future is done. Without a context it is one of our Tasks,
 * to be stepped, in its own context. Both are owned. */
struct fl_future_callback {
    PyObject *callback;
    PyObject *context;
};

struct fl_future_state {
    struct fl_state *state;          /* borrowed: the type keeps the module alive */
    PyObject *loop;                  /* NULL: __init__ has not run */
    struct fl_future_callback first; /* callback NULL: there is none */
    struct fl_future_callback *more; /* in order, behind the first */
    uint32_t n_more;
    uint32_t more_capacity;
    PyObject *outcome; /* result or exception, once finished */
    PyObject *trace;   /* finished with an exception: its traceback;
                          cancelled: the CancelledError to raise next */
    PyObject *source_traceback;
    PyObject *cancel_message;
    uint8_t status;     /* enum fl_future_status */
    bool failed;        /* outcome is an exception */
    bool log_traceback; /* nobody has asked for the exception yet */
    bool blocking;      /* awaited; the task has not seen it yet */
    bool loop_is_ours;  /* loop is a LoopObject */
};

typedef struct {
    struct fl_base_future base;
    struct fl_future_state own;
} FutureObject;

static inline struct fl_future_state *
fl_future_own(PyObject *op)
{
    return &((FutureObject *)(void *)op)->own;
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
int fl_future_init(PyObject *op, struct fl_future_state *own, PyObject *loop);

/* The same for a zeroed one on a loop of ours. */
int fl_future_init_fresh(struct fl_future_state *own, LoopObject *loop);

/* Raises RuntimeError and returns -1 if __init__ has not run. */
int fl_future_check_alive(const struct fl_future_state *own);

/* pending -> finished; escapes while telling callbacks. 0, or -1 with
 * InvalidStateError if it is not pending, or what a callback's scheduling raised. */
int fl_future_set_result(PyObject *op, struct fl_future_state *own, PyObject *result);
int
fl_future_set_exception(PyObject *op, struct fl_future_state *own, PyObject *exception);

/* pending -> cancelled; message may be NULL. escapes. 1; 0 if it is not
 * pending; -1 with an exception. */
int fl_future_cancel(PyObject *op, struct fl_future_state *own, PyObject *message);

/* The CancelledError to raise; a kept one is handed out once. New or NULL. */
PyObject *fl_future_cancelled_error(struct fl_future_state *own);

/* 0 and *value the result; 1 and *value the exception; -1 with CancelledError or
 * InvalidStateError set. *value: new. */
int fl_future_outcome(struct fl_future_state *own, PyObject **value);

/* The result, or NULL with its exception set. */
PyObject *fl_future_result(struct fl_future_state *own);
PyObject *fl_future_exception(struct fl_future_state *own);

/* Tells the loop's exception handler about an exception nobody asked for. */
void fl_future_report_unretrieved(PyObject *op, struct fl_future_state *own);

/* Calls loop.call_exception_handler({"message": message, key: op, ...}); exception
 * may be NULL. Steals message, which may be NULL with an exception set. An
 * exception that was set before stays set. escapes. */
void fl_future_report(
    PyObject *op, struct fl_future_state *own, PyObject *message, PyObject *key,
    PyObject *exception
);

/* All but the references, as in a new object. */
static inline void
fl_future_own_reset(struct fl_future_state *own)
{
    own->status = FL_FUTURE_PENDING;
    own->failed = false;
    own->log_traceback = false;
    own->blocking = false;
}

int fl_future_traverse_own(struct fl_future_state *own, visitproc visit, void *arg);
void fl_future_clear_own(struct fl_future_state *own);

/* ---- future_callbacks.c ---- */

/* context: borrowed. Schedules at once if the future is done. escapes. 0 or -1. */
int fl_future_add_callback(
    PyObject *op, struct fl_future_state *own, PyObject *callback, PyObject *context
);

/* The same for one of our Tasks that waits for the future. */
int fl_future_add_waiter(PyObject *op, struct fl_future_state *own, PyObject *task);

int
fl_future_traverse_callbacks(struct fl_future_state *own, visitproc visit, void *arg);
void fl_future_clear_callbacks(struct fl_future_state *own);

/* Takes out every callback equal to callback. escapes. New int or NULL. */
PyObject *fl_future_remove_callback(
    PyObject *op, struct fl_future_state *own, PyObject *callback
);

/* A list of (callback, context), or None. New. */
PyObject *fl_future_list_callbacks(struct fl_future_state *own);

/* Schedules and forgets all callbacks. escapes. 0 or -1. */
int fl_future_schedule_callbacks(PyObject *op, struct fl_future_state *own);

/* add_done_callback(fn, /, *, context=<copy of the current one>) */
PyObject *fl_future_add_done_callback(
    PyObject *op, struct fl_future_state *own, PyObject *const *args, Py_ssize_t n_args,
    PyObject *kwnames
);

/* ---- future_attrs.c ---- */

/* Getters and setters of the attributes both types have. closure: the offset of
 * the object's struct fl_future_state. */
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
#define FL_FUTURE_AWAITED_BY(type) \
    FL_FUTURE_ATTR(type, "_asyncio_awaited_by", get_awaited_by, NULL),
#else
#define FL_FUTURE_AWAITED_BY(type)
#endif

#define FL_FUTURE_ATTR(type, name, get, set) \
    {name, fl_future_##get, set, NULL, (void *)offsetof(type, own)}
#define FL_FUTURE_ATTR_SET(type, name, attr) \
    FL_FUTURE_ATTR(type, name, get_##attr, fl_future_set_##attr)

/* Their lines in the table of a type. */
#define FL_FUTURE_GETSET(type)                                                 \
    FL_FUTURE_AWAITED_BY(type)                                                 \
    FL_FUTURE_ATTR(type, "_state", get_state, NULL),                           \
        FL_FUTURE_ATTR_SET(type, "_asyncio_future_blocking", blocking),        \
        FL_FUTURE_ATTR(type, "_loop", get_loop_attr, NULL),                    \
        FL_FUTURE_ATTR(type, "_callbacks", get_callbacks, NULL),               \
        FL_FUTURE_ATTR(type, "_result", get_result_attr, NULL),                \
        FL_FUTURE_ATTR(type, "_exception", get_exception_attr, NULL),          \
        FL_FUTURE_ATTR_SET(type, "_log_traceback", log_traceback),             \
        FL_FUTURE_ATTR(type, "_source_traceback", get_source_traceback, NULL), \
        FL_FUTURE_ATTR_SET(type, "_cancel_message", cancel_message)

#endif
