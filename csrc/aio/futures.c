/* What functions above the loop ask futures of any kind, and tell them. */
#include "aio/futures.h"

#include "core/task/task_registry.h"
#include "core/task/task_step.h"

/* ---- asking ---- */

int
fl_aio_is_done(const struct fl_state *state, PyObject *future)
{
    const FutureObject *own = fl_future_of(state, future);
    if (own != NULL) {
        return own->status != FL_FUTURE_PENDING;
    }
    return fl_call_truth(
        PyObject_CallMethodNoArgs(future, state->str_done)
    ); /* escapes */
}

int
fl_aio_is_cancelled(const struct fl_state *state, PyObject *future)
{
    const FutureObject *own = fl_future_of(state, future);
    if (own != NULL) {
        return own->status == FL_FUTURE_CANCELLED;
    }
    return fl_call_truth(
        PyObject_CallMethodNoArgs(future, state->str_cancelled)
    ); /* escapes */
}

int
fl_aio_exception(const struct fl_state *state, PyObject *future, PyObject **exc)
{
    FutureObject *own = fl_future_of(state, future);
    if (own != NULL) {
        *exc = fl_future_exception(own);
    }
    else {
        *exc = PyObject_CallMethodNoArgs(future, state->str_exception); /* escapes */
    }
    if (*exc == NULL) {
        return -1;
    }
    if (*exc == Py_None) {
        Py_CLEAR(*exc);
    }
    return 0;
}

PyObject *
fl_aio_result(const struct fl_state *state, PyObject *future)
{
    FutureObject *own = fl_future_of(state, future);
    return own != NULL ? fl_future_result(own)
                       : PyObject_CallMethodNoArgs(future, state->str_result);
}

PyObject *
fl_aio_cancelled_error(const struct fl_state *state, PyObject *future)
{
    FutureObject *own = fl_future_of(state, future);
    return own != NULL
               ? fl_future_cancelled_error(own)
               : PyObject_CallMethodNoArgs(future, state->str__make_cancelled_error);
}

PyObject *
fl_aio_loop_of(const struct fl_state *state, PyObject *future)
{
    const FutureObject *own = fl_future_of(state, future);
    if (own != NULL && own->loop != NULL) {
        return Py_NewRef(own->loop);
    }
    return fl_loop_of_foreign(state, future); /* escapes */
}

/* ---- telling ---- */

int
fl_aio_set_result(const struct fl_state *state, PyObject *future, PyObject *value)
{
    if (Py_IS_TYPE(future, state->future_type)) {
        return fl_future_set_result(fl_future(future), value);
    }
    return fl_call_status(
        PyObject_CallMethodOneArg(future, state->str_set_result, value)
    ); /* escapes */
}

int
fl_aio_set_exception(const struct fl_state *state, PyObject *future, PyObject *exc)
{
    if (Py_IS_TYPE(future, state->future_type)) {
        return fl_future_set_exception(fl_future(future), exc);
    }
    return fl_call_status(
        PyObject_CallMethodOneArg(future, state->str_set_exception, exc)
    ); /* escapes */
}

int
fl_aio_cancel(const struct fl_state *state, PyObject *future)
{
    FutureObject *own = fl_future_of(state, future);
    if (own == NULL) {
        return fl_call_truth(PyObject_CallMethodNoArgs(future, state->str_cancel));
    }
    return fl_aio_cancel_with(state, future, Py_None);
}

int
fl_aio_cancel_with(const struct fl_state *state, PyObject *future, PyObject *message)
{
    if (Py_IS_TYPE(future, state->future_type)) {
        return fl_future_cancel(fl_future(future), message);
    }
    if (Py_IS_TYPE(future, state->task_type)) {
        return fl_task_cancel((TaskObject *)(void *)future, message);
    }
    PyObject *stack[2] = {future, message};
    return fl_call_truth(
        PyObject_VectorcallMethod(state->str_cancel, stack, 1, state->kw_msg)
    ); /* escapes */
}

int
fl_aio_tell(
    const struct fl_state *state, PyObject *future, PyObject *callback,
    PyObject **context
)
{
    FutureObject *own = fl_future_of(state, future);
    if (own == NULL) {
        return fl_call_status(
            PyObject_CallMethodOneArg(future, state->str_add_done_callback, callback)
        ); /* escapes */
    }
    if (*context == NULL) {
        *context = PyContext_CopyCurrent();
        if (*context == NULL) {
            return -1;
        }
    }
    return fl_future_add_callback(own, callback, *context);
}

int
fl_aio_tell_not(const struct fl_state *state, PyObject *future, PyObject *callback)
{
    FutureObject *own = fl_future_of(state, future);
    if (own != NULL) {
        return fl_call_status(fl_future_remove_callback(own, callback));
    }
    return fl_call_status(
        PyObject_CallMethodOneArg(future, state->str_remove_done_callback, callback)
    ); /* escapes */
}

/* ---- making ---- */

PyObject *
fl_aio_running_loop(const struct fl_state *state)
{
#if defined(FL_HAVE_THREAD_TASKS)
    if (state->types.own) { /* fast: no call */
        PyObject *loop = *fl_thread_running_loop(state);
        return Py_NewRef(loop != NULL ? loop : Py_None);
    }
#endif
    PyObject *function = state->get_running_loop;
    if (PyCFunction_CheckExact(function) &&
        PyCFunction_GET_FLAGS(function) == METH_NOARGS) {
        /* fast: what a call comes to, without its rounds (60 instructions) */
        PyCFunction get = PyCFunction_GET_FUNCTION(function);
        return FL_SLOT_POINTER(get(PyCFunction_GET_SELF(function), NULL));
    }
    return PyObject_CallNoArgs(function);
}

/* asyncio's helpers look the function up where tasks in Python replace it: borrowed. */
static PyObject *
current_task_function(struct fl_state *state)
{
    if (!fl_current_task_is_replaced(state)) {
        return state->current_task;
    }
    PyObject *names = PyModule_GetDict(state->asyncio_tasks);
    PyObject *function = PyDict_GetItemWithError(names, state->str_current_task);
    return function != NULL || PyErr_Occurred() ? function : state->current_task;
}

PyObject *
fl_aio_current_task(struct fl_state *state, PyObject *loop)
{
    PyObject *function = current_task_function(state);
    if (function == NULL) {
        return NULL;
    }
#if defined(FL_HAVE_THREAD_TASKS)
    if (function == state->current_task && state->types.own &&
        *fl_thread_running_loop(state) == loop) {
        PyObject *task = *fl_thread_running_task(state);
        return Py_NewRef(task != NULL ? task : Py_None);
    }
#endif
    Py_INCREF(function);
    PyObject *task = PyObject_CallOneArg(function, loop); /* escapes */
    Py_DECREF(function);
    return task;
}

int
fl_aio_awaiting_task(struct fl_state *state, PyObject *loop, PyObject **task)
{
    *task = NULL;
    if (!FL_GATHER_KNOWS_TASK || loop == Py_None) {
        return 0;
    }
    *task = fl_aio_current_task(state, loop);
    if (*task == NULL) {
        return -1;
    }
    if (*task == Py_None) {
        Py_CLEAR(*task);
    }
    return 0;
}

PyObject *
fl_aio_new_future(const struct fl_state *state, PyObject *loop)
{
    LoopObject *own = fl_loop_of(loop);
    if (own != NULL && !(fl_loop_overrides(own) & FL_OVERRIDES_CREATE_FUTURE)) {
        return fl_loop_create_future(loop, NULL); /* fast: 110 instructions less */
    }
    return PyObject_CallMethodNoArgs(loop, state->str_create_future);
}

PyObject *
fl_aio_create_task(const struct fl_state *state, PyObject *loop, PyObject *coro)
{
    LoopObject *own = fl_loop_of(loop);
    if (own != NULL && !(fl_loop_overrides(own) & FL_OVERRIDES_CREATE_TASK)) {
        return fl_loop_create_task(loop, &coro, 1, NULL); /* escapes */
    }
    return PyObject_CallMethodOneArg(loop, state->str_create_task, coro);
}

/* loop.create_task(coro), which is closed if that raises RuntimeError. */
static PyObject *
start_coroutine(const struct fl_state *state, PyObject *loop, PyObject *coro)
{
    PyObject *task = fl_aio_create_task(state, loop, coro); /* escapes */
    if (task != NULL || !PyErr_ExceptionMatches(PyExc_RuntimeError)) {
        return task;
    }
    PyObject *exc = fl_error_take();
    PyObject *closed = PyObject_CallMethodNoArgs(coro, state->str_close); /* escapes */
    if (closed == NULL) {
        PyObject *newer = fl_error_take();
        PyException_SetContext(newer, exc);
        exc = newer;
    }
    Py_XDECREF(closed);
    fl_error_restore(exc);
    return NULL;
}

PyObject *
fl_aio_ensure_future(const struct fl_state *state, PyObject *arg, PyObject *loop)
{
    const FutureObject *own = fl_future_of(state, arg);
    if (own != NULL && (loop == NULL || loop == own->loop)) {
        return Py_NewRef(arg);
    }
    if (PyCoro_CheckExact(arg)) {
        PyObject *running = loop == NULL ? fl_aio_running_loop(state) : Py_NewRef(loop);
        if (running == NULL) {
            return NULL;
        }
        PyObject *task =
            running == Py_None ? NULL : start_coroutine(state, running, arg);
        bool tried = running != Py_None;
        Py_DECREF(running);
        if (tried) {
            return task;
        }
    }
    if (loop == NULL) {
        return PyObject_CallOneArg(state->ensure_future, arg); /* escapes */
    }
    PyObject *stack[2] = {arg, loop};
    return PyObject_Vectorcall(state->ensure_future, stack, 1, state->kw_loop);
}
