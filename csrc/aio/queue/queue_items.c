/* What a queue holds: how it is put in and taken out, and how much there is. */
#include "aio/queue/queue_items.h"

#include "aio/lock/waiters.h"
#include "py/args/args.h"
#include "py/args/call.h"

static bool
has_list(const QueueObject *self)
{
    return self->base.kind != FL_AIO_queue;
}

bool
fl_queue_is_size(PyObject *value, Py_ssize_t *size)
{
    int overflow;
    return fl_plain_int(value, size, &overflow) && overflow == 0;
}

/* ---- the plain case ---- */

/* Whether a subclass has its own _put(), _get() or _init(), and nothing else. */
static bool
has_own_items(const QueueObject *self)
{
    unsigned int version = Py_TYPE(self)->tp_version_tag;
    return version != 0 && version == self->base.state->aio.own_items_version;
}

/* Whether len() of it, and its truth, are what is counted, and run no Python code. */
static bool
is_builtin(const struct fl_state *state, PyObject *items)
{
    return Py_IS_TYPE(items, (PyTypeObject *)state->deque) ||
           !PyType_HasFeature(Py_TYPE(items), Py_TPFLAGS_HEAPTYPE);
}

static bool
are_items(const QueueObject *self)
{
    const struct fl_state *state = self->base.state;
    if (has_own_items(self)) {
        return self->queue != NULL && is_builtin(state, self->queue);
    }
    if (self->queue == NULL) {
        return true;
    }
    return has_list(self) ? PyList_CheckExact(self->queue)
                          : Py_IS_TYPE(self->queue, (PyTypeObject *)state->deque);
}

static bool
has_plain_methods(QueueObject *self)
{
    if (has_own_items(self)) {
        return !self->base.replaced;
    }
    return fl_aio_is_plain(&self->base) ||
           (!self->base.replaced && has_own_items(self)); /* it has been looked at */
}

/* For one of a subclass with items of its own, or whose methods are to be looked at. */
static FL_APART bool
is_plain_at_second_sight(QueueObject *self, Py_ssize_t *n_items)
{
    if (!has_plain_methods(self) || !are_items(self)) {
        return false;
    }
    *n_items = self->queue == NULL ? 0 : PyObject_Size(self->queue);
    if (*n_items < 0) {
        PyErr_Clear();
        return false;
    }
    return true;
}

bool
fl_queue_is_plain(PyObject *op, struct fl_queue_sizes *sizes)
{
    QueueObject *self = (QueueObject *)(void *)op;
    const struct fl_state *state = self->base.state;
    if (self->base.replaced || self->is_shutdown != Py_False ||
        self->unfinished == NULL || !PyLong_CheckExact(self->unfinished) ||
        self->getters == Py_None || self->putters == Py_None ||
        !fl_aio_are_waiters(state, self->getters) ||
        !fl_aio_are_waiters(state, self->putters)) {
        return false;
    }
    if (!fl_small_int(self->maxsize, &sizes->max) &&
        !fl_queue_is_size(self->maxsize, &sizes->max)) {
        return false;
    }
    unsigned int version = Py_TYPE(self)->tp_version_tag;
    PyTypeObject *holder = has_list(self) ? &PyList_Type : (PyTypeObject *)state->deque;
    if (FL_LIKELY(
            version != 0 && version == state->aio.versions[self->base.kind] &&
            self->queue != NULL && Py_IS_TYPE(self->queue, holder)
        )) {
        /* fast: a queue is looked at four times an item when both sides wait */
        sizes->n_items = Py_SIZE(self->queue);
        return true;
    }
    return is_plain_at_second_sight(self, &sizes->n_items);
}

/* ---- putting and taking ---- */

int
fl_queue_need_items(QueueObject *self)
{
    if (self->queue == NULL) {
        PyObject *items = has_list(self) ? PyList_New(0)
                                         : PyObject_CallNoArgs(self->base.state->deque);
        if (items == NULL) {
            return -1;
        }
        self->queue = items;
    }
    return 0;
}

int
fl_queue_put_item(QueueObject *self, PyObject *item)
{
    if (has_own_items(self)) {
        return fl_call_status(PyObject_CallMethodOneArg(
            (PyObject *)self, self->base.state->str__put, item
        )); /* escapes */
    }
    if (fl_queue_need_items(self) < 0) {
        return -1;
    }
    const struct fl_state *state = self->base.state;
    if (self->base.kind == FL_AIO_lifo_queue) {
        return PyList_Append(self->queue, item);
    }
    PyObject *items = Py_NewRef(self->queue);
    PyObject *stack[2] = {items, item};
    PyObject *result =
        self->base.kind == FL_AIO_queue
            ? fl_aio_call_of_deque(state, state->aio.deque_append, items, item)
            : PyObject_Vectorcall(state->heappush, stack, 2, NULL); /* escapes */
    Py_DECREF(items);
    return fl_call_status(result);
}

PyObject *
fl_queue_get_item(QueueObject *self)
{
    const struct fl_state *state = self->base.state;
    if (has_own_items(self)) {
        return PyObject_CallMethodNoArgs((PyObject *)self, state->str__get);
    }
    PyObject *function =
        self->base.kind == FL_AIO_lifo_queue ? state->aio.list_pop : state->heappop;
    PyObject *items = Py_NewRef(self->queue);
    PyObject *item =
        self->base.kind == FL_AIO_queue
            ? fl_aio_call_of_deque(state, state->aio.deque_popleft, items, NULL)
            : PyObject_Vectorcall(function, &items, 1, NULL); /* escapes */
    Py_DECREF(items);
    return item;
}
