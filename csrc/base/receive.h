/* How much the next receive is asked for: one rule for all that read.
 *
 * What comes in short is received into a buffer that all share, and copied out of it.
 * After a long receive the next goes straight to where its bytes stay, with a size that
 * it will probably fill (64 KiB: 21 to 26 us instead of 40 to 46 through the buffer),
 * until they are short again.
 */
#ifndef FASTLOOP_BASE_RECEIVE_H
#define FASTLOOP_BASE_RECEIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a kind of reader takes for long, and asks for then. */
struct fl_receive_sizes {
    size_t is_short; /* a receive of no more */
    size_t least;    /* a power of two */
    size_t most;     /* another */
    bool whole;      /* all that is allowed instead, or a datagram would be cut */
};

/* What a reader remembers; zero in the beginning. */
struct fl_receive {
    uint32_t expected; /* of the next receive; 0: a short one */
};

/* Of a receive that may bring max bytes: how many are asked for where they stay; 0: all
 * max, in the shared buffer. */
static inline size_t
fl_receive_in_place(
    const struct fl_receive *self, const struct fl_receive_sizes *sizes, size_t max
)
{
    if (self->expected == 0 || max <= sizes->is_short) {
        return 0;
    }
    return sizes->whole || max < self->expected ? max : self->expected;
}

/* Notes that a receive brought n bytes. */
static inline void
fl_receive_note(struct fl_receive *self, const struct fl_receive_sizes *sizes, size_t n)
{
    size_t expected = sizes->least;
    if (n <= sizes->is_short) {
        self->expected = 0;
        return;
    }
    while (expected < n || (expected == n && expected == self->expected)) {
        expected *= 2;
    }
    self->expected = (uint32_t)(expected < sizes->most ? expected : sizes->most);
}

#endif
