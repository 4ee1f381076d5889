/* How a lookout begins, with its threads, and ends. */
#include "core/loop/loop.h"
#include "core/task/task_observe.h"
#include "watch/lookout_state.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static void
watch_running(struct fl_lookout *self, struct fl_state *state)
{
    struct fl_list *link = state->loops.next;
    for (; link != &state->loops; link = link->next) {
        LoopObject *loop = FL_CONTAINER_OF(link, LoopObject, live_loops);
        PyThreadState *thread = PyInterpreterState_ThreadHead(self->interpreter);
        while (thread != NULL && thread->thread_id != loop->thread_id) {
            thread = PyThreadState_Next(thread);
        }
        if (loop->running && thread != NULL) {
            fl_lookout_watch(self, loop, thread);
        }
    }
}

/* Threads that get no signals, but for Python code: those are for others. 0 or an
 * error's number. */
static int
start_threads(struct fl_lookout *self)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &self->usual_signals);
    int err = fl_hatch_open(self);
    if (err == 0) {
        err = pthread_create(&self->looking, NULL, fl_lookout_look, self);
    }
    if (err == 0) {
        err = pthread_create(&self->telling, NULL, fl_sight_tell, self);
        if (err != 0) {
            __atomic_store_n(&self->stop, true, __ATOMIC_RELEASE);
            fl_lookout_wake(self);
            pthread_join(self->looking, NULL);
        }
    }
    if (err != 0) {
        __atomic_store_n(&self->stop, true, __ATOMIC_RELEASE);
        (void)fl_hatch_end(self);
    }
    pthread_sigmask(SIG_SETMASK, &self->usual_signals, NULL);
    return err;
}

static void
close_fds(const struct fl_lookout *self)
{
    const struct fl_lookout_settings *settings = &self->settings;
    int fds[] = {
        settings->dump_read_fd, settings->dump_write_fd, settings->tell_fd,
        settings->listen_fd
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static void
init_lock(struct fl_lookout *self)
{
    pthread_condattr_t monotonic;
    pthread_mutex_init(&self->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->told, &monotonic);
    pthread_cond_init(&self->seen, &monotonic);
    pthread_cond_init(&self->hatch.answered, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

int
fl_lookout_start(
    struct fl_state *state, const struct fl_lookout_settings *settings,
    PyObject *teller, PyObject *linter
)
{
    struct fl_lookout *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->settings = *settings;
    self->interpreter = PyInterpreterState_Get();
    self->teller = Py_NewRef(teller);
    self->linter = Py_NewRef(linter);
    fl_blind_take_handler(self);
    self->rate = state->tick_rate;
    self->tokens = FL_TOKENS_MAX;
    self->began_ticks = fl_clock_ticks();
    self->tokens_ticks = self->began_ticks;
    fl_list_init(&self->watched);
    init_lock(self);
    int err = start_threads(self);
    if (err != 0) {
        Py_DECREF(teller);
        Py_DECREF(linter);
        free(self);
        errno = err;
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    state->lookout = self;
    fl_observe_settle(state);
    watch_running(self, state);
    return 0;
}

/* No loop knows it any more. */
static void
forget(struct fl_state *state)
{
    struct fl_list *link = state->loops.next;
    for (; link != &state->loops; link = link->next) {
        FL_CONTAINER_OF(link, LoopObject, live_loops)->watched.lookout = NULL;
    }
    state->lookout = NULL;
    fl_observe_settle(state);
}

bool
fl_lookout_has_signal(const struct fl_lookout *self)
{
    struct sigaction now;
    int number = self->settings.dump_signal;
    return number != 0 && sigaction(number, NULL, &now) == 0 &&
           now.sa_handler == self->dumps;
}

/* A signal that was sent and has not come yet must find neither the handler of a file
 * that is closed nor none: ignoring it takes it back from every thread. */
static void
take_back_signal(const struct fl_lookout *self)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    int number = self->settings.dump_signal;
    if (fl_lookout_has_signal(self) && sigaction(number, &ignore, &before) == 0) {
        before.sa_handler = SIG_DFL;
        before.sa_flags = 0;
        sigaction(number, &before, NULL);
    }
}

void
fl_lookout_stop(struct fl_state *state)
{
    struct fl_lookout *self = state->lookout;
    if (self == NULL) {
        return;
    }
    pthread_mutex_lock(&self->lock);
    __atomic_store_n(&self->stop, true, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&self->seen);
    pthread_cond_broadcast(&self->told);
    pthread_cond_broadcast(&self->hatch.answered);
    fl_list_init(&self->watched);
    pthread_mutex_unlock(&self->lock);
    forget(state);
    fl_lookout_wake(self);
    bool ended, by_teller = pthread_equal(pthread_self(), self->telling);
    Py_BEGIN_ALLOW_THREADS
    pthread_join(self->looking, NULL);
    ended = fl_hatch_end(self);
    if (!by_teller) {
        pthread_join(self->telling, NULL);
    }
    Py_END_ALLOW_THREADS
    take_back_signal(self);
    if (ended) { /* else they may be others by now */
        close_fds(self);
    }
    PyObject *teller = self->teller, *linter = self->linter;
    if (by_teller) {
        pthread_detach(self->telling);
        self->orphaned = ended;
    }
    else if (ended) {
        free(self);
    }
    Py_DECREF(teller); /* escapes, as does the next */
    Py_DECREF(linter);
}

void
fl_lookout_after_fork(struct fl_state *state)
{
    struct fl_lookout *self = state->lookout;
    if (self != NULL) {
        forget(state);
        close_fds(self);
        Py_DECREF(self->teller);
        Py_DECREF(self->linter);
        free(self);
    }
}
