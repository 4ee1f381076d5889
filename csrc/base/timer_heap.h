/* A 4-ary heap of timers, ordered by (deadline, sequence).
 *
 * The key lies in the array beside the pointer, so comparing touches no timer;
 * each timer knows its index, so that it can be removed from the middle. The
 * heap owns no timer. Room is reserved apart from pushing: only reserving can
 * fail.
 *
 * One thread at a time.
 */
#ifndef FASTLOOP_BASE_TIMER_HEAP_H
#define FASTLOOP_BASE_TIMER_HEAP_H

#include "base/list.h"

#include <stddef.h>
#include <stdint.h>

enum fl_timer_where {
    FL_TIMER_OUT = 0, /* zeroed memory is a timer that is in no structure */
    FL_TIMER_IN_HEAP,
    FL_TIMER_IN_BUCKET,
    FL_TIMER_IN_OVERFLOW,
};

/* What a timer is embedded in: for its owner alone. */
enum fl_timer_kind {
    FL_TIMER_OF_HANDLE = 0,
    FL_TIMER_OF_ALARM,
};

struct fl_timer {
    double when_s;       /* deadline; fixed while the timer is in */
    uint64_t sequence;   /* set by add: equal deadlines fire in this order */
    struct fl_list link; /* in a bucket or the overflow list */
    uint32_t heap_index; /* in the heap */
    uint16_t where;      /* enum fl_timer_where */
    uint16_t kind;       /* enum fl_timer_kind */
};

struct fl_timer_heap_entry {
    double key_s; /* never NaN */
    uint64_t sequence;
    struct fl_timer *timer;
};

struct fl_timer_heap {
    struct fl_timer_heap_entry *entries;
    uint32_t count;
    uint32_t capacity;
};

/* Makes room for n_timers in all. Returns 0 or -ENOMEM (the heap is then
 * unchanged). Never gives memory back. */
int fl_timer_heap_reserve(struct fl_timer_heap *heap, size_t n_timers);

/* Gives memory back if n_timers, the most that can come, are far fewer than
 * there is room for. */
void fl_timer_heap_shrink(struct fl_timer_heap *heap, size_t n_timers);

/* Frees the array. A zeroed heap is an empty one. */
void fl_timer_heap_deinit(struct fl_timer_heap *heap);

/* There must be room. */
void
fl_timer_heap_push(struct fl_timer_heap *heap, double key_s, struct fl_timer *timer);

/* Pushes without keeping order: order the heap before anything else. There must
 * be room. */
void
fl_timer_heap_append(struct fl_timer_heap *heap, double key_s, struct fl_timer *timer);

/* Restores the order after appends; linear time. */
void fl_timer_heap_order(struct fl_timer_heap *heap);

/* Takes out the timer at index, index < count. */
void fl_timer_heap_remove(struct fl_timer_heap *heap, uint32_t index);

/* Consistency walker: 0, or -EINVAL if order, indices or counts are wrong. */
int fl_timer_heap_check(const struct fl_timer_heap *heap);

#endif
