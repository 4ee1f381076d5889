/* What a loop counts of its steps, always. */
#include "watch/metrics.h"

#include <string.h>

static void
set_slow(struct fl_metrics *self, double ticks_per_ns)
{
    int64_t slow_ticks = (int64_t)(FL_SLOW_NS * ticks_per_ns);
    self->slow_ticks =
        self->longest_ticks < slow_ticks ? self->longest_ticks : slow_ticks;
}

void
fl_metrics_set_rate(struct fl_metrics *self, double ticks_per_ns)
{
    double ticks_per_us = ticks_per_ns * 1e3;
    /* a rate so low is a guess gone wrong: 2^65 of it must fit */
    ticks_per_us = ticks_per_us < 4.0 ? 4.0 : ticks_per_us;
    self->scale = (uint64_t)(0x1p65 / ticks_per_us);
    self->us_ticks = (int64_t)ticks_per_us;
    self->between_ticks = (int64_t)(FL_SLOW_NS * ticks_per_ns);
    set_slow(self, ticks_per_ns);
}

void
fl_metrics_reset(struct fl_metrics *self)
{
    struct fl_slow_step slowest[FL_N_SLOWEST];
    unsigned int n_slowest = self->n_slowest;
    memcpy(slowest, self->slowest, sizeof(slowest));
    uint64_t scale = self->scale;
    int64_t us_ticks = self->us_ticks, between_ticks = self->between_ticks;
    memset(self, 0, sizeof(*self));
    self->scale = scale;
    self->us_ticks = us_ticks;
    self->between_ticks = between_ticks;
    for (unsigned int i = 0; i < n_slowest; i++) {
        Py_XDECREF(slowest[i].name);
    }
}

static unsigned int
bucket_of(const struct fl_metrics *self, int64_t ticks)
{
    unsigned int bucket = ticks < 0 ? 0 : fl_metrics_raw_bucket(self, ticks);
    return bucket < FL_N_BUCKETS ? bucket : FL_N_BUCKETS - 1;
}

bool
fl_metrics_slow_step(struct fl_metrics *self, int64_t ticks, double ticks_per_ns)
{
    self->steps[bucket_of(self, ticks)]++;
    if (ticks > self->longest_ticks) {
        self->longest_ticks = ticks;
        set_slow(self, ticks_per_ns);
    }
    return (double)ticks >= FL_SLOW_NS * ticks_per_ns;
}

/* The place for a step of that length: of one that is long ago, or of the shortest if
 * that is shorter; else NULL. */
static struct fl_slow_step *
find_place(struct fl_metrics *self, int64_t ticks, int64_t now_ns)
{
    if (self->n_slowest < FL_N_SLOWEST) {
        return &self->slowest[self->n_slowest++];
    }
    struct fl_slow_step *shortest = NULL;
    for (unsigned int i = 0; i < FL_N_SLOWEST; i++) {
        struct fl_slow_step *step = &self->slowest[i];
        if (now_ns - step->end_ns > FL_LATELY_NS) {
            return step;
        }
        if (shortest == NULL || step->ticks < shortest->ticks) {
            shortest = step;
        }
    }
    return shortest->ticks < ticks ? shortest : NULL;
}

void
fl_metrics_remember(
    struct fl_metrics *self, PyObject *name, int64_t ticks, int64_t now_ns
)
{
    struct fl_slow_step *place = name == NULL ? NULL : find_place(self, ticks, now_ns);
    if (place == NULL) {
        Py_XDECREF(name);
        return;
    }
    place->ticks = ticks;
    place->end_ns = now_ns;
    Py_XSETREF(place->name, name); /* a str: runs nobody's code */
}

static void
note_longest_lag(struct fl_metrics *self, int64_t lag_ticks)
{
    if (lag_ticks > self->longest_lag_ticks) {
        self->longest_lag_ticks = lag_ticks;
    }
}

void
fl_metrics_cross(struct fl_metrics *self, int64_t first, int64_t now, size_t head)
{
    if (self->lag_bucket != 0) {
        self->lags[self->lag_bucket] += head - self->lag_from;
    }
    self->lag_from = head;
    self->lag_bucket = bucket_of(self, now - first);
    int64_t edge_ticks = self->lag_bucket < FL_N_BUCKETS - 1
                             ? self->us_ticks << self->lag_bucket
                             : INT64_MAX / 2;
    if (edge_ticks <= now - first) {
        edge_ticks = now - first + 1; /* rounded otherwise than the bucket */
    }
    self->lag_limit_ticks = first + edge_ticks;
}

void
fl_metrics_settle(struct fl_metrics *self, int64_t lag_ticks, size_t head)
{
    note_longest_lag(self, lag_ticks);
    self->lags[self->lag_bucket] += head - self->lag_from;
    self->lag_bucket = 0;
}
