/* StreamReaderProtocol: asyncio's in C. */
#ifndef FASTLOOP_AIO_STREAM_PROTOCOL_H
#define FASTLOOP_AIO_STREAM_PROTOCOL_H

#include "aio/class.h"

typedef struct {
    AioObject base;
    PyObject *paused;
    PyObject
        *drain_waiters;  /* a deque; NULL: an empty one, made when it is asked for */
    PyObject *lost;      /* _connection_lost */
    PyObject *reader_wr; /* a weak reference, or None */
    PyObject *strong_reader;
    PyObject *reject;
    PyObject *writer; /* _stream_writer */
    PyObject *task;
    PyObject *transport;
    PyObject *connected_cb;
    PyObject *over_ssl;
    PyObject *closed; /* a future; NULL: `ended` says of what kind */
    bool ended;       /* the connection was lost without an exception */
} StreamProtocolObject;

static inline StreamProtocolObject *
fl_stream_protocol(PyObject *op)
{
    return (StreamProtocolObject *)(void *)op;
}

/* Whether its methods do without asyncio's. */
bool fl_stream_protocol_is_plain(StreamProtocolObject *self);

/* Its reader: 1 and new, or 1 and NULL if it has none any more; 0 if it must be asked.
 */
int fl_stream_protocol_reader(const StreamProtocolObject *self, PyObject **reader);

/* For a plain one: whether _drain_helper() returns at once. */
bool fl_stream_protocol_has_room(const StreamProtocolObject *self);

/* stream_connect.c: connection_made(transport). */
PyObject *fl_stream_connection_made(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);

/* stream_flow.c: pause_writing(), resume_writing() and _drain_helper(). */
PyObject *fl_stream_pause_writing(PyObject *op, PyObject *ignored);
PyObject *fl_stream_resume_writing(PyObject *op, PyObject *ignored);
extern const struct fl_aio_call fl_stream_drain_call;

/* What asyncio's connection_made() is like. 0 or -1. */
int fl_stream_connect_find(struct fl_state *state);

int fl_stream_protocol_add_type(PyObject *module, struct fl_state *state);

#endif
