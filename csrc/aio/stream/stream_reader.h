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
} StreamReaderObject;

static inline StreamReaderObject *
fl_stream_reader(PyObject *op)
{
    return (StreamReaderObject *)(void *)op;
}

/* Whether value, which may be NULL, is an int and of no subclass; then its value, or
 * the size that is next to it. */
bool fl_stream_is_size(PyObject *value, Py_ssize_t *size);

/* Whether its attributes are of the usual kinds, its limit apart. */
static inline bool
fl_stream_reader_is_usual(StreamReaderObject *self)
{
    return fl_aio_is_plain(&self->base) &&
           (self->eof == Py_False || self->eof == Py_True) &&
           (self->paused == Py_False || self->paused == Py_True) &&
           self->waiter != NULL && self->exception != NULL && self->transport != NULL &&
           self->base.loop != NULL &&
           (self->buffer == NULL || PyByteArray_CheckExact(self->buffer));
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

/* _maybe_resume_transport(). escapes. 0 or -1. */
int fl_stream_reader_maybe_resume(StreamReaderObject *self);

/* Has the transport read again, which was paused. escapes. 0 or -1. */
int fl_stream_reader_resume(StreamReaderObject *self);

/* stream_read.c: the coroutine functions. */
extern const struct fl_aio_named fl_stream_reads[];

int fl_stream_reader_add_type(PyObject *module, struct fl_state *state);

#endif
