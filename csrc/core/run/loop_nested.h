/* Running the loop inside one of its own steps.
 *
 * asyncio refuses that. nest_asyncio's apply() allows it for the process, and
 * loop.run_nested() for one call. What the outer run is in the midst of is kept in a
 * struct of its own for each nested run, a stack of them: who is the current task,
 * which handle runs, whose turns are put off. The drains of the ready ring above go on
 * as in nest_asyncio: each with as many entries as it had left, whichever they are.
 *
 * Put off until the nested run ends, in order, are turns whose Context is entered
 * further up the stack, which could but fail; and, where the others are to wait, all
 * turns of what was there before.
 */
#ifndef FASTLOOP_CORE_LOOP_NESTED_H
#define FASTLOOP_CORE_LOOP_NESTED_H

#include "core/loop/loop.h"

struct fl_nested {
    struct fl_nested *outer; /* the nested run around this one, or NULL */
    LoopObject *loop;
    struct fl_ring put_off;
    PyObject *task;       /* the current one of whoever nests, or NULL */
    PyObject *handle;     /* loop->current_handle, or NULL */
    PyObject *running;    /* the running loop if that is another, or NULL */
    PyObject *old_tasks;  /* those that wait, a set; NULL: all run */
    PyObject *awaited;    /* does not wait with them; borrowed, may be NULL */
    uint64_t first_timer; /* older ones wait with old_tasks */
    bool took_current;    /* that task is no longer shown as the current one */
    bool stop_is_outer;   /* a stop() that the end of the outermost run made */
};

/* Whether asyncio is patched so that loops may nest, as nest_asyncio does it: 1, 0, or
 * -1 with an exception. escapes. */
int fl_nested_allowed(void);

/* loop._nest_patched: True if so, else there is no such attribute. */
PyObject *fl_nested_get_patched(PyObject *op, void *closure);

/* Whether the loop runs in this very thread, and may nest: 1; 0; or -1 with an
 * exception. escapes. */
int fl_nested_may_run(const LoopObject *self);

/* run_until_complete and run_forever of a loop that runs in this thread. escape. */
PyObject *
fl_nested_run_until_complete(LoopObject *self, PyObject *awaitable, bool wait);
PyObject *fl_nested_run_forever(LoopObject *self);

/* loop.run_nested(awaitable, others="run") */
PyObject *fl_loop_run_nested(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);

/* ---- loop_turns.c ---- */

/* Whether a Context is entered: one that is can't be entered again. */
bool fl_nested_is_entered(PyObject *context);

/* What is queued, and what was there, waits for the end of the run, but what it awaits.
 * escapes. 0 or -1. */
int fl_nested_make_others_wait(struct fl_nested *self, PyObject *awaitable);

/* Takes the next entry of the ready ring, which has one: its word to run, or 0 if it
 * was put off, or if there is no memory for that (-1 in *status, with an exception).
 * escapes. */
uintptr_t fl_nested_next(LoopObject *self, int *status);

/* ---- loop_run.c: what both kinds of run do ---- */

/* One iteration of a loop that runs, by its own _run_once if that is replaced. escapes.
 * 0 or -1. */
int fl_run_iterate_nested(LoopObject *self);
/* Before an iteration inside of a step takes entries from the drain around it. */
void fl_run_take_drain(LoopObject *self);
/* What a method without arguments answers: 1, 0, or -1 with an exception. escapes. */
int fl_run_ask(PyObject *future, const char *method);
/* The future to wait for, and whether a task was made for it. escapes. New or NULL. */
PyObject *fl_run_prepare(LoopObject *self, PyObject *awaitable, bool *new_task);
/* A task made by fl_run_prepare whose exception its caller gets. escapes. */
int fl_run_mark_retrieved(PyObject *future);
/* asyncio's _set_running_loop. 0 or -1. */
int fl_run_set_running_loop(LoopObject *self, PyObject *loop);
/* loop_debug.c: fl_handle_run, and a warning if it is slow. escapes. 0 or -1. */
int fl_run_handle_debug(LoopObject *self, PyObject *handle);
/* loop_setup.c: may it run? *other: the loop in whose step, new, or NULL. escapes. 0,
 * or -1 with an exception. */
int fl_run_check_not_running(LoopObject *self, PyObject **other);
/* The same file: what comes behind a run, however far it was set up. escapes. 0 or -1.
 */
int fl_run_clean_up(LoopObject *self);

#endif
