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

#endif
