/* Learning the rate of the tick counter.
 *
 * The rate is measured over windows that grow from a millisecond to a second.
 * Each window starts afresh, so that one that was spoilt (the thread lost its
 * processor between the two readings, the machine was suspended: only one of the
 * two clocks counts that) is forgotten with the next.
 */
#include "os/clock.h"

#define WINDOW_MIN_NS 1000000
#define WINDOW_MAX_NS 1000000000

/* No counter is faster: a window with a higher rate is one in which the counter went on
 * and the clock stood still. */
#define MAX_TICKS_PER_NS 10.0

/* A counter is never slower than this. Too low a rate makes spans look too long,
 * so what is done after a span is done too early rather than too late. */
static double
tick_rate_guess(void)
{
#if defined(__x86_64__)
    return 0.5;
#elif defined(__aarch64__)
    uint64_t ticks_per_s;
    __asm__("mrs %0, cntfrq_el0" : "=r"(ticks_per_s));
    return (double)ticks_per_s / 1e9;
#else
    return 1.0;
#endif
}

static void
tick_rate_set(struct fl_tick_rate *rate, double ticks_per_ns, int64_t window_ns)
{
    rate->ticks_per_ns = ticks_per_ns;
    rate->window_ns = window_ns;
    rate->window_ticks = (uint64_t)((double)window_ns * ticks_per_ns);
}

void
fl_tick_rate_init(struct fl_tick_rate *rate)
{
    rate->start_ticks = fl_clock_ticks();
    rate->start_ns = fl_clock_monotonic_ns();
    tick_rate_set(rate, tick_rate_guess(), WINDOW_MIN_NS);
}

static void
tick_rate_measure(struct fl_tick_rate *rate, int64_t now_ticks, int64_t now_ns)
{
    double elapsed_ticks = (double)(now_ticks - rate->start_ticks);
    double elapsed_ns = (double)(now_ns - rate->start_ns);
    if (elapsed_ticks > 0.0 && elapsed_ns > 0.0 &&
        elapsed_ticks <= MAX_TICKS_PER_NS * elapsed_ns) {
        tick_rate_set(rate, elapsed_ticks / elapsed_ns, rate->window_ns);
    }
}

void
fl_tick_rate_settle(struct fl_tick_rate *rate, int64_t now_ticks, int64_t now_ns)
{
    if (rate->window_ns == WINDOW_MIN_NS) {
        tick_rate_measure(rate, now_ticks, now_ns);
    }
    fl_tick_rate_update(rate, now_ticks, now_ns);
}

void
fl_tick_rate_update(struct fl_tick_rate *rate, int64_t now_ticks, int64_t now_ns)
{
    if (now_ns - rate->start_ns < rate->window_ns) {
        return;
    }
    tick_rate_measure(rate, now_ticks, now_ns);
    rate->start_ticks = now_ticks;
    rate->start_ns = now_ns;
    if (rate->window_ns < WINDOW_MAX_NS) {
        tick_rate_set(rate, rate->ticks_per_ns, 2 * rate->window_ns);
    }
}
