/* What as_completed()'s iterators give: who waits for the next future that is done. */
#include "aio/group/as_completed_one.h"

#include "aio/futures.h"
#include "aio/queue/queue.h"

/* Who waits for one: what it takes it from, and whether it does so by its get(). */
enum { QUEUE = FL_ONE_QUEUE, BY_METHOD };

/* The end: item, stolen, is a future that is done, or None. escapes. */
static PySendResult
end_with(AioCallObject *call, PyObject *item, PyObject **result)
{
    if (item == Py_None) {
        Py_DECREF(item);
        PyErr_SetNone(PyExc_TimeoutError);
        return PYGEN_ERROR;
    }
    if (call->args[0] != Py_None) { /* of __anext__: the future itself */
        *result = item;
        return PYGEN_RETURN;
    }
    *result = fl_aio_result(fl_aio_state_of(call), item); /* escapes */
    Py_DECREF(item);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

PySendResult
fl_one_start(AioCallObject *call, PyObject **result)
{
    const struct fl_state *state = fl_aio_state_of(call);
    PyObject *queue = call->args[QUEUE];
    bool empty;
    if (!fl_queue_can_take(state, queue, &empty)) {
        call->args[BY_METHOD] = Py_NewRef(Py_None);
        return fl_aio_wait(
            call, PyObject_CallMethodNoArgs(queue, state->str_get), result
        );
    }
    if (empty) {
        return fl_queue_wait_for_item(call, queue, result);
    }
    PyObject *item = fl_queue_take(queue); /* escapes */
    return item == NULL ? PYGEN_ERROR : end_with(call, item, result);
}

PySendResult
fl_one_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    bool by_method = call->args[BY_METHOD] != NULL;
    if (value == NULL) {
        return by_method ? PYGEN_ERROR
                         : fl_queue_stop_waiting(call->args[QUEUE], future);
    }
    return by_method ? end_with(call, Py_NewRef(value), result)
                     : fl_one_start(call, result);
}
