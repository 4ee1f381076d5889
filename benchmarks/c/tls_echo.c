/* The limit of the TLS cases: an echo server of epoll and OpenSSL over memory BIOs.
 *
 *     tls_echo PEM
 *
 * PEM holds a key and a certificate. Prints the port it chose on 127.0.0.1 and serves
 * until it is killed, 120 s at most. One recv an event; what there is to answer is one
 * send, which waits where the peer does not take it at once.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 18, EVENTS = 256, LIFE_S = 120, BACKLOG = 1024 };

struct connection {
    int fd;
    SSL *ssl;
    BIO *in, *out;
};

static char cipher[BUFFER_BYTES], plain[BUFFER_BYTES];

static void
fail(const char *what)
{
    perror(what);
    exit(1);
}

static void
end(struct connection *connection)
{
    close(connection->fd);
    SSL_free(connection->ssl);
    free(connection);
}

static void
accept_all(int epoll_fd, int listener, SSL_CTX *context)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct connection *made = malloc(sizeof(*made));
        if (made == NULL) {
            fail("malloc");
        }
        *made = (struct connection){
            .fd = fd,
            .ssl = SSL_new(context),
            .in = BIO_new(BIO_s_mem()),
            .out = BIO_new(BIO_s_mem()),
        };
        SSL_set_bio(made->ssl, made->in, made->out);
        SSL_set_accept_state(made->ssl);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = made};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
            fail("epoll_ctl");
        }
    }
}

/* What OpenSSL has for the peer. False if the connection is over. */
static int
send_out(struct connection *self)
{
    int n;
    while ((n = BIO_read(self->out, cipher, sizeof(cipher))) > 0) {
        for (ssize_t sent, at = 0; at < n; at += sent) {
            sent = send(self->fd, cipher + at, (size_t)(n - at), MSG_NOSIGNAL);
            if (sent < 0 && errno == EAGAIN) {
                poll(&(struct pollfd){.fd = self->fd, .events = POLLOUT}, 1, -1);
                sent = 0;
            }
            else if (sent < 0) {
                return 0;
            }
        }
    }
    return 1;
}

/* All that one recv brings. False if the connection is over. */
static int
serve(struct connection *self)
{
    ssize_t n = recv(self->fd, cipher, sizeof(cipher), 0);
    if (n <= 0 || BIO_write(self->in, cipher, (int)n) != n) {
        return n < 0 && errno == EAGAIN;
    }
    int got;
    while ((got = SSL_read(self->ssl, plain, sizeof(plain))) > 0) {
        if (SSL_write(self->ssl, plain, got) != got) {
            return 0;
        }
        if (BIO_pending(self->in) == 0 && !SSL_has_pending(self->ssl)) {
            return send_out(self);
        }
    }
    int error = SSL_get_error(self->ssl, got);
    if (error == SSL_ERROR_ZERO_RETURN) {
        SSL_shutdown(self->ssl);
        send_out(self);
        return 0;
    }
    return error == SSL_ERROR_WANT_READ && send_out(self);
}

int
main(int argc, char **argv)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (argc != 2 || context == NULL ||
        SSL_CTX_use_certificate_file(context, argv[1], SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[1], SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "usage: tls_echo PEM\n");
        return 2;
    }
    /* As Python's contexts have it. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    };
    socklen_t size = sizeof(address);
    if (bind(listener, (struct sockaddr *)&address, size) < 0 ||
        listen(listener, BACKLOG) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0) {
        fail("listen");
    }
    int epoll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0) {
        fail("epoll");
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    alarm(LIFE_S);
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL) {
                accept_all(epoll_fd, listener, context);
            }
            else if (!serve(events[i].data.ptr)) {
                end(events[i].data.ptr);
            }
        }
    }
}
