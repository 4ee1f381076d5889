/* What was seen, on its way to Python, and the thread that takes it there. */
#include "core/loop/loop.h"
#include "core/task/task_observe.h"
#include "os/thread_look.h"
#include "py/args/call.h"
#include "watch/lookout_state.h"

#include <unistd.h>

uint64_t
fl_sight_queue(struct fl_lookout *self, const struct fl_sight *sight)
{
    if (self->n_sights == FL_N_SIGHTS) {
        return 0;
    }
    struct fl_sight *place = &self->sights[self->n_sights++];
    *place = *sight;
    place->number = ++self->n_seen;
    pthread_cond_signal(&self->seen);
    return place->number;
}

LoopObject *
fl_sight_loop(const struct fl_lookout *self, uint64_t run)
{
    const struct fl_list *link = self->watched.next;
    for (; link != &self->watched; link = link->next) {
        struct fl_watched *watched = FL_CONTAINER_OF(link, struct fl_watched, link);
        if (watched->run == run) {
            return watched->loop;
        }
    }
    return NULL;
}

bool
fl_lookout_take(
    struct fl_lookout *self, struct fl_sight *sight, PyObject **loop, bool *live
)
{
    pthread_mutex_lock(&self->lock);
    bool any = self->n_sights > 0;
    LoopObject *of = NULL;
    if (any) {
        *sight = self->sights[0];
        self->n_sights--;
        memmove(
            &self->sights[0], &self->sights[1], self->n_sights * sizeof(*self->sights)
        );
        self->n_taken = sight->number;
        pthread_cond_signal(&self->told);
        of = fl_sight_loop(self, sight->run);
    }
    pthread_mutex_unlock(&self->lock);
    *loop = Py_XNewRef((PyObject *)of);
    *live = of != NULL && !of->sleeping && of->last_step_ticks == sight->stamp;
    return any;
}

size_t
fl_lookout_loops(struct fl_lookout *self, struct fl_watched_now *loops, size_t max)
{
    size_t n = 0;
    int64_t now = fl_clock_ticks();
    pthread_mutex_lock(&self->lock);
    const struct fl_list *link = self->watched.next;
    for (; link != &self->watched; link = link->next, n++) {
        struct fl_watched *watched = FL_CONTAINER_OF(link, struct fl_watched, link);
        double ticks =
            fl_lookout_is_over(watched) ? (double)(now - watched->since) : 0.0;
        if (n < max) {
            loops[n] = (struct fl_watched_now){
                (LoopObject *)(void *)Py_NewRef((PyObject *)watched->loop),
                watched->thread, ticks / self->rate.ticks_per_ns / 1e9
            };
        }
    }
    pthread_mutex_unlock(&self->lock);
    return n;
}

/* A step that was under way when the lookout came is noted by nobody: until one that
 * is has begun, all that is known of its task is when the loop's last one ended. */
double
fl_lookout_since(
    struct fl_lookout *self, const LoopObject *loop, uint32_t moment, bool *exact
)
{
    int64_t now = fl_clock_ticks();
    int64_t from = loop->watched.noted_ticks;
    from = from != 0 ? from : loop->last_step_ticks;
    from = from > self->began_ticks ? from : self->began_ticks;
    int64_t since = fl_observe_since(moment, now);
    int64_t age = now - self->began_ticks;
    /* one of the moment in which it came is its own */
    bool noted = moment != 0 && since - age < (int64_t)1 << FL_MOMENT_BITS;
    *exact = noted && age >> FL_MOMENT_BITS < UINT32_MAX; /* else it came again */
    if (!noted) {
        since = now - from;
    }
    since = since < age ? since : age;
    pthread_mutex_lock(&self->lock);
    fl_tick_rate_settle(&self->rate, now, fl_clock_monotonic_ns());
    double ticks_per_s = self->rate.ticks_per_ns * 1e9;
    pthread_mutex_unlock(&self->lock);
    return since < 0 ? 0.0 : (double)since / ticks_per_s;
}

double
fl_sight_gc_share(const struct fl_lookout *self, int64_t begin, int64_t end)
{
    int64_t sum = 0;
    for (unsigned int i = 0; i < FL_N_COLLECTIONS && i < self->n_collections; i++) {
        const struct fl_collection *one = &self->collections[i];
        int64_t from = one->begin_ticks < begin ? begin : one->begin_ticks;
        int64_t to = one->end_ticks == 0 || one->end_ticks > end ? end : one->end_ticks;
        sum += to > from ? to - from : 0;
    }
    double share = end > begin ? (double)sum / (double)(end - begin) : 0.0;
    return share > 1.0 ? 1.0 : share;
}

/* 0, or -1 with an exception. escapes. */
static int
call_teller(struct fl_lookout *self, PyObject *teller)
{
    char question = fl_hatch_question(self);
    PyObject *answer = PyObject_CallFunction(teller, "i", (int)question);
    if (question != 0) {
        bool any = answer != NULL && PyBytes_CheckExact(answer);
        fl_hatch_answer(
            self, any ? PyBytes_AS_STRING(answer) : NULL,
            any ? (size_t)PyBytes_GET_SIZE(answer) : 0
        );
    }
    return fl_call_status(answer);
}

/* Python code finds the signals blocked that the main thread blocks, as in a thread
 * that this made now: a child process starts with what its parent's thread has. Looked
 * at each time: what the program has blocked to wait for it must not come here. Whether
 * it came to its end. */
static bool
call_teller_with_signals(struct fl_lookout *self, PyObject *teller)
{
    sigset_t signals, before;
    if (!fl_thread_blocks(getpid(), &signals)) {
        signals = self->usual_signals;
    }
    pthread_sigmask(SIG_SETMASK, &signals, &before);
    int status = call_teller(self, teller); /* escapes */
    if (status < 0) {
        PyErr_WriteUnraisable(teller); /* escapes */
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status == 0;
}

static bool
has_more(struct fl_lookout *self)
{
    pthread_mutex_lock(&self->lock);
    bool any = !self->stop && (self->n_sights > 0 || self->hatch.question != 0);
    pthread_mutex_unlock(&self->lock);
    return any;
}

/* Python is asked to take the sights; its thread state exists only meanwhile, so that
 * loops see no other thread. What came meanwhile is told at once: the GIL, once given
 * up, is to be had from a loop that computes only 5 ms later. */
static void
ask_python(struct fl_lookout *self)
{
    PyThreadState *thread = PyThreadState_New(self->interpreter);
    if (thread == NULL) {
        fl_lookout_pause();
        return; /* to be asked again */
    }
    PyEval_RestoreThread(thread);
    if (!__atomic_load_n(&self->stop, __ATOMIC_ACQUIRE)) {
        PyObject *teller = Py_NewRef(self->teller);
        while (call_teller_with_signals(self, teller) && has_more(self)) { /* escapes */
        }
        Py_DECREF(teller);
    }
    PyThreadState_Clear(thread);
    PyThreadState_DeleteCurrent();
}

void *
fl_sight_tell(void *lookout)
{
    struct fl_lookout *self = lookout;
    for (;;) {
        pthread_mutex_lock(&self->lock);
        while (self->n_sights == 0 && self->hatch.question == 0 && !self->check &&
               !self->stop) {
            pthread_cond_wait(&self->seen, &self->lock);
        }
        self->check = self->check && self->hatch.question != 0; /* else now */
        bool stop = self->stop;
        pthread_mutex_unlock(&self->lock);
        if (stop) {
            break;
        }
        ask_python(self);
    }
    if (self->orphaned) {
        free(self);
    }
    return NULL;
}
