/* Mirrors of asyncio's C structs and of the thread state's asyncio fields.
 *
 * fastloop.Future and fastloop.Task lie behind these structs. Of them we write
 * what asyncio's own code, or a profiler outside the process, reads without
 * asking: coro, context and name of a task, and on 3.14+ is_task, awaited_by and
 * the link in the thread's list of tasks. The rest stays zero.
 *
 * Nothing here is promised by CPython, so fl_mirror_probe compares it with a
 * real task at import; on a mismatch nobody uses our types. This header and
 * py/compat.h are the only ones that ask for the version.
 */
#ifndef FASTLOOP_PY_MIRROR_H
#define FASTLOOP_PY_MIRROR_H

#include "py/state.h"

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
#if PY_VERSION_HEX < 0x030D0000
#define FL_HAVE_INLINE_DICT 1 /* instance dict and weakrefs inside the struct */
#endif

#if defined(FL_HAVE_INLINE_DICT)

struct fl_base_future {
    PyObject_HEAD
    PyObject *loop, *callback0, *context0, *callbacks;
    PyObject *exception, *exception_tb, *result, *source_tb, *cancel_msg;
    int state, log_tb, blocking;
    PyObject *dict;
    PyObject *weakrefs;
    PyObject *cancelled_exc;
};

struct fl_base_task {
    struct fl_base_future future;
    PyObject *fut_waiter, *coro, *name, *context;
    int must_cancel, log_destroy_pending, num_cancels_requested;
};

#else

struct fl_base_node {
    struct fl_base_node *next;
    struct fl_base_node *prev;
};

struct fl_base_future {
    PyObject_HEAD
    PyObject *loop, *callback0, *context0, *callbacks;
    PyObject *exception, *exception_tb, *result, *source_tb, *cancel_msg;
    PyObject *cancelled_exc;
#if defined(FL_HAVE_THREAD_TASKS)
    PyObject *awaited_by; /* NULL, the one that awaits, or a set of them */
    int state;
    char is_task;
    char awaited_by_is_set;
    char bits[2];
#else
    int state;
    int bits;
#endif
};

struct fl_base_task {
    struct fl_base_future future;
    int num_cancels_requested;
    PyObject *fut_waiter, *coro, *name, *context;
#if defined(FL_HAVE_THREAD_TASKS)
    struct fl_base_node node; /* in the thread's list; NULL: in none */
#endif
};

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

/* A type of the C module _asyncio: new, or NULL. */
PyObject *fl_base_type(const char *name);

/* What tp_traverse and tp_clear of asyncio's types do for the instance dict. */
int fl_mirror_traverse_dict(PyObject *op, visitproc visit, void *arg);
void fl_mirror_clear_dict(PyObject *op);

/* Drops what asyncio's own __init__, called on an object of ours, has left in the
 * struct that we leave empty. */
void fl_mirror_clear_base(struct fl_base_future *base);

#endif
