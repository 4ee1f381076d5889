/* Watches that note what they were told, for the tests of the poller. Each test
 * program has one poller. */
#ifndef FASTLOOP_TESTS_PROBE_H
#define FASTLOOP_TESTS_PROBE_H

#include "os/poller.h"

#include "check.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ FL_POLL_READ
#define WRITE FL_POLL_WRITE

static struct fl_poller poller = {.epoll_fd = -1};

/* A watch that notes what it was told and can meddle while it is told. */
struct probe {
    struct fl_watch watch;
    int n_called;
    uint32_t events;
    void (*meddle)(void);
};

static struct probe one, two, three;

static inline void
probe_ready(struct fl_watch *watch, uint32_t events)
{
    struct probe *probe = (struct probe *)watch;
    probe->n_called++;
    probe->events = events;
    if (probe->meddle != NULL) {
        probe->meddle();
    }
}

static inline int
add(struct probe *probe, int fd, uint32_t events)
{
    *probe = (struct probe){
        .watch = {.fd = fd, .events = events, .on_ready = probe_ready},
        .meddle = probe->meddle,
    };
    return fl_poller_add(&poller, &probe->watch);
}

static inline int
modify(struct probe *probe, uint32_t events)
{
    return fl_poller_modify(&poller, &probe->watch, events);
}

static inline int
remove_probe(struct probe *probe)
{
    return fl_poller_remove(&poller, &probe->watch);
}

/* One poll without sleeping; how many watches were called. */
static inline int
poll_once(void)
{
    one.n_called = two.n_called = three.n_called = 0;
    CHECK(fl_poller_wait(&poller, 0) >= 0);
    return fl_poller_dispatch(&poller);
}

static inline bool
told(const struct probe *probe, uint32_t events)
{
    return probe->n_called == 1 && probe->events == events;
}

static inline void
open_pair(int fds[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
}

static inline void
open_pipe(int fds[2])
{
    CHECK(pipe2(fds, O_NONBLOCK) == 0);
}

static inline void
put(int fd)
{
    CHECK(write(fd, "x", 1) == 1);
}

#endif
