/* The ready queue: a growable ring of machine words.
 *
 * A word is whatever the loop puts there: a pointer whose low bits tag its
 * kind. The ring neither knows nor owns what the words mean. Capacity is a
 * power of two; head and tail count up for ever and are masked on access, so
 * `tail - head` is the number of entries even after the counters wrap.
 *
 * Somebody may have each push told: such a ring looks full, and the others pay nothing.
 *
 * One thread at a time (the GIL, in the loop's use).
 */
#ifndef FASTLOOP_BASE_RING_H
#define FASTLOOP_BASE_RING_H

#include "base/hot.h"

#include <stddef.h>
#include <stdint.h>

struct fl_ring {
    uintptr_t *slots;
    size_t mask; /* capacity - 1 */
    size_t head; /* next to pop */
    size_t tail; /* next to push */
    size_t full; /* so many words need room: the capacity, or 0 if pushes are told */
    void (*told)(struct fl_ring *ring);
};

/* Returns 0 or -ENOMEM. capacity is rounded up to a power of two. */
int fl_ring_init(struct fl_ring *ring, size_t capacity);

/* Frees the slots; words still inside are dropped, their owner drains them
 * first. Safe on a zeroed ring and when called twice. */
void fl_ring_deinit(struct fl_ring *ring);

/* Doubles the capacity, keeping the order. Returns 0 or -ENOMEM (the ring is
 * then unchanged). */
FL_SLOW int fl_ring_grow(struct fl_ring *ring);

/* What is behind fl_ring_reserve: tells, and grows if that is needed. */
FL_SLOW int fl_ring_make_room(struct fl_ring *ring);

/* told(ring) is called wherever room for a word is made, before the push; it leaves the
 * ring alone. NULL ends it. */
void fl_ring_tell(struct fl_ring *ring, void (*told)(struct fl_ring *ring));

/* Gives memory back down to capacity, a power of two, if the words fit. Never fails. */
FL_SLOW void fl_ring_shrink(struct fl_ring *ring, size_t capacity);

/* Consistency walker for debug builds: returns 0, or -EINVAL if the counters
 * and the capacity contradict each other. */
int fl_ring_check(const struct fl_ring *ring);

static inline size_t
fl_ring_count(const struct fl_ring *ring)
{
    return ring->tail - ring->head;
}

/* Makes room for one more word. Returns 0 or -ENOMEM. */
static inline int
fl_ring_reserve(struct fl_ring *ring)
{
    return FL_UNLIKELY(ring->tail - ring->head >= ring->full) ? fl_ring_make_room(ring)
                                                              : 0;
}

/* Returns 0 or -ENOMEM (word not queued). */
static inline int
fl_ring_push(struct fl_ring *ring, uintptr_t word)
{
    int err = fl_ring_reserve(ring);
    if (err < 0) {
        return err;
    }
    ring->slots[ring->tail++ & ring->mask] = word;
    return 0;
}

/* The same at the other end: the next to pop. */
static inline int
fl_ring_push_front(struct fl_ring *ring, uintptr_t word)
{
    int err = fl_ring_reserve(ring);
    if (err < 0) {
        return err;
    }
    ring->slots[--ring->head & ring->mask] = word;
    return 0;
}

/* The ring must not be empty. */
static inline uintptr_t
fl_ring_pop(struct fl_ring *ring)
{
    return ring->slots[ring->head++ & ring->mask];
}

/* The i-th entry from the front, i < count. */
static inline uintptr_t
fl_ring_peek(const struct fl_ring *ring, size_t i)
{
    return ring->slots[(ring->head + i) & ring->mask];
}

#endif
