/* What was seen, on its way to Python, and the thread that takes it there. */
#include "core/loop.h"
#include "py/call.h"
#include "watch/lookout_state.h"

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

int
fl_lookout_loops(struct fl_lookout *self, struct fl_watched_now *loops)
{
    int n = 0;
    int64_t now = fl_clock_ticks();
    pthread_mutex_lock(&self->lock);
    const struct fl_list *link = self->watched.next;
    for (; link != &self->watched && n < FL_N_LOOPS; link = link->next) {
        struct fl_watched *watched = FL_CONTAINER_OF(link, struct fl_watched, link);
        double ticks =
            fl_lookout_is_over(watched) ? (double)(now - watched->since) : 0.0;
        loops[n++] = (struct fl_watched_now){
            (LoopObject *)(void *)Py_NewRef((PyObject *)watched->loop), watched->thread,
            ticks / self->rate.ticks_per_ns / 1e9
        };
    }
    pthread_mutex_unlock(&self->lock);
    return n;
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

/* Python is asked to take the sights; its thread state exists only meanwhile, so that
 * loops see no other thread. */
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
        if (call_teller(self, teller) < 0) { /* escapes */
            PyErr_WriteUnraisable(teller);
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
