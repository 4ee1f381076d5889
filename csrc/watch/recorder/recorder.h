/* The recorder: what the loops of an interpreter do, as a list of events.
 *
 * On from _timeline_start() to _timeline_stop(). Off it costs no instruction: tasks
 * come to it by the way of their observers (core/task/task_observe.h), callbacks and
 * polls by an iteration of its own that loops are led to by a bit among their
 * overrides.
 *
 * It keeps none of the program's objects but what cannot notice: code objects, names,
 * types. It runs none of the program's code: what a task waits for is read from its
 * coroutines as they are, at the end of a step. Who woke whom is found in the ready
 * ring, which tells of each push: that is the time. The word is there when somebody
 * looks next, and if it wakes nobody the event that was kept for it is given up.
 *
 * Events that find no room, or no memory for what they name, are counted, or name
 * nothing; none of this fails. Under the GIL.
 */
#ifndef FASTLOOP_WATCH_RECORDER_H
#define FASTLOOP_WATCH_RECORDER_H

#include "base/hot.h"
#include "py/compat.h"

struct LoopObject;
struct fl_state;

/* As _timeline.py has them. */
enum fl_event_kind {
    FL_EVENT_NONE,       /* given up */
    FL_EVENT_MADE,       /* task: its maker or 0, place */
    FL_EVENT_BEGIN,      /* task: a step begins */
    FL_EVENT_END,        /* task: name of what it waits for, place */
    FL_EVENT_WOKEN,      /* task: who woke it, else 0 and the name of what did */
    FL_EVENT_DONE,       /* task: enum fl_outcome */
    FL_EVENT_CALL_BEGIN, /* loop: name, place */
    FL_EVENT_CALL_END,   /* loop */
    FL_EVENT_POLL_BEGIN, /* loop */
    FL_EVENT_POLL_END,   /* loop: how many fds are ready */
    FL_EVENT_TIMER,      /* loop: name of what is due */
    FL_EVENT_IO,         /* loop: fd */
};

/* What is under way in a loop. In the loop, zeroed. */
struct fl_recorded {
    uint64_t run;   /* of the recording that all this is of; others find nothing */
    uint32_t loop;  /* its number */
    uint32_t task;  /* whose step it is, or 0: then */
    uint32_t cause; /* the name of what it is, or 0 */
    size_t seen;    /* up to this place in the ring it is known who queued what */
    size_t kept;    /* that event, from 1, is kept for what is queued at seen; or 0 */
    size_t at_poll; /* how many events there were before the poll */
    uint64_t n_polls;
    bool has_name;   /* its thread's is known */
    bool has_opened; /* a step is under way that had begun before: recorder_life.c */
};

/* A step or call under way. On the C stack. */
struct fl_recorded_turn {
    uint64_t run; /* 0: it is not recorded */
    uint32_t task;
    uint32_t outer_task, outer_cause;
};

/* ---- tasks: recorder.c ---- */

/* A task of ours, as observers see it: made; a step of it begins, and has ended at a
 * time. The second of the last two keeps the exception that is set. */
FL_SLOW void fl_record_made(struct fl_state *state, PyObject *task);
FL_SLOW void fl_record_step(
    const struct fl_state *state, PyObject *task, struct fl_recorded_turn *turn
);
FL_SLOW void fl_record_step_ended(
    const struct fl_state *state, PyObject *task, const struct fl_recorded_turn *turn,
    int64_t ticks
);

/* ---- a loop's iteration: recorder_loop.c ---- */

/* Around what may poll, and queues timers. The first escapes: it asks threading for the
 * thread's name, once. */
FL_SLOW void fl_record_look(struct LoopObject *loop);
FL_SLOW void fl_record_looked(struct LoopObject *loop);
/* Around an entry of the ring, if it is no task's. */
FL_SLOW void
fl_record_turn(struct LoopObject *loop, uintptr_t word, struct fl_recorded_turn *turn);
FL_SLOW void
fl_record_turn_ended(struct LoopObject *loop, const struct fl_recorded_turn *turn);

/* ---- its life: recorder_life.c ---- */

/* A new loop is led there, too, if it is on. */
void fl_recorder_take_loop(struct LoopObject *loop);

/* Ends it if it is on: the module's end, and a forked child's copy. */
void fl_recorder_drop(struct fl_state *state);

/* ---- the module's functions: recorder_methods.c ---- */

/* _timeline_start(room, folders, partial, probes, loop, task, name_of_thread): records
 * up to room events. folders: of files that are no program's. partial: functools'.
 * probes: py/await/suspended.h. loop and task: those of a step under way, or None.
 * name_of_thread(): a str. RuntimeError if it is on. */
PyObject *fl_timeline_start(PyObject *module, PyObject *args);

/* _timeline_stop(): what was recorded, a dict, or None if it was off. */
PyObject *fl_timeline_stop(PyObject *module, PyObject *ignored);

#endif
