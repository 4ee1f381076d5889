/* What sleep, timeouts and wait_for have in the module's state: see
 * py/state/aio_state.h. */
#ifndef FASTLOOP_PY_WAITS_STATE_H
#define FASTLOOP_PY_WAITS_STATE_H

#define FL_WAITS_STATE_IMPORTS(X)                                                     \
    X(asyncio_sleep, "asyncio.tasks", "sleep")                                        \
    X(set_result_unless_cancelled, "asyncio.futures", "_set_result_unless_cancelled") \
    X(asyncio_Timeout, "asyncio.timeouts", "Timeout")                                 \
    X(timeout_State, "asyncio.timeouts", "_State")                                    \
    X(asyncio_wait_for, "asyncio.tasks", "wait_for")                                  \
    X(asyncio_timeout, "asyncio.timeouts", "timeout")                                 \
    X(asyncio_timeout_at, "asyncio.timeouts", "timeout_at")                           \
    X(partial, "functools", "partial")                                                \
    X(ExceptionGroup, "builtins", "ExceptionGroup")

#define FL_WAITS_STATE_NAMES(X)                 \
    X(str_cancelling, "cancelling")             \
    X(str_expired, "expired")                   \
    X(str_reschedule, "reschedule")             \
    X(str_uncancel, "uncancel")                 \
    X(str__on_timeout, "_on_timeout")           \
    X(str__state, "_state")                     \
    X(str__task, "_task")                       \
    X(str__timeout_handler, "_timeout_handler") \
    X(str__insert_timeout_error, "_insert_timeout_error")

#endif
