/* What gather and its kin have in the module's state: see py/state/aio_state.h. */
#ifndef FASTLOOP_PY_GROUPS_STATE_H
#define FASTLOOP_PY_GROUPS_STATE_H

#define FL_GROUPS_STATE_TYPES(X) \
    X(gathering_type) X(shield_type) X(wait_type) X(task_group_type)

#define FL_GROUPS_STATE_IMPORTS(X)                                  \
    X(asyncio_GatheringFuture, "asyncio.tasks", "_GatheringFuture") \
    X(asyncio_TaskGroup, "asyncio.taskgroups", "TaskGroup")         \
    X(asyncio_gather, "asyncio.tasks", "gather")                    \
    X(asyncio_shield, "asyncio.tasks", "shield")                    \
    X(asyncio_wait, "asyncio.tasks", "wait")                        \
    X(asyncio_as_completed, "asyncio.tasks", "as_completed")        \
    X(asyncio_release_waiter, "asyncio.tasks", "_release_waiter")   \
    X(asyncio_tasks, "asyncio", "tasks")                            \
    X(current_task, "asyncio.tasks", "current_task")

#define FL_GROUPS_STATE_NAMES(X)                          \
    X(str_ALL_COMPLETED, "ALL_COMPLETED")                 \
    X(str_FIRST_COMPLETED, "FIRST_COMPLETED")             \
    X(str_FIRST_EXCEPTION, "FIRST_EXCEPTION")             \
    X(str_return_exceptions, "return_exceptions")         \
    X(str_return_when, "return_when")                     \
    X(str_set_exception, "set_exception")                 \
    X(str_timeout, "timeout")                             \
    X(str_current_task, "current_task")                   \
    X(str__cancel_message, "_cancel_message")             \
    X(str__children, "_children")                         \
    X(str__make_cancelled_error, "_make_cancelled_error") \
    X(str__on_task_done, "_on_task_done")

#endif
