/* What the aio floor has in the module's state: see py/state/state.h. */
#ifndef FASTLOOP_PY_AIO_STATE_H
#define FASTLOOP_PY_AIO_STATE_H

#include "py/compat.h"
#include "py/state/freelist.h"
#include "py/state/groups_state.h"
#include "py/state/streams_state.h"
#include "py/state/waits_state.h"

/* Our classes above the loop, each with what of it is read and called by its own
 * methods: who replaces one of these names gets asyncio's code, which looks them up.
 * X(kind, "name name ..."). */
#define FL_AIO_QUEUE_NAMES                                                        \
    "_maxsize _getters _putters _unfinished_tasks _finished _queue _is_shutdown " \
    "_loop _get_loop _wakeup_next _init _put _get qsize empty full put_nowait "   \
    "get_nowait"

#define FL_AIO_CLASSES(X)                                                              \
    X(lock, "_locked _waiters _loop _get_loop _wake_up_first acquire release")         \
    X(event, "_value _waiters _loop _get_loop")                                        \
    X(semaphore, "_value _waiters _loop _get_loop _wake_up_next locked acquire "       \
                 "release")                                                            \
    X(bounded_semaphore, "_value _bound_value _waiters _loop _get_loop _wake_up_next " \
                         "locked acquire release")                                     \
    X(queue, FL_AIO_QUEUE_NAMES)                                                       \
    X(priority_queue, FL_AIO_QUEUE_NAMES)                                              \
    X(lifo_queue, FL_AIO_QUEUE_NAMES)                                                  \
    X(task_group,                                                                      \
      "_entered _exiting _aborting _loop _parent_task _parent_cancel_requested "       \
      "_tasks _errors _base_error _on_completed_fut _cancel_on_enter _on_task_done")   \
    X(condition,                                                                       \
      "_lock _waiters _loop locked acquire release wait notify _notify _get_loop")     \
    X(stream_reader, FL_STREAM_READER_NAMES)                                           \
    X(completions, "_done _timeout_handle _cur_task _todo _todo_left")                 \
    X(stream_writer, FL_STREAM_WRITER_NAMES)                                           \
    X(stream_protocol, FL_STREAM_PROTOCOL_NAMES)                                       \
    X(timeout, "_state _timeout_handler _task _when _cancelling reschedule "           \
               "_on_timeout _insert_timeout_error")

enum fl_aio_kind {

#define FL_AIO_KIND(kind, names) FL_AIO_##kind,
    FL_AIO_CLASSES(FL_AIO_KIND)
#undef FL_AIO_KIND
        FL_AIO_N_KINDS
};

#define FL_AIO_STATE_TYPES(X) \
    X(aio_call_type)          \
    X(aio_function_type)      \
    X(lock_type)              \
    X(event_type)             \
    X(semaphore_type)         \
    X(bounded_semaphore_type) \
    X(condition_type)         \
    X(queue_type)             \
    X(priority_queue_type)    \
    X(lifo_queue_type)        \
    X(completions_type)       \
    FL_GROUPS_STATE_TYPES(X)  \
    FL_STREAMS_STATE_TYPES(X) \
    X(timeout_type)

#define FL_AIO_STATE_IMPORTS(X)                                      \
    X(asyncio_Lock, "asyncio.locks", "Lock")                         \
    X(asyncio_Event, "asyncio.locks", "Event")                       \
    X(asyncio_Semaphore, "asyncio.locks", "Semaphore")               \
    X(asyncio_BoundedSemaphore, "asyncio.locks", "BoundedSemaphore") \
    X(asyncio_Condition, "asyncio.locks", "Condition")               \
    X(asyncio_Queue, "asyncio.queues", "Queue")                      \
    X(asyncio_PriorityQueue, "asyncio.queues", "PriorityQueue")      \
    X(asyncio_LifoQueue, "asyncio.queues", "LifoQueue")              \
    X(heappush, "heapq", "heappush")                                 \
    X(heappop, "heapq", "heappop")                                   \
    FL_GROUPS_STATE_IMPORTS(X)                                       \
    FL_STREAMS_STATE_IMPORTS(X)                                      \
    FL_WAITS_STATE_IMPORTS(X)

#define FL_AIO_STATE_NAMES(X)               \
    X(str___init__, "__init__")             \
    X(str___repr__, "__repr__")             \
    X(str___qualname__, "__qualname__")     \
    X(str___name__, "__name__")             \
    X(str___doc__, "__doc__")               \
    X(str___module__, "__module__")         \
    X(str_acquire, "acquire")               \
    X(str_cancelled, "cancelled")           \
    X(str_clear, "clear")                   \
    X(str_create_future, "create_future")   \
    X(str_empty, "empty")                   \
    X(str_full, "full")                     \
    X(str_get, "get")                       \
    X(str_get_nowait, "get_nowait")         \
    X(str_put_nowait, "put_nowait")         \
    X(str_qsize, "qsize")                   \
    X(str_task_done, "task_done")           \
    X(str__get, "_get")                     \
    X(str__init, "_init")                   \
    X(str__put, "_put")                     \
    X(str__wakeup_next, "_wakeup_next")     \
    X(str_done, "done")                     \
    X(str_is_set, "is_set")                 \
    X(str_locked, "locked")                 \
    X(str_wait, "wait")                     \
    X(str_notify, "notify")                 \
    X(str__notify, "_notify")               \
    X(str_notify_all, "notify_all")         \
    X(str_release, "release")               \
    X(str_remove, "remove")                 \
    X(str_set, "set")                       \
    X(str_set_result, "set_result")         \
    X(str__wake_up_first, "_wake_up_first") \
    X(str__wake_up_next, "_wake_up_next")   \
    FL_GROUPS_STATE_NAMES(X)                \
    FL_STREAMS_STATE_NAMES(X)               \
    FL_WAITS_STATE_NAMES(X)

/* References that may be NULL. */
#define FL_AIO_STATE_OBJECTS(X)                                                 \
    X(deque_append) /* deque's own, unbound */                                  \
    X(deque_popleft)                                                            \
    X(list_pop)                                                                 \
    X(deque_remove)                                                             \
    X(wait_for_one)     /* what as_completed()'s iterator gives */              \
    X(lock_acquire)     /* our Lock's, unbound */                               \
    X(stop_true)        /* StopIteration(True) */                               \
    X(stream_limit)     /* of a StreamReader, where none is given */            \
    X(log_on_exception) /* asyncio's, of shielded futures, where it has that */ \
    FL_STREAMS_STATE_OBJECTS(X)                                                 \
    X(stock_on_timeout) /* asyncio.Timeout._on_timeout */                       \
    X(timeout_created)  /* members of asyncio.timeouts._State */                \
    X(timeout_entered)                                                          \
    X(timeout_expiring)                                                         \
    X(timeout_expired)                                                          \
    X(timeout_exited)

struct fl_aio_state {
#define FL_FIELD_OBJECT(field) PyObject *field;
    FL_AIO_STATE_OBJECTS(FL_FIELD_OBJECT)
#undef FL_FIELD_OBJECT
    /* of each class: (name, what the class has there, name, ...) */
    PyObject *members[FL_AIO_N_KINDS];
    unsigned int versions[FL_AIO_N_KINDS]; /* all were found at that tag of a type */
    unsigned int own_items_version; /* all but _init, _put and _get: the last queue's */
    unsigned int
        fed_versions[2];       /* aio/stream/stream_feed.c: all were found at these */
    bool connect_reports;      /* asyncio's: what a server's callback raised ... */
    bool connect_keeps_writer; /* ... and _stream_writer, where it is set, */
    bool lost_clears_writer;   /* ended */
    bool protocol_has_writer;  /* and begun */
    bool gather_discards;     /* asyncio's (3.14+): the outer future, when it is done */
    bool group_takes_done;    /* asyncio's (< 3.14): a task that is done at once */
    bool group_lets_go;       /* asyncio's: of what it holds, at its end */
    bool condition_passes_on; /* asyncio's: a wait that fails notifies another */
    bool semaphore_tells_all; /* asyncio's: who was woken goes on waking others */
    bool timeout_inserts; /* asyncio's: puts TimeoutError into a chain of contexts */
    struct fl_freelist free_calls;
};

#endif
