#include "os/poller.h"

#include "check.h"
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

#define N_MANY 1200

static struct probe many[N_MANY];

static int64_t
now_ns(void)
{
    struct timespec ts;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ---- readiness ---- */

CASE(readable_when_there_are_bytes)
{
    int fds[2];
    open_pipe(fds);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fds[0], READ) == 0);
    CHECK(poll_once() == 0);
    put(fds[1]);
    CHECK(poll_once() == 1 && told(&one, READ));
    CHECK(poll_once() == 1 && told(&one, READ)); /* level-triggered */
    CHECK(fl_poller_dispatch(&poller) == 0);     /* each event once */
    char byte;
    CHECK(read(fds[0], &byte, 1) == 1);
    CHECK(poll_once() == 0);
    fl_poller_close(&poller);
}

CASE(writable_until_full)
{
    int fds[2];
    open_pipe(fds);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fds[1], WRITE) == 0);
    CHECK(poll_once() == 1 && told(&one, WRITE));
    while (write(fds[1], "0123456789abcdef", 16) > 0) {
    }
    CHECK(errno == EAGAIN);
    CHECK(poll_once() == 0);
    fl_poller_close(&poller);
}

CASE(both_at_once)
{
    int fds[2];
    open_pair(fds);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fds[0], READ | WRITE) == 0);
    CHECK(poll_once() == 1 && told(&one, WRITE));
    put(fds[1]);
    CHECK(poll_once() == 1 && told(&one, READ | WRITE));
    fl_poller_close(&poller);
}

CASE(a_hang_up_is_readable)
{
    int fds[2];
    open_pipe(fds);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fds[0], READ) == 0);
    close(fds[1]);
    CHECK(poll_once() == 1 && told(&one, READ));
    fl_poller_close(&poller);
}

CASE(an_error_is_writable)
{
    int fds[2];
    open_pipe(fds);
    CHECK(fl_poller_open(&poller) == 0);
    while (write(fds[1], "0123456789abcdef", 16) > 0) {
    }
    CHECK(add(&one, fds[1], WRITE) == 0);
    CHECK(poll_once() == 0);
    close(fds[0]);
    CHECK(poll_once() == 1 && told(&one, WRITE));
    fl_poller_close(&poller);
}

CASE(a_lost_peer_is_every_wanted_event)
{
    int fds[2];
    open_pair(fds);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fds[0], READ | WRITE) == 0);
    close(fds[1]);
    CHECK(poll_once() == 1 && told(&one, READ | WRITE));
    CHECK(modify(&one, READ) == 0);
    CHECK(poll_once() == 1 && told(&one, READ));
    CHECK(modify(&one, WRITE) == 0);
    CHECK(poll_once() == 1 && told(&one, WRITE));
    fl_poller_close(&poller);
}

CASE(a_watch_that_wants_nothing_sleeps_through_a_hang_up)
{
    int fds[2];
    open_pair(fds);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fds[0], READ) == 0);
    CHECK(modify(&one, 0) == 0);
    close(fds[1]);
    CHECK(fl_poller_wait(&poller, 0) == 0);
    CHECK(fl_poller_find(&poller, fds[0]) == &one.watch);
    CHECK(fl_poller_reopen(&poller) == 0);
    CHECK(fl_poller_wait(&poller, 0) == 0);
    int n_before = fault_count(FAULT_EPOLL_CTL);
    CHECK(modify(&one, READ) == 0);
    CHECK(fault_count(FAULT_EPOLL_CTL) == n_before + 1);
    CHECK(poll_once() == 1 && told(&one, READ));
    CHECK(remove_probe(&one) == 0);
    CHECK(add(&one, fds[0], 0) == 0);
    CHECK(fl_poller_wait(&poller, 0) == 0);
    CHECK(remove_probe(&one) == 0);
    CHECK(poller.n_watches == 0);
    fl_poller_close(&poller);
}

CASE(more_ready_than_fit_one_wait)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(fl_poller_open(&poller) == 0);
    int n = 0;
    for (int fd; n < N_MANY && (fd = eventfd(1, 0)) >= 0; n++) {
        CHECK(add(&many[n], fd, READ) == 0);
    }
    CHECK(n > 520);
    CHECK(poller.n_watches == (size_t)n);
    for (int called = 0; called < n;) { /* none comes again before all have come */
        CHECK(fl_poller_wait(&poller, 0) > 0);
        called += fl_poller_dispatch(&poller);
    }
    int n_missed = 0;
    for (int i = 0; i < n; i++) {
        n_missed += many[i].n_called == 0;
    }
    CHECK(n_missed == 0);
    fl_poller_close(&poller);
}

/* ---- what is refused ---- */

CASE(closed_and_negative_fds)
{
    CHECK(fl_poller_open(&poller) == 0);
    int fd = dup(0);
    CHECK(close(fd) == 0);
    CHECK(add(&one, fd, READ) == -EBADF);
    CHECK(add(&one, INT_MAX, 0) == -EBADF);
    CHECK(add(&one, -1, READ) == -EBADF);
    CHECK(add(&one, INT_MIN, READ) == -EBADF);
    CHECK(add(&one, INT_MAX, READ) == -EBADF);
    CHECK(poller.watches.size == 0); /* a wild number costs no memory */
    CHECK(poller.n_watches == 0);
    CHECK(fl_poller_find(&poller, fd) == NULL);
    CHECK(fl_poller_find(&poller, -1) == NULL);
    CHECK(fl_poller_find(&poller, INT_MAX) == NULL);
    fl_poller_close(&poller);
}

CASE(a_regular_file_is_refused)
{
    char path[] = "/tmp/fastloop-test-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && unlink(path) == 0);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fd, READ) == -EPERM);
    CHECK(fl_poller_find(&poller, fd) == NULL);
    fl_poller_close(&poller);
}

CASE(the_poller_itself_is_refused)
{
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, poller.epoll_fd, READ) == -EINVAL);
    CHECK(fl_poller_find(&poller, poller.epoll_fd) == NULL);
    fl_poller_close(&poller);
}

CASE(one_watch_an_fd)
{
    int fds[2];
    open_pipe(fds);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fds[0], READ) == 0);
    CHECK(add(&two, fds[0], WRITE) == -EEXIST);
    CHECK(fl_poller_find(&poller, fds[0]) == &one.watch);
    CHECK(fl_poller_modify(&poller, &two.watch, READ) == -ENOENT);
    CHECK(remove_probe(&two) == 0);
    put(fds[1]);
    CHECK(poll_once() == 1 && told(&one, READ));
    fl_poller_close(&poller);
}

CASE(no_system_call_without_a_change)
{
    int fds[2];
    open_pipe(fds);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fds[0], READ) == 0);
    int n_before = fault_count(FAULT_EPOLL_CTL);
    CHECK(modify(&one, READ) == 0);
    CHECK(fault_count(FAULT_EPOLL_CTL) == n_before);
    CHECK(modify(&one, READ | WRITE) == 0);
    CHECK(fault_count(FAULT_EPOLL_CTL) == n_before + 1);
    fl_poller_close(&poller);
}

/* ---- changes during dispatch ---- */

static void
remove_two_and_three(void)
{
    CHECK(remove_probe(&two) == 0);
    CHECK(remove_probe(&three) == 0);
    memset(&three, 0xab, sizeof(three)); /* its owner may free it at once */
}

CASE(a_fetched_event_of_a_removed_watch_is_dropped)
{
    int fds[3] = {eventfd(1, 0), eventfd(1, 0), eventfd(1, 0)};
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fds[0], READ) == 0);
    CHECK(add(&two, fds[1], READ) == 0);
    CHECK(add(&three, fds[2], READ) == 0);
    one.meddle = remove_two_and_three;
    CHECK(poll_once() == 1 && told(&one, READ));
    CHECK(two.n_called == 0);
    fl_poller_close(&poller);
}

static void
replace_two_by_three(void)
{
    CHECK(remove_probe(&two) == 0);
    CHECK(add(&three, two.watch.fd, READ) == 0);
}

CASE(a_fetched_event_does_not_reach_the_next_watch_of_its_fd)
{
    int fds[2] = {eventfd(1, 0), eventfd(1, 0)};
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fds[0], READ) == 0);
    CHECK(add(&two, fds[1], READ) == 0);
    one.meddle = replace_two_by_three;
    CHECK(poll_once() == 1 && told(&one, READ));
    CHECK(three.n_called == 0);
    one.meddle = NULL;
    CHECK(poll_once() == 2 && told(&three, READ)); /* by its own event */
    CHECK(poller.n_watches == 2);
    fl_poller_close(&poller);
}

static void
reuse_two(void)
{
    int fd = two.watch.fd;
    CHECK(remove_probe(&two) == 0);
    CHECK(close(fd) == 0);
    CHECK(eventfd(0, 0) == fd); /* not ready */
    CHECK(add(&two, fd, READ) == 0);
}

CASE(a_fetched_event_does_not_reach_a_reused_fd)
{
    int fds[2] = {eventfd(1, 0), eventfd(1, 0)};
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fds[0], READ) == 0);
    CHECK(add(&two, fds[1], READ) == 0);
    one.meddle = reuse_two;
    CHECK(poll_once() == 1 && told(&one, READ));
    CHECK(two.n_called == 0);
    one.meddle = NULL;
    CHECK(poll_once() == 1 && told(&one, READ));
    fl_poller_close(&poller);
}

static void
narrow_two(void)
{
    CHECK(modify(&two, WRITE) == 0);
}

CASE(a_fetched_event_that_is_no_longer_wanted_is_dropped)
{
    int fds[2];
    open_pipe(fds);
    put(fds[1]);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, eventfd(1, 0), READ) == 0);
    CHECK(add(&two, fds[0], READ) == 0);
    one.meddle = narrow_two;
    CHECK(poll_once() == 1 && told(&one, READ));
    CHECK(two.n_called == 0);
    fl_poller_close(&poller);
}

static void
remove_one(void)
{
    CHECK(remove_probe(&one) == 0);
}

CASE(a_watch_may_remove_itself)
{
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, eventfd(1, 0), READ) == 0);
    one.meddle = remove_one;
    CHECK(poll_once() == 1);
    CHECK(poll_once() == 0);
    CHECK(poller.n_watches == 0);
    fl_poller_close(&poller);
}

static void
add_many(void)
{
    one.meddle = NULL;
    for (int i = 0; i < 100; i++) {
        CHECK(add(&many[i], eventfd(1, 0), READ) == 0);
    }
}

CASE(watches_added_meanwhile_are_seen_by_the_next_wait)
{
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, eventfd(1, 0), READ) == 0);
    one.meddle = add_many; /* the table grows under the dispatch */
    CHECK(poll_once() == 1);
    CHECK(poll_once() == 101);
    fl_poller_close(&poller);
}

static void
close_poller(void)
{
    fl_poller_close(&poller);
}

CASE(a_watch_may_close_the_poller)
{
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, eventfd(1, 0), READ) == 0);
    CHECK(add(&two, eventfd(1, 0), READ) == 0);
    one.meddle = two.meddle = close_poller;
    CHECK(fl_poller_wait(&poller, 0) == 2);
    CHECK(fl_poller_dispatch(&poller) == 1);
    CHECK(one.n_called + two.n_called == 1);
}

/* ---- waiting ---- */

static void
on_alarm(int number)
{
    (void)number;
}

CASE(a_signal_interrupts_the_wait)
{
    /* The last is 2^32 ms, which must not become 0. */
    int64_t timeouts_ns[] = {-1, INT64_C(3600000000000), INT64_C(4294967296000000)};
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval often = {{0, 2000}, {0, 2000}};
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, eventfd(0, 0), READ) == 0);
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(fl_poller_wait(&poller, timeouts_ns[i]) == -EINTR);
    }
    poller.no_pwait2 = true;
    for (int i = 0; i < 3; i++) {
        CHECK(fl_poller_wait(&poller, timeouts_ns[i]) == -EINTR);
    }
    CHECK(fl_poller_dispatch(&poller) == 0);
    fl_poller_close(&poller);
}

static void
check_sleeps(int64_t timeout_ns, int64_t least_ns)
{
    int64_t start_ns = now_ns();
    CHECK(fl_poller_wait(&poller, timeout_ns) == 0);
    CHECK(now_ns() - start_ns >= least_ns);
}

/* qemu 7.2 has no epoll_pwait2 for the programs that it runs. */
static void
want_pwait2(void)
{
    struct timespec none = {0};
    struct epoll_event event;
    long n = syscall(SYS_epoll_pwait2, poller.epoll_fd, &event, 1, &none, NULL, 0);
    if (n < 0 && errno == ENOSYS) {
        check_passed_over("there is no epoll_pwait2");
    }
    CHECK(n >= 0);
}

CASE(a_timeout_is_never_cut_short)
{
    CHECK(fl_poller_open(&poller) == 0);
    want_pwait2();
    check_sleeps(0, 0);
    check_sleeps(1, 1);
    check_sleeps(300000, 300000);
    check_sleeps(2300000, 2300000);
    CHECK(!poller.no_pwait2);
    CHECK(fault_count(FAULT_EPOLL_WAIT) == 1); /* the poll that did not sleep */
    fl_poller_close(&poller);
}

CASE(without_pwait2_it_sleeps_whole_milliseconds)
{
    int refusals[] = {ENOSYS, EPERM};
    for (int i = 0; i < 2; i++) {
        CHECK(fl_poller_open(&poller) == 0);
        fault_inject_all(FAULT_EPOLL_PWAIT2, refusals[i]);
        int n_before = fault_count(FAULT_EPOLL_PWAIT2);
        check_sleeps(1, 1);
        CHECK(poller.no_pwait2);
        check_sleeps(2300000, 2300000);
        CHECK(fault_count(FAULT_EPOLL_PWAIT2) == n_before + 1);
        fl_poller_close(&poller);
        fault_clear();
    }
}

CASE(other_refusals_are_reported)
{
    CHECK(fl_poller_open(&poller) == 0);
    fault_inject(FAULT_EPOLL_PWAIT2, 0, EINVAL);
    CHECK(fl_poller_wait(&poller, 1000) == -EINVAL);
    CHECK(!poller.no_pwait2);
    CHECK(add(&one, eventfd(1, 0), READ) == 0);
    CHECK(fl_poller_wait(&poller, 0) == 1);
    fault_inject(FAULT_EPOLL_WAIT, 0, EBADF);
    CHECK(fl_poller_wait(&poller, 0) == -EBADF);
    CHECK(fl_poller_dispatch(&poller) == 0);
    fl_poller_close(&poller);
}

CASE(the_longest_timeout_is_no_error)
{
    CHECK(fl_poller_open(&poller) == 0);
    want_pwait2();
    CHECK(add(&one, eventfd(1, 0), READ) == 0);
    CHECK(fl_poller_wait(&poller, INT64_MAX) == 1);
    CHECK(fl_poller_wait(&poller, INT64_MIN) == 1);
    CHECK(!poller.no_pwait2);
    poller.no_pwait2 = true;
    CHECK(fl_poller_wait(&poller, INT64_MAX) == 1);
    fl_poller_close(&poller);
}

/* ---- life ---- */

CASE(close_twice_and_without_open)
{
    struct fl_poller never = {.epoll_fd = -1};
    fl_poller_close(&never);
    CHECK(fl_poller_open(&poller) == 0);
    int epoll_fd = poller.epoll_fd;
    CHECK(fcntl(epoll_fd, F_GETFD) & FD_CLOEXEC);
    CHECK(add(&one, eventfd(1, 0), READ) == 0);
    fl_poller_close(&poller);
    CHECK(fcntl(epoll_fd, F_GETFD) < 0);
    int reused = dup(0);
    CHECK(reused == epoll_fd);
    fl_poller_close(&poller);
    CHECK(fcntl(reused, F_GETFD) >= 0);
    CHECK(fl_poller_find(&poller, one.watch.fd) == NULL);
    CHECK(remove_probe(&one) == 0);
}

CASE(a_refused_open_leaves_nothing)
{
    fault_inject(FAULT_ALLOC, 0, ENOMEM);
    CHECK(fl_poller_open(&poller) == -ENOMEM);
    CHECK(poller.epoll_fd == -1);
    fl_poller_close(&poller);
    fault_inject(FAULT_EPOLL_CREATE, 0, EMFILE);
    CHECK(fl_poller_open(&poller) == -EMFILE);
    CHECK(poller.epoll_fd == -1 && poller.fired == NULL);
    fl_poller_close(&poller);
    CHECK(fl_poller_open(&poller) == 0);
    fl_poller_close(&poller);
}

CASE(an_add_without_memory_is_undone)
{
    int fds[2] = {eventfd(1, 0), fcntl(eventfd(1, 0), F_DUPFD, 200)};
    CHECK(fl_poller_open(&poller) == 0);
    for (int i = 0; i < 2; i++) { /* the first table, and a larger one */
        struct probe *probe = i == 0 ? &one : &two;
        fault_inject(FAULT_ALLOC, 0, ENOMEM);
        CHECK(add(probe, fds[i], READ) == -ENOMEM);
        CHECK(fl_poller_find(&poller, fds[i]) == NULL);
        CHECK(poller.n_watches == (size_t)i);
        CHECK(fl_poller_wait(&poller, 0) == i);
        CHECK(add(probe, fds[i], READ) == 0);
    }
    CHECK(poll_once() == 2);
    fl_poller_close(&poller);
}

CASE(a_modify_that_the_kernel_refuses_changes_nothing)
{
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, eventfd(1, 0), READ) == 0);
    fault_inject(FAULT_EPOLL_CTL, 0, ENOMEM);
    CHECK(modify(&one, WRITE) == -ENOMEM);
    CHECK(poll_once() == 1 && told(&one, READ));
    CHECK(modify(&one, 0) == 0);
    fault_inject(FAULT_EPOLL_CTL, 0, ENOSPC);
    CHECK(modify(&one, READ) == -ENOSPC);
    CHECK(one.watch.events == 0);
    CHECK(modify(&one, READ) == 0);
    CHECK(poll_once() == 1 && told(&one, READ));
    fl_poller_close(&poller);
}

CASE(a_child_reopens_without_touching_its_parent)
{
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, eventfd(1, 0), READ) == 0);
    CHECK(add(&two, eventfd(1, 0), READ) == 0);
    CHECK(modify(&two, 0) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(10);
        fl_poller_disown(&poller);
        CHECK(fl_poller_reopen(&poller) == 0);
        CHECK(fcntl(poller.epoll_fd, F_GETFD) & FD_CLOEXEC);
        CHECK(poll_once() == 1 && told(&one, READ));
        CHECK(remove_probe(&one) == 0);
        CHECK(modify(&two, READ) == 0);
        CHECK(poll_once() == 1 && told(&two, READ));
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(poll_once() == 1 && told(&one, READ));
    fl_poller_close(&poller);
}

CASE(a_disowned_poller_leaves_the_kernel_alone)
{
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, eventfd(1, 0), READ) == 0);
    CHECK(add(&two, eventfd(1, 0), READ) == 0);
    int n_before = fault_count(FAULT_EPOLL_CTL);
    fl_poller_disown(&poller);
    CHECK(modify(&one, READ | WRITE) == 0);
    CHECK(remove_probe(&two) == 0);
    CHECK(!poller.ghosts);
    CHECK(fault_count(FAULT_EPOLL_CTL) == n_before);
    CHECK(fl_poller_wait(&poller, 0) == -EBADF);
    CHECK(fl_poller_reopen(&poller) == 0);
    CHECK(poll_once() == 1 && told(&one, READ | WRITE));
    fl_poller_close(&poller);
}

CASE(reopen_wants_room_for_all)
{
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, eventfd(1, 0), READ) == 0);
    CHECK(add(&two, eventfd(1, 0), READ) == 0);
    int epoll_fd = poller.epoll_fd;
    fault_inject(FAULT_EPOLL_CTL, 1, ENOSPC);
    CHECK(fl_poller_reopen(&poller) == -ENOSPC);
    CHECK(poller.epoll_fd == epoll_fd);
    CHECK(poll_once() == 2);
    int next = dup(0); /* nothing was left open */
    CHECK(close(next) == 0);
    CHECK(fl_poller_reopen(&poller) == 0);
    CHECK(poller.epoll_fd == next);
    CHECK(poll_once() == 2);
    fl_poller_close(&poller);
}

CASE(reopen_keeps_what_the_kernel_refuses)
{
    int closed = fcntl(0, F_DUPFD, 100); /* not the next number to be taken */
    CHECK(dup2(eventfd(1, 0), closed) == closed);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, closed, READ) == 0);
    CHECK(add(&two, eventfd(1, 0), READ) == 0);
    CHECK(close(closed) == 0);
    int old_epoll_fd = poller.epoll_fd;
    CHECK(fl_poller_reopen(&poller) == 0);
    CHECK(fcntl(old_epoll_fd, F_GETFD) < 0);
    CHECK(poll_once() == 1 && told(&two, READ));
    CHECK(fl_poller_find(&poller, closed) == &one.watch);
    int epoll_fd = poller.epoll_fd;
    fault_inject(FAULT_EPOLL_CREATE, 0, EMFILE);
    CHECK(fl_poller_reopen(&poller) == -EMFILE);
    CHECK(poller.epoll_fd == epoll_fd);
    CHECK(poll_once() == 1 && told(&two, READ));
    fl_poller_close(&poller);
}

/* ---- the walker ---- */

CASE(the_walker_sees_what_is_wrong)
{
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, eventfd(0, 0), READ) == 0);
    CHECK(fl_poller_check(&poller) == 0);
    poller.n_watches++;
    CHECK(fl_poller_check(&poller) == -EINVAL);
    poller.n_watches--;
    one.watch.fd++;
    CHECK(fl_poller_check(&poller) == -EINVAL);
    one.watch.fd--;
    one.watch.events |= 8u;
    CHECK(fl_poller_check(&poller) == -EINVAL);
    one.watch.events = READ;
    CHECK(fl_poller_check(&poller) == 0);
    fl_poller_close(&poller);
}
