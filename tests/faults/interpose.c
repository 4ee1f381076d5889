/* System calls that fail on demand, for a program that has this preloaded.
 *
 * Each function below stands in front of the C library's of the same name. Armed for
 * one of them, it lets the n-th call from the chosen callers fail with an errno, be cut
 * short, or be interrupted by a signal. faults.py speaks to it through ctypes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)
#define POLLS_MAX 20000

enum how { ONCE, ALWAYS, SHORT, SIGNAL };

enum fault { NONE, FAILS, IS_SHORT };

static struct {
    char name[32];   /* "" if disarmed */
    char module[32]; /* the callers' file begins so; "" for all in the thread */
    pthread_t thread;
    enum how how;
    int error;
    long nth;
} armed;

/* Shared with forked children. */
static struct counts {
    atomic_long calls;  /* of the armed function */
    atomic_long faults; /* those that were not let through */
    atomic_long polls;
    atomic_long site; /* of the last fault, in the caller's file */
} *counts;

static atomic_int paused;

__attribute__((constructor)) static void
share_counts(void)
{
    void *page = mmap(
        NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
        -1, 0
    );
    if (page == MAP_FAILED) {
        abort();
    }
    counts = page;
}

/* ---- for faults.py ---- */

EXPORT void
faults_arm(const char *name, const char *module, int how, long nth, int error);
EXPORT void faults_disarm(void);
EXPORT void faults_pause(int change);
EXPORT long faults_count(int which);

void
faults_arm(const char *name, const char *module, int how, long nth, int error)
{
    armed.thread = pthread_self();
    armed.how = (enum how)how;
    armed.nth = nth;
    armed.error = error;
    strncpy(armed.module, module, sizeof(armed.module) - 1);
    counts->calls = counts->faults = counts->polls = counts->site = 0;
    strncpy(armed.name, name, sizeof(armed.name) - 1);
}

void
faults_disarm(void)
{
    armed.name[0] = '\0';
}

/* What the program does meanwhile for itself is not counted. */
void
faults_pause(int change)
{
    paused += change;
}

/* 0: calls, 1: faults, 2: polls, 3: site. */
long
faults_count(int which)
{
    const long values[] = {counts->calls, counts->faults, counts->polls, counts->site};
    return values[which];
}

/* ---- deciding ---- */

static bool
is_caller_chosen(const void *caller, long *offset)
{
    Dl_info info = {0};
    if (dladdr(caller, &info) == 0 || info.dli_fname == NULL) {
        return false;
    }
    *offset = (const char *)caller - (const char *)info.dli_fbase;
    const char *base = strrchr(info.dli_fname, '/');
    base = base == NULL ? info.dli_fname : base + 1;
    if (armed.module[0] != '\0') {
        return strncmp(base, armed.module, strlen(armed.module)) == 0;
    }
    return pthread_equal(armed.thread, pthread_self()) != 0;
}

/* What is to happen to this call; errno is set if it fails. */
static enum fault
decide(const char *name, const void *caller)
{
    long offset = 0;
    if (armed.name[0] == '\0' || paused > 0 || strcmp(armed.name, name) != 0 ||
        !is_caller_chosen(caller, &offset)) {
        return NONE;
    }
    long n = ++counts->calls;
    if (armed.how == ALWAYS ? n < armed.nth : n != armed.nth) {
        return NONE;
    }
    counts->faults++;
    counts->site = offset;
    if (armed.how == SHORT) {
        return IS_SHORT;
    }
    if (armed.how == SIGNAL) {
        raise(SIGUSR2);
    }
    errno = armed.error;
    return FAILS;
}

/* A loop that spins is brought to its end, with an errno that nobody expects. */
static bool
polls_too_much(const void *caller)
{
    long offset;
    if (armed.name[0] == '\0' || !is_caller_chosen(caller, &offset)) {
        return false;
    }
    if (++counts->polls <= POLLS_MAX) {
        return false;
    }
    errno = EXDEV;
    return true;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* A call that fails does nothing else. */
#define FAILING(type, name, parameters, ...)  \
    EXPORT type name parameters               \
    {                                         \
        if (decide(#name, CALLER) == FAILS) { \
            return -1;                        \
        }                                     \
        return REAL(name)(__VA_ARGS__);       \
    }

/* One that moves bytes and may move fewer. */
#define MOVING(name, parameters, size, ...)       \
    EXPORT ssize_t name parameters                \
    {                                             \
        enum fault fault = decide(#name, CALLER); \
        if (fault == FAILS) {                     \
            return -1;                            \
        }                                         \
        if (fault == IS_SHORT && size > 1) {      \
            size = 1;                             \
        }                                         \
        return REAL(name)(__VA_ARGS__);           \
    }

/* One whose work is done although it says that it failed. */
#define DOING(type, name, parameters, ...)        \
    EXPORT type name parameters                   \
    {                                             \
        enum fault fault = decide(#name, CALLER); \
        int error = errno;                        \
        type result = REAL(name)(__VA_ARGS__);    \
        if (fault == FAILS) {                     \
            errno = error;                        \
            return -1;                            \
        }                                         \
        return result;                            \
    }

/* ---- files ---- */

/* Linux frees the number whatever close says. */
DOING(int, close, (int fd), fd)
MOVING(read, (int fd, void *data, size_t size), size, fd, data, size)
MOVING(write, (int fd, const void *data, size_t size), size, fd, data, size)
MOVING(
    sendfile, (int to, int from, off_t *offset, size_t size), size, to, from, offset,
    size
)
FAILING(int, fstat, (int fd, struct stat *status), fd, status)
FAILING(off_t, lseek, (int fd, off_t offset, int whence), fd, offset, whence)
FAILING(int, pipe2, (int fds[2], int flags), fds, flags)
FAILING(int, eventfd, (unsigned int count, int flags), count, flags)

/* The names of the same for programs with large files. */
EXPORT int
fstat64(int fd, struct stat64 *status)
{
    return decide("fstat", CALLER) == FAILS ? -1 : REAL(fstat64)(fd, status);
}

EXPORT off64_t
lseek64(int fd, off64_t offset, int whence)
{
    return decide("lseek", CALLER) == FAILS ? -1 : REAL(lseek64)(fd, offset, whence);
}

EXPORT ssize_t
sendfile64(int to, int from, off64_t *offset, size_t size)
{
    enum fault fault = decide("sendfile", CALLER);
    if (fault == FAILS) {
        return -1;
    }
    return REAL(sendfile64)(to, from, offset, fault == IS_SHORT ? 1 : size);
}

EXPORT ssize_t
writev(int fd, const struct iovec *vector, int n)
{
    enum fault fault = decide("writev", CALLER);
    if (fault == FAILS) {
        return -1;
    }
    if (fault == IS_SHORT && n > 0 && vector[0].iov_len > 0) {
        return REAL(write)(fd, vector[0].iov_base, 1);
    }
    return REAL(writev)(fd, vector, n);
}

EXPORT int
fcntl(int fd, int command, ...)
{
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return decide("fcntl", CALLER) == FAILS ? -1 : REAL(fcntl)(fd, command, argument);
}

EXPORT int
ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return decide("ioctl", CALLER) == FAILS ? -1 : REAL(ioctl)(fd, request, argument);
}

/* ---- sockets ---- */

FAILING(
    int, accept4, (int fd, struct sockaddr *address, socklen_t *size, int flags), fd,
    address, size, flags
)
FAILING(
    int, getpeername, (int fd, struct sockaddr *address, socklen_t *size), fd, address,
    size
)
FAILING(
    int, getsockname, (int fd, struct sockaddr *address, socklen_t *size), fd, address,
    size
)
FAILING(
    int, getsockopt, (int fd, int level, int name, void *value, socklen_t *size), fd,
    level, name, value, size
)
FAILING(
    int, setsockopt, (int fd, int level, int name, const void *value, socklen_t size),
    fd, level, name, value, size
)
FAILING(int, shutdown, (int fd, int how), fd, how)
FAILING(
    int, socketpair, (int family, int type, int protocol, int fds[2]), family, type,
    protocol, fds
)
MOVING(recv, (int fd, void *data, size_t size, int flags), size, fd, data, size, flags)
MOVING(
    send, (int fd, const void *data, size_t size, int flags), size, fd, data, size,
    flags
)

EXPORT int
connect(int fd, const struct sockaddr *address, socklen_t size)
{
    enum fault fault = decide("connect", CALLER);
    int error = errno;
    if (fault == FAILS && error != EINTR) {
        return -1;
    }
    int result = REAL(connect)(fd, address, size);
    if (fault == FAILS) { /* interrupted: it goes on by itself */
        errno = error;
        return -1;
    }
    return result;
}

/* A datagram comes whole. */
static bool
is_stream(int fd)
{
    int type = 0;
    socklen_t size = sizeof(type);
    return REAL(getsockopt)(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
           type == SOCK_STREAM;
}

EXPORT ssize_t
recvfrom(
    int fd, void *data, size_t size, int flags, struct sockaddr *address,
    socklen_t *address_size
)
{
    enum fault fault = decide("recvfrom", CALLER);
    if (fault == FAILS) {
        return -1;
    }
    if (fault == IS_SHORT && size > 1 && is_stream(fd)) {
        size = 1;
    }
    return REAL(recvfrom)(fd, data, size, flags, address, address_size);
}

EXPORT ssize_t
sendto(
    int fd, const void *data, size_t size, int flags, const struct sockaddr *address,
    socklen_t address_size
)
{
    enum fault fault = decide("sendto", CALLER);
    if (fault == FAILS) {
        return -1;
    }
    if (fault == IS_SHORT && size > 1 && is_stream(fd)) {
        size = 1;
    }
    return REAL(sendto)(fd, data, size, flags, address, address_size);
}

EXPORT ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
    enum fault fault = decide("sendmsg", CALLER);
    if (fault == FAILS) {
        return -1;
    }
    if (fault == IS_SHORT && is_stream(fd) && message->msg_iovlen > 0 &&
        message->msg_iov[0].iov_len > 0) {
        return REAL(send)(fd, message->msg_iov[0].iov_base, 1, flags);
    }
    return REAL(sendmsg)(fd, message, flags);
}

FAILING(
    ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), fd, message, flags
)
FAILING(
    int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned int n, int flags), fd,
    messages, n, flags
)

/* ---- polling ---- */

FAILING(int, epoll_create1, (int flags), flags)
FAILING(
    int, epoll_ctl, (int poller, int op, int fd, struct epoll_event *event), poller, op,
    fd, event
)

EXPORT int
epoll_wait(int poller, struct epoll_event *events, int n, int timeout_ms)
{
    if (polls_too_much(CALLER)) {
        return -1;
    }
    enum fault fault = decide("epoll_wait", CALLER);
    if (fault == FAILS) {
        return -1;
    }
    return REAL(epoll_wait)(poller, events, fault == IS_SHORT ? 1 : n, timeout_ms);
}

static const char *
syscall_name(long number)
{
    switch (number) {
    case 441:
        return "epoll_pwait2";
    case SYS_pidfd_open:
        return "pidfd_open";
    case SYS_pidfd_send_signal:
        return "pidfd_send_signal";
    default:
        return "syscall";
    }
}

EXPORT long
syscall(long number, ...)
{
    va_list rest;
    va_start(rest, number);
    long a[6];
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(rest, long);
    }
    va_end(rest);
    if (number == 441 && polls_too_much(CALLER)) {
        return -1;
    }
    if (decide(syscall_name(number), CALLER) == FAILS) {
        return -1;
    }
    return REAL(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
