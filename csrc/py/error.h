/* Where -errno becomes an exception, and where exceptions that nobody can take
 * are reported. */
#ifndef FASTLOOP_PY_ERROR_H
#define FASTLOOP_PY_ERROR_H

#include "py/compat.h"

#include <stdbool.h>

/* Sets OSError (or its subclass) for err, an errno value of either sign: as for a
 * system call, also for ENOMEM. Always returns NULL. */
PyObject *fl_raise_errno(int err);

/* True if the exception set is one that must leave the loop: SystemExit or
 * KeyboardInterrupt. */
bool fl_error_is_exit(void);

/* Of two exceptions the first: exc, or if that is NULL the one set, which is taken.
 * Steals exc; new, or NULL. */
PyObject *fl_error_first(PyObject *exc);

/* An exception that is being handled, as in an except block: sys.exc_info() answers
 * it, and what is raised meanwhile has it as its __context__. Where asyncio reports
 * from inside such a block, so do we. Lies on the C stack: begin and end are of one
 * function. */
struct fl_handling {
    _PyErr_StackItem item;
};

/* exc: borrowed. */
void fl_handling_begin(struct fl_handling *self, PyObject *exc);

/* What is raised, if anything, stays raised. escapes. */
void fl_handling_end(struct fl_handling *self);

/* 0; of a type with abstract methods -1, with the TypeError that object.__new__ has. */
int fl_refuse_abstract(PyTypeObject *type);

#endif
