/* The thread that looks, and who calls it. */
#include "watch/lookout.h"

#include "core/loop/loop.h"
#include "os/thread_look.h"
#include "py/args/call.h"
#include "py/error.h"
#include "watch/lookout_state.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How far a step has come: nothing is known of it; it has gone on for half the limit;
 * for the limit; for ten times that. */
enum { FRESH, LONG, OVER, FAR_OVER };

#define FAR 10.0
#define REST (-1)
#define GIL_WAIT_NS 20000000 /* for the teller to have the GIL */
/* Blocks that are told of: FL_TOKENS_MAX at once, then so many a second. */
#define TOKENS_PER_S 1.0

static bool
is_at_rest(const LoopObject *loop)
{
    return __atomic_load_n(&loop->sleeping, __ATOMIC_SEQ_CST);
}

static int64_t
ticks_of(const struct fl_lookout *self, double seconds)
{
    return (int64_t)(seconds * 1e9 * self->rate.ticks_per_ns);
}

static void
sample(struct fl_watched *watched, int64_t now)
{
    watched->half_ticks = now;
    watched->half_awake_ns = fl_thread_awake_ns(watched->thread);
}

static double
awake_share(
    const struct fl_lookout *self, const struct fl_watched *watched, int64_t now
)
{
    int64_t awake_ns = fl_thread_awake_ns(watched->thread);
    double span_ns = (double)(now - watched->half_ticks) / self->rate.ticks_per_ns;
    if (awake_ns < 0 || watched->half_awake_ns < 0 || span_ns <= 0.0) {
        return -1.0;
    }
    double share = (double)(awake_ns - watched->half_awake_ns) / span_ns;
    return share > 1.0 ? 1.0 : share;
}

/* Whether there is time to tell of one more block. */
static bool
may_tell(struct fl_lookout *self, int64_t now)
{
    double span_s = (double)(now - self->tokens_ticks) / self->rate.ticks_per_ns / 1e9;
    self->tokens_ticks = now;
    self->tokens += span_s > 0.0 ? span_s * TOKENS_PER_S : 0.0;
    if (self->tokens > FL_TOKENS_MAX) {
        self->tokens = FL_TOKENS_MAX;
    }
    if (self->tokens < 1.0) {
        self->n_untold++;
        return false;
    }
    self->tokens -= 1.0;
    return true;
}

/* Looks at one loop. Ticks from now until it is to be looked at again, or REST until it
 * calls; 0 if there is something to tell. */
static int64_t
look_at(struct fl_lookout *self, struct fl_watched *watched, int64_t now)
{
    if (is_at_rest(watched->loop)) {
        watched->stage = FRESH;
        watched->stamp = 0;
        /* One that polled since the last look will be awake at once, and calling this
         * thread then is a system call for both: 4 % of an echo. */
        if (watched->looked_polls != watched->loop->n_polls) {
            watched->looked_polls = watched->loop->n_polls;
            return ticks_of(self, self->settings.limit_s) / 2;
        }
        return REST;
    }
    int64_t stamp = __atomic_load_n(&watched->loop->last_step_ticks, __ATOMIC_RELAXED);
    if (stamp != watched->stamp) {
        watched->since = stamp > watched->stamp ? stamp : now;
        watched->stamp = stamp;
        watched->stage = FRESH;
    }
    int64_t limit = ticks_of(self, self->settings.limit_s);
    int64_t gone = now - watched->since;
    if (watched->stage == FRESH && gone >= limit / 2) {
        sample(watched, now);
        watched->stage = LONG;
    }
    switch (watched->stage) {
    case FRESH:
        return limit / 2 - gone;
    case LONG:
        return gone >= limit ? 0 : limit - gone;
    case OVER:
        return gone >= (int64_t)(FAR * (double)limit)
                   ? 0
                   : (int64_t)(FAR * (double)limit) - gone;
    default:
        return limit; /* to see it end */
    }
}

bool
fl_lookout_is_over(const struct fl_watched *watched)
{
    const LoopObject *loop = watched->loop;
    return watched->stage >= OVER && !is_at_rest(loop) &&
           watched->stamp == __atomic_load_n(&loop->last_step_ticks, __ATOMIC_RELAXED);
}

void
fl_lookout_describe(
    const struct fl_lookout *self, const struct fl_watched *watched, int64_t now,
    struct fl_sight *sight
)
{
    sight->run = watched->run;
    sight->stamp = watched->stamp;
    sight->kind = watched->stage == OVER ? FL_SIGHT_FIRST : FL_SIGHT_AGAIN;
    sight->elapsed_s = (double)(now - watched->since) / self->rate.ticks_per_ns / 1e9;
    sight->awake_share = awake_share(self, watched, now);
    sight->gc_share = fl_sight_gc_share(self, watched->since, now);
    sight->blind = false;
    sight->awake = sight->awake_share > 0.5;
    sight->call[0] = 0;
    sight->dump_size = 0;
    sight->queued_ns = fl_clock_monotonic_ns();
    sight->name[0] = 0;
    sight->dump[0] = 0;
}

void
fl_lookout_after(struct timespec *when, int64_t ns)
{
    clock_gettime(CLOCK_MONOTONIC, when);
    when->tv_sec += ns / 1000000000;
    when->tv_nsec += (long)(ns % 1000000000);
    if (when->tv_nsec >= 1000000000) {
        when->tv_nsec -= 1000000000;
        when->tv_sec++;
    }
}

void
fl_lookout_pause(void)
{
    const struct timespec moment = {0, 10000000};
    nanosleep(&moment, NULL);
}

static bool
is_taken(const struct fl_lookout *self, uint64_t number)
{
    return self->n_taken >= number;
}

/* Puts what was found out into the sight, if it still waits. Whether it does. */
static bool
amend(struct fl_lookout *self, const struct fl_sight *sight)
{
    for (unsigned int i = 0; i < self->n_sights; i++) {
        if (self->sights[i].number == sight->number) {
            self->sights[i] = *sight;
            return true;
        }
    }
    return false;
}

/* Tells of a step that is over the limit. Under the lock, which is given up meanwhile,
 * also for a write that takes long: any loop may leave. */
static void
tell(struct fl_lookout *self, struct fl_watched *watched, int64_t now)
{
    watched->stage++;
    if (watched->stage == OVER && may_tell(self, now)) {
        watched->told_of = watched->stamp;
    }
    if (watched->told_of != watched->stamp) {
        return;
    }
    struct fl_sight *sight = &self->draft;
    fl_lookout_describe(self, watched, now, sight);
    sight->n_untold = self->n_untold;
    sight->number = fl_sight_queue(self, sight);
    if (sight->number == 0) {
        return;
    }
    self->n_untold = 0;
    pid_t thread = watched->thread;
    PyThreadState *python_thread = watched->python_thread;
    struct timespec end;
    fl_lookout_after(&end, GIL_WAIT_NS);
    while (!is_taken(self, sight->number) && !self->stop) {
        if (pthread_cond_timedwait(&self->told, &self->lock, &end) == ETIMEDOUT) {
            break;
        }
    }
    if (is_taken(self, sight->number) || self->stop ||
        fl_sight_loop(self, sight->run) == NULL) {
        return;
    }
    /* The GIL is not to be had. With the lock, so that the loop stays: it can't leave
     * without either. */
    fl_blind_look(self, sight, thread, python_thread);
    if (amend(self, sight)) {
        pthread_mutex_unlock(&self->lock);
        fl_blind_write(self, sight);
        pthread_mutex_lock(&self->lock);
    }
}

/* Looks at all loops, under the lock. Nanoseconds to the next look, or REST. */
static int64_t
look_around(struct fl_lookout *self)
{
    int64_t soonest = REST;
    int64_t now = fl_clock_ticks();
    fl_tick_rate_settle(&self->rate, now, fl_clock_monotonic_ns());
    for (struct fl_list *link = self->watched.next; link != &self->watched;) {
        struct fl_watched *watched = FL_CONTAINER_OF(link, struct fl_watched, link);
        int64_t ticks = look_at(self, watched, now);
        if (ticks == 0) {
            tell(self, watched, now);
            return 0; /* the list may be another by now */
        }
        if (ticks != REST && (soonest == REST || ticks < soonest)) {
            soonest = ticks;
        }
        link = link->next;
    }
    return soonest == REST ? REST
                           : (int64_t)((double)soonest / self->rate.ticks_per_ns) + 1;
}

static bool
all_at_rest(const struct fl_lookout *self)
{
    const struct fl_list *link = self->watched.next;
    for (; link != &self->watched; link = link->next) {
        if (!is_at_rest(FL_CONTAINER_OF(link, struct fl_watched, link)->loop)) {
            return false;
        }
    }
    return true;
}

/* Makes it a barrier of memory for all threads, so that a loop that wakes needs none: a
 * fence there was 2 % of an echo. False where the kernel has none or forbids it: then
 * this thread looks from time to time. */
static bool
membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) == 0;
}

/* Unless it has been called more often than that. */
static void
wait_for_call(struct fl_lookout *self, uint32_t n_calls, int64_t ns)
{
    struct timespec timeout = {ns / 1000000000, ns % 1000000000};
    syscall(
        SYS_futex, &self->n_calls, FUTEX_WAIT_PRIVATE, n_calls,
        ns == REST ? NULL : &timeout
    );
}

/* ---- checks ---- */

void
fl_lookout_wake(struct fl_lookout *self)
{
    __atomic_fetch_add(&self->n_calls, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &self->n_calls, FUTEX_WAKE_PRIVATE, 1);
}

static void
check_by(struct fl_lookout *self, int64_t ns)
{
    if (self->check_ns == 0 || ns < self->check_ns) {
        self->check_ns = ns;
    }
}

/* A loop at rest that waits for nothing that this thread can see is checked in a while,
 * once for each such poll. Under the lock; what is read may change meanwhile. */
static void
doubt(struct fl_lookout *self, int64_t now_ns)
{
    struct fl_list *link = self->watched.next;
    for (; link != &self->watched; link = link->next) {
        struct fl_watched *watched = FL_CONTAINER_OF(link, struct fl_watched, link);
        const LoopObject *loop = watched->loop;
        if (loop->timers.count == 0 && !fl_loop_has_watches(loop) &&
            watched->polls != loop->n_polls + 1) {
            watched->polls = loop->n_polls + 1;
            check_by(self, now_ns + (int64_t)(self->settings.limit_s * FAR * 1e9));
        }
    }
}

/* Asks the teller to check, if it is time. Nanoseconds to wait of those given, or REST.
 */
static int64_t
wait_for_check(struct fl_lookout *self, int64_t ns)
{
    int64_t now_ns = fl_clock_monotonic_ns();
    if (ns == REST) {
        doubt(self, now_ns);
    }
    if (self->check_ns == 0) {
        return ns;
    }
    if (now_ns >= self->check_ns) {
        self->check_ns = 0;
        self->check = true;
        pthread_cond_signal(&self->seen);
        return ns;
    }
    int64_t left_ns = self->check_ns - now_ns;
    return ns == REST || left_ns < ns ? left_ns : ns;
}

void
fl_lookout_check_in(struct fl_lookout *self, double seconds)
{
    pthread_mutex_lock(&self->lock);
    check_by(self, fl_clock_monotonic_ns() + (int64_t)(seconds * 1e9));
    pthread_mutex_unlock(&self->lock);
    fl_lookout_wake(self);
}

int
fl_lookout_lint(const struct fl_state *state, const char *kind, PyObject *op)
{
    PyObject *linter = Py_NewRef(state->lookout->linter);
    int status = fl_call_status(PyObject_CallFunction(linter, "sO", kind, op));
    if (status < 0 && !fl_error_is_exit()) {
        PyErr_WriteUnraisable(linter); /* escapes */
        status = 0;
    }
    Py_DECREF(linter);
    return status;
}

void *
fl_lookout_look(void *arg)
{
    struct fl_lookout *self = arg;
    bool sure = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    while (!__atomic_load_n(&self->stop, __ATOMIC_ACQUIRE)) {
        uint32_t n_calls = __atomic_load_n(&self->n_calls, __ATOMIC_SEQ_CST);
        pthread_mutex_lock(&self->lock);
        int64_t ns = look_around(self);
        if (ns == REST) {
            /* a loop that wakes looks at this after it is awake, this thread at
             * whether it is after this: one of them sees the other */
            __atomic_store_n(&self->resting, true, __ATOMIC_SEQ_CST);
            sure = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
            if (!all_at_rest(self)) {
                ns = 0;
            }
        }
        ns = wait_for_check(self, ns);
        if (ns == REST && !sure) {
            ns = (int64_t)(self->settings.limit_s * 1e9);
        }
        pthread_mutex_unlock(&self->lock);
        if (ns != 0) {
            wait_for_call(self, n_calls, ns);
        }
        __atomic_store_n(&self->resting, false, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

/* ---- who calls it ---- */

void
fl_lookout_call(struct fl_lookout *self)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* it is awake, and then looks */
    if (__atomic_load_n(&self->resting, __ATOMIC_RELAXED) &&
        __atomic_exchange_n(&self->resting, false, __ATOMIC_SEQ_CST)) {
        fl_lookout_wake(self);
    }
}

void
fl_lookout_watch(struct fl_lookout *self, LoopObject *loop, PyThreadState *thread)
{
    struct fl_watched *watched = &loop->watched;
    *watched = (struct fl_watched){.lookout = self, .loop = loop};
    watched->python_thread = thread;
    watched->thread = (pid_t)thread->native_thread_id;
    pthread_mutex_lock(&self->lock);
    watched->run = ++self->n_runs;
    fl_list_append(&self->watched, &watched->link);
    pthread_mutex_unlock(&self->lock);
    fl_lookout_wake(self);
}

void
fl_lookout_enter(LoopObject *loop)
{
    fl_lookout_watch(loop->state->lookout, loop, PyThreadState_Get());
}

void
fl_lookout_leave(LoopObject *loop)
{
    struct fl_lookout *self = loop->watched.lookout;
    if (self != NULL) {
        pthread_mutex_lock(&self->lock);
        fl_list_unlink(&loop->watched.link);
        pthread_mutex_unlock(&self->lock);
        loop->watched.lookout = NULL;
    }
}

/* Sights of a step that could not be named before it was over. */
static void
name_waiting(struct fl_lookout *self, const struct fl_sight *end)
{
    for (unsigned int i = 0; i < self->n_sights; i++) {
        struct fl_sight *one = &self->sights[i];
        if (one->run == end->run && one->stamp == end->stamp) {
            memcpy(one->name, end->name, sizeof(one->name));
        }
    }
}

void
fl_lookout_step_ended(LoopObject *loop, int64_t stamp, int64_t ticks, const char *name)
{
    struct fl_watched *watched = &loop->watched;
    struct fl_lookout *self = watched->lookout;
    pthread_mutex_lock(&self->lock);
    if (watched->told_of == stamp && stamp != 0) {
        struct fl_sight sight = {.kind = FL_SIGHT_END, .run = watched->run};
        sight.stamp = stamp;
        sight.elapsed_s = (double)ticks / self->rate.ticks_per_ns / 1e9;
        sight.gc_share = fl_sight_gc_share(self, stamp, stamp + ticks);
        sight.awake_share = -1.0;
        (void)snprintf(sight.name, sizeof(sight.name), "%s", name);
        (void)fl_sight_queue(self, &sight);
        name_waiting(self, &sight);
        watched->told_of = 0;
    }
    pthread_mutex_unlock(&self->lock);
}

void
fl_lookout_gc(struct fl_lookout *self, bool begins)
{
    int64_t now = fl_clock_ticks();
    if (begins) {
        struct fl_collection *one =
            &self->collections[self->n_collections % FL_N_COLLECTIONS];
        one->end_ticks = 0;
        one->begin_ticks = now;
        self->n_collections++;
    }
    else if (self->n_collections > 0) {
        self->collections[(self->n_collections - 1) % FL_N_COLLECTIONS].end_ticks = now;
    }
}

bool
fl_lookout_minds(const LoopObject *loop, int64_t ticks)
{
    const struct fl_lookout *self = loop->watched.lookout;
    return self != NULL &&
           (double)ticks > self->settings.limit_s * 5e8 * self->rate.ticks_per_ns;
}
