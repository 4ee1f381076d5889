/* From the receive into a reader's buffer: what StreamReaderProtocol and StreamReader
 * do in Python, for asyncio's protocol of exactly that type and a reader of either
 * kind, while nothing of them is replaced. */
#ifndef FASTLOOP_AIO_STREAM_FEED_H
#define FASTLOOP_AIO_STREAM_FEED_H

#include "py/state/state.h"

/* Whether op's method of that name is the class's, which is `function`. escapes. 1, 0
 * or -1. */
int fl_stream_has_method(PyObject *op, PyObject *name, PyObject *function);

/* Has transports feed so: 0 or -1. */
int fl_stream_feed_offer(struct fl_state *state);

#endif
