/* The limit of the network cases: an echo server of epoll and nothing else.
 *
 *     bench_echo tcp|udp|unix:PATH [apart:BYTES|swallow:BYTES]
 *
 * Prints the port it chose on 127.0.0.1 (0 for a Unix socket) and serves until it is
 * killed, 120 s at most. One recv an event, one send an answer. apart: one send for
 * each so many bytes, as who answers each message by itself. swallow: one byte is the
 * answer to so many.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum how { ECHO, APART, SWALLOW };

struct manner {
    enum how how;
    size_t size;
    size_t swallowed; /* of the one connection that there is then */
};

enum { BUFFER_BYTES = 1 << 18, EVENTS = 256, LIFE_S = 120, BACKLOG = 1024 };

static _Alignas(4096) char buffer[BUFFER_BYTES];

static void
fail(const char *what)
{
    perror(what);
    exit(1);
}

static void
watch(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        fail("epoll_ctl");
    }
}

static void
accept_all(int epoll_fd, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        watch(epoll_fd, fd);
    }
}

/* Waits for room where a loop would queue. 0, or -1 when the connection is gone. */
static int
send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
            continue;
        }
        if (n < 0) {
            return -1;
        }
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

static int
answer(int fd, size_t n, struct manner *manner)
{
    size_t piece = manner->how == APART ? manner->size : n;
    if (manner->how == SWALLOW) {
        manner->swallowed += n;
        n = manner->swallowed / manner->size;
        manner->swallowed -= n * manner->size;
    }
    for (size_t sent = 0; sent < n; sent += piece) {
        if (send_all(fd, buffer + sent, n - sent < piece ? n - sent : piece) < 0) {
            return -1;
        }
    }
    return 0;
}

static void
serve_stream(int fd, struct manner *manner)
{
    ssize_t n = recv(fd, buffer, sizeof(buffer), 0);
    if (n <= 0 || answer(fd, (size_t)n, manner) < 0) {
        close(fd);
    }
}

static void
echo_datagram(int fd)
{
    struct sockaddr_in peer;
    socklen_t size = sizeof(peer);
    struct sockaddr *address = (struct sockaddr *)&peer;
    ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, address, &size);
    if (n >= 0) {
        sendto(fd, buffer, (size_t)n, 0, address, size);
    }
}

static int
open_listener(const char *where, int type)
{
    if (strncmp(where, "unix:", 5) == 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", where + 5);
        int fd = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
            fail("bind");
        }
        return fd;
    }
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        fail("bind");
    }
    return fd;
}

static unsigned
port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    getsockname(fd, (struct sockaddr *)&address, &size);
    if (address.ss_family != AF_INET) {
        return 0;
    }
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static bool
parse_manner(const char *text, struct manner *manner)
{
    manner->how = strncmp(text, "apart:", 6) == 0 ? APART : SWALLOW;
    const char *size = strchr(text, ':');
    manner->size = size == NULL ? 0 : strtoul(size + 1, NULL, 10);
    return manner->size > 0 &&
           (manner->how == APART || strncmp(text, "swallow:", 8) == 0);
}

int
main(int argc, char **argv)
{
    struct manner manner = {ECHO, 0, 0};
    if (argc < 2 || argc > 3 || (argc == 3 && !parse_manner(argv[2], &manner))) {
        fprintf(
            stderr, "usage: bench_echo tcp|udp|unix:PATH [apart:BYTES|swallow:BYTES]\n"
        );
        return 2;
    }
    alarm(LIFE_S);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int type = strcmp(argv[1], "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM;
    int listener = open_listener(argv[1], type);
    if (type == SOCK_STREAM && listen(listener, BACKLOG) < 0) {
        fail("listen");
    }
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll_fd, listener);
    printf("%u\n", port_of(listener));
    fflush(stdout);
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                serve_stream(fd, &manner);
            }
            else if (type == SOCK_DGRAM) {
                echo_datagram(fd);
            }
            else {
                accept_all(epoll_fd, listener);
            }
        }
    }
}
