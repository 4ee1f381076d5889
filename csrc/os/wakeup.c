/* Waking a sleeping loop. */
#include "os/wakeup.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

int
fl_wakeup_open(struct fl_wakeup *wakeup)
{
    *wakeup = (struct fl_wakeup)FL_WAKEUP_INIT;
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    wakeup->event_fd = fd;
    return 0;
}

int
fl_wakeup_open_signals(struct fl_wakeup *wakeup)
{
    if (wakeup->signal_read_fd >= 0) {
        return 0;
    }
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0) {
        return -errno;
    }
    wakeup->signal_read_fd = fds[0];
    wakeup->signal_write_fd = fds[1];
    return 0;
}

static void
close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd); /* Linux frees the number whatever close says */
        *fd = -1;
    }
}

void
fl_wakeup_close_signals(struct fl_wakeup *wakeup)
{
    close_fd(&wakeup->signal_read_fd);
    close_fd(&wakeup->signal_write_fd);
}

void
fl_wakeup_close(struct fl_wakeup *wakeup)
{
    close_fd(&wakeup->event_fd);
    fl_wakeup_close_signals(wakeup);
}

int
fl_wakeup_notify(const struct fl_wakeup *wakeup)
{
    int saved_errno = errno; /* a signal handler must leave it alone */
    const uint64_t one = 1;
    ssize_t n;
    do {
        n = write(wakeup->event_fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
    /* EAGAIN: the count is at its top, so the loop is being woken. */
    int result = n < 0 && errno != EAGAIN ? -errno : 0;
    errno = saved_errno;
    return result;
}

void
fl_wakeup_drain(const struct fl_wakeup *wakeup)
{
    uint64_t count;
    /* One read resets the count; EAGAIN says that it is zero already. */
    ssize_t n = read(wakeup->event_fd, &count, sizeof(count));
    (void)n;
}

int
fl_wakeup_read_signals(
    const struct fl_wakeup *wakeup, unsigned char *buffer, size_t size
)
{
    for (;;) {
        ssize_t n = read(wakeup->signal_read_fd, buffer, size);
        if (n >= 0) {
            return (int)n;
        }
        if (errno == EAGAIN) {
            return 0;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}
