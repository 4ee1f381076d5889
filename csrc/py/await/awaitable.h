/* Coroutine objects that are written in C, and what else `await` drives.
 *
 * As a coroutine of Python's, one of ours does nothing before it is awaited, is
 * awaited once, and warns if it never was. It yields the futures it waits for, or
 * what a coroutine yields that it has put in its place, its delegate.
 *
 * A type of ours begins with struct fl_coroutine, fills its slots with the functions
 * below, calls fl_coroutine_begin and, where that is tracked, fl_coroutine_with_origin
 * in its constructor, fl_coroutine_may_die first in its tp_dealloc, and drops the
 * origin there.
 */
#ifndef FASTLOOP_PY_AWAITABLE_H
#define FASTLOOP_PY_AWAITABLE_H

#include "py/compat.h"

enum fl_coroutine_phase {
    FL_COROUTINE_NEW,
    FL_COROUTINE_WAITING,
    FL_COROUTINE_DELEGATED, /* to self->delegate */
    FL_COROUTINE_ENDED,
};

struct fl_coroutine_look;

/* What a step answers: PYGEN_NEXT with what it yields, once its phase is another than
 * NEW; PYGEN_RETURN with its result; PYGEN_ERROR with an exception. */
struct fl_coroutine_kind {
    /* The first step. escapes. */
    PySendResult (*start)(PyObject *op, PyObject **result);
    /* A later one, while it is WAITING. escapes. */
    PySendResult (*resume)(PyObject *op, PyObject *sent, PyObject **result);
    /* The exception set was thrown into it while WAITING; NULL: that ends it. It then
     * has nothing to do when it is closed, either. escapes. */
    PySendResult (*caught)(PyObject *op, PyObject **result);
    /* Gives up all it holds, at its end. escapes. */
    void (*drop)(PyObject *op);
    /* Its __name__ or __qualname__: new, or NULL. */
    PyObject *(*name)(PyObject *op, bool qualified);
    /* Fills in what a look shall find: it runs nothing. */
    void (*look)(PyObject *op, struct fl_coroutine_look *look);
};

/* What one is that waits, for who must not disturb it. All borrowed, or NULL. */
struct fl_coroutine_look {
    PyObject *function; /* of Python: asyncio's, that it stands for */
    const char *text;   /* its qualified name, if there is none; stays for ever */
    PyObject *inner;    /* the coroutine that it awaits */
};

struct fl_coroutine {
    PyObject_HEAD
    const struct fl_coroutine_kind *kind;
    PyObject *delegate; /* owned; the coroutine awaited in its place, or NULL; while it
                           is not DELEGATED one that is shown in its place, or NULL */
    PyObject *origin;   /* owned: where it was made, or NULL: that is not tracked */
    char phase;         /* enum fl_coroutine_phase */
    bool running;
    bool finalized; /* its finalizer has run */
    int shown;      /* its type's own: what the one shown was made for */
};

static inline void
fl_coroutine_begin(struct fl_coroutine *self, const struct fl_coroutine_kind *kind)
{
    self->kind = kind;
    self->delegate = NULL;
    self->origin = NULL;
    self->phase = FL_COROUTINE_NEW;
    self->running = false;
    self->finalized = false;
    self->shown = 0;
}

/* Has one of the same kind, which has ended, begin again: all else is as it was. */
static inline void
fl_coroutine_begin_again(struct fl_coroutine *self)
{
    self->phase = FL_COROUTINE_NEW;
}

/* How many frames are to be noted of where one is made: mostly none. */
static inline int
fl_coroutine_origin_depth(void)
{
    return PyThreadState_Get()->coroutine_origin_tracking_depth;
}

/* Notes where it is being made: itself, or NULL in its place. */
PyObject *fl_coroutine_with_origin(PyObject *op);

/* Has coro, stolen, NULL with an exception, awaited in its place from now on. The
 * answer is that of the coroutine's first step. escapes. */
PySendResult
fl_coroutine_delegate(struct fl_coroutine *self, PyObject *coro, PyObject **result);

/* Drops all it holds. escapes. */
void fl_coroutine_end(struct fl_coroutine *self);

/* What a step of one that is running answers in the end: it runs no more, and has ended
 * unless it yielded. escapes. */
PySendResult fl_coroutine_leave(struct fl_coroutine *self, PySendResult status);

/* Slots: am_await, am_send, tp_iternext, tp_finalize, tp_repr. */
PyObject *fl_coroutine_await(PyObject *op);
PySendResult fl_coroutine_send(PyObject *op, PyObject *sent, PyObject **result);
PyObject *fl_coroutine_next(PyObject *op);
void fl_coroutine_finalize(PyObject *op);
PyObject *fl_coroutine_repr(PyObject *op);

/* Whether op is one of ours, and a look at such. */
static inline bool
fl_is_coroutine(PyObject *op)
{
    const PyAsyncMethods *methods = Py_TYPE(op)->tp_as_async;
    return methods != NULL && methods->am_await == fl_coroutine_await;
}

void fl_coroutine_look(PyObject *op, struct fl_coroutine_look *look);

/* Methods and getters: send, throw, close; __name__, __qualname__, cr_origin,
 * cr_running. */
extern PyMethodDef fl_coroutine_methods[];
extern PyGetSetDef fl_coroutine_getset[];

/* The same getters, in the table of a type that has more. */
#define FL_COROUTINE_GETSET                                                            \
    {"__name__", fl_coroutine_get_name, NULL, "The name of its function.", NULL},      \
        {"__qualname__", fl_coroutine_get_qualname, NULL,                              \
         "The same, behind its class.", NULL},                                         \
        {"cr_origin", fl_coroutine_get_origin, NULL,                                   \
         "Where it was made, as far as that is tracked, or None.", NULL},              \
    {                                                                                  \
        "cr_running", fl_coroutine_get_running, NULL, "Whether it is being run.", NULL \
    }

PyObject *fl_coroutine_get_name(PyObject *op, void *closure);
PyObject *fl_coroutine_get_qualname(PyObject *op, void *closure);
PyObject *fl_coroutine_get_running(PyObject *op, void *closure);
PyObject *fl_coroutine_get_origin(PyObject *op, void *closure);

static inline int
fl_coroutine_traverse(struct fl_coroutine *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->delegate);
    Py_VISIT(self->origin);
    return 0;
}

/* False if tp_dealloc must leave it: its finalizer has kept it. escapes. */
static inline bool
fl_coroutine_may_die(struct fl_coroutine *self)
{
    bool finalized = self->phase == FL_COROUTINE_NEW ||
                     (self->phase == FL_COROUTINE_WAITING && self->kind->caught);
    return !finalized || PyObject_CallFinalizerFromDealloc((PyObject *)self) == 0;
}

/* ---- for what is driven by `await`, and is no coroutine ---- */

/* Raises StopIteration(value), also for a value that is a tuple or exception. */
void fl_raise_stop_iteration(PyObject *value);

/* What am_send has answered, its result NULL unless it is new, as tp_iternext ... */
static inline PyObject *
fl_sent_to_next(PySendResult status, PyObject *result)
{
    if (status != PYGEN_RETURN) {
        return result;
    }
    /* NULL alone is the end of an iterator, and None what await makes of it */
    if (result != Py_None) {
        fl_raise_stop_iteration(result);
    }
    Py_DECREF(result);
    return NULL;
}

/* ... and as the method send() has it. */
static inline PyObject *
fl_sent_to_send(PySendResult status, PyObject *result)
{
    PyObject *yielded = fl_sent_to_next(status, result);
    if (yielded == NULL && !PyErr_Occurred()) {
        PyErr_SetNone(PyExc_StopIteration);
    }
    return yielded;
}

/* What a call of throw() has returned, as the answer of a step: *result is NULL with an
 * exception, which is taken if it is StopIteration. */
PySendResult fl_thrown_status(PyObject **result);

/* The exception that throw(type, value, traceback) is to raise, from its one to
 * three arguments: new, or NULL with TypeError or what making it raised. escapes. */
PyObject *fl_thrown_exception(PyObject *const *args, Py_ssize_t n_args);

#endif
