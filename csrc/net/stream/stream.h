/* The stream transport, shared by the rooms that make it up.
 *
 *   stream.c         the type: life, method table
 *   stream_extra.c   get_extra_info's dict
 *   stream_read.c    from the kernel to the protocol
 *   stream_write.c   from write() to the kernel
 *
 * Imitates asyncio.selector_events._SelectorSocketTransport. The fd belongs to the
 * socket object, which the transport owns until connection_lost was called; before
 * each system call its number is read there, so that a socket closed behind our back
 * is an EBADF and never somebody else's connection. A connection that was accepted has
 * no socket object until somebody asks for one.
 *
 * Writes are joined (net/transport/writer.h) on connections that a server of ours
 * accepted, as long as nobody else can send on them: not once the fd's number or the
 * socket was given out (what get_extra_info shows is an object of ours that sends
 * first), nor for a protocol that was not the first.
 *
 * Every method of the protocol may close, abort, write, pause or replace the
 * protocol: after a call that escapes, only what is read again is trusted.
 */
#ifndef FASTLOOP_NET_STREAM_H
#define FASTLOOP_NET_STREAM_H

#include "net/transport/transport.h"
#include "net/transport/writer.h"

#include <netinet/in.h>
#include <sys/socket.h>

union fl_inet_address {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
};

typedef struct {
    TransportObject base;
    PyObject *server;       /* or NULL */
    PyObject *empty_waiter; /* a future while sendfile is in progress, or NULL */
    PyObject *room_waiter;  /* one of ours that sendfile waits for, or NULL */
    struct fl_writer writer;
    union fl_inet_address local; /* for the dict; family 0: there is none */
    union fl_inet_address peer;
    int proto; /* of a socket object that is still to be made */
    struct fl_receive memory;
    char eof;      /* write_eof was called */
    char buffered; /* protocol is a BufferedProtocol */
} StreamObject;

static inline StreamObject *
fl_stream_of_source(struct fl_source *source)
{
    return (StreamObject *)fl_transport_of_source(source);
}

/* From now on each write is sent at once. */
static inline void
fl_stream_stop_joining(StreamObject *self)
{
    self->writer.may_join = false;
}

/* stream.c */
int fl_stream_add_type(PyObject *module, struct fl_state *state);
/* _make_stream(loop, sock, protocol, waiter, extra, server, context): a transport
 * over a socket object, or None if the socket is of a kind that asyncio's own code
 * must drive. */
PyObject *fl_stream_make(PyObject *module, PyObject *const *args, Py_ssize_t n_args);

/* What a transport is made of; all borrowed, Py_None where there is none. */
struct fl_stream_parts {
    PyObject *sock; /* NULL: it is made when it is asked for, of this proto */
    int proto;
    PyObject *protocol;
    PyObject *waiter;
    PyObject *extra;
    PyObject *server;
    const struct sockaddr_storage *peer; /* as accept has it, or NULL */
    PyObject *context; /* for every callback; none: a copy of the current one */
    bool accepted;     /* by a server of ours: it may join writes */
};

/* A transport over a plain socket (net/socket.h) of this fd; its start is scheduled.
 * Without a socket object it must be an Internet connection's, and the fd is the
 * transport's, also if this fails. escapes. New reference or NULL. */
PyObject *
fl_stream_create(LoopObject *loop, int fd, const struct fl_stream_parts *parts);

/* stream_extra.c */
int fl_stream_note_extra(StreamObject *self, const struct fl_stream_parts *parts);
int fl_stream_make_extra(TransportObject *base);
PyObject *fl_stream_make_socket(const TransportObject *base);
void fl_stream_disown_socket(const TransportObject *base, PyObject *sock);

/* stream_read.c */
int fl_stream_read(StreamObject *self);
PyObject *fl_stream_read_ready(PyObject *op, PyObject *ignored);

/* stream_write.c */
extern const struct fl_writer_kind fl_stream_writer_kind;
/* Sends what waits for more writes. escapes. 0, or -1 with an exception. */
int fl_stream_flush(StreamObject *self);
int fl_stream_flush_source(struct fl_source *source);
/* The fd can be written. escapes. 0, or -1 with an exception. */
int fl_stream_send_rest(StreamObject *self);
PyObject *fl_stream_write(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
/* The same of what lies elsewhere; not nothing. 0, or -1 with an exception. */
int fl_stream_write_copy(StreamObject *self, const char *data, size_t size);
PyObject *fl_stream_writelines(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *fl_stream_write_eof(PyObject *op, PyObject *ignored);
PyObject *fl_stream_write_ready(PyObject *op, PyObject *ignored);
PyObject *fl_stream_make_empty_waiter(PyObject *op, PyObject *ignored);
PyObject *fl_stream_reset_empty_waiter(PyObject *op, PyObject *ignored);
/* future, of the exact type of ours, is set to None when the kernel has room, or the
 * connection is gone. Only while sendfile is in progress: 1, else 0; -1 with an
 * exception. */
int fl_stream_wait_for_room(StreamObject *self, PyObject *future);
/* Sets it now. escapes. 0 or -1. */
int fl_stream_tell_room(StreamObject *self);
/* Tells sendfile, if it is in progress, that the connection is gone. escapes. 0 or
 * -1. */
int fl_stream_fail_waiter_at_end(StreamObject *self);

#endif
