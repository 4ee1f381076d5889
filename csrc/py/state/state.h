/* Everything the module holds: types, names, and what it took from asyncio.
 *
 * One struct per module instance (per interpreter). Its references are listed
 * once, below; the fields, traverse and clear are made from the lists, so none
 * can be forgotten. Hot code reaches it by the pointer kept in each loop.
 */
#ifndef FASTLOOP_PY_STATE_H
#define FASTLOOP_PY_STATE_H

#include "base/list.h"
#include "os/clock.h"
#include "py/compat.h"
#include "py/state/aio_state.h"
#include "py/state/net_state.h"
#include "py/state/tls_state.h"
#include "py/state/types_state.h"

#include <stdbool.h>

/* Types of ours, set by each room's fl_…_add_type. */
#define FL_STATE_TYPES(X)     \
    X(loop_type)              \
    X(handle_type)            \
    X(timer_handle_type)      \
    X(threadsafe_handle_type) \
    X(coroutine_iter_type)    \
    FL_TYPES_STATE_TYPES(X)   \
    FL_NET_STATE_TYPES(X)     \
    FL_TLS_STATE_TYPES(X)     \
    FL_AIO_STATE_TYPES(X)

/* X(field, module, attribute): looked up when the module is made. */
#define FL_STATE_IMPORTS(X)                                                   \
    X(asyncio_Handle, "asyncio.events", "Handle")                             \
    X(asyncio_TimerHandle, "asyncio.events", "TimerHandle")                   \
    X(set_running_loop, "asyncio.events", "_set_running_loop")                \
    X(get_running_loop, "asyncio.events", "_get_running_loop")                \
    X(asyncio_Future, "asyncio.futures", "Future")                            \
    X(isfuture, "asyncio.futures", "isfuture")                                \
    X(asyncio_Task, "asyncio.tasks", "Task")                                  \
    X(ensure_future, "asyncio.tasks", "ensure_future")                        \
    X(all_tasks, "asyncio.tasks", "all_tasks")                                \
    X(BaseEventLoop, "asyncio.base_events", "BaseEventLoop")                  \
    X(run_until_complete_cb, "asyncio.base_events", "_run_until_complete_cb") \
    X(format_handle, "asyncio.base_events", "_format_handle")                 \
    X(is_debug_mode, "asyncio.coroutines", "_is_debug_mode")                  \
    X(extract_stack, "asyncio.format_helpers", "extract_stack")               \
    X(logger, "asyncio.log", "logger")                                        \
    X(get_asyncgen_hooks, "sys", "get_asyncgen_hooks")                        \
    X(set_asyncgen_hooks, "sys", "set_asyncgen_hooks")                        \
    X(set_wakeup_fd, "signal", "set_wakeup_fd")                               \
    X(main_thread, "threading", "main_thread")                                \
    X(time_dict, "time", "__dict__")                                          \
    X(base_events_dict, "asyncio.base_events", "__dict__")                    \
    X(WeakSet, "weakref", "WeakSet")                                          \
    X(WeakValueDictionary, "weakref", "WeakValueDictionary")                  \
    FL_TYPES_STATE_IMPORTS(X)                                                 \
    FL_NET_STATE_IMPORTS(X)                                                   \
    FL_AIO_STATE_IMPORTS(X)

/* X(field, text): interned strings. */
#define FL_STATE_NAMES(X)                                   \
    X(str_add_done_callback, "add_done_callback")           \
    X(str_awaitable, "awaitable")                           \
    X(str_call_at, "call_at")                               \
    X(str_call_exception_handler, "call_exception_handler") \
    X(str_call_later, "call_later")                         \
    X(str_call_soon, "call_soon")                           \
    X(str_call_soon_threadsafe, "call_soon_threadsafe")     \
    X(str_context, "context")                               \
    X(str_create_task, "create_task")                       \
    X(str_exception, "exception")                           \
    X(str_finalizer, "finalizer")                           \
    X(str_firstiter, "firstiter")                           \
    X(str_loop, "loop")                                     \
    X(str_message, "message")                               \
    X(str_monotonic, "monotonic")                           \
    X(str_name, "name")                                     \
    X(str_others, "others")                                 \
    X(str_remove_done_callback, "remove_done_callback")     \
    X(str_run_forever, "run_forever")                       \
    X(str_run_until_complete, "run_until_complete")         \
    X(str_source_traceback, "source_traceback")             \
    X(str_time, "time")                                     \
    X(str_warn_on_full_buffer, "warn_on_full_buffer")       \
    X(str_when, "when")                                     \
    X(str__add_reader, "_add_reader")                       \
    X(str__add_writer, "_add_writer")                       \
    X(str__log_destroy_pending, "_log_destroy_pending")     \
    X(str__remove_reader, "_remove_reader")                 \
    X(str__remove_writer, "_remove_writer")                 \
    X(str__run_once, "_run_once")                           \
    X(str__source_traceback, "_source_traceback")           \
    X(str__thread_id, "_thread_id")                         \
    X(str__virtual_time, "_virtual_time")                   \
    FL_TYPES_STATE_NAMES(X)                                 \
    FL_NET_STATE_NAMES(X)                                   \
    FL_TLS_STATE_NAMES(X)                                   \
    FL_AIO_STATE_NAMES(X)

/* Tuples of names, for vectorcalls. */
#define FL_STATE_KEYWORDS(X)                       \
    X(kw_context) /* ("context",) */               \
    X(kw_loop)    /* ("loop",) */                  \
    X(kw_msg)     /* ("msg",) */                   \
    X(kw_hooks)   /* ("firstiter", "finalizer") */ \
    X(kw_wait)    /* ("timeout", "return_when") */ \
    X(kw_warn_on_full_buffer)

struct fl_state;

/* py/time_watch.h */
struct fl_time_watch {
    bool suspect;       /* not the clock we read, or not known to be */
    bool tasks_suspect; /* the same of asyncio.tasks.current_task */
#ifdef FL_HAVE_DICT_WATCHERS
    bool enlisted;
    int id;                                     /* the watcher's, or -1 */
    void (*on_suspect)(struct fl_state *state); /* or NULL; runs no code of others */
#else
    uint64_t time_version;
    uint64_t base_events_version;
#endif
};

struct fl_lookout;
struct fl_recorder;

struct fl_state {
#define FL_FIELD_OBJECT(field) PyObject *field;
#define FL_FIELD_TYPE(field) PyTypeObject *field;
#define FL_FIELD_IMPORT(field, module, attribute) PyObject *field;
#define FL_FIELD_NAME(field, text) PyObject *field;
    FL_STATE_TYPES(FL_FIELD_TYPE)
    FL_STATE_IMPORTS(FL_FIELD_IMPORT)
    FL_STATE_NAMES(FL_FIELD_NAME)
    FL_STATE_KEYWORDS(FL_FIELD_OBJECT)
#undef FL_FIELD_OBJECT
#undef FL_FIELD_TYPE
#undef FL_FIELD_IMPORT
#undef FL_FIELD_NAME
    /* behind the references: fl_state_traverse counts on it */
    struct fl_list loops;      /* all live loops, for fork */
    bool context_layout_known; /* py/context.h */
    struct fl_time_watch time_watch;
    Py_ssize_t
        breaker_offset; /* py/mirror/mirror.h, in the interpreter; 0: not known */
    unsigned int base_version;     /* core/loop/loop.h: fl_loop_show_patches */
    bool create_task_takes_kwargs; /* BaseEventLoop.create_task(coro, **kwargs) */

    struct fl_types_state types; /* futures and tasks */
    struct fl_net_state net;
    struct fl_tls_state tls;
    struct fl_aio_state aio;

    struct fl_tick_rate tick_rate; /* as the module was made: new loops go on from it */

    struct fl_lookout *lookout; /* watch/lookout.h, or NULL: nobody watches */

    struct fl_recorder
        *recorder;       /* watch/recorder/recorder.h, or NULL: nobody records */
    uint64_t recordings; /* begun since the module was made */

    Py_ssize_t runs; /* of loops, begun since the module was made */

    struct fl_counts { /* live objects, for the debug build */
        Py_ssize_t loops;
        Py_ssize_t handles;
        Py_ssize_t watches;
        Py_ssize_t futures;
        Py_ssize_t tasks;
        Py_ssize_t streams;
        Py_ssize_t pipes;
        Py_ssize_t datagrams; /* endpoints */
        Py_ssize_t sock_ops;
        Py_ssize_t buffers; /* that a sock_op holds */
    } counts;
};

/* Fills names and imports. 0, or -1 with an exception. */
int fl_state_init(struct fl_state *state);
int fl_state_traverse(struct fl_state *state, visitproc visit, void *arg);
void fl_state_clear(struct fl_state *state);

/* The state of the module that type, or a base of it, belongs to. NULL with an
 * exception if the module has gone. */
struct fl_state *fl_state_of_type(PyTypeObject *type);
/* The same for finalizers and deallocators: NULL without an exception. */
struct fl_state *fl_state_of_dying(PyTypeObject *type);

/* The state of our module; borrowed. */
static inline struct fl_state *
fl_state_of_module(PyObject *module)
{
    return (struct fl_state *)PyModule_GetState(module);
}

extern struct PyModuleDef fl_module_def;

#endif
