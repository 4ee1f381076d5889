/* Random programs on the timers; the model is an array, searched from end to end. */
#include "base/timers.h"

#include "fuzz.h"

#include <math.h>

#define N_TIMERS 200

static const double edges[] = {
    NAN,    INFINITY, -INFINITY, 0.0,    -0.0,   0x1p53, 0x1p53 - 1, -0x1p53,
    0x1p63, -0x1p63,  1e300,     -1e300, 5e-324, 1.7e18, -0.5,       255.5,
};

struct model {
    struct fl_timers timers;
    struct fl_timer timer[N_TIMERS];
    bool in[N_TIMERS];
    uint64_t order[N_TIMERS]; /* of adding */
    uint64_t n_added;
    size_t n_in;
    double now_s;
};

static double
key(const struct fl_timer *timer)
{
    return isnan(timer->when_s) ? -INFINITY : timer->when_s;
}

/* The index of the earliest, or N_TIMERS. */
static size_t
earliest(const struct model *model)
{
    size_t best = N_TIMERS;
    for (size_t i = 0; i < N_TIMERS; i++) {
        if (!model->in[i]) {
            continue;
        }
        if (best == N_TIMERS || key(&model->timer[i]) < key(&model->timer[best]) ||
            (key(&model->timer[i]) == key(&model->timer[best]) &&
             model->order[i] < model->order[best])) {
            best = i;
        }
    }
    return best;
}

static double
earliest_key(const struct model *model)
{
    size_t i = earliest(model);
    return i == N_TIMERS ? INFINITY : key(&model->timer[i]);
}

static double
read_when(struct fuzz_program *program, double now_s)
{
    double raw;
    uint8_t bytes[sizeof(raw)];
    switch (fuzz_below(program, 6)) {
    case 0:
        return edges[fuzz_below(program, sizeof(edges) / sizeof(edges[0]))];
    case 1:
        for (size_t i = 0; i < sizeof(bytes); i++) {
            bytes[i] = fuzz_byte(program);
        }
        memcpy(&raw, bytes, sizeof(raw));
        return raw;
    case 2: /* minutes */
        return now_s + fuzz_byte(program) * 4.0 + fuzz_byte(program) / 64.0;
    case 3: /* around the horizon of the buckets */
        return now_s + FL_TIMERS_N_BUCKETS - 8 + fuzz_byte(program) % 16;
    default: /* soon; equal ones are common */
        return now_s + fuzz_byte(program) / 32.0 - 1;
    }
}

static void
add(struct model *model, size_t i, double when_s)
{
    if (model->in[i]) {
        return;
    }
    HOLDS(fl_timers_add(&model->timers, &model->timer[i], when_s) == 0);
    model->in[i] = true;
    model->order[i] = model->n_added++;
    model->n_in++;
}

static void
take_out(struct model *model, size_t i)
{
    model->n_in -= model->in[i];
    model->in[i] = false;
}

static void
pop_due(struct model *model, double end_s, size_t limit)
{
    for (size_t n = 0; n < limit; n++) {
        size_t i = earliest(model);
        bool due = i < N_TIMERS && !(key(&model->timer[i]) >= end_s);
        struct fl_timer *timer = fl_timers_pop_due(&model->timers, end_s);
        HOLDS(timer == (due ? &model->timer[i] : NULL));
        if (!due) {
            return;
        }
        take_out(model, i);
    }
}

static int
count_one(struct fl_timer *timer, void *arg)
{
    (void)timer;
    ++*(size_t *)arg;
    return 0;
}

static void
check(struct model *model)
{
    size_t n = 0;
    struct fl_timer *any = fl_timers_any(&model->timers);
    HOLDS(fl_timers_check(&model->timers) == 0);
    HOLDS(model->timers.count == model->n_in);
    HOLDS(fl_timers_visit(&model->timers, count_one, &n) == 0);
    HOLDS(n == model->n_in);
    HOLDS((any != NULL) == (n > 0));
    HOLDS(any == NULL || model->in[any - model->timer]);
    HOLDS(fl_timers_bound(&model->timers) <= earliest_key(model));
    HOLDS(fl_timers_floor(&model->timers) <= earliest_key(model));
}

static void
operate(struct model *model, struct fuzz_program *program)
{
    size_t i;
    switch (fuzz_below(program, 12)) {
    case 0: { /* many at once */
        double when_s = read_when(program, model->now_s);
        double step_s = fuzz_byte(program) % 3 * 0.75;
        size_t n = fuzz_byte(program);
        for (i = 0; i < n && i < N_TIMERS; i++) {
            add(model, i, when_s + step_s * (double)(i * 7 % n));
        }
        return;
    }
    case 1:
        i = fuzz_below(program, N_TIMERS);
        fl_timers_remove(&model->timers, &model->timer[i]); /* also one that is out */
        take_out(model, i);
        return;
    case 2:
        i = earliest(model);
        if (i < N_TIMERS) {
            fl_timers_remove(&model->timers, &model->timer[i]);
            take_out(model, i);
        }
        return;
    case 3: { /* most of them */
        size_t keep = fuzz_below(program, 8);
        for (i = keep; i < N_TIMERS; i++) {
            fl_timers_remove(&model->timers, &model->timer[i]);
            take_out(model, i);
        }
        return;
    }
    case 4: { /* the clock is set */
        double now_s = read_when(program, 0);
        model->now_s = isnan(now_s) ? 0 : now_s;
        return;
    }
    case 5: /* the clock runs */
        model->now_s += fuzz_byte(program) / 4.0;
        return;
    case 6:
        pop_due(model, read_when(program, model->now_s), 4);
        return;
    case 7:
    case 8:
        pop_due(model, model->now_s, N_TIMERS);
        return;
    case 9:
        HOLDS(fl_timers_next(&model->timers) == earliest_key(model));
        return;
    default:
        i = fuzz_below(program, N_TIMERS);
        add(model, i, read_when(program, model->now_s));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_program program = {data, data + size};
    struct model *model = calloc(1, sizeof(*model));
    HOLDS(model != NULL);
    double now_s = read_when(&program, 0);
    fl_timers_init(&model->timers, now_s);
    model->now_s = isnan(now_s) ? 0 : now_s;
    while (fuzz_more(&program)) {
        operate(model, &program);
        check(model);
    }
    fl_timers_deinit(&model->timers);
    fl_timers_deinit(&model->timers);
    for (size_t i = 0; i < N_TIMERS; i++) {
        HOLDS(model->timer[i].where == FL_TIMER_OUT);
    }
    free(model);
    return 0;
}
