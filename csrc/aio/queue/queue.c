/* Queue: asyncio.Queue in C.
 *
 * put(), get() and their kin that do not wait for anything unusual; shutdown(), reprs
 * and most of what subclasses override are asyncio's own, on the same attributes.
 */
#include "aio/queue/queue.h"

#include "aio/call.h"
#include "aio/lock/event.h"
#include "aio/lock/waiters.h"
#include "aio/queue/queue_items.h"
#include "py/args/call.h"

static QueueObject *
queue_of(PyObject *op)
{
    return (QueueObject *)(void *)op;
}

static PyObject *
stock_noargs(PyObject *op, PyObject *name)
{
    return fl_aio_stock_noargs(queue_of(op)->base.state->asyncio_Queue, name, op);
}

/* 1 if there is another to look at, 0 if one was told or there is none, or -1. escapes.
 */
static int
wake_up_first(const struct fl_state *state, PyObject *waiters)
{
    int any = fl_aio_any_waiter(waiters);
    if (any <= 0) {
        return any;
    }
    PyObject *waiter =
        fl_aio_call_of_deque(state, state->aio.deque_popleft, waiters, NULL);
    if (waiter == NULL) {
        return -1;
    }
    int done = fl_aio_is_done(state, waiter); /* escapes */
    if (done == 0) {
        done = fl_aio_set_result(state, waiter, Py_None); /* escapes: 0 or -1 */
    }
    Py_DECREF(waiter);
    return done;
}

/* Tells the first of them who is not done. escapes. 0 or -1. */
static int
wake_up_next(const QueueObject *self, PyObject *waiters)
{
    if (waiters == NULL) {
        return 0;
    }
    const struct fl_state *state = self->base.state;
    int more = 1;
    Py_INCREF(waiters); /* the queue may get others */
    while (more > 0) {
        more = wake_up_first(state, waiters); /* escapes */
    }
    Py_DECREF(waiters);
    return more;
}

/* self._finished.clear() or set(). escapes. 0 or -1. */
static int
tell_finished(QueueObject *self, PyObject *method)
{
    if (self->finished == NULL) {
        return 0;
    }
    PyObject *event = Py_NewRef(self->finished);
    PyObject *result = PyObject_CallMethodNoArgs(event, method); /* escapes */
    Py_DECREF(event);
    return fl_call_status(result);
}

/* ---- putting ---- */

/* For a plain one with room. escapes. New None, or NULL. */
static PyObject *
put_now(PyObject *op, PyObject *item)
{
    QueueObject *self = queue_of(op);
    if (fl_queue_put_item(self, item) < 0 || fl_aio_add_to(&self->unfinished, 1) < 0 ||
        tell_finished(self, self->base.state->str_clear) < 0 ||
        wake_up_next(self, self->getters) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    put_nowait_doc,
    "put_nowait($self, /, item)\n--\n\n"
    "Put an item in.\n\n"
    "Raises: QueueFull if there is no room, QueueShutDown if it has been shut down."
);

static PyObject *
queue_put_nowait(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    struct fl_queue_sizes sizes;
    if (n_args != 1 || kwnames != NULL || !fl_queue_is_plain(op, &sizes) ||
        fl_queue_is_full(&sizes)) {
        const struct fl_state *state = queue_of(op)->base.state;
        return fl_aio_stock(
            state->asyncio_Queue, state->str_put_nowait, op, args, n_args, kwnames
        );
    }
    return put_now(op, args[0]);
}

/* From the beginning, and again when it was woken. */
static PySendResult
put_start(AioCallObject *call, PyObject **result)
{
    PyObject *op = call->args[0];
    QueueObject *self = queue_of(op);
    struct fl_queue_sizes sizes;
    if (!fl_queue_is_plain(op, &sizes)) {
        return fl_aio_delegate(call, result);
    }
    if (fl_queue_is_full(&sizes)) {
        return fl_aio_queue_up(call, &self->base, &self->putters, result);
    }
    *result = put_now(op, call->args[1]); /* escapes */
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* What who gives up waiting does: takes itself out, and if it was woken wakes the next,
 * unless `blocked`, a method, says that there is nothing for it. escapes. 0 or -1. */
static int
give_up(PyObject *op, PyObject *future, PyObject **waiters, PyObject *blocked)
{
    const struct fl_state *state = queue_of(op)->base.state;
    if (fl_call_status(PyObject_CallMethodNoArgs(future, state->str_cancel)) < 0) {
        return -1;
    }
    if (*waiters != NULL && fl_aio_remove_waiter(state, *waiters, future) < 0) {
        if (!PyErr_ExceptionMatches(PyExc_ValueError)) {
            return -1;
        }
        PyErr_Clear(); /* it was taken out when it was woken */
    }
    int is_blocked = fl_call_truth(PyObject_CallMethodNoArgs(op, blocked));
    int skip = is_blocked != 0 ? is_blocked : fl_aio_is_cancelled(state, future);
    if (skip != 0) {
        return skip < 0 ? -1 : 0;
    }
    if (*waiters == NULL) {
        return 0;
    }
    PyObject *kept = Py_NewRef(*waiters);
    PyObject *woken = PyObject_CallMethodOneArg(op, state->str__wakeup_next, kept);
    Py_DECREF(kept);
    return fl_call_status(woken);
}

/* The end of a wait by the exception set. */
static PySendResult
fail(PyObject *op, PyObject *future, PyObject **waiters, PyObject *blocked)
{
    PyObject *exc = fl_error_take();
    if (give_up(op, future, waiters, blocked) < 0) { /* escapes */
        fl_aio_raise_over(exc);
    }
    else {
        fl_error_restore(exc);
    }
    return PYGEN_ERROR;
}

static PySendResult
put_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    PyObject *op = call->args[0];
    if (value == NULL) {
        return fail(
            op, future, &queue_of(op)->putters, fl_aio_state_of(call)->str_full
        );
    }
    return put_start(call, result);
}

/* ---- getting ---- */

/* For a plain one with items. escapes. New, or NULL. */
static PyObject *
get_now(PyObject *op)
{
    QueueObject *self = queue_of(op);
    PyObject *item = fl_queue_get_item(self); /* escapes */
    if (item != NULL && wake_up_next(self, self->putters) < 0) {
        Py_CLEAR(item);
    }
    return item;
}

PyDoc_STRVAR(
    get_nowait_doc,
    "get_nowait($self, /)\n--\n\n"
    "Take an item out and return it.\n\n"
    "Raises: QueueEmpty if there is none, QueueShutDown if none will come any more."
);

static PyObject *
queue_get_nowait(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    struct fl_queue_sizes sizes;
    if (!fl_queue_is_plain(op, &sizes) || sizes.n_items == 0) {
        return stock_noargs(op, queue_of(op)->base.state->str_get_nowait);
    }
    return get_now(op);
}

static PySendResult
get_start(AioCallObject *call, PyObject **result)
{
    PyObject *op = call->args[0];
    QueueObject *self = queue_of(op);
    struct fl_queue_sizes sizes;
    if (!fl_queue_is_plain(op, &sizes)) {
        return fl_aio_delegate(call, result);
    }
    if (sizes.n_items == 0) {
        return fl_aio_queue_up(call, &self->base, &self->getters, result);
    }
    *result = get_now(op); /* escapes */
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

static PySendResult
get_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    PyObject *op = call->args[0];
    if (value == NULL) {
        return fail(
            op, future, &queue_of(op)->getters, fl_aio_state_of(call)->str_empty
        );
    }
    return get_start(call, result);
}

/* ---- joining ---- */

/* Made when it is asked for: an Event of ours, set if nothing is unfinished. */
static PyObject *
get_finished(PyObject *op, void *Py_UNUSED(closure))
{
    QueueObject *self = queue_of(op);
    const struct fl_state *state = self->base.state;
    if (self->finished == NULL) {
        PyObject *event = PyObject_CallNoArgs((PyObject *)state->event_type);
        int unfinished = event == NULL ? -1 : 0;
        if (unfinished == 0 && self->unfinished != NULL) {
            unfinished = PyObject_IsTrue(self->unfinished);
        }
        if (unfinished == 0) {
            Py_XSETREF(((EventObject *)(void *)event)->value, Py_NewRef(Py_True));
        }
        if (unfinished < 0) {
            Py_XDECREF(event);
            return NULL;
        }
        Py_XSETREF(self->finished, event);
    }
    return Py_NewRef(self->finished);
}

static PyObject *
get_unfinished(PyObject *op, void *Py_UNUSED(closure))
{
    PyObject *unfinished = queue_of(op)->unfinished;
    if (unfinished == NULL) {
        return PyErr_Format(PyExc_AttributeError, "_unfinished_tasks");
    }
    return Py_NewRef(unfinished);
}

/* Who sets the number leaves the event as it is, so it must be there. */
static int
set_unfinished(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    PyObject *event = get_finished(op, NULL); /* escapes */
    if (event == NULL) {
        return -1;
    }
    Py_DECREF(event);                                        /* escapes */
    Py_XSETREF(queue_of(op)->unfinished, Py_XNewRef(value)); /* escapes */
    return 0;
}

static PySendResult
join_start(AioCallObject *call, PyObject **result)
{
    struct fl_queue_sizes sizes;
    Py_ssize_t n_unfinished;
    PyObject *op = call->args[0];
    if (!fl_queue_is_plain(op, &sizes) ||
        !fl_queue_is_size(queue_of(op)->unfinished, &n_unfinished)) {
        return fl_aio_delegate(call, result);
    }
    if (n_unfinished > 0) {
        PyObject *event = get_finished(op, NULL);
        PyObject *wait = event == NULL ? NULL
                                       : PyObject_CallMethodNoArgs(
                                             event, fl_aio_state_of(call)->str_wait
                                         ); /* escapes */
        Py_XDECREF(event);
        return fl_aio_wait(call, wait, result);
    }
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

static PySendResult
join_after(
    AioCallObject *Py_UNUSED(call), PyObject *Py_UNUSED(future), PyObject *value,
    PyObject **result
)
{
    *result = value == NULL ? NULL : Py_NewRef(Py_None);
    return value == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* ---- for those that take items in C ---- */

bool
fl_queue_can_take(const struct fl_state *state, PyObject *op, bool *empty)
{
    struct fl_queue_sizes sizes;
    if (!PyObject_TypeCheck(op, state->queue_type) || !fl_queue_is_plain(op, &sizes)) {
        return false;
    }
    *empty = sizes.n_items == 0;
    return true;
}

PyObject *
fl_queue_take(PyObject *op)
{
    return get_now(op);
}

PySendResult
fl_queue_wait_for_item(AioCallObject *call, PyObject *op, PyObject **result)
{
    return fl_aio_queue_up(call, &queue_of(op)->base, &queue_of(op)->getters, result);
}

PySendResult
fl_queue_stop_waiting(PyObject *op, PyObject *future)
{
    QueueObject *self = queue_of(op);
    return fail(op, future, &self->getters, self->base.state->str_empty);
}

#define QUEUE_TYPE offsetof(struct fl_state, queue_type)

static const struct fl_aio_call put_call = {QUEUE_TYPE, 2, 2, put_start, put_after};
static const struct fl_aio_call get_call = {QUEUE_TYPE, 1, 1, get_start, get_after};
static const struct fl_aio_call join_call = {QUEUE_TYPE, 1, 1, join_start, join_after};

static const struct fl_aio_named queue_coroutines[] = {
    {"put", &put_call},
    {"get", &get_call},
    {"join", &join_call},
    {NULL, NULL},
};

/* ---- methods ---- */

PyDoc_STRVAR(qsize_doc, "qsize($self, /)\n--\n\nReturn the number of items.");

static PyObject *
queue_qsize(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    struct fl_queue_sizes sizes;
    if (!fl_queue_is_plain(op, &sizes)) {
        return stock_noargs(op, queue_of(op)->base.state->str_qsize);
    }
    return PyLong_FromSsize_t(sizes.n_items);
}

PyDoc_STRVAR(empty_doc, "empty($self, /)\n--\n\nReturn True if there are no items.");

static PyObject *
queue_empty(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    struct fl_queue_sizes sizes;
    if (!fl_queue_is_plain(op, &sizes)) {
        return stock_noargs(op, queue_of(op)->base.state->str_empty);
    }
    return PyBool_FromLong(sizes.n_items == 0);
}

PyDoc_STRVAR(full_doc, "full($self, /)\n--\n\nReturn True if there are maxsize items.");

static PyObject *
queue_full(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    struct fl_queue_sizes sizes;
    if (!fl_queue_is_plain(op, &sizes)) {
        return stock_noargs(op, queue_of(op)->base.state->str_full);
    }
    return PyBool_FromLong(fl_queue_is_full(&sizes));
}

PyDoc_STRVAR(
    task_done_doc,
    "task_done($self, /)\n--\n\n"
    "Say that what was taken out is done with, which join() waits for.\n\n"
    "Raises: ValueError if it is called more often than items were put."
);

static PyObject *
queue_task_done(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    QueueObject *self = queue_of(op);
    const struct fl_state *state = self->base.state;
    struct fl_queue_sizes sizes;
    Py_ssize_t n_unfinished;
    if (!fl_queue_is_plain(op, &sizes) ||
        !fl_queue_is_size(self->unfinished, &n_unfinished) || n_unfinished <= 0) {
        return stock_noargs(op, state->str_task_done);
    }
    if (fl_aio_add_to(&self->unfinished, -1) < 0 ||
        (n_unfinished == 1 && tell_finished(self, state->str_set) < 0)) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- the type ---- */

static int
queue_init(PyObject *op, PyObject *args, PyObject *kwds)
{
    QueueObject *self = queue_of(op);
    if (PyTuple_GET_SIZE(args) > 1 || kwds != NULL || !fl_aio_is_plain(&self->base)) {
        return fl_aio_stock_init(self->base.state->asyncio_Queue, op, args, kwds);
    }
    PyObject *none = PyLong_FromLong(0);
    if (none == NULL) {
        return -1;
    }
    PyObject *maxsize = PyTuple_GET_SIZE(args) == 1 ? PyTuple_GET_ITEM(args, 0) : none;
    Py_CLEAR(self->queue); /* escapes */
    Py_CLEAR(self->getters);
    Py_CLEAR(self->putters);
    Py_CLEAR(self->finished);
    Py_XSETREF(self->maxsize, Py_NewRef(maxsize));
    Py_XSETREF(self->unfinished, none);
    Py_XSETREF(self->is_shutdown, Py_NewRef(Py_False));
    return 0;
}

static PyObject *
queue_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    return fl_aio_new(type, FL_AIO_queue);
}

static PyObject *
get_items(PyObject *op, void *Py_UNUSED(closure))
{
    QueueObject *self = queue_of(op);
    return fl_queue_need_items(self) < 0 ? NULL : Py_NewRef(self->queue);
}

static PyMethodDef queue_methods[] = {
    {"put_nowait", FL_FASTCALL(queue_put_nowait), METH_FASTCALL | METH_KEYWORDS,
     put_nowait_doc},
    {"get_nowait", queue_get_nowait, METH_NOARGS, get_nowait_doc},
    {"qsize", queue_qsize, METH_NOARGS, qsize_doc},
    {"empty", queue_empty, METH_NOARGS, empty_doc},
    {"full", queue_full, METH_NOARGS, full_doc},
    {"task_done", queue_task_done, METH_NOARGS, task_done_doc},
    FL_AIO_METHODS,
    {NULL, NULL, 0, NULL},
};

#define QUEUE_FIELD(field) ((void *)offsetof(QueueObject, field))

static PyGetSetDef queue_getset[] = {
    FL_AIO_DEQUE("_getters", QueueObject, getters),
    FL_AIO_DEQUE("_putters", QueueObject, putters),
    {"_queue", get_items, fl_aio_set_deque, NULL, QUEUE_FIELD(queue)},
    {"_finished", get_finished, fl_aio_set_deque, NULL, QUEUE_FIELD(finished)},
    {"_unfinished_tasks", get_unfinished, set_unfinished, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef queue_members[] = {
    FL_AIO_MEMBER("_loop", QueueObject, base.loop),
    FL_AIO_MEMBER("_maxsize", QueueObject, maxsize),
    FL_AIO_MEMBER("_is_shutdown", QueueObject, is_shutdown),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "getters", QueueObject, getters),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "putters", QueueObject, putters),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "queue", QueueObject, queue),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "finished", QueueObject, finished),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "unfinished", QueueObject, unfinished),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    queue_doc,
    "Queue(maxsize=0)\n--\n\n"
    "Items that tasks hand over, first in, first out: asyncio.Queue, which it\n"
    "derives from, in C.\n\n"
    "maxsize: how many there is room for; without a bound if it is 0 or less."
);

static PyType_Slot queue_slots[] = {
    {Py_tp_doc, (void *)queue_doc}, {Py_tp_new, queue_new},
    {Py_tp_init, queue_init},       {Py_tp_setattro, fl_aio_setattro},
    {Py_tp_methods, queue_methods}, {Py_tp_getset, queue_getset},
    {Py_tp_members, queue_members}, {0, NULL},
};

static PyType_Spec queue_spec = {
    .name = "fastloop.aio.Queue",
    .basicsize = sizeof(QueueObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = queue_slots,
};

int
fl_queue_add_type(PyObject *module, struct fl_state *state)
{
    const struct fl_aio_class description = {
        .kind = FL_AIO_queue,
        .spec = &queue_spec,
        .type = &state->queue_type,
        .bases = state->asyncio_Queue,
        .stock = state->asyncio_Queue,
        .coroutines = queue_coroutines,
    };
    return fl_aio_add_class(module, state, &description);
}

int
fl_queue_add_derived(
    PyObject *module, struct fl_state *state, enum fl_aio_kind kind, PyType_Spec *spec,
    PyTypeObject **type, PyObject *stock
)
{
    static const struct fl_aio_named none[] = {{NULL, NULL}};
    PyObject *bases = PyTuple_Pack(2, state->queue_type, stock);
    if (bases == NULL) {
        return -1;
    }
    const struct fl_aio_class description = {
        .kind = kind,
        .spec = spec,
        .type = type,
        .bases = bases,
        .stock = stock,
        .coroutines = none,
    };
    int status = fl_aio_add_class(module, state, &description);
    Py_DECREF(bases);
    return status;
}
