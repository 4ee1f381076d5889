/* What gather and its kin have in the module's state: see py/aio_state.h. */
#ifndef FASTLOOP_PY_GROUPS_STATE_H
#define FASTLOOP_PY_GROUPS_STATE_H

#define FL_GROUPS_STATE_TYPES(X) X(gathering_type)

#define FL_GROUPS_STATE_IMPORTS(X)                                  \
    X(asyncio_GatheringFuture, "asyncio.tasks", "_GatheringFuture") \
    X(asyncio_gather, "asyncio.tasks", "gather")                    \
    X(current_task, "asyncio.tasks", "current_task")

#define FL_GROUPS_STATE_NAMES(X)                  \
    X(str_return_exceptions, "return_exceptions") \
    X(str_set_exception, "set_exception")         \
    X(str__cancel_message, "_cancel_message")     \
    X(str__children, "_children")                 \
    X(str__make_cancelled_error, "_make_cancelled_error")

#endif
