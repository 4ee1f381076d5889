/* Whether time.monotonic, as asyncio's loop.time() finds it, is the clock we read.
 *
 * asyncio looks for `time` in its own module and for `monotonic` in that at each call,
 * so tests that replace either move its timers. To look is dearer than to read the
 * clock: both dictionaries are watched instead (up to 3.11 their versions compared),
 * and looked into when one has changed.
 */
#ifndef FASTLOOP_PY_TIME_WATCH_H
#define FASTLOOP_PY_TIME_WATCH_H

#include "py/state/state.h"

/* 0, or -1 with an exception. */
int fl_time_watch_begin(struct fl_state *state);
void fl_time_watch_end(struct fl_state *state);

/* Looks into both dictionaries. */
bool fl_time_look(struct fl_state *state);

/* fast: a load and a branch as long as nothing was changed. */
static inline bool
fl_time_is_replaced(struct fl_state *state)
{
#ifdef FL_HAVE_DICT_WATCHERS
    return state->time_watch.suspect && fl_time_look(state);
#else
    const struct fl_time_watch *watch = &state->time_watch;
    return (watch->suspect ||
            fl_dict_version(state->time_dict) != watch->time_version ||
            fl_dict_version(state->base_events_dict) != watch->base_events_version) &&
           fl_time_look(state);
#endif
}

/* Looks into asyncio.tasks. */
bool fl_current_task_look(struct fl_state *state);

/* Whether asyncio's helpers find another current_task in asyncio.tasks, which is
 * watched too, than there was when the module was made. fast: a load instead of a look
 * (100 instructions a wait_for, a timeout, a gather). */
static inline bool
fl_current_task_is_replaced(struct fl_state *state)
{
    return state->time_watch.tasks_suspect && fl_current_task_look(state);
}

/* What asyncio's loop.time() answers: new, or NULL with an exception. escapes. */
PyObject *fl_time_call(const struct fl_state *state);

#endif
