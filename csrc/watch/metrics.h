/* What a loop counts of its steps, always.
 *
 * Two histograms, of how long steps took and of how long they had to wait behind
 * others (the lag, from the poll's return or its skip to the run), with buckets that
 * double from a microsecond: bucket 0 is what is shorter. And the slowest steps lately,
 * by name. All in ticks (os/clock.h); whoever shows them knows the rate.
 *
 * Lags below the first edge are not counted: they are what is left of the steps. A
 * further bucket's are counted when a drain of the ready ring leaves it, by how far the
 * ring's head has come: no instruction a step but the look at the edge.
 *
 * Under the GIL.
 */
#ifndef FASTLOOP_WATCH_METRICS_H
#define FASTLOOP_WATCH_METRICS_H

#include "os/clock.h"
#include "py/compat.h"

#define FL_N_BUCKETS 34 /* the last but one ends at 2^32 us, over an hour */
#define FL_N_SLOWEST 8
#define FL_SLOW_NS 1000000         /* what is shorter is no slow step */
#define FL_LATELY_NS 60000000000LL /* a slow step is remembered so long */

struct fl_slow_step {
    PyObject *name; /* owned, a str */
    int64_t ticks;
    int64_t end_ns; /* CLOCK_MONOTONIC */
};

struct fl_metrics {
    uint64_t steps[FL_N_BUCKETS];
    uint64_t lags[FL_N_BUCKETS]; /* but for the first */
    uint64_t scale;              /* 2^65 / ticks of a microsecond */
    int64_t us_ticks;            /* a microsecond */
    int64_t slow_ticks;          /* longer steps are looked at more closely */
    int64_t between_ticks;       /* so is what lies between steps, if it is longer */
    int64_t longest_ticks;
    int64_t longest_lag_ticks;
    int64_t lag_limit_ticks; /* when the drain's present bucket of lag ends */
    size_t lag_from;         /* the ring's head when it was entered */
    unsigned int lag_bucket;
    unsigned int n_slowest;
    struct fl_slow_step slowest[FL_N_SLOWEST];
};

/* Also whenever the rate is known better. */
void fl_metrics_set_rate(struct fl_metrics *self, double ticks_per_ns);

/* Forgets what was measured, not the rate. */
void fl_metrics_reset(struct fl_metrics *self);

/* The bucket of a span that is not negative, unless it is beyond the last. */
static inline unsigned int
fl_metrics_raw_bucket(const struct fl_metrics *self, int64_t ticks)
{
    /* its length in bits, of microseconds: one more bit is there for what has none */
    uint64_t halves =
        (uint64_t)(((unsigned __int128)(uint64_t)ticks * self->scale) >> 64);
    return 63 - (unsigned int)__builtin_clzll(halves | 1);
}

/* Counts a step; false if fl_metrics_slow_step is to do so. */
static inline bool
fl_metrics_step(struct fl_metrics *self, int64_t ticks)
{
    /* a negative one counts as very long until it has been looked at */
    if ((uint64_t)ticks > (uint64_t)self->slow_ticks) {
        return false;
    }
    self->steps[fl_metrics_raw_bucket(self, ticks)]++;
    return true;
}

/* Counts such a step. Whether it is one to remember, by name. */
bool fl_metrics_slow_step(struct fl_metrics *self, int64_t ticks, double ticks_per_ns);

/* Remembers it. Steals name, which may be NULL. */
void fl_metrics_remember(
    struct fl_metrics *self, PyObject *name, int64_t ticks, int64_t now_ns
);

/* A drain begins, or comes to its second entry; the first's turn was at first. */
static inline void
fl_metrics_begin(struct fl_metrics *self, int64_t first)
{
    self->lag_limit_ticks = first + self->us_ticks;
}

/* A drain has come to the limit of its bucket of lag; entries from head on, whose turn
 * is at now, are in a further one. */
void fl_metrics_cross(struct fl_metrics *self, int64_t first, int64_t now, size_t head);

/* The end of a drain that has: head, and the lag of its last entry. */
void fl_metrics_settle(struct fl_metrics *self, int64_t lag_ticks, size_t head);

#endif
