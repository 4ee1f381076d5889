/* asyncio above the loop, in C; fastloop/aio.py gives it its names.
 *
 *   call.c       coroutine functions and the coroutines they make
 *   class.c      what the classes have in common
 *   sleep.c      sleep()
 *   timeout.c, timeout_alarm.c, timeout_error.c   Timeout, timeout(), timeout_at()
 *   wait_for.c, wait_for_task.c   wait_for()
 *   waiters.c    the futures that tasks wait for
 *   futures.c    what is asked of futures of any kind
 *   gather.c, shield.c, wait.c, as_completed.c, task_group.c
 *   lock.c, event.c, semaphore.c, condition.c, queue.c, priority_queue.c, lifo_queue.c
 *   queue_items.c   what a queue holds
 *
 * It runs on any loop: everything of a loop that is not ours is used by its public
 * methods.
 */
#ifndef FASTLOOP_AIO_AIO_H
#define FASTLOOP_AIO_AIO_H

#include "py/state/state.h"

/* 0 or -1. */
int fl_aio_add_types(PyObject *module, struct fl_state *state);

/* module.name: *found new, or NULL if there is no such thing. 0 or -1. */
int fl_aio_optional(const char *module, const char *name, PyObject **found);

/* Drops what is kept for calls to come. */
void fl_aio_trim(struct fl_state *state);

#endif
