/* StreamWriter: asyncio's in C. */
#ifndef FASTLOOP_AIO_STREAM_WRITER_H
#define FASTLOOP_AIO_STREAM_WRITER_H

#include "aio/class.h"

typedef struct {
    AioObject base;
    PyObject *transport;
    PyObject *protocol;
    PyObject *reader;
    PyObject *complete; /* a future that is done; NULL: made when it is asked for */
} StreamWriterObject;

int fl_stream_writer_add_type(PyObject *module, struct fl_state *state);

#endif
