/* What sleep, timeouts and wait_for have in the module's state: see py/aio_state.h. */
#ifndef FASTLOOP_PY_WAITS_STATE_H
#define FASTLOOP_PY_WAITS_STATE_H

#define FL_WAITS_STATE_IMPORTS(X)              \
    X(asyncio_sleep, "asyncio.tasks", "sleep") \
    X(set_result_unless_cancelled, "asyncio.futures", "_set_result_unless_cancelled")

#endif
