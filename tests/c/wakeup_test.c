#include "os/wakeup.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static struct fl_wakeup wakeup = FL_WAKEUP_INIT;

static bool
is_readable(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    CHECK(poll(&item, 1, 0) >= 0);
    return item.revents == POLLIN;
}

static bool
is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void
check_flags(int fd)
{
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

CASE(notify_makes_it_readable_until_drained)
{
    CHECK(fl_wakeup_open(&wakeup) == 0);
    CHECK(!is_readable(wakeup.event_fd));
    CHECK(fl_wakeup_notify(&wakeup) == 0);
    CHECK(fl_wakeup_notify(&wakeup) == 0);
    CHECK(is_readable(wakeup.event_fd));
    fl_wakeup_drain(&wakeup);
    CHECK(!is_readable(wakeup.event_fd));
    fl_wakeup_drain(&wakeup);
    fl_wakeup_close(&wakeup);
}

CASE(a_full_counter_is_a_wake_up_all_the_same)
{
    CHECK(fl_wakeup_open(&wakeup) == 0);
    uint64_t top = UINT64_MAX - 1;
    CHECK(write(wakeup.event_fd, &top, sizeof(top)) == sizeof(top));
    errno = 77;
    CHECK(fl_wakeup_notify(&wakeup) == 0);
    CHECK(errno == 77);
    CHECK(is_readable(wakeup.event_fd));
    fl_wakeup_drain(&wakeup);
    CHECK(!is_readable(wakeup.event_fd));
    fl_wakeup_close(&wakeup);
}

CASE(notify_when_closed)
{
    errno = 77;
    CHECK(fl_wakeup_notify(&wakeup) == -EBADF);
    CHECK(errno == 77);
    fl_wakeup_drain(&wakeup);
}

static void *
notify_from_thread(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)fl_wakeup_notify(&wakeup);
}

CASE(a_thread_wakes_a_sleeper)
{
    CHECK(fl_wakeup_open(&wakeup) == 0);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, notify_from_thread, NULL) == 0);
    struct pollfd item = {.fd = wakeup.event_fd, .events = POLLIN};
    CHECK(poll(&item, 1, -1) == 1);
    void *result;
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == NULL);
    fl_wakeup_close(&wakeup);
}

static void
notify_from_handler(int number)
{
    (void)number;
    (void)fl_wakeup_notify(&wakeup);
}

CASE(a_signal_handler_may_notify)
{
    CHECK(fl_wakeup_open(&wakeup) == 0);
    CHECK(signal(SIGUSR1, notify_from_handler) != SIG_ERR);
    CHECK(raise(SIGUSR1) == 0);
    CHECK(is_readable(wakeup.event_fd));
    fl_wakeup_close(&wakeup);
}

CASE(signals_come_through_in_order)
{
    CHECK(fl_wakeup_open_signals(&wakeup) == 0);
    unsigned char numbers[4];
    CHECK(fl_wakeup_read_signals(&wakeup, numbers, sizeof(numbers)) == 0);
    CHECK(write(wakeup.signal_write_fd, "\x02", 1) == 1);
    CHECK(write(wakeup.signal_write_fd, "\x0f\x0a\x0c\x11", 4) == 4);
    CHECK(is_readable(wakeup.signal_read_fd));
    CHECK(fl_wakeup_read_signals(&wakeup, numbers, sizeof(numbers)) == 4);
    CHECK(memcmp(numbers, "\x02\x0f\x0a\x0c", 4) == 0);
    CHECK(fl_wakeup_read_signals(&wakeup, numbers, sizeof(numbers)) == 1);
    CHECK(numbers[0] == 0x11);
    CHECK(fl_wakeup_read_signals(&wakeup, numbers, sizeof(numbers)) == 0);
    CHECK(!is_readable(wakeup.signal_read_fd));
    fl_wakeup_close(&wakeup);
}

CASE(reading_signals_goes_on_after_an_interruption)
{
    CHECK(fl_wakeup_open_signals(&wakeup) == 0);
    unsigned char number;
    CHECK(write(wakeup.signal_write_fd, "\x02", 1) == 1);
    fault_inject(FAULT_READ, 0, EINTR);
    CHECK(fl_wakeup_read_signals(&wakeup, &number, 1) == 1);
    CHECK(number == 2);
    fault_inject(FAULT_READ, 0, EIO);
    CHECK(fl_wakeup_read_signals(&wakeup, &number, 1) == -EIO);
    fl_wakeup_close(&wakeup);
    CHECK(fl_wakeup_read_signals(&wakeup, &number, 1) == -EBADF);
}

CASE(a_full_signal_pair_does_not_block_the_writer)
{
    CHECK(fl_wakeup_open_signals(&wakeup) == 0);
    ssize_t n;
    do {
        n = write(wakeup.signal_write_fd, "\x02", 1);
    } while (n == 1);
    CHECK(errno == EAGAIN);
    fl_wakeup_close(&wakeup);
}

CASE(fds_are_non_blocking_and_closed_on_exec)
{
    CHECK(fl_wakeup_open(&wakeup) == 0);
    CHECK(wakeup.signal_read_fd == -1 && wakeup.signal_write_fd == -1);
    CHECK(fl_wakeup_open_signals(&wakeup) == 0);
    check_flags(wakeup.event_fd);
    check_flags(wakeup.signal_read_fd);
    check_flags(wakeup.signal_write_fd);
    fl_wakeup_close(&wakeup);
}

CASE(opening_signals_twice_keeps_the_pair)
{
    CHECK(fl_wakeup_open_signals(&wakeup) == 0);
    int read_fd = wakeup.signal_read_fd;
    int write_fd = wakeup.signal_write_fd;
    CHECK(fl_wakeup_open_signals(&wakeup) == 0);
    CHECK(wakeup.signal_read_fd == read_fd && wakeup.signal_write_fd == write_fd);
    fl_wakeup_close(&wakeup);
}

CASE(close_closes_all_and_may_be_repeated)
{
    CHECK(fl_wakeup_open(&wakeup) == 0);
    CHECK(fl_wakeup_open_signals(&wakeup) == 0);
    struct fl_wakeup was = wakeup;
    fl_wakeup_close(&wakeup);
    CHECK(wakeup.event_fd == -1);
    CHECK(wakeup.signal_read_fd == -1 && wakeup.signal_write_fd == -1);
    CHECK(!is_open(was.event_fd));
    CHECK(!is_open(was.signal_read_fd) && !is_open(was.signal_write_fd));
    int reused = dup(0); /* takes the lowest number, which was the eventfd's */
    CHECK(reused == was.event_fd);
    fl_wakeup_close(&wakeup);
    CHECK(is_open(reused));
}

CASE(a_refused_open_leaves_it_closed)
{
    fault_inject(FAULT_EVENTFD, 0, EMFILE);
    CHECK(fl_wakeup_open(&wakeup) == -EMFILE);
    CHECK(wakeup.event_fd == -1);
    fault_inject(FAULT_SOCKETPAIR, 0, ENFILE);
    CHECK(fl_wakeup_open_signals(&wakeup) == -ENFILE);
    CHECK(wakeup.signal_read_fd == -1 && wakeup.signal_write_fd == -1);
    fl_wakeup_close(&wakeup);
    CHECK(fl_wakeup_open(&wakeup) == 0);
    CHECK(fl_wakeup_open_signals(&wakeup) == 0);
    fl_wakeup_close(&wakeup);
}
