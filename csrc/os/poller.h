/* The poller: which file descriptors are ready.
 *
 * Readiness only, level-triggered. A watch is owned by whoever embeds it and
 * must stay at its address from add to remove. Each fd has at most one watch.
 * wait() calls watch->on_ready for each watch with an event it wants; on_ready
 * may remove any watch, its own included, and may add others (they are seen by
 * the next wait).
 *
 * Errors are -errno; EINTR is returned by wait (the caller checks signals), and
 * retried nowhere else because no other call here can be interrupted.
 *
 * A watch is of a file, under a number. Once the number was closed behind the poller's
 * back the watch is stale: a modify that meets the kernel says so (-ENOENT, -EBADF or
 * -EPERM), remove succeeds silently, and it is never told of a file that has got the
 * number since. If a duplicate keeps the closed file alive the kernel goes on
 * reporting it, and can't be told to stop: such a ghost is silenced, at a cost that
 * does not depend on how much is watched, but for the first one of a poller.
 *
 * Loop thread only, except where said.
 */
#ifndef FASTLOOP_OS_POLLER_H
#define FASTLOOP_OS_POLLER_H

#include "base/fd_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FL_POLL_READ 1u
#define FL_POLL_WRITE 2u

struct fl_watch {
    int fd;
    uint32_t events;     /* wanted: FL_POLL_READ | FL_POLL_WRITE; change by modify */
    uint32_t generation; /* the poller's: tells its events from a predecessor's */
    /* The poller's: the kernel knows it, as far as we know. Of a watch with events,
     * false says that it is stale. */
    bool registered;
    /* The owner's, to be set before add, or before a renew that is to apply it: once
     * told the watch wants nothing, and to want again costs one system call, not two.
     */
    bool one_shot;
    /* events: what is ready and wanted. An error or hang-up is reported as
     * every wanted event, so that the next read or write meets it. */
    void (*on_ready)(struct fl_watch *watch, uint32_t events);
};

struct fl_poller {
    int epoll_fd;
    struct fl_fd_table watches;
    size_t n_watches;
    bool no_pwait2; /* the kernel or its seccomp filter refuses epoll_pwait2 */
    bool ghosts;    /* the kernel may report a file that has no watch */
    bool one_shot;  /* it may no longer report anything twice by itself */
    uint32_t next_generation;
    void *fired; /* events of the last wait */
    int n_fired;
    int next_fired; /* the first that was not dispatched */
};

int fl_poller_open(struct fl_poller *poller);

/* Watches still inside are forgotten. Safe on a poller that never opened (all
 * zero but epoll_fd == -1) and when called twice. */
void fl_poller_close(struct fl_poller *poller);

/* Returns 0, -EEXIST if the fd has a watch, or what the kernel says: -EBADF for
 * a closed fd, -EPERM for one that can't be polled (a regular file), -ENOSPC. */
int fl_poller_add(struct fl_poller *poller, struct fl_watch *watch);

/* Changes watch->events; no system call if they are the same. A watch that wants
 * nothing is left in but not polled, so that a hang-up does not keep the loop
 * awake; nobody minds if its number is another file's when it wants again. Returns 0,
 * -ENOENT if the watch is not in, or what the kernel says; on an error the events are
 * unchanged. */
int fl_poller_modify(struct fl_poller *poller, struct fl_watch *watch, uint32_t events);

/* The same, but asks the kernel even if the events are the same: after a change of
 * one_shot. */
int fl_poller_renew(struct fl_poller *poller, struct fl_watch *watch, uint32_t events);

/* Takes the watch out; an event already fetched for it is dropped. Returns 0,
 * also when the fd was closed meanwhile or the watch is not in. */
int fl_poller_remove(struct fl_poller *poller, struct fl_watch *watch);

/* The watch of an fd, or NULL (any fd, negative too). */
struct fl_watch *fl_poller_find(const struct fl_poller *poller, int fd);

/* Consistency walker for debug builds: 0, or -EINVAL if the table does not hold
 * n_watches watches, each at its fd. */
int fl_poller_check(const struct fl_poller *poller);

/* Has events that were fetched and not dispatched fetched again by the next wait. To be
 * called before a wait and when a dispatch is left out. */
void fl_poller_put_back_fired(struct fl_poller *poller);

static inline void
fl_poller_put_back(struct fl_poller *poller)
{
    if (poller->n_fired != 0) {
        fl_poller_put_back_fired(poller);
    }
}

/* Sleeps at most timeout_ns (0: not at all; < 0: for ever) and fetches events:
 * the count, or -errno. Touches no watch and calls nothing, so it may run
 * without the GIL while other threads do not touch the poller. Follow it by
 * dispatch. */
int fl_poller_wait(struct fl_poller *poller, int64_t timeout_ns);

/* For who wants to know what a wait fetched, though it was dispatched: forgets what
 * others fetched; the i-th fd that was fetched since, or -1. */
void fl_poller_forget_fetched(struct fl_poller *poller);
int fl_poller_fetched(const struct fl_poller *poller, int i);

/* Calls on_ready for what the last wait fetched, unless something in on_ready does all
 * the rest of it; returns how many were called. */
int fl_poller_dispatch(struct fl_poller *poller);

/* After fork, in the child: leaves the kernel object to the parent, which costs the
 * same however many watches there are. Until a new one is there changes and removals
 * are noted, what asks the kernel fails with -EBADF. */
void fl_poller_disown(struct fl_poller *poller);

/* A new kernel object with the same watches, but for those whose fd is closed by now,
 * or known to be stale. 0 or -errno, and then the old one stays. */
int fl_poller_reopen(struct fl_poller *poller);

#endif
