/* The Handle of call_soon_threadsafe where asyncio has one of its own (3.14+).
 *
 * cancel() and cancelled() from another thread wait while the callback runs:
 * after cancel() has returned it runs no more. asyncio holds an RLock for it;
 * here the first to wait makes the lock, so that a handle nobody waits for costs
 * nothing.
 */
#ifndef FASTLOOP_CORE_THREADSAFE_HANDLE_H
#define FASTLOOP_CORE_THREADSAFE_HANDLE_H

#include "core/handle/handle.h"

typedef struct {
    HandleObject base;
    unsigned long run_thread;    /* while base.running */
    PyThread_type_lock finished; /* NULL: nobody has waited */
    bool held;                   /* for the run under way, until it ends */
} ThreadSafeHandleObject;

/* Adds the type if the running asyncio has its base. */
int fl_threadsafe_handle_add_type(PyObject *module, struct fl_state *state);

/* As fl_handle_new, of the type that the running asyncio uses here. */
HandleObject *fl_threadsafe_handle_new(
    LoopObject *loop, PyObject *callback, PyObject *const *args, Py_ssize_t n_args,
    PyObject *context
);

#endif
