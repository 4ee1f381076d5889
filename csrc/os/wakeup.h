/* Waking a sleeping loop: an eventfd for threads, a socket pair for signals.
 *
 * CPython's set_wakeup_fd writes single bytes, which an eventfd refuses (it
 * takes eight), hence the pair. All fds are non-blocking and close-on-exec.
 */
#ifndef FASTLOOP_OS_WAKEUP_H
#define FASTLOOP_OS_WAKEUP_H

#include <stddef.h>

struct fl_wakeup {
    int event_fd;
    int signal_read_fd; /* -1 until the pair is opened */
    int signal_write_fd;
};

#define FL_WAKEUP_INIT {-1, -1, -1}

/* Opens the eventfd. 0 or -errno. */
int fl_wakeup_open(struct fl_wakeup *wakeup);

/* Opens the signal pair if it is not open. 0 or -errno. */
int fl_wakeup_open_signals(struct fl_wakeup *wakeup);

/* Closes the signal pair alone; it may be opened again. */
void fl_wakeup_close_signals(struct fl_wakeup *wakeup);

/* Closes whatever is open; safe when called twice. */
void fl_wakeup_close(struct fl_wakeup *wakeup);

/* Any thread, any context (async-signal-safe). 0 or -errno. */
int fl_wakeup_notify(const struct fl_wakeup *wakeup);

/* Resets the eventfd after it fired. */
void fl_wakeup_drain(const struct fl_wakeup *wakeup);

/* Reads signal numbers that CPython wrote into buffer; the count, 0 when there
 * are no more, or -errno. */
int fl_wakeup_read_signals(
    const struct fl_wakeup *wakeup, unsigned char *buffer, size_t size
);

#endif
