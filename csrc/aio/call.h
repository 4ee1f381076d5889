/* Coroutine functions in C, and the coroutine objects that they make.
 *
 * A function holds asyncio's function of the same name: what it is asked that it does
 * not have itself (__code__, __defaults__, annotations, ...) it answers from there, so
 * that inspect takes it for that coroutine function; and what a call gives it that is
 * not plain it passes on.
 */
#ifndef FASTLOOP_AIO_CALL_H
#define FASTLOOP_AIO_CALL_H

#include "core/handle/alarm.h"
#include "core/task/task.h"
#include "py/await/awaitable.h"

#define FL_AIO_N_ARGS 4

struct AioCallObject;

/* What a coroutine function does. */
struct fl_aio_call {
    size_t type;         /* offset in the state of the type self must be; 0: no self */
    Py_ssize_t n_args;   /* positional, with self */
    Py_ssize_t n_needed; /* without those that have a default */
    /* The first step; answers as fl_coroutine_kind's. escapes. */
    PySendResult (*start)(struct AioCallObject *self, PyObject **result);
    /* The step in which the future has ended that it waited for: with value, or with
     * the exception set, NULL. May be NULL if start never waits. escapes. */
    PySendResult (*after)(
        struct AioCallObject *self, PyObject *future, PyObject *value, PyObject **result
    );
};

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    const struct fl_aio_call *call;
    struct fl_state *state; /* borrowed: the type keeps the module alive */
    PyObject *stock;        /* asyncio's function */
    PyObject *last;         /* borrowed: the name of its last argument, or NULL */
} AioFunctionObject;

typedef struct AioCallObject {
    struct fl_coroutine base;
    AioFunctionObject *function;
    PyObject
        *args[FL_AIO_N_ARGS]; /* owned; NULL where none was given, and at the end */
    PyObject *future;         /* waited for */
    PyObject *iterator;       /* of a future that is not ours */
    Py_ssize_t reached;       /* its function's own: how far it has come; it is seen in
                                 fastloop/_stand_ins.py */
    int cancelling; /* wait_for()'s: the task's requests to cancel before it, */
    bool expired;   /* and whether there is one of its own */
    struct fl_alarm_slot alarm;
} AioCallObject;

int fl_aio_call_add_type(PyObject *module, struct fl_state *state);

/* function.c. New or NULL. stock: borrowed. */
int fl_aio_function_add_type(PyObject *module, struct fl_state *state);
PyObject *fl_aio_function_new(
    struct fl_state *state, const struct fl_aio_call *call, PyObject *stock
);

/* What a coroutine function does when it is called: here, beside what it makes. */
PyObject *fl_aio_function_vectorcall(
    PyObject *op, PyObject *const *args, size_t n_args_flag, PyObject *kwnames
);

/* The coroutine of a call with these arguments: new, or NULL. */
PyObject *
fl_aio_call_new(AioFunctionObject *function, PyObject *const *args, Py_ssize_t n_args);

/* Adds a coroutine function to the module. stock: borrowed; last: its last argument's
 * name, which may be given by it, or NULL. 0 or -1. */
int fl_aio_add_coroutine(
    PyObject *module, struct fl_state *state, const char *name,
    const struct fl_aio_call *call, PyObject *stock, PyObject *last
);

/* Adds to the module a function that is no coroutine function: call is what it does,
 * and passes on to stock, borrowed, what is not plain. 0 or -1. */
int fl_aio_add_function(
    PyObject *module, struct fl_state *state, const char *name, vectorcallfunc call,
    PyObject *stock
);

/* Waits for future, stolen, NULL with an exception; to be returned by a step. */
PySendResult fl_aio_wait(AioCallObject *self, PyObject *future, PyObject **result);

/* Waits for its next turn, as a bare `yield` does. There is no future then. */
PySendResult fl_aio_yield(AioCallObject *self, PyObject **result);

/* Has asyncio's coroutine do it all. */
PySendResult fl_aio_delegate(AioCallObject *self, PyObject **result);

/* The same answer, but with None where there is a result. */
static inline PySendResult
fl_aio_none(PySendResult status, PyObject **result)
{
    if (status == PYGEN_RETURN) {
        Py_SETREF(*result, Py_NewRef(Py_None));
    }
    return status;
}

/* Frees all but max of the dead calls that are kept. */
void fl_aio_call_trim(struct fl_state *state, int max);

static inline struct fl_state *
fl_aio_state_of(const AioCallObject *self)
{
    return self->function->state;
}

#endif
