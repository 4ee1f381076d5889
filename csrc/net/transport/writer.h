/* From write() to the kernel: what every transport that writes does alike, whatever
 * its system call.
 *
 * write() sends at once what the kernel takes, as asyncio does. What it does not take
 * is queued, the fd is watched for room, and until there is some everything only
 * queues. What cannot change (bytes, or a memoryview of them) is queued by reference,
 * of anything else the unsent rest is copied: what is sent is what was there.
 *
 * Joining. Where it is allowed (net/stream/stream.h says where), and once an earlier
 * step wrote n times in a run, two at least, the first n - 1 writes of a step wait for
 * the n-th, and one system call sends them all; where n is 16 or more those behind the
 * n-th wait for the 2n-th, and so on. They go sooner when
 *   - the step ends, however it ends;
 *   - anybody looks: any method of the transport that could tell, of the socket that
 *     it has handed out, a fork, a child that is started;
 *   - anything else is sent by way of the loop: one transport at most waits;
 *   - more waits than the high-water mark, or what may change is written.
 * A look ends a run, so who looks after each write never waits.
 */
#ifndef FASTLOOP_NET_WRITER_H
#define FASTLOOP_NET_WRITER_H

#include "net/transport/transport.h"
#include "net/transport/write_queue.h"

struct fl_writer_kind {
    fl_send_function send_pieces;
    /* The fd, or -1 if it was closed behind our back. escapes. */
    int (*fd)(TransportObject *transport);
    /* Nothing is left to send. escapes. 0 or -1. Or NULL. */
    int (*drained)(TransportObject *transport);
    /* Sending failed with exc, and the transport is closed. escapes. 0 or -1. */
    int (*failed)(TransportObject *transport, PyObject *exc);
    const char *error; /* how the exception handler hears of it */
};

struct fl_writer {
    TransportObject *transport; /* which embeds this */
    const struct fl_writer_kind *kind;
    struct fl_write_queue queue;
    uint64_t step;     /* the step of the last write, by loop->n_steps */
    uint32_t run;      /* its writes since the last look */
    uint32_t longest;  /* the longest run of that step that has ended */
    uint32_t expected; /* the longest run of the step before it that wrote */
    bool may_join;
};

void fl_writer_init(
    struct fl_writer *self, TransportObject *transport,
    const struct fl_writer_kind *kind
);

/* Of bytes-like data, which is not empty. escapes. 0, or -1 with an exception. */
int fl_writer_write(struct fl_writer *self, PyObject *data);

/* The same of what lies elsewhere. */
int fl_writer_write_copy(struct fl_writer *self, const char *data, size_t size);

/* The same of pieces, which are then empty. */
int fl_writer_write_pieces(struct fl_writer *self, struct fl_write_queue *pieces);

/* Sends what waits for more, if anything does. escapes. 0, or -1 with an exception. */
int fl_writer_flush(struct fl_writer *self);

/* The kernel has room. escapes. 0, or -1 with an exception. */
int fl_writer_send_rest(struct fl_writer *self);

/* The bytes object that a memoryview shows and cannot change under it, or NULL;
 * borrowed. */
static inline PyObject *
fl_writer_bytes_behind(PyObject *data)
{
    PyObject *base = PyMemoryView_Check(data) ? PyMemoryView_GET_BASE(data) : NULL;
    return base != NULL && PyBytes_CheckExact(base) ? base : NULL;
}

#endif
