/* Mirrors of asyncio's C structs and of the thread state's asyncio fields.
 *
 * fastloop.Future and fastloop.Task keep in these structs all that asyncio keeps in
 * them, in asyncio's own way, so that asyncio's code, called by its full name on an
 * object of ours, and profilers outside the process find what they expect.
 *
 * Nothing here is promised by CPython, so fl_mirror_probe compares it with a
 * real task at import; on a mismatch nobody uses our types. This header and
 * py/compat.h are the only ones that ask for the version.
 */
#ifndef FASTLOOP_PY_MIRROR_H
#define FASTLOOP_PY_MIRROR_H

#include "py/state/state.h"

#if PY_VERSION_HEX >= 0x030E0000
#define FL_HAVE_THREAD_TASKS 1 /* tasks and current task in the thread state */
#else
#define FL_HAVE_TASK_SETS 1 /* asyncio.tasks._current_tasks and its WeakSet */
#endif
#if PY_VERSION_HEX >= 0x030E0000
#define FL_STEP_NAME "__step" /* as asyncio's messages name it */
#else
#define FL_STEP_NAME "_step"
#endif
#if PY_VERSION_HEX >= 0x030C0000
#define FL_HAVE_EAGER_START 1
#endif
#if PY_VERSION_HEX < 0x030C0000
#define FL_EAGER_TASK_NAMES 1 /* get_name() takes the field as it is */
#endif
#if PY_VERSION_HEX >= 0x030D0000
#define FL_HAVE_THREAD_BREAKER 1 /* a public field of the thread state */
#endif
#if PY_VERSION_HEX < 0x030D0000
#define FL_HAVE_INLINE_DICT 1 /* instance dict and weakrefs inside the struct */
#endif

/* The head of a future and of a task. status: as enum fl_future_status. callback0 and
 * context0 are the first callback, callbacks is NULL or a list of further tuples
 * (callback, context), in order; callback0 may be NULL with callbacks that are not. */
#define FL_BASE_FUTURE_REFERENCES                            \
    PyObject *loop, *callback0, *context0, *callbacks;       \
    PyObject *exception, *exception_tb, *result, *source_tb; \
    PyObject *cancel_msg;

#if defined(FL_HAVE_INLINE_DICT)

struct fl_base_future {
    PyObject_HEAD
    FL_BASE_FUTURE_REFERENCES
    int status, log_tb, blocking;
    PyObject *dict;
    PyObject *weakrefs;
    PyObject *cancelled_exc;
};

struct fl_base_task {
    struct fl_base_future future;
    PyObject *fut_waiter, *coro, *name, *context;
    int must_cancel, log_destroy_pending, num_cancels_requested;
    uint32_t stepped; /* ours, where asyncio leaves room: core/task/task_observe.h */
};

#define FL_TASK_FLAGS(task) (task) /* where must_cancel and log_destroy_pending are */

#else

struct fl_base_node {
    struct fl_base_node *next;
    struct fl_base_node *prev;
};

struct fl_base_future {
    PyObject_HEAD
    FL_BASE_FUTURE_REFERENCES
    PyObject *cancelled_exc;
#if defined(FL_HAVE_THREAD_TASKS)
    PyObject *awaited_by; /* NULL, the one that awaits, or a set of them */
    int status;
    char is_task;
    char awaited_by_is_set;
#else
    int status;
#endif
    unsigned int log_tb : 1;
    unsigned int blocking : 1;
    unsigned int must_cancel : 1;         /* a task's */
    unsigned int log_destroy_pending : 1; /* a task's */
};

struct fl_base_task {
    struct fl_base_future future;
    int num_cancels_requested;
    uint32_t stepped; /* ours, where asyncio leaves room: core/task/task_observe.h */
    PyObject *fut_waiter, *coro, *name, *context;
#if defined(FL_HAVE_THREAD_TASKS)
    struct fl_base_node node; /* in the thread's list; NULL: in none */
#endif
};

#define FL_TASK_FLAGS(task) (&(task)->future)

#endif

#if defined(FL_HAVE_THREAD_TASKS)
/* The asyncio fields behind the public part of a thread state lie elsewhere in
 * each minor version: fl_mirror_probe finds them. */
static inline PyObject **
fl_thread_field(char *thread, Py_ssize_t offset)
{
    return (PyObject **)(void *)(thread + offset); /* owned */
}

static inline PyObject **
fl_thread_running_task(const struct fl_state *state)
{
    char *thread = (char *)PyThreadState_Get();
    return fl_thread_field(thread, state->types.running_task_offset);
}

static inline PyObject **
fl_thread_running_loop(const struct fl_state *state)
{
    char *thread = (char *)PyThreadState_Get();
    return fl_thread_field(thread, state->types.running_loop_offset);
}

static inline struct fl_base_node *
fl_thread_tasks(const struct fl_state *state)
{
    char *thread = (char *)PyThreadState_Get();
    return (struct fl_base_node *)(void *)(thread + state->types.tasks_head_offset);
}
#endif

static inline struct fl_base_future *
fl_base_future(PyObject *op)
{
    return (struct fl_base_future *)(void *)op;
}

static inline struct fl_base_task *
fl_base_task(PyObject *op)
{
    return (struct fl_base_task *)(void *)op;
}

/* Compares the mirrors with real objects of asyncio and learns what differs
 * between patch releases. Sets state->types.own; false as well if the
 * environment says FASTLOOP_STOCK_TYPES=1. 0, or -1 with an exception. */
int fl_mirror_probe(struct fl_state *state);

/* mirror_fields.c: whether fresh futures and a fresh task of asyncio's, as long as the
 * mirrors, keep each thing where these say. words: any objects, and a context. 0 and
 * *matches, or -1 with an exception. */
struct fl_mirror_words {
    PyObject *first, *second, *context;
};

int fl_mirror_fields_match(
    PyObject *futures[3], PyObject *task, const struct fl_mirror_words *words,
    bool *matches
);

/* mirror_names.c: sets state->types.task_names to asyncio's own counter of default
 * names, or, where it is not found, to one of ours. loop, coro: what tasks can be made
 * of. 0, or -1 with an exception. */
int fl_mirror_find_names(
    struct fl_state *state, PyObject *asyncio, PyObject *loop, PyObject *coro
);

/* mirror_breaker.c: sets state->breaker_offset, to 0 where it is not found. */
void fl_mirror_find_breaker(struct fl_state *state);

/* fast: may a signal wait for its Python handler? Asks what Python's own loop asks
 * between two instructions, a tenth of what PyErr_CheckSignals costs. True for its
 * other reasons, too, such as a thread that wants the GIL. False where what it asks
 * was not found. thread: the calling one's. */
static inline bool
fl_signals_may_wait(const struct fl_state *state, PyThreadState *thread)
{
#if defined(FL_HAVE_THREAD_BREAKER)
    (void)state;
    /* the higher bits are a version */
    return (__atomic_load_n(&thread->eval_breaker, __ATOMIC_RELAXED) & 0xFF) != 0;
#else
    const char *interp = (const char *)thread->interp;
    return state->breaker_offset != 0 &&
           __atomic_load_n(
               (const int *)(const void *)(interp + state->breaker_offset),
               __ATOMIC_RELAXED
           ) != 0;
#endif
}

/* A type of the C module _asyncio: new, or NULL. */
PyObject *fl_base_type(const char *name);

/* What tp_traverse and tp_clear of asyncio's types do for the instance dict. */
int fl_mirror_traverse_dict(PyObject *op, visitproc visit, void *arg);
void fl_mirror_clear_dict(PyObject *op);

#endif
