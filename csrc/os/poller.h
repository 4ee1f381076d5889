/* The poller: which file descriptors are ready.
 *
 * Readiness only, level-triggered. A watch is owned by whoever embeds it and
 * must stay at its address from add to remove. Each fd has at most one watch.
 * wait() calls watch->on_ready for each watch with an event it wants; on_ready
 * may remove any watch, its own included, and may add others (they are seen by
 * the next wait).
 *
 * Errors are -errno; EINTR is returned by wait (the caller checks signals), and
 * retried nowhere else because no other call here can be interrupted. An fd
 * that was closed behind the poller's back leaves its watch without events;
 * remove then succeeds silently. A reused fd number is re-added by modify. If a
 * duplicate keeps a closed file alive, the kernel goes on reporting it under the
 * old number and can't be told to stop: the poller notices and starts afresh.
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
    /* events: what is ready and wanted. An error or hang-up is reported as
     * every wanted event, so that the next read or write meets it. */
    void (*on_ready)(struct fl_watch *watch, uint32_t events);
};

struct fl_poller {
    int epoll_fd;
    struct fl_fd_table watches;
    size_t n_watches;
    bool no_pwait2; /* the kernel or its seccomp filter refuses epoll_pwait2 */
    bool ghosts;    /* the kernel may hold an fd that it will not let go */
    uint32_t next_generation;
    void *fired; /* event buffer of the wait under way */
    int n_fired;
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
 * awake. Returns 0, -ENOENT if the watch is not in, or what the kernel says; on
 * an error the events are unchanged. */
int fl_poller_modify(struct fl_poller *poller, struct fl_watch *watch, uint32_t events);

/* The same, but asks the kernel even if the events are the same: for a watch whose
 * number may have been closed and reused since. */
int fl_poller_renew(struct fl_poller *poller, struct fl_watch *watch, uint32_t events);

/* Takes the watch out; an event already fetched for it is dropped. Returns 0,
 * also when the fd was closed meanwhile or the watch is not in. */
int fl_poller_remove(struct fl_poller *poller, struct fl_watch *watch);

/* The watch of an fd, or NULL (any fd, negative too). */
struct fl_watch *fl_poller_find(const struct fl_poller *poller, int fd);

/* Consistency walker for debug builds: 0, or -EINVAL if the table does not hold
 * n_watches watches, each at its fd. */
int fl_poller_check(const struct fl_poller *poller);

/* Sleeps at most timeout_ns (0: not at all; < 0: for ever) and fetches events:
 * the count, or -errno. Touches no watch and calls nothing, so it may run
 * without the GIL while other threads do not touch the poller. Follow it by
 * dispatch. */
int fl_poller_wait(struct fl_poller *poller, int64_t timeout_ns);

/* Calls on_ready for what the last wait fetched; returns how many were called. */
int fl_poller_dispatch(struct fl_poller *poller);

/* After fork, in the child: leaves the kernel object to the parent, which costs the
 * same however many watches there are. Until a new one is there changes and removals
 * are noted, what asks the kernel fails with -EBADF. */
void fl_poller_disown(struct fl_poller *poller);

/* A new kernel object with the same watches, but for those whose fd is closed by now.
 * 0 or -errno, and then the old one stays. */
int fl_poller_reopen(struct fl_poller *poller);

#endif
