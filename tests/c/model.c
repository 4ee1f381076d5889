/* The ring and the timers as plain calls on numbers, for the model tests. */
#include "base/ring.h"
#include "base/timers.h"
#include "os/clock.h"

#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

struct model_timer {
    struct fl_timer timer;
    int64_t id;
};

EXPORT struct fl_timers *model_timers_new(double now_s);
EXPORT void model_timers_free(struct fl_timers *timers);
EXPORT struct model_timer *model_timer_new(int64_t id);
EXPORT void model_timer_free(struct model_timer *timer);
EXPORT int model_timers_add(struct fl_timers *, struct model_timer *, double when_s);
EXPORT void model_timers_remove(struct fl_timers *, struct model_timer *);
EXPORT int64_t model_timers_pop_due(struct fl_timers *timers, double end_s);
EXPORT uint32_t model_timer_where(const struct model_timer *timer);
EXPORT size_t model_timers_visit_count(const struct fl_timers *timers);
EXPORT struct fl_ring *model_ring_new(size_t capacity, size_t start);
EXPORT void model_ring_free(struct fl_ring *ring);
EXPORT int model_ring_push(struct fl_ring *ring, uintptr_t word);
EXPORT uintptr_t model_ring_pop(struct fl_ring *ring);
EXPORT uintptr_t model_ring_peek(const struct fl_ring *ring, size_t i);
EXPORT size_t model_ring_count(const struct fl_ring *ring);
EXPORT double model_clock_s(void);

struct fl_timers *
model_timers_new(double now_s)
{
    struct fl_timers *timers = malloc(sizeof(*timers));
    if (timers != NULL) {
        fl_timers_init(timers, now_s);
    }
    return timers;
}

void
model_timers_free(struct fl_timers *timers)
{
    fl_timers_deinit(timers);
    free(timers);
}

struct model_timer *
model_timer_new(int64_t id)
{
    struct model_timer *timer = calloc(1, sizeof(*timer));
    if (timer != NULL) {
        timer->id = id;
    }
    return timer;
}

void
model_timer_free(struct model_timer *timer)
{
    free(timer);
}

int
model_timers_add(struct fl_timers *timers, struct model_timer *timer, double when_s)
{
    return fl_timers_add(timers, &timer->timer, when_s);
}

void
model_timers_remove(struct fl_timers *timers, struct model_timer *timer)
{
    fl_timers_remove(timers, &timer->timer);
}

int64_t
model_timers_pop_due(struct fl_timers *timers, double end_s)
{
    struct fl_timer *timer = fl_timers_pop_due(timers, end_s);
    return timer == NULL ? -1 : FL_CONTAINER_OF(timer, struct model_timer, timer)->id;
}

uint32_t
model_timer_where(const struct model_timer *timer)
{
    return timer->timer.where;
}

static int
count_one(struct fl_timer *timer, void *arg)
{
    (void)timer;
    ++*(size_t *)arg;
    return 0;
}

size_t
model_timers_visit_count(const struct fl_timers *timers)
{
    size_t count = 0;
    (void)fl_timers_visit(timers, count_one, &count);
    return count;
}

struct fl_ring *
model_ring_new(size_t capacity, size_t start)
{
    struct fl_ring *ring = malloc(sizeof(*ring));
    if (ring != NULL && fl_ring_init(ring, capacity) == 0) {
        ring->head = ring->tail = start;
    }
    return ring;
}

void
model_ring_free(struct fl_ring *ring)
{
    fl_ring_deinit(ring);
    free(ring);
}

int
model_ring_push(struct fl_ring *ring, uintptr_t word)
{
    return fl_ring_push(ring, word);
}

uintptr_t
model_ring_pop(struct fl_ring *ring)
{
    return fl_ring_pop(ring);
}

uintptr_t
model_ring_peek(const struct fl_ring *ring, size_t i)
{
    return fl_ring_peek(ring, i);
}

size_t
model_ring_count(const struct fl_ring *ring)
{
    return fl_ring_count(ring);
}

double
model_clock_s(void)
{
    return fl_clock_monotonic_s();
}
