/* Whether asyncio's futures and tasks keep in each field what the mirror says.
 *
 * Objects of asyncio's are brought from state to state by their methods, and the fields
 * looked at in each.
 */
#include "py/mirror/mirror.h"

#include "py/args/call.h"

/* op.name(argument) or op.name(). 0 or -1. escapes. */
static int
call(PyObject *op, const char *name, PyObject *argument)
{
    return fl_call_status(
        argument == NULL ? PyObject_CallMethod(op, name, NULL)
                         : PyObject_CallMethod(op, name, "O", argument)
    );
}

static int
add_callback(PyObject *future, PyObject *callback, PyObject *context)
{
    PyObject *method = PyObject_GetAttrString(future, "add_done_callback");
    PyObject *keywords = method == NULL ? NULL : PyDict_New();
    PyObject *args = keywords == NULL ? NULL : PyTuple_Pack(1, callback);
    PyObject *result = NULL;
    if (args != NULL && PyDict_SetItemString(keywords, "context", context) == 0) {
        result = PyObject_Call(method, args, keywords);
    }
    Py_XDECREF(method);
    Py_XDECREF(keywords);
    Py_XDECREF(args);
    return fl_call_status(result);
}

static bool
is_fresh(const struct fl_base_future *future)
{
    return future->status == 0 && !future->log_tb && !future->blocking &&
           future->callback0 == NULL && future->context0 == NULL &&
           future->callbacks == NULL && future->exception == NULL &&
           future->exception_tb == NULL && future->result == NULL &&
           future->source_tb == NULL && future->cancel_msg == NULL &&
           future->cancelled_exc == NULL;
}

/* One with two callbacks: the first in the struct, the second in a list. */
static int
look_at_callbacks(PyObject *op, const struct fl_mirror_words *words, bool *matches)
{
    const struct fl_base_future *future = fl_base_future(op);
    *matches = is_fresh(future);
    if (add_callback(op, words->first, words->context) < 0) {
        return -1;
    }
    *matches = *matches && future->callback0 == words->first &&
               future->context0 == words->context && future->callbacks == NULL;
    if (add_callback(op, words->second, words->context) < 0) {
        return -1;
    }
    PyObject *list = *matches ? future->callbacks : NULL;
    if (list == NULL || !PyList_CheckExact(list) || PyList_GET_SIZE(list) != 1) {
        *matches = false;
        return 0;
    }
    PyObject *pair = PyList_GET_ITEM(list, 0);
    *matches = PyTuple_CheckExact(pair) && PyTuple_GET_SIZE(pair) == 2 &&
               PyTuple_GET_ITEM(pair, 0) == words->second &&
               PyTuple_GET_ITEM(pair, 1) == words->context;
    return 0;
}

static int
look_at_blocking(PyObject *op, bool *matches)
{
    const struct fl_base_future *future = fl_base_future(op);
    if (PyObject_SetAttrString(op, "_asyncio_future_blocking", Py_True) < 0) {
        return -1;
    }
    *matches = *matches && future->blocking == 1 && !future->log_tb;
    if (PyObject_SetAttrString(op, "_asyncio_future_blocking", Py_False) < 0) {
        return -1;
    }
    *matches = *matches && future->blocking == 0;
    return 0;
}

/* Ends it by cancelling. */
static int
look_at_cancel(PyObject *op, const struct fl_mirror_words *words, bool *matches)
{
    const struct fl_base_future *future = fl_base_future(op);
    if (call(op, "cancel", words->first) < 0) {
        return -1;
    }
    *matches = *matches && future->status == 1 && future->cancel_msg == words->first &&
               future->callback0 == NULL && future->callbacks == NULL;
    return 0;
}

static int
look_at_result(PyObject *op, const struct fl_mirror_words *words, bool *matches)
{
    const struct fl_base_future *future = fl_base_future(op);
    if (call(op, "set_result", words->first) < 0) {
        return -1;
    }
    *matches = *matches && future->status == 2 && future->result == words->first &&
               future->exception == NULL && !future->log_tb;
    return 0;
}

/* An exception that nobody asked for, and then somebody. */
static int
look_at_exception(PyObject *op, bool *matches)
{
    const struct fl_base_future *future = fl_base_future(op);
    PyObject *exc = PyObject_CallNoArgs(PyExc_ValueError);
    int status = exc == NULL ? -1 : call(op, "set_exception", exc);
    if (status == 0) {
        *matches = *matches && future->status == 2 && future->exception == exc &&
                   future->result == NULL && future->log_tb == 1 && !future->blocking;
        status = call(op, "exception", NULL);
    }
    Py_XDECREF(exc);
    *matches = *matches && future->log_tb == 0;
    return status;
}

/* A task that is cancelled before its first step. */
static int
look_at_task(PyObject *op, const struct fl_mirror_words *words, bool *matches)
{
    const struct fl_base_task *task = fl_base_task(op);
    *matches = *matches && is_fresh(&task->future) && task->fut_waiter == NULL &&
               task->num_cancels_requested == 0 && !FL_TASK_FLAGS(task)->must_cancel &&
               FL_TASK_FLAGS(task)->log_destroy_pending == 1;
    if (call(op, "cancel", words->first) < 0) {
        return -1;
    }
    *matches = *matches && task->num_cancels_requested == 1 &&
               FL_TASK_FLAGS(task)->must_cancel == 1 && task->future.status == 0 &&
               task->future.cancel_msg == words->first;
    if (PyObject_SetAttrString(op, "_log_destroy_pending", Py_False) < 0) {
        return -1;
    }
    *matches = *matches && FL_TASK_FLAGS(task)->log_destroy_pending == 0 &&
               FL_TASK_FLAGS(task)->must_cancel == 1 && !task->future.log_tb;
    return 0;
}

int
fl_mirror_fields_match(
    PyObject *futures[3], PyObject *task, const struct fl_mirror_words *words,
    bool *matches
)
{
    if (look_at_callbacks(futures[0], words, matches) < 0 ||
        look_at_blocking(futures[0], matches) < 0 ||
        look_at_cancel(futures[0], words, matches) < 0 ||
        look_at_result(futures[1], words, matches) < 0 ||
        look_at_exception(futures[2], matches) < 0) {
        return -1;
    }
    return look_at_task(task, words, matches);
}
