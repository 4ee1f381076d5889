/* What as_completed()'s iterators give: who waits for the next future that is done. */
#ifndef FASTLOOP_AIO_AS_COMPLETED_ONE_H
#define FASTLOOP_AIO_AS_COMPLETED_ONE_H

#include "aio/call.h"

/* Of the call's arguments the queue that it takes the future from. The first one is
 * None if it returns what that has come to, and anything else for the future itself. */
#define FL_ONE_QUEUE 1

PySendResult fl_one_start(AioCallObject *call, PyObject **result);
PySendResult
fl_one_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result);

#endif
