/* Questions from other processes, and their answers: by Python where the GIL can be had
 * in time, else what can be told without.
 *
 * One question a connection, a byte; one answer, text until the end. Whoever asks
 * costs the loop nothing that grows: few at a time, one after the other, with a pause
 * that is in proportion to what Python did for it; whoever does not ask, or does not
 * read, is dropped.
 */
#include "core/loop/loop.h"
#include "os/thread_look.h"
#include "watch/lookout_state.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_CLIENTS 8
#define PATIENCE_NS 1000000000LL /* for its question, or for it to read */
#define GIL_WAIT_NS 1000000000LL
#define BLOCKED_GIL_WAIT_NS 25000000LL /* or it is told in 0.15 s no more */
#define AGAIN_GIL_WAIT_NS 12000000LL
#define PYTHON_WAIT_NS 5000000000LL /* once it has begun */
#define PAUSE_MIN_NS 10000000LL
#define PAUSE_MAX_NS 2000000000LL
#define PAUSE_SHARE 9 /* of what Python took */

struct client {
    int fd;
    int64_t end_ns;
};

/* Whether one is there: until then, or the lookout's end, which it is always. */
static bool
wait_for(const struct fl_hatch *self, int fd, short events, int64_t ns)
{
    struct pollfd fds[] = {
        {.fd = self->listen_fd, .events = 0}, {.fd = fd, .events = events}
    };
    struct timespec timeout = {ns / 1000000000, ns % 1000000000};
    return ppoll(fds, fd < 0 ? 1 : 2, &timeout, NULL) > 0;
}

static bool
stops(const struct fl_lookout *lookout)
{
    return __atomic_load_n(&lookout->stop, __ATOMIC_ACQUIRE);
}

/* It may close all that it finds, and then others have these numbers. */
bool
fl_hatch_is_lost(const struct fl_lookout *lookout)
{
    const struct fl_hatch *self = &lookout->hatch;
    struct stat now;
    return self->opened &&
           (fstat(self->listen_fd, &now) < 0 || now.st_ino != self->inode);
}

/* ---- asking Python ---- */

char
fl_hatch_question(struct fl_lookout *lookout)
{
    struct fl_hatch *self = &lookout->hatch;
    pthread_mutex_lock(&lookout->lock);
    char question = self->question;
    self->question = 0;
    self->taken = question != 0;
    pthread_cond_signal(&self->answered); /* it may take longer now */
    pthread_mutex_unlock(&lookout->lock);
    return question;
}

void
fl_hatch_answer(struct fl_lookout *lookout, const char *text, size_t size)
{
    struct fl_hatch *self = &lookout->hatch;
    char *copy = text == NULL ? NULL : malloc(size + 1);
    pthread_mutex_lock(&lookout->lock);
    if (self->taken && copy != NULL) {
        memcpy(copy, text, size);
        self->answer = copy;
        self->size = size;
        copy = NULL;
    }
    self->taken = false;
    pthread_cond_signal(&self->answered);
    pthread_mutex_unlock(&lookout->lock);
    free(copy);
}

/* How long to wait for the GIL at first, under the lock. A sight that has waited for it
 * already counts: the lookout goes on without no later. */
static int64_t
gil_wait_ns(const struct fl_lookout *lookout, char question)
{
    if (question != 'b') {
        return GIL_WAIT_NS;
    }
    int64_t waited_ns = 0;
    if (lookout->n_sights > 0) {
        waited_ns = fl_clock_monotonic_ns() - lookout->sights[0].queued_ns;
    }
    return waited_ns < BLOCKED_GIL_WAIT_NS ? BLOCKED_GIL_WAIT_NS - waited_ns : 0;
}

/* Has the teller ask. The answer, or NULL if there is none in time. */
static char *
ask(struct fl_lookout *lookout, char question, bool again, size_t *size)
{
    struct fl_hatch *self = &lookout->hatch;
    struct timespec end;
    pthread_mutex_lock(&lookout->lock);
    fl_lookout_after(&end, again ? AGAIN_GIL_WAIT_NS : gil_wait_ns(lookout, question));
    self->question = question;
    pthread_cond_signal(&lookout->seen);
    bool was_taken = false;
    while (self->question != 0 || self->taken) {
        if (self->taken && !was_taken) {
            was_taken = true;
            fl_lookout_after(&end, question == 'b' ? GIL_WAIT_NS : PYTHON_WAIT_NS);
        }
        if (lookout->stop ||
            pthread_cond_timedwait(&self->answered, &lookout->lock, &end) != 0) {
            break;
        }
    }
    /* what comes now comes too late */
    self->question = 0;
    self->taken = false;
    char *answer = self->answer;
    *size = self->size;
    self->answer = NULL;
    pthread_mutex_unlock(&lookout->lock);
    return answer;
}

/* ---- without the GIL ---- */

/* Under the lock, so that the loops stay. over: a step of it is over the limit.
 * *missed: what it does is not known, since it waited for the GIL at that moment. */
static int
write_loop(
    const struct fl_lookout *lookout, const struct fl_watched *watched, bool over,
    char *text, size_t size, bool *missed
)
{
    const LoopObject *loop = watched->loop;
    struct fl_sight sight = {.call = ""};
    if (over) {
        fl_lookout_describe(lookout, watched, fl_clock_ticks(), &sight);
        fl_blind_look(lookout, &sight, watched->thread, watched->python_thread);
        *missed |= sight.dump_size == 0 && !sight.blind && !sight.awake;
    }
    return snprintf(
        text, size,
        "loop thread=%d busy_s=%.3f awake=%d gil=%d iterations=%llu polls=%llu"
        " steps=%llu wakeups=%llu ready=%zu timers=%zu call=%s\n%s\n",
        (int)watched->thread, over ? sight.elapsed_s : 0.0, (int)sight.awake,
        (int)sight.blind, (unsigned long long)loop->n_iterations,
        (unsigned long long)loop->n_polls, (unsigned long long)loop->n_steps,
        (unsigned long long)loop->n_wakeups, fl_ring_count(&loop->ready),
        loop->timers.count, sight.call, sight.dump
    );
}

/* Under the lock: those that are, or are not, over the limit. The text's new size. */
static size_t
write_loops(
    const struct fl_lookout *lookout, bool over, char *text, size_t size, bool *missed
)
{
    const struct fl_list *link = lookout->watched.next;
    for (; link != &lookout->watched; link = link->next) {
        const struct fl_watched *watched =
            FL_CONTAINER_OF(link, struct fl_watched, link);
        if (fl_lookout_is_over(watched) != over) {
            continue;
        }
        int n = write_loop(
            lookout, watched, over, text + size, FL_HATCH_TEXT - size, missed
        );
        if (n < 0 || (size_t)n >= FL_HATCH_TEXT - size) {
            break; /* no room for more */
        }
        size += (size_t)n;
    }
    return size;
}

/* Fills in the hatch's text, with what matters most first. Its size. */
static size_t
look_for_oneself(struct fl_lookout *lookout, bool *missed)
{
    char *text = lookout->hatch.text;
    size_t size = (size_t)snprintf(
        text, FL_HATCH_TEXT, "limit_s=%g\n", lookout->settings.limit_s
    );
    *missed = false;
    pthread_mutex_lock(&lookout->lock);
    size = write_loops(lookout, true, text, size, missed);
    size = write_loops(lookout, false, text, size, missed);
    pthread_mutex_unlock(&lookout->lock);
    return size;
}

static bool
any_is_over(struct fl_lookout *lookout)
{
    bool any = false;
    pthread_mutex_lock(&lookout->lock);
    const struct fl_list *link = lookout->watched.next;
    for (; link != &lookout->watched && !any; link = link->next) {
        any = fl_lookout_is_over(FL_CONTAINER_OF(link, struct fl_watched, link));
    }
    pthread_mutex_unlock(&lookout->lock);
    return any;
}

/* ---- clients ---- */

static void
send_all(const struct fl_lookout *lookout, int fd, const char *text, size_t size)
{
    int64_t end_ns = fl_clock_monotonic_ns() + PATIENCE_NS;
    while (size > 0) {
        ssize_t n = send(fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            text += n;
            size -= (size_t)n;
        }
        else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            return;
        }
        int64_t left_ns = end_ns - fl_clock_monotonic_ns();
        if (left_ns <= 0 ||
            (size > 0 && !wait_for(&lookout->hatch, fd, POLLOUT, left_ns)) ||
            stops(lookout)) {
            return;
        }
    }
}

/* Asks Python, else looks; both once more of a step in Python that could not be seen,
 * while the teller had the GIL. The answer's size; *by_python: owned, or NULL if it is
 * the hatch's text. */
static size_t
find_answer(struct fl_lookout *lookout, char question, char **by_python)
{
    size_t size = 0;
    bool missed = true;
    *by_python = NULL;
    for (int i = 0; i < 2 && missed && !stops(lookout); i++) {
        if (question != 'b' || any_is_over(lookout)) {
            *by_python = ask(lookout, question, i > 0, &size);
            if (*by_python != NULL) {
                return size;
            }
        }
        size = look_for_oneself(lookout, &missed);
        missed = missed && question == 'b';
    }
    return size;
}

/* Nanoseconds to pause. */
static int64_t
answer(struct fl_lookout *lookout, int fd)
{
    struct fl_hatch *self = &lookout->hatch;
    char question;
    if (recv(fd, &question, 1, MSG_DONTWAIT) != 1 || question == 0 ||
        strchr("bster", question) == NULL) {
        return PAUSE_MIN_NS;
    }
    char *text;
    int64_t began_ns = fl_clock_monotonic_ns();
    size_t size = find_answer(lookout, question, &text);
    int64_t took_ns = fl_clock_monotonic_ns() - began_ns;
    if (text != NULL) {
        send_all(lookout, fd, text, size);
        free(text);
        int64_t pause_ns = PAUSE_MIN_NS + took_ns * PAUSE_SHARE;
        return pause_ns > PAUSE_MAX_NS ? PAUSE_MAX_NS : pause_ns;
    }
    if (!stops(lookout)) {
        send_all(lookout, fd, self->text, size);
    }
    return PAUSE_MIN_NS;
}

/* Whether it is this user, or root, who may do anything to this process. */
static bool
may_ask(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

/* One more client, if it may ask. How many there are. */
static int
admit(const struct fl_hatch *self, struct client *clients, int n)
{
    int fd = accept4(self->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        (void)wait_for(self, -1, 0, PAUSE_MIN_NS * 10); /* no more files, perhaps */
        return n;
    }
    if (!may_ask(fd)) {
        close(fd);
        (void)wait_for(self, -1, 0, PAUSE_MIN_NS);
        return n;
    }
    clients[n] = (struct client){fd, fl_clock_monotonic_ns() + PATIENCE_NS};
    return n + 1;
}

/* Answers those that have asked, drops those that took too long. How many are left. */
static int
serve(
    struct fl_lookout *lookout, struct client *clients, int n, const struct pollfd *fds
)
{
    int n_left = 0;
    int64_t now_ns = fl_clock_monotonic_ns();
    for (int i = 0; i < n; i++) {
        if (fds[i].revents == 0 && now_ns < clients[i].end_ns) {
            clients[n_left++] = clients[i];
            continue;
        }
        bool asks = fds[i].revents != 0 && !stops(lookout);
        int64_t pause_ns = asks ? answer(lookout, clients[i].fd) : 0;
        close(clients[i].fd); /* the answer's end */
        (void)wait_for(&lookout->hatch, -1, 0, pause_ns);
    }
    return n_left;
}

static void *
keep_open(void *arg)
{
    struct fl_lookout *lookout = arg;
    struct fl_hatch *self = &lookout->hatch;
    struct client clients[N_CLIENTS];
    int n = 0;
    while (!stops(lookout)) {
        struct pollfd fds[N_CLIENTS + 1];
        for (int i = 0; i < n; i++) {
            fds[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
        }
        fds[n].fd = self->listen_fd; /* also for its end */
        fds[n].events = n < N_CLIENTS ? POLLIN : 0;
        if (poll(fds, (nfds_t)n + 1, n == 0 ? -1 : 100) < 0) {
            fl_lookout_pause(); /* RLIMIT_NOFILE may be 0 */
            continue;
        }
        if (stops(lookout) || fl_hatch_is_lost(lookout)) {
            break;
        }
        bool one_more = n < N_CLIENTS && fds[n].revents != 0;
        n = serve(lookout, clients, n, fds);
        if (one_more) {
            n = admit(self, clients, n);
        }
    }
    while (n > 0) {
        close(clients[--n].fd);
    }
    return NULL;
}

/* ---- beginning and end ---- */

int
fl_hatch_open(struct fl_lookout *lookout)
{
    struct fl_hatch *self = &lookout->hatch;
    struct stat now;
    self->listen_fd = lookout->settings.listen_fd;
    if (self->listen_fd < 0) {
        return 0;
    }
    if (fstat(self->listen_fd, &now) < 0) {
        return errno;
    }
    self->inode = now.st_ino;
    self->opened = true; /* which its thread reads */
    int err = pthread_create(&self->thread, NULL, keep_open, lookout);
    if (err != 0) {
        self->opened = false;
    }
    return err;
}

bool
fl_hatch_end(struct fl_lookout *lookout)
{
    struct fl_hatch *self = &lookout->hatch;
    if (!self->opened) {
        return true;
    }
    if (fl_hatch_is_lost(lookout)) {
        pthread_detach(self->thread); /* nothing wakes it any more */
        return false;
    }
    shutdown(self->listen_fd, SHUT_RDWR);
    pthread_join(self->thread, NULL);
    return true;
}
