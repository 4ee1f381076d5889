/* Runs one case; makes calls of the floors fail on demand.
 *
 * The programs are linked with --wrap=CALL for each call below, so that whatever
 * the floors call comes by here first. */
#include "check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/types.h>
#include <unistd.h>

#define MAX_CASES 100
#define CASE_TIMEOUT_S 20

static struct {
    const char *name;
    void (*run)(void);
} cases[MAX_CASES];

static int n_cases;

static struct {
    int n_calls;
    int fail_at; /* the number of the call; 0: never */
    int fail_to;
    int err;
} faults[FAULT_N_CALLS];

void
check_register(const char *name, void (*run)(void))
{
    if (n_cases == MAX_CASES) {
        abort();
    }
    cases[n_cases].name = name;
    cases[n_cases].run = run;
    n_cases++;
}

void
check_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", file, line, condition, errno);
    _exit(1);
}

void
check_passed_over(const char *reason)
{
    fprintf(stderr, "%s\n", reason);
    _exit(77);
}

int
main(int argc, char **argv)
{
    alarm(CASE_TIMEOUT_S);
    for (int i = 0; argc == 2 && i < n_cases; i++) {
        if (strcmp(argv[1], cases[i].name) == 0) {
            cases[i].run();
            return 0;
        }
    }
    fprintf(stderr, "usage: %s CASE\n", argv[0]);
    return 2;
}

static void
fault_range(enum fault_call call, int from, int to, int err)
{
    faults[call].fail_at = from;
    faults[call].fail_to = to;
    faults[call].err = err;
}

void
fault_inject(enum fault_call call, int n_before, int err)
{
    int at = faults[call].n_calls + 1 + n_before;
    fault_range(call, at, at, err);
}

void
fault_inject_all(enum fault_call call, int err)
{
    fault_range(call, faults[call].n_calls + 1, __INT_MAX__, err);
}

void
fault_clear(void)
{
    for (int call = 0; call < FAULT_N_CALLS; call++) {
        fault_range((enum fault_call)call, 0, 0, 0);
    }
}

int
fault_count(enum fault_call call)
{
    return faults[call].n_calls;
}

static bool
fault_hits(enum fault_call call)
{
    int n = ++faults[call].n_calls;
    if (faults[call].fail_at == 0 || n < faults[call].fail_at ||
        n > faults[call].fail_to) {
        return false;
    }
    errno = faults[call].err;
    return true;
}

#define WRAP(result, failed, call, name, parameters, arguments)       \
    result __real_##name parameters;                                  \
    result __wrap_##name parameters;                                  \
    result __wrap_##name parameters                                   \
    {                                                                 \
        return fault_hits(call) ? (failed) : __real_##name arguments; \
    }

WRAP(void *, NULL, FAULT_ALLOC, malloc, (size_t size), (size))
WRAP(void *, NULL, FAULT_ALLOC, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, NULL, FAULT_ALLOC, realloc, (void *old, size_t size), (old, size))
WRAP(int, -1, FAULT_EPOLL_CREATE, epoll_create1, (int flags), (flags))
WRAP(
    int, -1, FAULT_EPOLL_CTL, epoll_ctl,
    (int epoll_fd, int op, int fd, struct epoll_event *event), (epoll_fd, op, fd, event)
)
WRAP(
    int, -1, FAULT_EPOLL_WAIT, epoll_wait,
    (int epoll_fd, struct epoll_event *events, int size, int timeout_ms),
    (epoll_fd, events, size, timeout_ms)
)
/* The floors make one system call by number. */
WRAP(
    long, -1, FAULT_EPOLL_PWAIT2, syscall,
    (long number, long a, void *b, long c, void *d, void *e, long f),
    (number, a, b, c, d, e, f)
)
WRAP(int, -1, FAULT_EVENTFD, eventfd, (unsigned int count, int flags), (count, flags))
WRAP(
    int, -1, FAULT_SOCKETPAIR, socketpair,
    (int domain, int type, int protocol, int *fds), (domain, type, protocol, fds)
)
WRAP(ssize_t, -1, FAULT_READ, read, (int fd, void *data, size_t size), (fd, data, size))
