/* wait_for() of 3.11. */
#ifndef FASTLOOP_AIO_WAIT_FOR_TASK_H
#define FASTLOOP_AIO_WAIT_FOR_TASK_H

#include "aio/call.h"

extern const struct fl_aio_call fl_wait_for_task_call;

#endif
