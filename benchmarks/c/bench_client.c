/* The client of the network cases: closed loop, bounded in count and in time.
 *
 *     bench_client MODE ADDRESS CONNECTIONS DEPTH COUNT SECONDS REQUEST REPLY [HELLO]
 *
 * MODE     stream: keep DEPTH requests in flight on each connection;
 *          accept: connect, one request and reply, close, again;
 *          hold:   one request and reply each, then keep the connections open.
 * ADDRESS  tcp:PORT or udp:PORT on 127.0.0.1, or unix:PATH.
 * REQUEST  bytes of a request, or hex: and its content; REPLY: bytes of a reply.
 * HELLO    hex: and what a connection sends first; its answer ends in an empty line.
 *
 * After a warm-up of a tenth it prints "ready", waits for a line, makes COUNT requests
 * and prints one line of JSON. It spins instead of sleeping, so that waking it up costs
 * the server next to nothing, and it only ever talks to this machine.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { SCRATCH_BYTES = 1 << 18, EVENTS = 256, MAX_DEPTH = 64, BUCKETS = 4096 };

struct connection {
    int fd;
    bool waits_to_send;
    uint64_t sent, to_send, received; /* bytes since it was opened */
    uint64_t issued, answered;        /* requests since it was opened */
    uint64_t began_ns[MAX_DEPTH];
};

struct client {
    struct sockaddr_storage address;
    socklen_t address_size;
    int type;
    bool reconnect;
    unsigned n_connections, depth;
    uint64_t max_ns;
    size_t request_bytes, reply_bytes, hello_bytes;
    char *requests, *hello; /* requests: DEPTH copies, one after the other */
    struct connection *connections;
    int epoll_fd;
    uint64_t budget, done;
    uint64_t latencies[BUCKETS]; /* counts, by microsecond up to a power of two */
};

static char scratch[SCRATCH_BYTES];

static void
fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t
now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Bucket of a latency: 64 steps for each power of two above 64 microseconds. */
static unsigned
bucket_of(uint64_t microseconds)
{
    unsigned shift = 0;
    while (microseconds >> shift >= 128) {
        shift++;
    }
    unsigned bucket = shift * 64 + (unsigned)(microseconds >> shift);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static uint64_t
microseconds_of(unsigned bucket)
{
    if (bucket < 128) {
        return bucket;
    }
    unsigned shift = bucket / 64 - 1;
    return (uint64_t)(bucket - shift * 64) << shift;
}

static uint64_t
percentile(const struct client *client, double part)
{
    uint64_t wanted = (uint64_t)(part * (double)client->done), seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += client->latencies[i];
        if (seen > wanted) {
            return microseconds_of(i);
        }
    }
    return 0;
}

static void
set_interest(struct client *client, struct connection *connection, int operation)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (connection->waits_to_send) {
        event.events |= EPOLLOUT;
    }
    if (epoll_ctl(client->epoll_fd, operation, connection->fd, &event) < 0) {
        fail("epoll_ctl");
    }
}

/* Send what is due of the requests issued so far. */
static void
flush(struct client *client, struct connection *connection)
{
    bool blocked = false;
    while (connection->to_send > connection->sent) {
        size_t offset = connection->sent % client->request_bytes;
        size_t size = client->depth * client->request_bytes - offset;
        uint64_t due = connection->to_send - connection->sent;
        if (client->type == SOCK_DGRAM) {
            due = client->request_bytes;
        }
        if (size > due) {
            size = due;
        }
        ssize_t n =
            send(connection->fd, client->requests + offset, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            blocked = true;
            break;
        }
        if (n < 0) {
            fail("send");
        }
        connection->sent += (uint64_t)n;
    }
    if (blocked != connection->waits_to_send) {
        connection->waits_to_send = blocked;
        set_interest(client, connection, EPOLL_CTL_MOD);
    }
}

static void
issue(struct client *client, struct connection *connection, uint64_t count)
{
    uint64_t began = now_ns();
    while (count-- > 0 && client->budget > 0) {
        client->budget--;
        connection->began_ns[connection->issued++ % MAX_DEPTH] = began;
        connection->to_send += client->request_bytes;
    }
    flush(client, connection);
}

/* Blocking, before the socket is watched. */
static void
greet(const struct client *client, int fd)
{
    if (send(fd, client->hello, client->hello_bytes, MSG_NOSIGNAL) < 0) {
        fail("send");
    }
    size_t got = 0;
    while (got < 4 || memcmp(scratch + got - 4, "\r\n\r\n", 4) != 0) {
        ssize_t n = recv(fd, scratch + got, 1, 0);
        if (n <= 0 || ++got == SCRATCH_BYTES) {
            fail("the answer to hello");
        }
    }
}

static void
open_connection(struct client *client, struct connection *connection)
{
    int family = client->address.ss_family;
    memset(connection, 0, sizeof(*connection));
    int fd = connection->fd = socket(family, client->type, 0);
    if (fd < 0) {
        fail("socket");
    }
    const struct sockaddr *address = (const struct sockaddr *)&client->address;
    while (connect(fd, address, client->address_size) < 0) {
        /* A Unix socket's full backlog. */
        if (errno != EAGAIN) {
            fail("connect");
        }
        usleep(100);
    }
    if (family == AF_INET && client->type == SOCK_STREAM) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    }
    if (client->hello_bytes > 0) {
        greet(client, fd);
    }
    struct timeval none = {0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
    set_interest(client, connection, EPOLL_CTL_ADD);
}

static void
count_answers(struct client *client, struct connection *connection)
{
    uint64_t complete = connection->received / client->reply_bytes;
    uint64_t fresh = complete - connection->answered;
    if (fresh == 0) {
        return;
    }
    uint64_t now = now_ns();
    while (connection->answered < complete) {
        uint64_t began = connection->began_ns[connection->answered++ % MAX_DEPTH];
        client->latencies[bucket_of((now - began) / 1000)]++;
        client->done++;
    }
    if (client->reconnect) {
        close(connection->fd);
        connection->fd = -1;
        if (client->budget > 0) {
            open_connection(client, connection);
            issue(client, connection, 1);
        }
        return;
    }
    issue(client, connection, fresh);
}

static void
receive(struct client *client, struct connection *connection)
{
    ssize_t n;
    do {
        n = recv(connection->fd, scratch, sizeof(scratch), MSG_DONTWAIT);
        if (n == 0) {
            errno = ECONNRESET;
        }
        if (n <= 0) {
            if (errno == EAGAIN) {
                break;
            }
            fail("recv");
        }
        connection->received += (uint64_t)n;
    } while (n == SCRATCH_BYTES);
    count_answers(client, connection);
}

/* Make `count` requests on the open connections; false when time ran out. */
static bool
run(struct client *client, uint64_t count)
{
    struct epoll_event events[EVENTS];
    uint64_t stop = now_ns() + client->max_ns;
    client->budget = count;
    client->done = 0;
    memset(client->latencies, 0, sizeof(client->latencies));
    for (unsigned i = 0; i < client->n_connections; i++) {
        if (client->connections[i].fd < 0) {
            if (client->budget == 0) {
                break;
            }
            open_connection(client, &client->connections[i]);
        }
        issue(client, &client->connections[i], client->depth);
    }
    while (client->done < count) {
        int n = epoll_wait(client->epoll_fd, events, EVENTS, 0);
        if (n < 0 && errno != EINTR) {
            fail("epoll_wait");
        }
        for (int i = 0; i < n; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                flush(client, connection);
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                receive(client, connection);
            }
        }
        if (n == 0 && now_ns() > stop) {
            return false;
        }
    }
    return true;
}

static char *
parse_payload(const char *text, size_t *size)
{
    char *payload;
    if (strncmp(text, "hex:", 4) != 0) {
        *size = strtoul(text, NULL, 10);
        payload = malloc(*size + 1);
        memset(payload, 'x', *size);
        payload[*size - 1] = '\n';
        return payload;
    }
    text += 4;
    *size = strlen(text) / 2;
    payload = malloc(*size + 1);
    for (size_t i = 0; i < *size; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
        payload[i] = (char)strtoul(digits, NULL, 16);
    }
    return payload;
}

static void
parse_address(struct client *client, const char *text)
{
    client->type = strncmp(text, "udp:", 4) == 0 ? SOCK_DGRAM : SOCK_STREAM;
    if (strncmp(text, "unix:", 5) == 0) {
        struct sockaddr_un *address = (struct sockaddr_un *)&client->address;
        address->sun_family = AF_UNIX;
        snprintf(address->sun_path, sizeof(address->sun_path), "%s", text + 5);
        client->address_size = sizeof(*address);
        return;
    }
    struct sockaddr_in *address = (struct sockaddr_in *)&client->address;
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)strtoul(text + 4, NULL, 10));
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->address_size = sizeof(*address);
}

static void
prepare(struct client *client, char **argv)
{
    parse_address(client, argv[2]);
    client->reconnect = strcmp(argv[1], "accept") == 0;
    client->n_connections = (unsigned)strtoul(argv[3], NULL, 10);
    client->depth = (unsigned)strtoul(argv[4], NULL, 10);
    client->max_ns = strtoul(argv[6], NULL, 10) * 1000000000u;
    if (client->depth < 1 || client->depth > MAX_DEPTH) {
        errno = EINVAL;
        fail("DEPTH");
    }
    char *request = parse_payload(argv[7], &client->request_bytes);
    client->requests = malloc(client->depth * client->request_bytes);
    for (unsigned i = 0; i < client->depth; i++) {
        char *copy = client->requests + i * client->request_bytes;
        memcpy(copy, request, client->request_bytes);
    }
    free(request);
    client->reply_bytes = strtoul(argv[8], NULL, 10);
    if (argv[9] != NULL) {
        client->hello = parse_payload(argv[9], &client->hello_bytes);
    }
    client->connections = calloc(client->n_connections, sizeof(struct connection));
    for (unsigned i = 0; i < client->n_connections; i++) {
        client->connections[i].fd = -1;
    }
    client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
}

int
main(int argc, char **argv)
{
    static struct client client;
    if (argc < 9 || argc > 10) {
        fprintf(stderr, "usage: see the head of bench_client.c\n");
        return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prepare(&client, argv);
    uint64_t count = strtoul(argv[5], NULL, 10);
    bool hold = strcmp(argv[1], "hold") == 0;
    uint64_t warm = count / 10 + 1;
    if (hold) {
        warm = client.n_connections;
    } else if (!client.reconnect && warm < client.n_connections) {
        warm = client.n_connections;
    }
    if (!run(&client, warm)) {
        fprintf(stderr, "the warm-up got %ju answers\n", (uintmax_t)client.done);
        return 1;
    }
    char line[16];
    printf("ready\n");
    fflush(stdout);
    if (fgets(line, sizeof(line), stdin) == NULL || hold) {
        return 0;
    }
    uint64_t began = now_ns();
    bool complete = run(&client, count);
    printf(
        "{\"done\": %ju, \"seconds\": %.6f, \"p50_us\": %ju, \"p99_us\": %ju, "
        "\"complete\": %s}\n",
        (uintmax_t)client.done,
        (double)(now_ns() - began) / 1e9,
        (uintmax_t)percentile(&client, 0.5),
        (uintmax_t)percentile(&client, 0.99),
        complete ? "true" : "false"
    );
    return 0;
}
