#include "os/clock.h"

#include "check.h"

#include <math.h>

#define MS INT64_C(1000000)

CASE(seconds_are_the_nanoseconds)
{
    int64_t before_ns = fl_clock_monotonic_ns();
    double now_s = fl_clock_monotonic_s();
    int64_t after_ns = fl_clock_monotonic_ns();
    CHECK((double)before_ns / 1e9 <= now_s);
    CHECK(now_s <= (double)after_ns / 1e9);
}

CASE(ticks_follow_the_nanoseconds)
{
    /* A preempted thread spoils a measurement: one good one of many will do. */
    bool good = false;
    for (int attempt = 0; attempt < 100 && !good; attempt++) {
        struct fl_tick_rate rate;
        fl_tick_rate_init(&rate);
        double guess = rate.ticks_per_ns;
        int64_t now_ns = rate.start_ns;
        while (now_ns - rate.start_ns < 2 * MS) {
            now_ns = fl_clock_monotonic_ns();
        }
        fl_tick_rate_update(&rate, fl_clock_ticks(), now_ns);
        CHECK(guess > 0 && guess <= rate.ticks_per_ns * 1.01);

        int64_t start_ticks = fl_clock_ticks();
        int64_t start_ns = fl_clock_monotonic_ns();
        do {
            now_ns = fl_clock_monotonic_ns();
        } while (now_ns - start_ns < MS);
        double span_ns = (double)(fl_clock_ticks() - start_ticks) / rate.ticks_per_ns;
        good = fabs(span_ns / (double)(now_ns - start_ns) - 1) < 0.01;
    }
    CHECK(good);
}

static struct fl_tick_rate
rate_at_zero(void)
{
    struct fl_tick_rate rate;
    fl_tick_rate_init(&rate);
    rate.start_ticks = 0;
    rate.start_ns = 0;
    return rate;
}

CASE(the_guess_stands_for_a_millisecond)
{
    struct fl_tick_rate rate = rate_at_zero();
    double guess = rate.ticks_per_ns;
    fl_tick_rate_update(&rate, 3 * MS - 3, MS - 1);
    CHECK(rate.ticks_per_ns == guess);
    fl_tick_rate_update(&rate, 3 * MS, MS);
    CHECK(rate.ticks_per_ns == 3.0);
}

CASE(a_spoilt_window_is_forgotten)
{
    struct fl_tick_rate rate = rate_at_zero();
    fl_tick_rate_update(&rate, 3 * MS, MS);
    fl_tick_rate_update(&rate, 27 * MS, 4 * MS); /* suspended for a while */
    CHECK(rate.ticks_per_ns == 8.0);
    fl_tick_rate_update(&rate, 57 * MS, 14 * MS);
    CHECK(rate.ticks_per_ns == 3.0);
}

CASE(a_rate_that_no_counter_has_is_not_believed)
{
    struct fl_tick_rate rate = rate_at_zero();
    fl_tick_rate_update(&rate, 3 * MS, MS);
    fl_tick_rate_update(&rate, 3000000 * MS, 4 * MS); /* suspended for long */
    CHECK(rate.ticks_per_ns == 3.0);
    fl_tick_rate_update(&rate, 3000030 * MS, 14 * MS);
    CHECK(rate.ticks_per_ns == 3.0);
}

CASE(who_has_the_ticks_knows_when_to_look_at_the_clock)
{
    struct fl_tick_rate rate = rate_at_zero();
    fl_tick_rate_update(&rate, 3 * MS, MS); /* and a window of 2 ms begins */
    CHECK(!fl_tick_rate_is_due(&rate, 8 * MS));
    CHECK(fl_tick_rate_is_due(&rate, 9 * MS));
    CHECK(fl_tick_rate_is_due(&rate, 2 * MS)); /* set back */
}

CASE(a_span_to_show_does_not_wait_for_the_first_window)
{
    struct fl_tick_rate rate = rate_at_zero();
    fl_tick_rate_settle(&rate, 3000, 1000);
    CHECK(rate.ticks_per_ns == 3.0);
    fl_tick_rate_update(&rate, 2 * MS, MS);
    fl_tick_rate_settle(&rate, 2 * MS + 9000, MS + 1000);
    CHECK(rate.ticks_per_ns == 2.0);
}

CASE(ticks_that_run_back_teach_nothing)
{
    struct fl_tick_rate rate = rate_at_zero();
    fl_tick_rate_update(&rate, 3 * MS, MS);
    fl_tick_rate_update(&rate, 2 * MS, 11 * MS);
    CHECK(rate.ticks_per_ns == 3.0);
    fl_tick_rate_update(&rate, 22 * MS, 21 * MS);
    CHECK(rate.ticks_per_ns == 2.0);
}

CASE(windows_grow_to_a_second_and_no_further)
{
    struct fl_tick_rate rate = rate_at_zero();
    int64_t now_ns = 0;
    for (int i = 0; i < 40; i++) {
        now_ns += 2000 * MS;
        fl_tick_rate_update(&rate, now_ns, now_ns);
        CHECK(rate.ticks_per_ns == 1.0);
    }
    CHECK(rate.window_ns >= 1000 * MS && rate.window_ns < 2048 * MS);
}
