/* Arguments of the methods that take a callback.
 *
 * call_soon(callback, *args, context=None), call_later(delay, callback, *args,
 * context=None) and their kin all have one shape: one or two leading
 * parameters, which may also be given by keyword, then the callback's own
 * arguments, then, for some, context.
 */
#ifndef FASTLOOP_PY_ARGS_H
#define FASTLOOP_PY_ARGS_H

#include "base/hot.h"
#include "py/state/state.h"

struct fl_callback_args {
    PyObject *leading[2];  /* borrowed */
    PyObject *const *args; /* borrowed */
    Py_ssize_t n_args;
    PyObject *context; /* borrowed, or NULL if absent or None */
};

struct fl_callback_signature {
    const char *function;   /* for messages */
    const char *leading[2]; /* names; the second may be NULL */
    bool takes_context;
};

/* Whether it is a number of seconds that C adds and compares as Python does: a float or
 * an int, exactly. Raises nothing. */
bool fl_plain_seconds(PyObject *number, double *seconds);

/* Whether value, which may be NULL, is an int, exactly; one beyond a Py_ssize_t becomes
 * its bound, with the sign in *overflow. Raises nothing. */
bool fl_plain_int(PyObject *value, Py_ssize_t *number, int *overflow);

/* The one argument of a method, by position or by keyword; borrowed, or NULL with
 * TypeError. */
PyObject *fl_args_one(
    const char *function, const char *name, PyObject *const *args, Py_ssize_t n_args,
    PyObject *kwnames
);

/* 0, or -1 with TypeError as a Python function of that signature raises it. */
int fl_args_parse(
    const struct fl_state *state, const struct fl_callback_signature *signature,
    PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames,
    struct fl_callback_args *out
);

/* The same. fast: nearly every call has no keywords (25 instructions a call_later) */
FL_INLINE int
fl_args_read(
    const struct fl_state *state, const struct fl_callback_signature *signature,
    PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames,
    struct fl_callback_args *out
)
{
    Py_ssize_t n_leading = signature->leading[1] == NULL ? 1 : 2;
    if (FL_UNLIKELY(kwnames != NULL || n_args < n_leading)) {
        return fl_args_parse(state, signature, args, n_args, kwnames, out);
    }
    *out = (struct fl_callback_args){
        .leading = {args[0], n_leading == 2 ? args[1] : NULL},
        .args = args + n_leading,
        .n_args = n_args - n_leading,
    };
    return 0;
}

#endif
