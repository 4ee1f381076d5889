/* The loop's timers: ordered by (deadline, sequence), removed eagerly.
 *
 * Two stores with one order. Timers of the near future live in a 4-ary heap
 * whose entries hold the key inline. Timers of a later second live unsorted in
 * one-second buckets, and enter the heap when their second comes: a timeout
 * that is cancelled before that, as nearly all are, costs two pointer writes.
 * Deadlines beyond the buckets' horizon wait in one overflow list.
 *
 * Invariant: every timer in the heap has second(when) <= near_second, every
 * other one a later second; so while the heap is not empty its top is the
 * earliest timer of all.
 *
 * Deadlines are seconds on any clock, as a double (asyncio's unit: loop.time may
 * be overridden, and may jump either way). NaN counts as already due (asyncio's
 * heap lets it through as soon as it is reached); +inf never becomes due; huge
 * values stay exact. The structure owns no timer: each is embedded in its owner.
 * It has addresses into itself: it must not be moved.
 *
 * One thread at a time.
 */
#ifndef FASTLOOP_BASE_TIMERS_H
#define FASTLOOP_BASE_TIMERS_H

#include "base/list.h"
#include "base/timer_heap.h"

#include <stddef.h>
#include <stdint.h>

#define FL_TIMERS_N_BUCKETS 256

struct fl_timers {
    struct fl_timer_heap heap; /* the near future; has room for all timers */
    size_t count;              /* timers in all stores */
    uint64_t next_sequence;
    int64_t near_second; /* the invariant's border */
    struct fl_list overflow;
    double overflow_min_s; /* lower bound of the overflow's deadlines */
    uint64_t occupied[FL_TIMERS_N_BUCKETS / 64]; /* bit set: bucket not empty */
    struct fl_list buckets[FL_TIMERS_N_BUCKETS]; /* second s at s mod N */
};

/* now_s: the clock now; sets where the near future begins. Never fails. */
void fl_timers_init(struct fl_timers *timers, double now_s);

/* Frees the heap; timers still inside are marked out. Safe when called twice. */
void fl_timers_deinit(struct fl_timers *timers);

/* Adds a timer that is out. Returns 0 or -ENOMEM (the timer stays out). */
int fl_timers_add(struct fl_timers *timers, struct fl_timer *timer, double when_s);

/* Takes a timer out, wherever it is; one that is out stays out. */
void fl_timers_remove(struct fl_timers *timers, struct fl_timer *timer);

/* Puts another timer, which is out, into the place of one that is in: with its deadline
 * and its turn. Never fails. */
void fl_timers_replace(
    struct fl_timers *timers, struct fl_timer *timer, struct fl_timer *other
);

/* Takes out and returns the earliest timer with when_s < end_s (asyncio runs
 * what is due before now + clock_resolution), or NULL. Buckets that have come
 * due enter the heap on the way; add reserved the room, so this never fails.
 * With end_s NaN every timer is due, as in asyncio. When nothing is due it costs
 * a few loads: call it in every iteration. */
struct fl_timer *fl_timers_pop_due(struct fl_timers *timers, double end_s);

/* Deadline of the earliest timer, exactly: -inf for NaN, +inf if there is none.
 * May look at some timers or move the earliest bucket into the heap: call it when
 * about to sleep, not per iteration. */
double fl_timers_next(struct fl_timers *timers);

/* A lower bound of the earliest deadline, or +inf; never moves anything and
 * costs a few loads: nothing is due before it. */
double fl_timers_bound(const struct fl_timers *timers);

/* The same without a look at the buckets: two loads. */
static inline double
fl_timers_floor(const struct fl_timers *timers)
{
    return timers->heap.count > 0 ? timers->heap.entries[0].key_s
                                  : (double)timers->near_second + 1.0;
}

/* Any timer that is in, or NULL: for draining at close and for walking. */
struct fl_timer *fl_timers_any(const struct fl_timers *timers);

/* Calls visit(timer, arg) for each timer, in no order, until it returns
 * non-zero, and returns that. visit must not add or remove. */
int fl_timers_visit(
    const struct fl_timers *timers, int (*visit)(struct fl_timer *, void *), void *arg
);

/* Consistency walker for debug builds: 0, or -EINVAL. Checks heap order,
 * indices, the invariant, the bucket bitmap and the count. */
int fl_timers_check(const struct fl_timers *timers);

#endif
