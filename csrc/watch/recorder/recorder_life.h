/* The recorder's beginning and end, for its functions in Python. */
#ifndef FASTLOOP_WATCH_RECORDER_LIFE_H
#define FASTLOOP_WATCH_RECORDER_LIFE_H

#include "py/await/awaitable.h"
#include "watch/recorder/recorder_state.h"

/* Borrowed; see fl_timeline_start. */
struct fl_recorder_given {
    PyObject *folders;
    PyObject *partial;
    PyObject *probes;
    PyObject *name_of_thread;
};

/* None is on. 0, or -1 with an exception. */
int fl_recorder_start(
    struct fl_state *state, size_t room, const struct fl_recorder_given *given
);

/* The step of a task of ours that is under way as it starts. 0, or -1 with an
 * exception. */
int fl_recorder_open_step(
    struct fl_recorder *self, struct LoopObject *loop, PyObject *task
);

/* Ends it: what was recorded, to be freed, or NULL if it was off. */
struct fl_recorder *fl_recorder_stop(struct fl_state *state);
/* Runs nobody's code but what types and code objects of the program's do as they die.
 */
void fl_recorder_free(struct fl_recorder *self);

#endif
