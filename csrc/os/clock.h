/* Clocks.
 *
 * fl_clock_monotonic_s is what time.monotonic() reads (CLOCK_MONOTONIC), so
 * deadlines made by either agree. fl_clock_ticks is a cheap counter of unknown
 * rate for measuring short spans (x86: TSC, aarch64: virtual counter,
 * elsewhere nanoseconds of CLOCK_MONOTONIC); fl_tick_rate learns the rate while
 * the program runs. Ticks of different threads may differ a little, so spans
 * are signed and a negative one counts as zero.
 *
 * Any thread; struct fl_tick_rate belongs to one.
 */
#ifndef FASTLOOP_OS_CLOCK_H
#define FASTLOOP_OS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline int64_t
fl_clock_monotonic_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* The same double time.monotonic() makes of the same reading. */
static inline double
fl_clock_monotonic_s(void)
{
    return (double)fl_clock_monotonic_ns() / 1e9;
}

/* The same clock as of the last time that the kernel looked at it, some milliseconds
 * ago: a tenth of the time to read. */
static inline double
fl_clock_coarse_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The time that this thread had a processor. A system call. */
static inline int64_t
fl_clock_thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t
fl_clock_ticks(void)
{
#if defined(__x86_64__)
    return (int64_t)__builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    int64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return fl_clock_monotonic_ns();
#endif
}

/* So many ticks take no longer than half a millisecond, on any machine. */
#if defined(__x86_64__)
#define FL_FEW_TICKS UINT64_C(250000)
#elif defined(__aarch64__)
#define FL_FEW_TICKS UINT64_C(500)
#else
#define FL_FEW_TICKS UINT64_C(500000)
#endif

struct fl_tick_rate {
    int64_t start_ticks;
    int64_t start_ns;
    int64_t window_ns;     /* span of the measurement under way */
    double ticks_per_ns;   /* a low guess until a millisecond has passed */
    uint64_t window_ticks; /* of window_ns, at that rate */
};

void fl_tick_rate_init(struct fl_tick_rate *rate);

/* Whether the window under way may be over, or the counter was set back: for who has
 * read the ticks and has no other reason to read the clock. */
static inline bool
fl_tick_rate_is_due(const struct fl_tick_rate *rate, int64_t now_ticks)
{
    /* set back is more than any window */
    return (uint64_t)(now_ticks - rate->start_ticks) >= rate->window_ticks;
}

/* Refines the rate; cheap enough for every poll. now_ns: CLOCK_MONOTONIC, read
 * next to now_ticks. */
void fl_tick_rate_update(struct fl_tick_rate *rate, int64_t now_ticks, int64_t now_ns);

/* The same though the first window is not over yet: for who shows spans to people. */
void fl_tick_rate_settle(struct fl_tick_rate *rate, int64_t now_ticks, int64_t now_ns);

#endif
