/* Files closed, replaced and duplicated behind the poller's back. */
#include "os/poller.h"

#include "check.h"
#include "probe.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

CASE(a_closed_fd_leaves_its_watch_without_events)
{
    int fds[2];
    open_pipe(fds);
    put(fds[1]);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fds[0], READ) == 0);
    close(fds[0]);
    CHECK(poll_once() == 0);
    CHECK(modify(&one, WRITE) == -EBADF);
    CHECK(one.watch.events == READ);
    CHECK(remove_probe(&one) == 0);
    CHECK(remove_probe(&one) == 0);
    CHECK(fl_poller_find(&poller, fds[0]) == NULL);
    CHECK(poller.n_watches == 0);
    fl_poller_close(&poller);
}

CASE(an_fd_replaced_by_a_regular_file)
{
    char path[] = "/tmp/fastloop-test-XXXXXX";
    int file = mkstemp(path);
    int fd = eventfd(1, 0);
    CHECK(file >= 0 && unlink(path) == 0);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fd, READ) == 0);
    CHECK(dup2(file, fd) == fd);
    CHECK(poll_once() == 0);
    CHECK(modify(&one, WRITE) == -EPERM);
    CHECK(remove_probe(&one) == 0);
    fl_poller_close(&poller);
}

CASE(a_stale_watch_is_not_told_of_the_next_file_of_its_number)
{
    int fd = eventfd(0, 0);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fd, READ) == 0);
    CHECK(close(fd) == 0);
    CHECK(eventfd(1, 0) == fd);
    CHECK(poll_once() == 0);
    CHECK(modify(&one, READ | WRITE) == -ENOENT);
    CHECK(poll_once() == 0);
    CHECK(modify(&one, READ | WRITE) == -ENOENT);
    CHECK(fl_poller_renew(&poller, &one.watch, READ) == -ENOENT);
    CHECK(fl_poller_reopen(&poller) == 0);
    CHECK(poll_once() == 0);
    CHECK(one.watch.events == READ);
    CHECK(remove_probe(&one) == 0);
    CHECK(add(&one, fd, READ) == 0);
    CHECK(poll_once() == 1 && told(&one, READ));
    fl_poller_close(&poller);
}

CASE(a_new_object_does_not_know_a_stale_watch)
{
    int fd = eventfd(0, 0);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&two, eventfd(1, 0), READ) == 0);
    CHECK(add(&one, fd, READ) == 0);
    CHECK(close(fd) == 0);
    CHECK(eventfd(1, 0) == fd);
    CHECK(fl_poller_reopen(&poller) == 0);
    CHECK(poll_once() == 1 && told(&two, READ));
    CHECK(poll_once() == 1 && one.n_called == 0);
    fl_poller_close(&poller);
}

/* ---- one-shot watches ---- */

static int
add_one_shot(struct probe *probe, int fd, uint32_t events)
{
    *probe = (struct probe){
        .watch =
            {.fd = fd, .events = events, .on_ready = probe_ready, .one_shot = true},
        .meddle = probe->meddle,
    };
    return fl_poller_add(&poller, &probe->watch);
}

CASE(a_one_shot_watch_is_told_once)
{
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add_one_shot(&one, eventfd(1, 0), READ | WRITE) == 0);
    int n_before = fault_count(FAULT_EPOLL_CTL);
    CHECK(poll_once() == 1 && told(&one, READ | WRITE));
    CHECK(one.watch.events == 0);
    CHECK(fl_poller_wait(&poller, 0) == 0);
    CHECK(modify(&one, 0) == 0);
    CHECK(fault_count(FAULT_EPOLL_CTL) == n_before);
    CHECK(modify(&one, READ) == 0);
    CHECK(fault_count(FAULT_EPOLL_CTL) == n_before + 1);
    CHECK(poll_once() == 1 && told(&one, READ));
    CHECK(fl_poller_find(&poller, one.watch.fd) == &one.watch);
    one.watch.one_shot = false;
    CHECK(fl_poller_renew(&poller, &one.watch, READ) == 0);
    CHECK(poll_once() == 1 && told(&one, READ));
    CHECK(poll_once() == 1 && told(&one, READ));
    CHECK(remove_probe(&one) == 0);
    CHECK(fl_poller_wait(&poller, 0) == 0);
    fl_poller_close(&poller);
}

CASE(a_told_one_shot_watch_may_have_the_next_file_of_its_number)
{
    int fd = eventfd(1, 0);
    int kept = dup(fd);
    CHECK(kept >= 0);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add_one_shot(&one, fd, READ) == 0);
    CHECK(poll_once() == 1 && told(&one, READ));
    CHECK(close(fd) == 0);
    CHECK(eventfd(0, 0) == fd);
    CHECK(modify(&one, READ) == 0);
    CHECK(fl_poller_wait(&poller, 0) == 0); /* the old one is ready, and silent */
    uint64_t count = 1;
    CHECK(write(fd, &count, sizeof(count)) == sizeof(count));
    CHECK(poll_once() == 1 && told(&one, READ));
    fl_poller_close(&poller);
}

CASE(a_one_shot_ghost_costs_nothing)
{
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&two, eventfd(0, 0), READ) == 0);
    for (int i = 0; i < 10; i++) {
        int fd = eventfd(1, 0);
        CHECK(dup(fd) >= 0);
        CHECK(add_one_shot(&one, fd, READ) == 0);
        CHECK(close(fd) == 0);
        CHECK(remove_probe(&one) == 0);
    }
    int n_before = fault_count(FAULT_EPOLL_CREATE);
    CHECK(poll_once() == 0);
    CHECK(fl_poller_wait(&poller, 0) == 0);
    CHECK(fault_count(FAULT_EPOLL_CREATE) == n_before);
    fl_poller_close(&poller);
}

CASE(only_the_first_ghost_costs_a_new_object)
{
    uint64_t count;
    int live = eventfd(1, 0);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&two, live, READ) == 0);
    CHECK(add(&three, eventfd(0, 0), READ) == 0);
    int n_before = fault_count(FAULT_EPOLL_CREATE);
    for (int i = 0; i < 10; i++) {
        int fd = eventfd(1, 0);
        CHECK(dup(fd) >= 0);
        CHECK(add(&one, fd, READ) == 0);
        CHECK(close(fd) == 0);
        CHECK(remove_probe(&one) == 0);
        CHECK(poll_once() == 1 && told(&two, READ)); /* as often as it is ready */
        CHECK(fl_poller_wait(&poller, 0) == 1);
        fl_poller_put_back(&poller);
    }
    CHECK(fault_count(FAULT_EPOLL_CREATE) == n_before + 1);
    CHECK(read(live, &count, sizeof(count)) == sizeof(count));
    CHECK(fl_poller_wait(&poller, 0) == 0);
    CHECK(modify(&two, READ | WRITE) == 0);
    CHECK(poll_once() == 1 && told(&two, WRITE));
    CHECK(poll_once() == 1 && told(&two, WRITE));
    fl_poller_close(&poller);
}

CASE(what_was_fetched_and_put_back_is_fetched_again)
{
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add_one_shot(&one, eventfd(1, 0), READ) == 0);
    CHECK(add(&two, eventfd(1, 0), READ) == 0);
    CHECK(add_one_shot(&three, eventfd(1, 0), READ) == 0);
    CHECK(fl_poller_wait(&poller, 0) == 3);
    CHECK(remove_probe(&three) == 0);
    fl_poller_put_back(&poller);
    CHECK(fl_poller_dispatch(&poller) == 0);
    CHECK(poll_once() == 2 && told(&one, READ) && told(&two, READ));
    fl_poller_put_back(&poller);
    CHECK(poll_once() == 1 && told(&two, READ));
    fl_poller_close(&poller);
    fl_poller_put_back(&poller);
}

static void
poll_inside(void)
{
    one.meddle = two.meddle = NULL;
    fl_poller_put_back(&poller);
    CHECK(fl_poller_wait(&poller, 0) == 1);
    CHECK(fl_poller_dispatch(&poller) == 1);
}

CASE(a_poll_inside_a_dispatch_loses_nothing)
{
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add_one_shot(&one, eventfd(1, 0), READ) == 0);
    CHECK(add_one_shot(&two, eventfd(1, 0), READ) == 0);
    one.meddle = two.meddle = poll_inside;
    CHECK(poll_once() == 1);
    CHECK(one.n_called == 1 && two.n_called == 1);
    fl_poller_close(&poller);
}

CASE(a_stale_watch_is_told_of_its_old_file_at_most_once_after_a_ghost)
{
    int fd = eventfd(1, 0), other = eventfd(1, 0);
    CHECK(dup(fd) >= 0 && dup(other) >= 0);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fd, READ) == 0);
    CHECK(close(fd) == 0);
    CHECK(remove_probe(&one) == 0);
    CHECK(poll_once() == 0); /* the ghost is laid */
    CHECK(add(&two, other, READ) == 0);
    CHECK(close(other) == 0);
    CHECK(poll_once() == 1 && told(&two, READ));
    CHECK(fl_poller_wait(&poller, 0) == 0);
    CHECK(modify(&two, WRITE) == -EBADF);
    CHECK(remove_probe(&two) == 0);
    fl_poller_close(&poller);
}

/* ---- ghosts ---- */

CASE(the_same_file_comes_back_under_its_number)
{
    int fd = eventfd(1, 0);
    int kept = dup(fd);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fd, READ) == 0);
    CHECK(close(fd) == 0);
    CHECK(remove_probe(&one) == 0);
    CHECK(dup2(kept, fd) == fd);
    CHECK(add(&two, fd, READ) == 0); /* the kernel has it: EEXIST */
    CHECK(poll_once() == 1 && told(&two, READ));
    CHECK(one.n_called == 0);
    CHECK(remove_probe(&two) == 0);
    CHECK(fl_poller_wait(&poller, 0) == 0);
    fl_poller_close(&poller);
}

CASE(a_ghost_does_not_keep_the_poller_awake)
{
    int fd = eventfd(1, 0);
    int kept = dup(fd);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&two, eventfd(1, 0), READ) == 0);
    CHECK(add(&one, fd, READ) == 0);
    CHECK(close(fd) == 0);
    CHECK(remove_probe(&one) == 0);
    CHECK(fl_poller_wait(&poller, 0) == 2); /* the kernel still reports it */
    CHECK(fl_poller_dispatch(&poller) == 1);
    CHECK(one.n_called == 0 && told(&two, READ));
    CHECK(!poller.ghosts);
    CHECK(fl_poller_wait(&poller, 0) == 1);
    CHECK(fl_poller_dispatch(&poller) == 1);
    CHECK(kept >= 0);
    fl_poller_close(&poller);
}

CASE(a_ghost_does_not_reach_the_next_file_of_its_number)
{
    int fd = eventfd(1, 0);
    int kept = dup(fd);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fd, READ) == 0);
    CHECK(close(fd) == 0);
    CHECK(remove_probe(&one) == 0);
    CHECK(eventfd(0, 0) == fd);
    CHECK(add(&two, fd, READ) == 0);
    CHECK(poll_once() == 0);
    CHECK(fl_poller_wait(&poller, 0) == 0);
    uint64_t count = 1;
    CHECK(write(fd, &count, sizeof(count)) == sizeof(count));
    CHECK(poll_once() == 1 && told(&two, READ));
    CHECK(kept >= 0);
    fl_poller_close(&poller);
}

CASE(a_ghost_does_not_reach_a_stale_watch_that_met_the_kernel)
{
    int fd = eventfd(1, 0);
    int kept = dup(fd);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fd, READ) == 0);
    CHECK(close(fd) == 0);
    CHECK(eventfd(0, 0) == fd);
    CHECK(modify(&one, READ | WRITE) == -ENOENT);
    CHECK(remove_probe(&one) == 0);
    CHECK(poll_once() == 0);
    CHECK(fl_poller_wait(&poller, 0) == 0);
    CHECK(kept >= 0);
    fl_poller_close(&poller);
}

CASE(a_ghost_does_not_reach_its_watch_when_that_wanted_nothing_meanwhile)
{
    int fd = eventfd(1, 0);
    int kept = dup(fd);
    CHECK(kept >= 0);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fd, READ) == 0);
    CHECK(close(fd) == 0);
    CHECK(eventfd(0, 0) == fd);
    CHECK(modify(&one, 0) == 0);
    CHECK(modify(&one, READ) == 0);
    CHECK(poll_once() == 0 && one.n_called == 0);
    CHECK(fl_poller_wait(&poller, 0) == 0);
    fl_poller_close(&poller);
}

CASE(a_ghost_is_tried_again_when_no_new_object_can_be_had)
{
    int fd = eventfd(1, 0);
    int kept = dup(fd);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&one, fd, READ) == 0);
    CHECK(close(fd) == 0);
    CHECK(remove_probe(&one) == 0);
    fault_inject(FAULT_EPOLL_CREATE, 0, EMFILE);
    CHECK(poll_once() == 0);
    CHECK(fl_poller_wait(&poller, 0) == 1);
    CHECK(fl_poller_dispatch(&poller) == 0);
    CHECK(fl_poller_wait(&poller, 0) == 0);
    CHECK(kept >= 0);
    fl_poller_close(&poller);
}

static void
remove_the_others(void)
{
    CHECK(remove_probe(&two) == 0);
    CHECK(remove_probe(&three) == 0);
}

CASE(a_removal_during_dispatch_does_not_start_afresh)
{
    struct probe gone = {0};
    int closed = eventfd(0, 0);
    CHECK(fl_poller_open(&poller) == 0);
    CHECK(add(&gone, closed, READ) == 0);
    CHECK(close(closed) == 0);
    CHECK(remove_probe(&gone) == 0);
    CHECK(add(&one, eventfd(1, 0), READ) == 0);
    CHECK(add(&two, eventfd(1, 0), READ) == 0);
    CHECK(add(&three, eventfd(1, 0), READ) == 0);
    one.meddle = remove_the_others;
    int n_before = fault_count(FAULT_EPOLL_CREATE);
    CHECK(poll_once() == 1);
    CHECK(fault_count(FAULT_EPOLL_CREATE) == n_before);
    fl_poller_close(&poller);
}
