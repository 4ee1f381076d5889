/* The ready queue's slow paths: making, growing and checking the ring.
 *
 * Growing keeps head and tail as they are, so that a caller who noted
 * `tail` as the end of a batch still finds it after a push made room.
 */
#include "base/ring.h"

#include "base/fault.h"

#include <errno.h>
#include <stdlib.h>

int
fl_ring_init(struct fl_ring *ring, size_t capacity)
{
    *ring = (struct fl_ring){0};
    size_t rounded = 1;
    while (rounded < capacity) {
        if (rounded > SIZE_MAX / 2) {
            return -ENOMEM;
        }
        rounded *= 2;
    }
    uintptr_t *slots = calloc(rounded, sizeof(*slots));
    if (slots == NULL) {
        return -ENOMEM;
    }
    ring->slots = slots;
    ring->mask = rounded - 1;
    ring->full = rounded;
    return 0;
}

void
fl_ring_deinit(struct fl_ring *ring)
{
    free(ring->slots);
    *ring = (struct fl_ring){0};
}

/* All words move to other slots, which the ring then owns. */
static void
ring_move(struct fl_ring *ring, uintptr_t *slots, size_t capacity)
{
    size_t mask = capacity - 1;
    for (size_t i = ring->head; i != ring->tail; i++) {
        slots[i & mask] = ring->slots[i & ring->mask];
    }
    free(ring->slots);
    ring->slots = slots;
    ring->mask = mask;
    ring->full = ring->told == NULL ? capacity : 0;
}

void
fl_ring_tell(struct fl_ring *ring, void (*told)(struct fl_ring *ring))
{
    ring->told = told;
    ring->full = told == NULL ? ring->mask + 1 : 0;
}

int
fl_ring_make_room(struct fl_ring *ring)
{
    if (ring->told != NULL) {
        ring->told(ring);
    }
    return fl_ring_count(ring) > ring->mask ? fl_ring_grow(ring) : 0;
}

int
fl_ring_grow(struct fl_ring *ring)
{
    size_t capacity = ring->mask + 1;
    if (capacity > SIZE_MAX / 2 / sizeof(*ring->slots)) {
        return -ENOMEM;
    }
    uintptr_t *slots = malloc(2 * capacity * sizeof(*slots));
    if (slots == NULL) {
        return -ENOMEM;
    }
    ring_move(ring, slots, 2 * capacity);
    return 0;
}

void
fl_ring_shrink(struct fl_ring *ring, size_t capacity)
{
    if (capacity > ring->mask || fl_ring_count(ring) > capacity) {
        return;
    }
    uintptr_t *slots = malloc(capacity * sizeof(*slots));
    if (slots != NULL) { /* else: it stays as it is */
        ring_move(ring, slots, capacity);
    }
}

int
fl_ring_check(const struct fl_ring *ring)
{
    size_t capacity = ring->mask + 1;
    if (ring->slots == NULL || (capacity & ring->mask) != 0 || capacity == 0) {
        return -EINVAL;
    }
    if (ring->tail - ring->head > capacity ||
        ring->full != (ring->told == NULL ? capacity : 0)) {
        return -EINVAL;
    }
    return 0;
}
