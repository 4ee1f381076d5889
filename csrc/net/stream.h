/* The stream transport, shared by the rooms that make it up.
 *
 *   stream.c         the type: life, method table
 *   stream_attrs.c   what users and libraries look at; set_protocol
 *   stream_close.c   close, abort, errors; connection_lost
 *   stream_extra.c   get_extra_info's dict
 *   stream_limits.c  water marks; pausing and resuming the protocol
 *   stream_read.c    from the kernel to the protocol
 *   stream_write.c   from write() to the kernel
 *
 * Imitates asyncio.selector_events._SelectorSocketTransport. The fd belongs to the
 * socket object, which the transport owns until connection_lost was called; before
 * each system call its number is read there, so that a socket closed behind our back
 * is an EBADF and never somebody else's connection.
 *
 * What is written inside a step is sent when the step ends (core/source.h), by one
 * system call. Whoever could tell the difference flushes first.
 *
 * Every method of the protocol may close, abort, write, pause or replace the
 * protocol: after a call that escapes, only what is read again is trusted.
 */
#ifndef FASTLOOP_NET_STREAM_H
#define FASTLOOP_NET_STREAM_H

#include "core/source.h"
#include "net/write_queue.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* asyncio's max_size: what one event may bring. */
#define FL_STREAM_RECEIVE_MAX ((size_t)256 * 1024)

union fl_inet_address {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
};

typedef struct {
    PyObject_HEAD
    /* the slots of asyncio.transports._FlowControlMixin and its base, in their layout
     * (sorted by name); loop.sendfile wants a transport to be one */
    PyObject *extra; /* a dict; NULL: not made yet */
    PyObject *high;  /* water marks as they were given; NULL: the default */
    PyObject *slot_loop;
    PyObject *low;
    PyObject *slot_protocol_paused;
    /* ours */
    PyObject *weakrefs;
    PyObject *dict;
    PyObject *sock;         /* NULL once connection_lost was called */
    PyObject *closed_sock;  /* the same object from then on */
    PyObject *protocol;     /* NULL once connection_lost was called */
    PyObject *server;       /* or NULL */
    PyObject *empty_waiter; /* a future while sendfile is in progress, or NULL */
    size_t high_bytes;
    size_t low_bytes;
    struct fl_source source; /* owns its loop and context */
    struct fl_write_queue queue;
    union fl_inet_address local; /* for the dict; family 0: there is none */
    union fl_inet_address peer;
    uint32_t conn_lost;     /* connection_lost is scheduled; writes since then */
    uint32_t receive_bytes; /* the next read's size; 0: into the loop's buffer */
    char closing;
    char eof; /* write_eof was called */
    char paused;
    char buffered; /* protocol is a BufferedProtocol */
    char protocol_paused;
    char own_context; /* the context was given: callbacks run in it */
} StreamObject;

static inline StreamObject *
fl_stream_of_source(struct fl_source *source)
{
    return FL_CONTAINER_OF(source, StreamObject, source);
}

/* stream.c */
int fl_stream_add_type(PyObject *module, struct fl_state *state);
/* _make_stream(loop, sock, protocol, waiter, extra, server, context): a transport
 * over a socket object, or None if the socket is of a kind that asyncio's own code
 * must drive. */
PyObject *fl_stream_make(PyObject *module, PyObject *const *args, Py_ssize_t n_args);

/* What a transport is made of; all borrowed, Py_None where there is none. */
struct fl_stream_parts {
    PyObject *sock;
    PyObject *protocol;
    PyObject *waiter;
    PyObject *extra;
    PyObject *server;
    const struct sockaddr_storage *peer; /* as accept has it, or NULL */
    PyObject *context; /* for every callback; none: a copy of the current one */
};

/* A transport over a plain socket (net/socket.h) of this fd; its start is scheduled.
 * escapes. New reference or NULL. */
PyObject *
fl_stream_create(LoopObject *loop, int fd, const struct fl_stream_parts *parts);

/* The socket object's fd, or -1 if it was closed meanwhile. */
int fl_stream_fd(const StreamObject *self);

/* loop.call_soon(callback, argument), in the transport's context if that was given. 0
 * or -1. */
int fl_stream_call_soon(StreamObject *self, PyObject *callback, PyObject *argument);

/* stream_attrs.c */
extern PyGetSetDef fl_stream_getset[];
int fl_stream_use_protocol(StreamObject *self, PyObject *protocol);
PyObject *fl_stream_set_protocol(PyObject *op, PyObject *protocol);
PyObject *fl_stream_get_protocol(PyObject *op, PyObject *ignored);
PyObject *fl_stream_get_extra_info(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *fl_stream_get_write_buffer_size(PyObject *op, PyObject *ignored);
PyObject *fl_stream_repr(PyObject *op);

/* stream_extra.c */
int fl_stream_note_extra(StreamObject *self, const struct fl_stream_parts *parts);
/* The dict, made if need be; borrowed, or NULL. */
PyObject *fl_stream_extra(StreamObject *self);

/* stream_close.c */
PyObject *fl_stream_close(PyObject *op, PyObject *ignored);
PyObject *fl_stream_abort(PyObject *op, PyObject *ignored);
PyObject *fl_stream_force_close(PyObject *op, PyObject *exc);
PyObject *fl_stream_call_connection_lost(PyObject *op, PyObject *exc);
/* The exception set is reported as asyncio does, and the connection is closed with
 * it. escapes. 0, or -1 with an exception. */
int fl_stream_fatal_error(StreamObject *self, const char *message);
/* server._detach(transport). escapes. 0 or -1. */
int fl_stream_detach(PyObject *server, PyObject *transport);
/* Calls connection_lost and gives up everything. escapes. 0, or -1. */
int fl_stream_lose(StreamObject *self, PyObject *exc);
/* Schedules the same. 0 or -1. */
int fl_stream_lose_soon(StreamObject *self, PyObject *exc);
/* loop.call_exception_handler for the exception set. escapes. 0 or -1. */
int fl_stream_report(StreamObject *self, const char *message, PyObject *exc);
/* In debug mode, logger.debug("%r <text>", self). escapes. 0 or -1. */
int fl_stream_debug(StreamObject *self, const char *format, PyObject *exc_info);

/* stream_limits.c */
PyObject *fl_stream_set_limits(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
PyObject *fl_stream_get_limits(PyObject *op, PyObject *ignored);
PyObject *fl_stream_get_high(PyObject *op, void *closure);
PyObject *fl_stream_get_low(PyObject *op, void *closure);
void fl_stream_default_limits(StreamObject *self);
/* Both escape. 0, or -1 with an exception. */
int fl_stream_maybe_pause(StreamObject *self);
int fl_stream_maybe_resume(StreamObject *self);

/* stream_read.c */
int fl_stream_read(StreamObject *self);
int fl_stream_start_reading(StreamObject *self);
PyObject *fl_stream_begin(PyObject *op, PyObject *waiter);
PyObject *fl_stream_read_ready(PyObject *op, PyObject *ignored);
PyObject *fl_stream_is_reading(PyObject *op, PyObject *ignored);
PyObject *fl_stream_pause_reading(PyObject *op, PyObject *ignored);
PyObject *fl_stream_resume_reading(PyObject *op, PyObject *ignored);

/* stream_write.c */
/* Sends what a step has deferred. escapes. 0, or -1 with an exception. */
int fl_stream_flush(StreamObject *self);
int fl_stream_flush_source(struct fl_source *source);
/* The fd can be written. escapes. 0, or -1 with an exception. */
int fl_stream_send_rest(StreamObject *self);
PyObject *fl_stream_write(PyObject *op, PyObject *data);
PyObject *fl_stream_writelines(PyObject *op, PyObject *pieces);
PyObject *fl_stream_write_eof(PyObject *op, PyObject *ignored);
PyObject *fl_stream_write_ready(PyObject *op, PyObject *ignored);
PyObject *fl_stream_make_empty_waiter(PyObject *op, PyObject *ignored);
PyObject *fl_stream_reset_empty_waiter(PyObject *op, PyObject *ignored);
/* future.set_exception(exc), if it is not done. escapes. 0 or -1. */
int fl_stream_fail_waiter(StreamObject *self, PyObject *exc);

#endif
