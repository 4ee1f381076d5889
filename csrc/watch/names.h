/* What a step is called, for people.
 *
 * Found by exact types alone: names nobody's code has a say in.
 */
#ifndef FASTLOOP_WATCH_NAMES_H
#define FASTLOOP_WATCH_NAMES_H

#include "core/loop/loop.h"

/* The name of an entry of the ready ring that is being run, or that has been and is not
 * given up yet; 0 is what is between steps. New, a str, or NULL with an exception. */
PyObject *fl_entry_name(LoopObject *loop, uintptr_t word);

/* The coroutine of the task whose step or wake-up a callback is, if it is none of ours
 * but of asyncio's in C. New, or NULL with no exception. */
PyObject *fl_callback_coroutine(const struct fl_state *state, PyObject *callback);

#endif
