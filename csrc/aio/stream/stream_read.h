/* What the coroutine functions that read from a StreamReader have in common.
 *
 * Each has a step, which is done from the beginning and again whenever there is more to
 * read, and which waits, or ends. If the reader is no longer plain by then, asyncio's
 * coroutine goes on from there.
 */
#ifndef FASTLOOP_AIO_STREAM_READ_H
#define FASTLOOP_AIO_STREAM_READ_H

#include "aio/stream/stream_reader.h"

static inline StreamReaderObject *
fl_stream_reader_of(const AioCallObject *call)
{
    return fl_stream_reader(call->args[0]);
}

/* The end of a step with value, NULL with an exception. */
static inline PySendResult
fl_stream_answer(PyObject *value, PyObject **result)
{
    *result = value;
    return value == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* What _wait_for_data(name) waits for, for fl_aio_wait: new, or NULL. escapes. */
PyObject *fl_stream_begin_wait(StreamReaderObject *self, const char *name);

/* When that has ended, whatever it said. escapes. */
void fl_stream_wait_no_more(StreamReaderObject *self);

/* Whether it can be asked by C, and may be read. */
bool fl_stream_is_readable(StreamReaderObject *self, Py_ssize_t *limit);

/* Raises its exception if it has one. 0 or -1. */
int fl_stream_check_exception(const StreamReaderObject *self);

/* Takes n bytes, which there are, and has the transport go on: new, or NULL. escapes.
 */
PyObject *fl_stream_take(StreamReaderObject *self, Py_ssize_t n);

/* Takes all that there is at its end: new, or NULL. */
PyObject *fl_stream_take_rest(const StreamReaderObject *self);

/* Raises IncompleteReadError(partial, stolen, expected). */
void fl_stream_raise_incomplete(
    const struct fl_state *state, PyObject *partial, PyObject *expected
);

#define FL_STREAM_READER_TYPE offsetof(struct fl_state, stream_reader_type)

/* stream_read_line.c */
extern const struct fl_aio_call fl_stream_until_call;
extern const struct fl_aio_call fl_stream_line_call;
extern const struct fl_aio_call fl_stream_next_call;

#endif
