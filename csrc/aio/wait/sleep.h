/* sleep(): asyncio.sleep in C. */
#ifndef FASTLOOP_AIO_SLEEP_H
#define FASTLOOP_AIO_SLEEP_H

#include "aio/call.h"

int fl_sleep_add(PyObject *module, struct fl_state *state);

/* asyncio.futures._set_result_unless_cancelled(target, value), for a future of ours. */
extern const struct fl_alarm_kind fl_sleep_alarm;

#endif
