/* What the program does by itself, past the loop, while writes wait to be joined.
 *
 * A child that it starts, a file that it opens or a sleep between two writes can be
 * seen from outside, so what waits goes first. Python tells of these things by audit
 * events. A hook for them can't be taken back and makes each event dearer (id() by some
 * 60 ns), so it is added only when a first connection could join writes; and where it
 * is refused, none ever joins. Heard by other hooks are "sys.addaudithook" and
 * "fastloop.join".
 */
#ifndef FASTLOOP_NET_AUDIT_H
#define FASTLOOP_NET_AUDIT_H

#include "core/loop/loop.h"

struct fl_audit {
    struct fl_state *state; /* NULL once the module is gone; the hook stays */
    PyInterpreterState *interpreter;
    bool heard; /* it has been called */
};

/* Adds the hook, if that was not tried yet. escapes. Without an exception: see
 * fl_audit_hears. */
void fl_audit_add_hook(struct fl_state *state);

static inline void
fl_audit_listen(struct fl_state *state)
{
    if (state->net.audit == NULL) {
        fl_audit_add_hook(state); /* escapes */
    }
}

static inline bool
fl_audit_hears(const struct fl_state *state)
{
    return state->net.audit != NULL && state->net.audit->heard;
}

/* The module ends. */
void fl_audit_leave(struct fl_state *state);

#endif
