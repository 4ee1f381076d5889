/* What futures and tasks have in the module's state: see py/state/state.h. */
#ifndef FASTLOOP_PY_TYPES_STATE_H
#define FASTLOOP_PY_TYPES_STATE_H

#include "base/list.h"
#include "py/compat.h"
#include "py/state/freelist.h"

#include <stdbool.h>
#include <stdint.h>

#define FL_TYPES_STATE_TYPES(X) \
    X(future_type)              \
    X(future_iter_type)         \
    X(task_type)                \
    X(task_step_type)

#define FL_TYPES_STATE_IMPORTS(X)                                   \
    X(CancelledError, "asyncio.exceptions", "CancelledError")       \
    X(InvalidStateError, "asyncio.exceptions", "InvalidStateError") \
    X(get_event_loop, "asyncio.events", "get_event_loop")           \
    X(future_repr, "asyncio.base_futures", "_future_repr")          \
    X(task_repr, "asyncio.base_tasks", "_task_repr")                \
    X(task_get_stack, "asyncio.base_tasks", "_task_get_stack")      \
    X(task_print_stack, "asyncio.base_tasks", "_task_print_stack")  \
    X(iscoroutine, "asyncio.coroutines", "iscoroutine")             \
    X(traceback_extract_stack, "traceback", "extract_stack")

#define FL_TYPES_STATE_NAMES(X)                                 \
    X(str_CANCELLED, "CANCELLED")                               \
    X(str_FINISHED, "FINISHED")                                 \
    X(str_PENDING, "PENDING")                                   \
    X(str_cancel, "cancel")                                     \
    X(str_eager_start, "eager_start")                           \
    X(str_file, "file")                                         \
    X(str_future, "future")                                     \
    X(str_get_debug, "get_debug")                               \
    X(str_get_loop, "get_loop")                                 \
    X(str_is_running, "is_running")                             \
    X(str_limit, "limit")                                       \
    X(str_msg, "msg")                                           \
    X(str_result, "result")                                     \
    X(str_task, "task")                                         \
    X(str_throw, "throw")                                       \
    X(str__asyncio_future_blocking, "_asyncio_future_blocking") \
    X(str__loop, "_loop")

/* References that may be NULL. */
#define FL_TYPES_STATE_OBJECTS(X)                                        \
    X(current_tasks)     /* asyncio.tasks._current_tasks */              \
    X(eager_factory)     /* asyncio.eager_task_factory, from 3.12 on */  \
    X(own_eager_factory) /* the same for our Task */                     \
    X(coroutine_types)   /* set: types iscoroutine() said yes to */      \
    X(observe_created)   /* core/task/task_observe.h, as the next two */ \
    X(observe_step)                                                      \
    X(observe_done)

/* Bound methods that no task uses now: core/future/task_wakeup.h. */
struct fl_wakeups {
#define FL_WAKEUPS_MAX 1024
    PyObject *kept[FL_WAKEUPS_MAX]; /* owned */
    int count;
};

/* The default name that was made last, where it is made with its task. */
struct fl_task_name {
    char text[5 + 20];
    size_t length; /* 0: none was */
    uint64_t number;
};

struct fl_types_state {
#define FL_FIELD_OBJECT(field) PyObject *field;
    bool own;                /* py/mirror/mirror.h: our types are in use */
    bool refuses_init_again; /* Future.__init__ of an initialised one */
    bool checks_context;     /* Task(context=) must be a Context */
    bool stop_iteration_becomes_runtime_error; /* set_exception */
    bool uncancel_resets_must_cancel;
    bool joined;           /* asyncio's task sets show ours */
    uint64_t *task_names;  /* asyncio's: the last N of Task-N */
    uint64_t n_task_names; /* the same where asyncio's is not found */
    struct fl_task_name task_name;
    struct fl_list pending;         /* tasks not done, where threads keep none */
    PyTypeObject *plain_coroutine;  /* Python's, borrowed; NULL: tasks are observed */
    PyTypeObject *noted_coroutine;  /* the same if only the lookout does; else NULL */
    Py_ssize_t running_loop_offset; /* in a thread state */
    Py_ssize_t running_task_offset;
    Py_ssize_t tasks_head_offset;
    FL_TYPES_STATE_OBJECTS(FL_FIELD_OBJECT)
#undef FL_FIELD_OBJECT
    struct fl_freelist free_futures;
    struct fl_freelist free_tasks;
    struct fl_freelist free_iters;
    struct fl_wakeups wakeups;
    PyObject *stop;          /* py/await/stop.h: owned, hidden from the collector */
    const PyObject *stop_by; /* borrowed: whose result it carries, or NULL */
    int (*wake_task)(PyObject *task, PyObject *future); /* core/task/task_step.h */
};

#endif
