/* What can be asked of a coroutine object of ours that has no frame: cr_frame and so
 * on.
 *
 * It answers from a coroutine that stands for it, made by fastloop/_stand_ins.py when
 * it is first looked at where it is: nothing is spent on those that nobody looks at.
 */
#ifndef FASTLOOP_AIO_CALL_LOOK_H
#define FASTLOOP_AIO_CALL_LOOK_H

#include "py/await/awaitable.h"

/* __name__, __qualname__, cr_running; cr_await, cr_code, cr_frame, cr_origin and
 * cr_suspended. */
extern PyGetSetDef fl_aio_call_getset[];

/* A look at it that makes nothing: as fl_coroutine_kind has it. */
void fl_aio_call_look(PyObject *op, struct fl_coroutine_look *look);

#endif
