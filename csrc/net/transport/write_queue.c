/* The pieces lie in one array from first on: two inside the queue itself, more in
 * memory that is given back when the queue is empty. */
#include "net/transport/write_queue.h"

#include "base/hot.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#ifndef IOV_MAX
#define IOV_MAX 1024
#endif

static struct fl_piece *
queue_pieces(struct fl_write_queue *self)
{
    return self->pieces != NULL ? self->pieces : self->inline_pieces;
}

static const struct fl_piece *
queue_first(const struct fl_write_queue *self)
{
    return (self->pieces != NULL ? self->pieces : self->inline_pieces) + self->first;
}

/* Room for n more pieces at the end. */
static int
queue_reserve(struct fl_write_queue *self, size_t n)
{
    size_t capacity = self->pieces != NULL ? self->capacity : FL_QUEUE_N_INLINE;
    if (self->first + self->count + n <= capacity) {
        return 0;
    }
    if (self->first * 2 >= capacity && self->count + n <= capacity) {
        memmove(
            queue_pieces(self), queue_first(self), self->count * sizeof(struct fl_piece)
        );
        self->first = 0;
        return 0;
    }
    size_t wanted = capacity * 4;
    wanted = wanted < self->count + n ? self->count + n : wanted;
    struct fl_piece *pieces = PyMem_New(struct fl_piece, wanted);
    if (pieces == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(pieces, queue_first(self), self->count * sizeof(struct fl_piece));
    PyMem_Free(self->pieces);
    self->pieces = pieces;
    self->capacity = wanted;
    self->first = 0;
    return 0;
}

int
fl_write_queue_add(
    struct fl_write_queue *self, PyObject *owner, const char *data, size_t size
)
{
    if (queue_reserve(self, 1) < 0) {
        return -1;
    }
    queue_pieces(self)[self->first + self->count] =
        (struct fl_piece){Py_NewRef(owner), data, size};
    self->count++;
    self->size_bytes += size;
    return 0;
}

int
fl_write_queue_move(struct fl_write_queue *self, struct fl_write_queue *from)
{
    if (queue_reserve(self, from->count) < 0) {
        return -1;
    }
    memcpy(
        queue_pieces(self) + self->first + self->count, queue_first(from),
        from->count * sizeof(struct fl_piece)
    );
    self->count += from->count;
    self->size_bytes += from->size_bytes;
    PyMem_Free(from->pieces);
    *from = (struct fl_write_queue){0};
    return 0;
}

size_t
fl_write_queue_peek(const struct fl_write_queue *self, struct iovec *vector, size_t max)
{
    const struct fl_piece *pieces = queue_first(self);
    size_t n = self->count < max ? self->count : max;
    for (size_t i = 0; i < n; i++) {
        vector[i].iov_base = (void *)(uintptr_t)pieces[i].data;
        vector[i].iov_len = pieces[i].size;
    }
    return n;
}

void
fl_write_queue_drop(struct fl_write_queue *self, size_t size)
{
    self->size_bytes -= size;
    while (self->count > 0) {
        struct fl_piece *piece = queue_pieces(self) + self->first;
        if (piece->size > size) {
            piece->data += size;
            piece->size -= size;
            return;
        }
        size -= piece->size;
        Py_CLEAR(piece->owner);
        self->first++;
        self->count--;
        if (size == 0) {
            break;
        }
    }
    if (self->count == 0) {
        self->first = 0;
        PyMem_Free(self->pieces);
        self->pieces = NULL;
    }
}

void
fl_write_queue_clear(struct fl_write_queue *self)
{
    if (self->count > 0) {
        fl_write_queue_drop(self, self->size_bytes);
    }
}

/* The count, 0 if there is no room, or -errno. */
static inline ssize_t
send_vector(int fd, fl_send_function send_pieces, struct iovec *vector, size_t n)
{
    ssize_t sent = send_pieces(fd, vector, n);
    if (sent >= 0) {
        return sent;
    }
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;
}

/* One system call for the first pieces and, if they are all, the tail. *all: it took
 * everything it was given. The count, 0 if there is no room, or -errno. */
static ssize_t
send_once(
    const struct fl_write_queue *self, int fd, fl_send_function send_pieces,
    const char *tail, size_t tail_size, bool *all
)
{
    struct iovec vector[IOV_MAX];
    size_t n = fl_write_queue_peek(self, vector, IOV_MAX - 1);
    size_t wanted = self->size_bytes + tail_size;
    if (FL_UNLIKELY(n < self->count)) {
        wanted = 0;
        for (size_t i = 0; i < n; i++) {
            wanted += vector[i].iov_len;
        }
    }
    else if (tail_size > 0) {
        vector[n].iov_base = (void *)(uintptr_t)tail;
        vector[n].iov_len = tail_size;
        n++;
    }
    ssize_t sent = send_vector(fd, send_pieces, vector, n);
    *all = sent == (ssize_t)wanted;
    return sent;
}

ssize_t
fl_write_queue_send(
    struct fl_write_queue *self, int fd, fl_send_function send_pieces, const char *tail,
    size_t tail_size
)
{
    /* fast: most of what is written finds nothing waiting (60 instructions a write) */
    if (FL_LIKELY(self->count == 0 && tail_size > 0)) {
        struct iovec piece = {(void *)(uintptr_t)tail, tail_size};
        return send_vector(fd, send_pieces, &piece, 1);
    }
    size_t tail_sent = 0;
    bool all = true;
    while (all && (self->count > 0 || tail_sent < tail_size)) {
        ssize_t n = send_once(
            self, fd, send_pieces, tail + tail_sent, tail_size - tail_sent, &all
        );
        if (n < 0) {
            return n;
        }
        size_t queued = self->size_bytes;
        size_t sent = (size_t)n;
        fl_write_queue_drop(self, sent < queued ? sent : queued);
        tail_sent += sent > queued ? sent - queued : 0;
    }
    return (ssize_t)tail_sent;
}

PyObject *
fl_write_queue_copy(const struct fl_write_queue *self)
{
    PyObject *copies = PyList_New(0);
    const struct fl_piece *pieces = queue_first(self);
    for (size_t i = 0; copies != NULL && i < self->count; i++) {
        PyObject *rest =
            PyBytes_FromStringAndSize(pieces[i].data, (Py_ssize_t)pieces[i].size);
        if (rest == NULL || PyList_Append(copies, rest) < 0) {
            Py_CLEAR(copies);
        }
        Py_XDECREF(rest);
    }
    return copies;
}
