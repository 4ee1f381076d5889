/* Contexts for callbacks: one snapshot shared by many handles.
 *
 * asyncio copies the current context for every handle. A context's variables
 * are an immutable map, so as long as the current context still has the map a
 * snapshot was made from, a further handle can share the snapshot; the copy is
 * made when the callback runs, and not at all if the handle is the last owner.
 * Nobody but handles holds a snapshot, and none is ever entered while shared.
 * 100,000 queued callbacks then hold one context instead of 100,000 (timers: 221 bytes
 * each instead of 283; a chain of call_soon: 1,636 instructions instead of 1,682).
 */
#ifndef FASTLOOP_PY_CONTEXT_H
#define FASTLOOP_PY_CONTEXT_H

#include "py/state/state.h"

/* Probes whether a context's map lies where we read it; sets
 * state->context_layout_known (if it does not, every handle gets a copy). 0, or
 * -1 with an exception. */
int fl_context_probe(struct fl_state *state);

struct fl_contexts {
    PyObject *last;  /* owned: the snapshot made last, or NULL */
    PyObject *spare; /* owned: a context that nobody else has any more, or NULL */
};

/* A snapshot of the current context; new reference or NULL. */
PyObject *fl_context_snapshot(const struct fl_state *state, struct fl_contexts *kept);

/* A context to enter, made of a snapshot: *snapshot is replaced by a context
 * nobody else has. It may be any object; kept may be NULL. 0, or -1 with an
 * exception: TypeError if it is no context. */
int fl_context_own(PyObject **snapshot, struct fl_contexts *kept);

/* Gives up a context made here that a callback has run in: the next snapshot may
 * be this one (a chain of call_soon: 1.28 -> 1.39 of the best peer's speed). */
void fl_context_give_up(PyObject **context, struct fl_contexts *kept);

/* Drops what is kept, unless its variables are those of the current context: else
 * they would live longer than the callbacks that set them. escapes. Whether it was. */
bool fl_context_trim(struct fl_contexts *kept);
void fl_context_drop(struct fl_contexts *kept);

#endif
