/* What the timers and the ready ring cost by themselves, without an interpreter.
 *
 * A clock that is only a variable advances by CLOCK_STEP_S an operation, and
 * after each the timers are asked what is due, as a busy loop asks. A timer that
 * fires is made anew. Figures are the least of several rounds, in nanoseconds.
 * Run by containers.py.
 */
#include "base/ring.h"
#include "base/timers.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define N_ROUNDS 7
#define N_OPS 400000
#define MAX_PENDING 100000
#define CLOCK_STEP_S 2e-6

static struct fl_timers timers;
static struct fl_timer pool[MAX_PENDING];
static struct fl_ring ring;
static uint64_t random_state = 88172645463325252u;

struct scene {
    const char *name;
    size_t n_pending;
    bool far;    /* 5, 10, 30 or 60 s; otherwise anything up to 1 s */
    bool random; /* which timer is cancelled; otherwise the oldest */
};

static const struct scene scenes[] = {
    {"cancel+insert, 100 pending, 5-60 s, random", 100, true, true},
    {"cancel+insert, 100 pending, 5-60 s, oldest", 100, true, false},
    {"cancel+insert, 100 pending, up to 1 s, random", 100, false, true},
    {"cancel+insert, 100 pending, up to 1 s, oldest", 100, false, false},
    {"cancel+insert, 100k pending, 5-60 s, random", 100000, true, true},
    {"cancel+insert, 100k pending, 5-60 s, oldest", 100000, true, false},
    {"cancel+insert, 100k pending, up to 1 s, random", 100000, false, true},
    {"cancel+insert, 100k pending, up to 1 s, oldest", 100000, false, false},
};

static uint64_t
random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static double
timeout_s(bool far)
{
    static const double usual_s[] = {5, 10, 30, 60};
    uint64_t r = random_next();
    return far ? usual_s[r % 4] : (double)(r % 1000000) / 1e6;
}

static int64_t
now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void
add(struct fl_timer *timer, double when_s)
{
    if (fl_timers_add(&timers, timer, when_s) < 0) {
        abort();
    }
}

static double
measure_scene(const struct scene *scene)
{
    double clock_s = 1000.25;
    double least_ns = 1e9;
    fl_timers_init(&timers, clock_s);
    for (size_t i = 0; i < scene->n_pending; i++) {
        add(&pool[i], clock_s + timeout_s(scene->far));
    }
    size_t oldest = 0;
    for (int round = 0; round < N_ROUNDS; round++) {
        int64_t start_ns = now_ns();
        for (int i = 0; i < N_OPS; i++, clock_s += CLOCK_STEP_S) {
            size_t victim = random_next() % scene->n_pending;
            if (!scene->random) {
                victim = oldest;
                oldest = oldest + 1 < scene->n_pending ? oldest + 1 : 0;
            }
            fl_timers_remove(&timers, &pool[victim]);
            add(&pool[victim], clock_s + timeout_s(scene->far));
            for (struct fl_timer *due; (due = fl_timers_pop_due(&timers, clock_s));) {
                add(due, clock_s + timeout_s(scene->far));
            }
        }
        double ns = (double)(now_ns() - start_ns) / N_OPS;
        least_ns = ns < least_ns ? ns : least_ns;
    }
    fl_timers_deinit(&timers);
    return least_ns;
}

/* n timers of one second made, then fired. */
static double
measure_firing(size_t n, bool far)
{
    double least_ns = 1e9;
    for (int round = 0; round < N_ROUNDS; round++) {
        fl_timers_init(&timers, 1000.0);
        int64_t start_ns = now_ns();
        for (size_t i = 0; i < n; i++) {
            add(&pool[i], (far ? 1010.0 : 1000.0) + timeout_s(false));
        }
        size_t n_fired = 0;
        while (fl_timers_pop_due(&timers, 1020.0) != NULL) {
            n_fired++;
        }
        double ns = (double)(now_ns() - start_ns) / (double)n;
        least_ns = ns < least_ns ? ns : least_ns;
        if (n_fired != n) {
            abort();
        }
        fl_timers_deinit(&timers);
    }
    return least_ns;
}

/* Asking in vain, with a timer far away or near; before a sleep too. */
static double
measure_asking(bool far, bool about_to_sleep)
{
    double least_ns = 1e9;
    double sum = 0;
    fl_timers_init(&timers, 1000.0);
    for (size_t i = 0; i < 10; i++) {
        add(&pool[i], far ? 1060.0 : 1000.75);
    }
    for (int round = 0; round < N_ROUNDS; round++) {
        int64_t start_ns = now_ns();
        for (int i = 0; i < N_OPS; i++) {
            if (fl_timers_pop_due(&timers, 1000.25 + i * 1e-9) != NULL) {
                abort();
            }
            sum += about_to_sleep ? fl_timers_next(&timers) : 0;
        }
        double ns = (double)(now_ns() - start_ns) / N_OPS;
        least_ns = ns < least_ns ? ns : least_ns;
    }
    fl_timers_deinit(&timers);
    return sum < 0 ? 0 : least_ns;
}

static double
measure_ring(size_t n_batch)
{
    double least_ns = 1e9;
    uintptr_t sum = 0;
    if (fl_ring_init(&ring, 64) < 0) {
        abort();
    }
    for (int round = 0; round < N_ROUNDS; round++) {
        int64_t start_ns = now_ns();
        for (size_t n = 0; n < N_OPS; n += n_batch) {
            for (size_t i = 0; i < n_batch; i++) {
                if (fl_ring_push(&ring, i) < 0) {
                    abort();
                }
            }
            for (size_t i = 0; i < n_batch; i++) {
                sum += fl_ring_pop(&ring);
            }
        }
        double ns = (double)(now_ns() - start_ns) / N_OPS;
        least_ns = ns < least_ns ? ns : least_ns;
    }
    fl_ring_deinit(&ring);
    return sum == 1 ? 0 : least_ns;
}

static void
report(const char *name, double ns)
{
    printf("%-48s %7.1f\n", name, ns);
}

int
main(void)
{
    for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
        report(scenes[i].name, measure_scene(&scenes[i]));
    }
    report("insert+fire, 100, this second", measure_firing(100, false));
    report("insert+fire, 100, ten seconds on", measure_firing(100, true));
    report("insert+fire, 100k, this second", measure_firing(100000, false));
    report("insert+fire, 100k, ten seconds on", measure_firing(100000, true));
    report("nothing due, timers in this second", measure_asking(false, false));
    report("nothing due, timers in a minute", measure_asking(true, false));
    report("nothing due, then next; in this second", measure_asking(false, true));
    report("nothing due, then next; in a minute", measure_asking(true, true));
    report("ring push+pop, one at a time", measure_ring(1));
    report("ring push+pop, 1,000 at a time", measure_ring(1000));
    return 0;
}
