/* Who is told when a future is done.
 *
 * The first callback lies in the future, the others in an array behind it: while
 * there is no first there are no others. On a loop of ours a callback becomes a
 * Handle in the ready ring without a look-up of call_soon, and a waiting Task
 * becomes a ring entry by itself; on any other loop, or with an overridden
 * call_soon, each goes through loop.call_soon(callback, future, context=context).
 */
#include "core/future.h"

#include "core/sched.h"
#include "core/task_step.h"
#include "py/call.h"

#define FIRST_CAPACITY 4

/* ---- the list ---- */

static uint32_t
count_callbacks(const struct fl_future_state *own)
{
    return own->first.callback == NULL ? 0 : 1 + own->n_more;
}

static struct fl_future_callback *
callback_at(struct fl_future_state *own, uint32_t index)
{
    return index == 0 ? &own->first : &own->more[index - 1];
}

static int
grow_more(struct fl_future_state *own)
{
    uint32_t capacity =
        own->more_capacity == 0 ? FIRST_CAPACITY : own->more_capacity * 2;
    struct fl_future_callback *more =
        PyMem_Realloc(own->more, capacity * sizeof(*own->more));
    if (more == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    own->more = more;
    own->more_capacity = capacity;
    return 0;
}

static int
append_callback(struct fl_future_state *own, PyObject *callback, PyObject *context)
{
    struct fl_future_callback *slot = &own->first;
    if (own->first.callback != NULL) {
        if (own->n_more == own->more_capacity && grow_more(own) < 0) {
            return -1;
        }
        slot = &own->more[own->n_more++];
    }
    slot->callback = Py_NewRef(callback);
    slot->context = Py_XNewRef(context);
    return 0;
}

static void
drop_callback(struct fl_future_callback *entry)
{
    Py_DECREF(entry->callback);
    Py_XDECREF(entry->context);
}

/* Takes the entry out and returns it; the order of the others stays. */
static struct fl_future_callback
take_callback(struct fl_future_state *own, uint32_t index)
{
    struct fl_future_callback taken = *callback_at(own, index);
    for (uint32_t i = index + 1; i < count_callbacks(own); i++) {
        *callback_at(own, i - 1) = *callback_at(own, i);
    }
    if (own->n_more > 0) {
        own->n_more--;
    }
    else {
        own->first = (struct fl_future_callback){NULL, NULL};
    }
    return taken;
}

int
fl_future_traverse_callbacks(struct fl_future_state *own, visitproc visit, void *arg)
{
    for (uint32_t i = 0; i < count_callbacks(own); i++) {
        Py_VISIT(callback_at(own, i)->callback);
        Py_VISIT(callback_at(own, i)->context);
    }
    return 0;
}

/* Drops count entries of an array and the array. */
static void
drop_array(struct fl_future_callback *array, uint32_t from, uint32_t count)
{
    for (uint32_t i = from; i < count; i++) {
        drop_callback(&array[i]); /* escapes */
    }
    PyMem_Free(array);
}

void
fl_future_clear_callbacks(struct fl_future_state *own)
{
    struct fl_future_callback first = own->first;
    struct fl_future_callback *more = own->more;
    uint32_t n_more = own->n_more;
    own->first = (struct fl_future_callback){NULL, NULL};
    own->more = NULL;
    own->n_more = own->more_capacity = 0;
    if (first.callback != NULL) {
        drop_callback(&first); /* escapes */
    }
    drop_array(more, 0, n_more);
}

/* ---- telling ---- */

static int
call_soon(
    const struct fl_future_state *own, PyObject *callback, PyObject *op,
    PyObject *context
)
{
    PyObject *stack[4] = {own->loop, callback, op, context};
    return fl_call_status(PyObject_VectorcallMethod(
        own->state->str_call_soon, stack, 3, own->state->kw_context
    )); /* escapes */
}

static int
schedule_plain(
    struct fl_future_state *own, PyObject *callback, PyObject *op, PyObject *context
)
{
    LoopObject *loop = fl_sched_loop(own);
    if (loop != NULL) {
        return fl_sched_callback(loop, callback, op, context);
    }
    PyObject *kept = Py_NewRef(own->loop);
    int status = call_soon(own, callback, op, context);
    Py_DECREF(kept);
    return status;
}

/* Steals the entry. escapes. */
static int
schedule_entry(
    PyObject *op, struct fl_future_state *own, struct fl_future_callback entry
)
{
    int status;
    if (entry.context != NULL) {
        status = schedule_plain(own, entry.callback, op, entry.context);
    }
    else {
        LoopObject *loop = fl_sched_loop(own);
        if (loop != NULL && fl_task_waits_for(entry.callback, op)) {
            return fl_sched_wakeup(loop, entry.callback);
        }
        PyObject *wakeup = fl_task_wakeup_method(own->state, entry.callback);
        PyObject *context = fl_base_task(entry.callback)->context;
        status = wakeup == NULL || context == NULL
                     ? -1
                     : schedule_plain(own, wakeup, op, context);
        Py_XDECREF(wakeup);
    }
    drop_callback(&entry); /* escapes */
    return status;
}

int
fl_future_schedule_callbacks(PyObject *op, struct fl_future_state *own)
{
    struct fl_future_callback first = own->first;
    if (first.callback == NULL) {
        return 0;
    }
    struct fl_future_callback *more = own->more;
    uint32_t n_more = own->n_more;
    own->first = (struct fl_future_callback){NULL, NULL};
    own->more = NULL;
    own->n_more = own->more_capacity = 0;

    int status = schedule_entry(op, own, first);
    uint32_t i = 0;
    while (status == 0 && i < n_more) {
        status = schedule_entry(op, own, more[i++]);
    }
    if (more != NULL) {
        PyObject *exc = status < 0 ? fl_error_take() : NULL;
        drop_array(more, i, n_more);
        if (exc != NULL) {
            fl_error_restore(exc);
        }
    }
    return status;
}

int
fl_future_add_callback(
    PyObject *op, struct fl_future_state *own, PyObject *callback, PyObject *context
)
{
    if (own->loop == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "uninitialized Future object");
        return -1;
    }
    if (own->status != FL_FUTURE_PENDING) {
        return schedule_plain(own, callback, op, context);
    }
    return append_callback(own, callback, context);
}

int
fl_future_add_waiter(PyObject *op, struct fl_future_state *own, PyObject *task)
{
    if (own->status != FL_FUTURE_PENDING) {
        struct fl_future_callback entry = {Py_NewRef(task), NULL};
        return schedule_entry(op, own, entry);
    }
    return append_callback(own, task, NULL);
}

/* ---- Python's view ---- */

/* The callback as Python sees it: new, or NULL. */
static PyObject *
visible_callback(struct fl_future_state *own, const struct fl_future_callback *entry)
{
    if (entry->context != NULL) {
        return Py_NewRef(entry->callback);
    }
    return fl_task_wakeup_method(own->state, entry->callback);
}

PyObject *
fl_future_remove_callback(PyObject *op, struct fl_future_state *own, PyObject *callback)
{
    if (fl_future_check_alive(own) < 0) {
        return NULL;
    }
    (void)op;
    Py_ssize_t removed = 0;
    uint32_t i = 0;
    while (i < count_callbacks(own)) {
        PyObject *raw = Py_NewRef(callback_at(own, i)->callback);
        PyObject *visible = visible_callback(own, callback_at(own, i));
        int equal =
            visible == NULL ? -1 : PyObject_RichCompareBool(visible, callback, Py_EQ);
        /* the comparison may have run anything: look again */
        struct fl_future_callback taken = {NULL, NULL};
        if (equal > 0 && i < count_callbacks(own) &&
            callback_at(own, i)->callback == raw) {
            taken = take_callback(own, i);
            removed++;
        }
        else {
            i++;
        }
        Py_XDECREF(visible);
        Py_DECREF(raw);
        if (taken.callback != NULL) {
            drop_callback(&taken); /* escapes */
        }
        if (equal < 0) {
            return NULL;
        }
    }
    return PyLong_FromSsize_t(removed);
}

PyObject *
fl_future_list_callbacks(struct fl_future_state *own)
{
    uint32_t count = count_callbacks(own);
    if (count == 0) {
        Py_RETURN_NONE;
    }
    PyObject *list = PyList_New(0);
    for (uint32_t i = 0; list != NULL && i < count_callbacks(own); i++) {
        const struct fl_future_callback *entry = callback_at(own, i);
        PyObject *context = entry->context != NULL
                                ? entry->context
                                : fl_base_task(entry->callback)->context;
        PyObject *visible = visible_callback(own, entry);
        PyObject *pair =
            visible == NULL
                ? NULL
                : PyTuple_Pack(2, visible, context != NULL ? context : Py_None);
        if (pair == NULL || PyList_Append(list, pair) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(visible);
        Py_XDECREF(pair);
    }
    return list;
}

PyObject *
fl_future_add_done_callback(
    PyObject *op, struct fl_future_state *own, PyObject *const *args, Py_ssize_t n_args,
    PyObject *kwnames
)
{
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (n_args != 1 || n_keywords > 1 ||
        (n_keywords == 1 &&
         PyUnicode_Compare(PyTuple_GET_ITEM(kwnames, 0), own->state->str_context) !=
             0)) {
        PyErr_SetString(
            PyExc_TypeError, n_args != 1
                                 ? "add_done_callback() takes exactly 1 positional "
                                   "argument"
                                 : "add_done_callback() takes no keyword argument "
                                   "but 'context'"
        );
        return NULL;
    }
    PyObject *context = n_keywords == 1 ? Py_NewRef(args[1]) : PyContext_CopyCurrent();
    if (context == NULL) {
        return NULL;
    }
    int status = fl_future_add_callback(op, own, args[0], context); /* escapes */
    Py_DECREF(context);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
