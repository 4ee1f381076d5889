/* StreamReader: asyncio's in C. */
#ifndef FASTLOOP_AIO_STREAM_READER_H
#define FASTLOOP_AIO_STREAM_READER_H

#include "aio/call.h"
#include "aio/class.h"

typedef struct {
    AioObject base;
    PyObject *limit;
    PyObject *buffer; /* a bytearray; NULL: an empty one, made when it is asked for */
    PyObject *eof;
    PyObject *waiter;
    PyObject *exception;
    PyObject *transport;
    PyObject *paused;
    PyObject *chunk; /* bytes that are still to be put into the empty buffer, or NULL */
    Py_ssize_t wanted; /* by the read() that waits, or 0 */
} StreamReaderObject;

static inline StreamReaderObject *
fl_stream_reader(PyObject *op)
{
    return (StreamReaderObject *)(void *)op;
}

/* Whether value, which may be NULL, is an int and of no subclass; then its value, or
 * the size that is next to it. */
bool fl_stream_is_size(PyObject *value, Py_ssize_t *size);

/* Puts the chunk, if there is one, into the buffer, which there is then. 0, or -1 with
 * MemoryError. */
int fl_stream_reader_unpack(StreamReaderObject *self);
/* False if there is no memory, of which asyncio's method will find out. */
FL_APART bool fl_stream_reader_try_unpack(StreamReaderObject *self);

/* Whether its attributes are of the usual kinds, its limit apart. The chunk stays. */
static inline bool
fl_stream_reader_looks_usual(StreamReaderObject *self)
{
    return fl_aio_is_plain(&self->base) &&
           (self->eof == Py_False || self->eof == Py_True) &&
           (self->paused == Py_False || self->paused == Py_True) &&
           self->waiter != NULL && self->exception != NULL && self->transport != NULL &&
           self->base.loop != NULL &&
           (self->buffer == NULL || PyByteArray_CheckExact(self->buffer));
}

/* The same, and all that it has is in the buffer. */
static inline bool
fl_stream_reader_is_usual(StreamReaderObject *self)
{
    return fl_stream_reader_looks_usual(self) &&
           (self->chunk == NULL || fl_stream_reader_try_unpack(self));
}

/* Whether what follows does without asyncio's; then its limit ... */
bool fl_stream_reader_is_plain(StreamReaderObject *self, Py_ssize_t *limit);

/* ... and the same for who waited: somebody may have a view of the buffer. */
bool fl_stream_reader_goes_on(StreamReaderObject *self, Py_ssize_t *limit);

/* For a plain one. How many bytes there are. */
static inline Py_ssize_t
fl_stream_reader_size(const StreamReaderObject *self)
{
    return self->buffer == NULL ? 0 : Py_SIZE(self->buffer);
}

/* For a plain one that is not at its end. feed_data() of size bytes, one at least,
 * which lie not in the buffer. escapes. 0 or -1. */
int fl_stream_reader_feed(StreamReaderObject *self, const char *data, Py_ssize_t size);

/* How many bytes the read() that waits would take, if there are many, and nobody could
 * tell that they were not in the buffer; else 0. */
Py_ssize_t fl_stream_reader_wanted(StreamReaderObject *self);

/* The same as feed of bytes, no more than are wanted, which are kept as they are.
 * escapes. 0 or -1. */
int fl_stream_reader_give(StreamReaderObject *self, PyObject *bytes);

/* For whom read(n) has waited: takes what was given, if nobody has looked meanwhile.
 * New, or NULL with or without an exception. escapes. */
PyObject *fl_stream_reader_take_chunk(StreamReaderObject *self, Py_ssize_t n);

/* _maybe_resume_transport(). escapes. 0 or -1. */
int fl_stream_reader_maybe_resume(StreamReaderObject *self);

/* Has the transport read again, which was paused. escapes. 0 or -1. */
int fl_stream_reader_resume(StreamReaderObject *self);

/* stream_read.c: the coroutine functions. */
extern const struct fl_aio_named fl_stream_reads[];

int fl_stream_reader_add_type(PyObject *module, struct fl_state *state);

#endif
