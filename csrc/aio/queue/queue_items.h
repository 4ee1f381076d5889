/* What a queue holds: how it is put in and taken out, and how much there is. */
#ifndef FASTLOOP_AIO_QUEUE_ITEMS_H
#define FASTLOOP_AIO_QUEUE_ITEMS_H

#include "aio/class.h"
#include "aio/queue/queue.h"

struct fl_queue_sizes {
    Py_ssize_t n_items;
    Py_ssize_t max; /* 0 or less: none */
};

static inline bool
fl_queue_is_full(const struct fl_queue_sizes *sizes)
{
    return sizes->max > 0 && sizes->n_items >= sizes->max;
}

/* Whether the value is an int of that size; raises nothing. */
bool fl_queue_is_size(PyObject *value, Py_ssize_t *size);

/* Whether what puts and takes does without asyncio's; then its sizes. Of what is plain
 * a subclass may have a _put(), a _get() and an _init() of its own. */
bool fl_queue_is_plain(PyObject *op, struct fl_queue_sizes *sizes);

/* Makes what holds the items if there is nothing yet. 0 or -1. */
int fl_queue_need_items(QueueObject *self);

/* self._put(item), of a plain one. escapes. 0 or -1. */
int fl_queue_put_item(QueueObject *self, PyObject *item);

/* self._get(), of a plain one with items: new, or NULL. escapes. */
PyObject *fl_queue_get_item(QueueObject *self);

#endif
