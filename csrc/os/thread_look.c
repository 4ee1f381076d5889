/* What the kernel tells of another thread, by /proc/self/task and the clocks. */
#include "os/thread_look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Clocks of threads, by the kernel's numbering: the complement of the thread's number,
 * then "of a thread" and "as the scheduler counts". */
#define THREAD_CLOCK(thread) ((clockid_t)((~(unsigned int)(thread) << 3) | 6U))

struct call_name {
    long number;
    const char *name;
};

/* Those in which threads sleep. */
static const struct call_name call_names[] = {
    {SYS_accept4, "accept4"},
    {SYS_clock_nanosleep, "clock_nanosleep"},
    {SYS_connect, "connect"},
    {SYS_epoll_pwait, "epoll_pwait"},
    {SYS_fcntl, "fcntl"},
    {SYS_fdatasync, "fdatasync"},
    {SYS_flock, "flock"},
    {SYS_fsync, "fsync"},
    {SYS_futex, "futex"},
    {SYS_nanosleep, "nanosleep"},
    {SYS_openat, "openat"},
    {SYS_ppoll, "ppoll"},
    {SYS_pread64, "pread64"},
    {SYS_pselect6, "pselect6"},
    {SYS_pwrite64, "pwrite64"},
    {SYS_read, "read"},
    {SYS_recvfrom, "recvfrom"},
    {SYS_recvmsg, "recvmsg"},
    {SYS_sendmsg, "sendmsg"},
    {SYS_sendto, "sendto"},
    {SYS_wait4, "wait4"},
    {SYS_waitid, "waitid"},
    {SYS_write, "write"},
#ifdef SYS_epoll_wait
    {SYS_epoll_wait, "epoll_wait"},
#endif
#ifdef SYS_open
    {SYS_open, "open"},
#endif
#ifdef SYS_poll
    {SYS_poll, "poll"},
#endif
#ifdef SYS_select
    {SYS_select, "select"},
#endif
};

/* Reads the start of a file of the thread's; false if that cannot be. */
static bool
read_of(pid_t thread, const char *file, char *text, size_t size)
{
    char path[64];
    int length =
        snprintf(path, sizeof(path), "/proc/self/task/%d/%s", (int)thread, file);
    if (length < 0 || (size_t)length >= sizeof(path)) {
        return false;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n_read = read(fd, text, size - 1);
    close(fd);
    text[n_read < 0 ? 0 : n_read] = 0;
    return n_read > 0;
}

char
fl_thread_state(pid_t thread)
{
    char text[256];
    if (!read_of(thread, "stat", text, sizeof(text))) {
        return 0;
    }
    /* behind its name, which may have anything in it */
    const char *end = strrchr(text, ')');
    return end != NULL && end[1] == ' ' ? end[2] : 0;
}

int64_t
fl_thread_awake_ns(pid_t thread)
{
    struct timespec ts;
    if (clock_gettime(THREAD_CLOCK(thread), &ts) < 0) {
        return -1;
    }
    int64_t waited_ns = 0;
    char text[96];
    if (read_of(thread, "schedstat", text, sizeof(text))) {
        char *end;
        (void)strtoll(text, &end, 10); /* less exact than the clock */
        waited_ns = strtoll(end, NULL, 10);
    }
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec + waited_ns;
}

void
fl_thread_call(pid_t thread, char *name, size_t size)
{
    char text[256];
    name[0] = 0;
    if (!read_of(thread, "syscall", text, sizeof(text))) {
        return;
    }
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || number < 0) {
        return; /* running, or none */
    }
    for (size_t i = 0; i < sizeof(call_names) / sizeof(call_names[0]); i++) {
        if (call_names[i].number == number) {
            (void)snprintf(name, size, "%s", call_names[i].name);
            return;
        }
    }
    (void)snprintf(name, size, "system call %ld", number);
}

bool
fl_thread_blocks(pid_t thread, sigset_t *signals)
{
    char text[4096];
    const char *line = NULL;
    if (read_of(thread, "status", text, sizeof(text))) {
        line = strstr(text, "\nSigBlk:");
    }
    if (line == NULL) {
        return false;
    }
    uint64_t bits = strtoull(line + strlen("\nSigBlk:"), NULL, 16);
    sigemptyset(signals);
    for (int number = 1; bits != 0; number++, bits >>= 1) {
        if ((bits & 1) != 0) {
            (void)sigaddset(signals, number); /* not the C library's own */
        }
    }
    return true;
}

int
fl_thread_signal(pid_t thread, int number)
{
    return syscall(SYS_tgkill, getpid(), thread, number) < 0 ? -errno : 0;
}
