/* What functions above the loop ask futures of any kind, and tell them.
 *
 * One of our own exact types is used by its fields, all others by their public methods.
 * Who is to be told that a future is done gives it a callback that is a function in C
 * and an object: a builtin method, as every callback something that asyncio's own code
 * can call, compare and take out.
 */
#ifndef FASTLOOP_AIO_FUTURES_H
#define FASTLOOP_AIO_FUTURES_H

#include "core/task/task.h"
#include "py/args/call.h"

/* future.done(), future.cancelled(): 1, 0 or -1. escapes for futures not ours. */
int fl_aio_is_done(const struct fl_state *state, PyObject *future);
int fl_aio_is_cancelled(const struct fl_state *state, PyObject *future);

/* future.set_result(value), future.set_exception(exc). escape. 0 or -1. */
int fl_aio_set_result(const struct fl_state *state, PyObject *future, PyObject *value);
int fl_aio_set_exception(const struct fl_state *state, PyObject *future, PyObject *exc);

/* future.exception() of one that was not cancelled: 0 and *exc new, or NULL for none;
 * or -1. escapes. */
int fl_aio_exception(const struct fl_state *state, PyObject *future, PyObject **exc);

/* future.result(): new, or NULL. escapes. */
PyObject *fl_aio_result(const struct fl_state *state, PyObject *future);

/* future._make_cancelled_error(): new, or NULL. escapes. */
PyObject *fl_aio_cancelled_error(const struct fl_state *state, PyObject *future);

/* future.cancel(), and with message, which is not NULL, future.cancel(msg=message): 1,
 * 0 or -1. escapes. */
int fl_aio_cancel(const struct fl_state *state, PyObject *future);
int
fl_aio_cancel_with(const struct fl_state *state, PyObject *future, PyObject *message);

/* As asyncio.futures._get_loop: new, or NULL. escapes. */
PyObject *fl_aio_loop_of(const struct fl_state *state, PyObject *future);

/* future.add_done_callback(callback). *context: NULL, or a copy of the current context;
 * made when it is needed, and then the caller's. escapes. 0 or -1. */
int fl_aio_tell(
    const struct fl_state *state, PyObject *future, PyObject *callback,
    PyObject **context
);

/* future.remove_done_callback(callback). escapes. 0 or -1. */
int fl_aio_tell_not(const struct fl_state *state, PyObject *future, PyObject *callback);

/* asyncio.ensure_future(arg, loop=loop), loop may be NULL: new, or NULL. Mind that
 * without a running loop it warns of its caller. escapes. */
PyObject *
fl_aio_ensure_future(const struct fl_state *state, PyObject *arg, PyObject *loop);

/* loop.create_task(coro). escapes. New, or NULL. */
PyObject *
fl_aio_create_task(const struct fl_state *state, PyObject *loop, PyObject *coro);

/* The running loop; None if there is none: new, or NULL. */
PyObject *fl_aio_running_loop(const struct fl_state *state);

/* asyncio.current_task(loop), loop not None: new, None for none; or NULL. */
PyObject *fl_aio_current_task(struct fl_state *state, PyObject *loop);

/* The task that awaits, for the call graph: *task new; NULL for none, and before 3.14.
 * loop may be None. 0 or -1. */
int fl_aio_awaiting_task(struct fl_state *state, PyObject *loop, PyObject **task);

/* loop.create_future(): new, or NULL. escapes. */
PyObject *fl_aio_new_future(const struct fl_state *state, PyObject *loop);

#endif
