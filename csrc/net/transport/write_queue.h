/* What a transport has been given to send and has not sent: pieces of bytes, in order.
 *
 * Nothing is copied: a piece keeps its bytes object alive. That is exactly bytes, so
 * that giving it up runs nobody's code. A queue of zeros is empty and owns no memory.
 */
#ifndef FASTLOOP_NET_WRITE_QUEUE_H
#define FASTLOOP_NET_WRITE_QUEUE_H

#include "py/compat.h"

#include <sys/uio.h>

struct fl_piece {
    PyObject *owner; /* the bytes object that data lies in */
    const char *data;
    size_t size;
};

#define FL_QUEUE_N_INLINE 2

struct fl_write_queue {
    size_t size_bytes;
    size_t first; /* index in pieces */
    size_t count;
    size_t capacity;         /* 0: the inline ones */
    struct fl_piece *pieces; /* NULL: the inline ones */
    struct fl_piece inline_pieces[FL_QUEUE_N_INLINE];
};

/* Takes a reference to owner. 0, or -1 with MemoryError. */
int fl_write_queue_add(
    struct fl_write_queue *self, PyObject *owner, const char *data, size_t size
);

/* Appends all of from, which is then empty; of as many pieces as it has. 0, or -1 with
 * MemoryError and nothing changed. */
int fl_write_queue_move(struct fl_write_queue *self, struct fl_write_queue *from);

/* Describes the first pieces, at most max of them; returns how many. */
size_t fl_write_queue_peek(
    const struct fl_write_queue *self, struct iovec *vector, size_t max
);

/* Drops the first bytes, at most size_bytes of them. */
void fl_write_queue_drop(struct fl_write_queue *self, size_t size);

/* Drops everything and the memory. */
void fl_write_queue_clear(struct fl_write_queue *self);

/* One system call for n pieces, at least one: what writev(2) returns. */
typedef ssize_t (*fl_send_function)(int fd, struct iovec *vector, size_t n);

/* Sends the queue and then the tail, as far as the kernel takes it, and drops what was
 * sent. How much of the tail went, or -errno. */
ssize_t fl_write_queue_send(
    struct fl_write_queue *self, int fd, fl_send_function send_pieces, const char *tail,
    size_t tail_size
);

/* The pieces, as a list of bytes objects of their own. New or NULL. */
PyObject *fl_write_queue_copy(const struct fl_write_queue *self);

#endif
