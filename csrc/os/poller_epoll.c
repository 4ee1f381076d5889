/* The poller on epoll.
 *
 * Each event carries its watch's fd and generation. An event counts only if the
 * table has a watch at that fd with that generation, so one that was fetched for
 * a watch since removed, re-added or replaced reaches nobody, and a watch may be
 * freed as soon as it is removed.
 *
 * Kernel facts that the code below answers:
 * - A registration belongs to an open file and a number: it goes with the last
 *   duplicate of the file. Closing an fd with a duplicate leaves a ghost, reported for
 *   ever and out of reach, since epoll_ctl wants the fd. Only a new epoll object is rid
 *   of it; to make one costs a system call for each watch. A one-shot registration
 *   reports once and is then silent until it is modified: its ghost needs no exorcist.
 *   So with the first ghost that is seen (most programs never have one) the poller
 *   goes over to one-shot registrations for good, and modifies each that reports.
 * - EPOLLERR and EPOLLHUP are reported whether asked for or not, so a watch that
 *   wants nothing must not be registered.
 * - Level-triggered events that do not fit the buffer stay ready, and epoll goes
 *   round its ready files: a buffer of fixed size starves nobody. 512 events are
 *   6 KiB; a larger one saves less than 1 % of a system call per event.
 */
#include "os/poller.h"

#include "base/fault.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441 /* the same on all architectures */
#endif

#define FIRED_CAPACITY 512

/* What the system call takes, also where the C library's timespec is smaller. */
struct kernel_timespec {
    int64_t tv_sec;
    int64_t tv_nsec;
};

static uint32_t
events_to_kernel(uint32_t events)
{
    uint32_t kernel = 0;
    if (events & FL_POLL_READ) {
        kernel |= EPOLLIN;
    }
    if (events & FL_POLL_WRITE) {
        kernel |= EPOLLOUT;
    }
    return kernel;
}

/* As asyncio's selector: whatever is not plain readability may be written to (to
 * meet the error) and the other way round. */
static uint32_t
events_from_kernel(uint32_t kernel)
{
    uint32_t events = 0;
    if (kernel & ~(uint32_t)EPOLLIN) {
        events |= FL_POLL_WRITE;
    }
    if (kernel & ~(uint32_t)EPOLLOUT) {
        events |= FL_POLL_READ;
    }
    return events;
}

#define ONE_SHOT 0x80000000u /* in an event's fd: it does not come again by itself */

static int
poller_ctl(
    const struct fl_poller *poller, int op, const struct fl_watch *watch,
    uint32_t events
)
{
    bool one_shot = watch->one_shot || poller->one_shot;
    uint32_t name = (uint32_t)watch->fd | (one_shot ? ONE_SHOT : 0);
    struct epoll_event event = {
        .events = events_to_kernel(events) | (one_shot ? (uint32_t)EPOLLONESHOT : 0),
        .data.u64 = (uint64_t)watch->generation << 32u | name,
    };
    return epoll_ctl(poller->epoll_fd, op, watch->fd, &event) < 0 ? -errno : 0;
}

/* Registers a watch that the kernel does not know of, as far as we know. */
static int
poller_register(const struct fl_poller *poller, struct fl_watch *watch, uint32_t events)
{
    int err = poller_ctl(poller, EPOLL_CTL_ADD, watch, events);
    if (err == -EEXIST) {
        /* The number was closed, and by dup got the same file again. */
        err = poller_ctl(poller, EPOLL_CTL_MOD, watch, events);
    }
    watch->registered = err == 0;
    return err;
}

static void
poller_unregister(struct fl_poller *poller, struct fl_watch *watch)
{
    if (watch->registered && poller->epoll_fd >= 0 &&
        poller_ctl(poller, EPOLL_CTL_DEL, watch, 0) < 0) {
        poller->ghosts = true; /* the fd is gone, its file may live on */
    }
    watch->registered = false;
}

/* Has the kernel report other events of a file that it knows, or should. */
static int
poller_reregister(struct fl_poller *poller, struct fl_watch *watch, uint32_t events)
{
    int err = poller_ctl(poller, EPOLL_CTL_MOD, watch, events);
    if (err == 0) {
        watch->registered = true;
    }
    else if (err == -ENOENT || err == -EBADF || err == -EPERM) {
        watch->registered = false; /* closed, and perhaps another file's */
        poller->ghosts = true;
    }
    return err;
}

static void
close_epoll(struct fl_poller *poller)
{
    if (poller->epoll_fd >= 0) {
        (void)close(poller->epoll_fd);
        poller->epoll_fd = -1;
    }
}

int
fl_poller_open(struct fl_poller *poller)
{
    *poller = (struct fl_poller){.epoll_fd = -1};
    poller->fired = calloc(FIRED_CAPACITY, sizeof(struct epoll_event));
    if (poller->fired == NULL) {
        return -ENOMEM;
    }
    poller->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (poller->epoll_fd < 0) {
        int err = -errno;
        fl_poller_close(poller);
        return err;
    }
    return 0;
}

void
fl_poller_close(struct fl_poller *poller)
{
    close_epoll(poller);
    fl_fd_table_deinit(&poller->watches);
    free(poller->fired);
    *poller = (struct fl_poller){.epoll_fd = -1};
}

int
fl_poller_add(struct fl_poller *poller, struct fl_watch *watch)
{
    if (watch->fd < 0) {
        return -EBADF;
    }
    if (fl_poller_find(poller, watch->fd) != NULL) {
        return -EEXIST;
    }
    watch->generation = poller->next_generation++;
    /* The kernel first: it refuses the wild numbers that would make a huge table. */
    int err = poller_register(poller, watch, watch->events);
    if (err < 0) {
        return err;
    }
    err = fl_fd_table_reserve(&poller->watches, watch->fd);
    if (err < 0 || watch->events == 0) {
        poller_unregister(poller, watch);
    }
    if (err < 0) {
        return err;
    }
    poller->watches.slots[watch->fd] = watch;
    poller->n_watches++;
    return 0;
}

static int
poller_change(struct fl_poller *poller, struct fl_watch *watch, uint32_t events)
{
    int err = 0;
    if (poller->epoll_fd < 0) {
        /* disowned: reopen registers it, if it is not stale */
        watch->registered = events != 0 && (watch->registered || watch->events == 0);
    }
    else if (events == 0) {
        poller_unregister(poller, watch);
    }
    else {
        bool known = watch->registered || watch->events != 0;
        if (known) {
            err = poller_reregister(poller, watch, events);
        }
        if (watch->events == 0 && !watch->registered) {
            /* The number may be another file's by now, and the last one's a ghost. */
            watch->generation = poller->next_generation++;
            err = poller_register(poller, watch, events);
        }
    }
    if (err == 0) {
        watch->events = events;
    }
    return err;
}

int
fl_poller_modify(struct fl_poller *poller, struct fl_watch *watch, uint32_t events)
{
    if (fl_poller_find(poller, watch->fd) != watch) {
        return -ENOENT;
    }
    return events == watch->events ? 0 : poller_change(poller, watch, events);
}

int
fl_poller_renew(struct fl_poller *poller, struct fl_watch *watch, uint32_t events)
{
    if (fl_poller_find(poller, watch->fd) != watch) {
        return -ENOENT;
    }
    return events == 0 && watch->events == 0 ? 0 : poller_change(poller, watch, events);
}

int
fl_poller_remove(struct fl_poller *poller, struct fl_watch *watch)
{
    if (fl_poller_find(poller, watch->fd) != watch) {
        return 0;
    }
    poller->watches.slots[watch->fd] = NULL;
    poller->n_watches--;
    poller_unregister(poller, watch);
    return 0;
}

struct fl_watch *
fl_poller_find(const struct fl_poller *poller, int fd)
{
    return fl_fd_table_find(&poller->watches, fd);
}

static int
wait_milliseconds(struct fl_poller *poller, int64_t timeout_ns)
{
    int timeout_ms = -1;
    if (timeout_ns >= 0) {
        /* Up, never down: waking before the deadline would spin until it. */
        int64_t up_ms = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
        timeout_ms = up_ms < INT_MAX ? (int)up_ms : INT_MAX;
    }
    return epoll_wait(poller->epoll_fd, poller->fired, FIRED_CAPACITY, timeout_ms);
}

int
fl_poller_check(const struct fl_poller *poller)
{
    size_t n_watches = 0;
    for (size_t fd = 0; fd < poller->watches.size; fd++) {
        const struct fl_watch *watch = poller->watches.slots[fd];
        if (watch == NULL) {
            continue;
        }
        n_watches++;
        if (watch->fd != (int)fd || watch->on_ready == NULL ||
            (watch->events & ~(FL_POLL_READ | FL_POLL_WRITE)) != 0) {
            return -EINVAL;
        }
    }
    return n_watches == poller->n_watches ? 0 : -EINVAL;
}

int
fl_poller_wait(struct fl_poller *poller, int64_t timeout_ns)
{
    int n;
    poller->n_fired = poller->next_fired = 0;
    if (timeout_ns <= 0 || poller->no_pwait2) {
        n = wait_milliseconds(poller, timeout_ns);
    }
    else {
        struct kernel_timespec timeout = {
            timeout_ns / 1000000000, timeout_ns % 1000000000
        };
        n = (int)syscall(
            SYS_epoll_pwait2, poller->epoll_fd, poller->fired, FIRED_CAPACITY, &timeout,
            NULL, 0
        );
        if (n < 0 && (errno == ENOSYS || errno == EPERM)) {
            poller->no_pwait2 = true;
            n = wait_milliseconds(poller, timeout_ns);
        }
    }
    if (n < 0) {
        return -errno;
    }
    poller->n_fired = n;
    return n;
}

/* What marks a place that no event was put in: no fd has all bits. */
#define NOT_FETCHED UINT64_MAX

void
fl_poller_forget_fetched(struct fl_poller *poller)
{
    struct epoll_event *fired = poller->fired;
    /* those behind the first that is marked are marked already */
    for (int i = 0; fired != NULL && i < FIRED_CAPACITY; i++) {
        if (fired[i].data.u64 == NOT_FETCHED) {
            return;
        }
        fired[i].data.u64 = NOT_FETCHED;
    }
}

int
fl_poller_fetched(const struct fl_poller *poller, int i)
{
    const struct epoll_event *fired = poller->fired;
    if (fired == NULL || i >= FIRED_CAPACITY || fired[i].data.u64 == NOT_FETCHED) {
        return -1;
    }
    return (int)((uint32_t)fired[i].data.u64 & ~ONE_SHOT);
}

/* The watch an event was fetched for, or NULL if that is no longer in. */
static struct fl_watch *
event_watch(const struct fl_poller *poller, const struct epoll_event *event)
{
    int fd = (int)((uint32_t)event->data.u64 & ~ONE_SHOT);
    struct fl_watch *watch = fl_poller_find(poller, fd);
    uint32_t generation = (uint32_t)(event->data.u64 >> 32u);
    return watch != NULL && watch->generation == generation ? watch : NULL;
}

/* Nothing ran since the events were fetched, so one without a watch is a ghost's. */
static void
poller_lay_ghosts(struct fl_poller *poller)
{
    const struct epoll_event *fired = poller->fired;
    for (int i = 0; i < poller->n_fired; i++) {
        bool again = !((uint32_t)fired[i].data.u64 & ONE_SHOT);
        if (again && event_watch(poller, &fired[i]) == NULL) {
            poller->one_shot = true;
            if (fl_poller_reopen(poller) < 0) {
                poller->one_shot = false; /* the next event tries again */
            }
            return;
        }
    }
}

/* Before the watch is told of a one-shot event: has the next one reported too. */
static void
poller_rearm(struct fl_poller *poller, struct fl_watch *watch)
{
    if (watch->one_shot) {
        watch->events = 0;
    }
    else {
        /* A refusal says that it is stale; whoever is told meets that himself. */
        (void)poller_reregister(poller, watch, watch->events);
    }
}

int
fl_poller_dispatch(struct fl_poller *poller)
{
    int n_called = 0;
    if (poller->ghosts && !poller->one_shot) {
        poller_lay_ghosts(poller);
    }
    while (poller->next_fired < poller->n_fired) {
        /* A copy: on_ready may close the poller, and the buffer with it. */
        struct epoll_event event =
            ((struct epoll_event *)poller->fired)[poller->next_fired++];
        struct fl_watch *watch = event_watch(poller, &event);
        if (watch == NULL) {
            continue;
        }
        uint32_t events = events_from_kernel(event.events) & watch->events;
        if ((uint32_t)event.data.u64 & ONE_SHOT) {
            poller_rearm(poller, watch);
        }
        if (events != 0) {
            n_called++;
            watch->on_ready(watch, events);
        }
    }
    poller->n_fired = poller->next_fired = 0;
    return n_called;
}

void
fl_poller_put_back_fired(struct fl_poller *poller)
{
    for (int i = poller->next_fired; i < poller->n_fired; i++) {
        const struct epoll_event *event = (struct epoll_event *)poller->fired + i;
        struct fl_watch *watch = event_watch(poller, event);
        if (watch != NULL && watch->events != 0 &&
            (uint32_t)event->data.u64 & ONE_SHOT) {
            (void)poller_reregister(poller, watch, watch->events);
        }
    }
    poller->n_fired = poller->next_fired = 0;
}

void
fl_poller_disown(struct fl_poller *poller)
{
    close_epoll(poller);
}

static bool
is_lack(int err)
{
    return err == -ENOMEM || err == -ENOSPC;
}

/* Is the watch's number still the file that it was registered with? Takes it out of the
 * old epoll, which goes by file and number. After a fork that is the parent's, and
 * nobody knows. */
static bool
is_same_file(const struct fl_poller *old, const struct fl_watch *watch)
{
    return old->epoll_fd < 0 || poller_ctl(old, EPOLL_CTL_DEL, watch, 0) == 0;
}

/* Registers the watches with a new epoll. 0 or -errno for want of room. */
static int
register_all(const struct fl_poller *fresh)
{
    for (size_t fd = 0; fd < fresh->watches.size; fd++) {
        const struct fl_watch *watch = fresh->watches.slots[fd];
        if (watch != NULL && watch->events != 0 && watch->registered) {
            int err = poller_ctl(fresh, EPOLL_CTL_ADD, watch, watch->events);
            if (is_lack(err)) {
                return err;
            }
        }
    }
    return 0;
}

/* Takes those out again that the old one does not know by that number. */
static void
unregister_stale(const struct fl_poller *old, const struct fl_poller *fresh)
{
    for (size_t fd = 0; fd < fresh->watches.size; fd++) {
        struct fl_watch *watch = fresh->watches.slots[fd];
        if (watch == NULL || !watch->registered) {
            continue;
        }
        watch->registered = is_same_file(old, watch) && watch->events != 0;
        if (!watch->registered) {
            (void)poller_ctl(fresh, EPOLL_CTL_DEL, watch, 0);
        }
    }
}

int
fl_poller_reopen(struct fl_poller *poller)
{
    struct fl_poller fresh = *poller;
    fresh.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (fresh.epoll_fd < 0) {
        return -errno;
    }
    int err = register_all(&fresh);
    if (err < 0) {
        close_epoll(&fresh);
        return err;
    }
    unregister_stale(poller, &fresh);
    close_epoll(poller);
    poller->epoll_fd = fresh.epoll_fd;
    poller->ghosts = false;
    return 0;
}
