/* gather: asyncio.gather in C, and the future that it returns.
 *
 * The outer future is made first, bound to no loop: each of the children's callbacks is
 * a method of it. Until it is initialised, or if that never comes because an argument
 * is refused, the children that are done are only noted.
 */
#include "aio/group/gather.h"

#include "aio/aio.h"
#include "aio/call.h"
#include "aio/futures.h"
#include "core/future/awaited_by.h"
#include "py/args/keywords.h"
#include "py/state/tables.h"

typedef struct {
    FutureObject base;
    PyObject *gathered; /* list: a future for each argument */
    PyObject *children; /* the attribute: that, or what somebody has put there */
    PyObject *task;     /* that gathers, for the call graph (3.14+), or NULL */
    Py_ssize_t n_children;
    Py_ssize_t n_finished;
    bool returns_exceptions;
    bool ready; /* it is initialised */
    char cancel_requested;
} GatheringObject;

static GatheringObject *
gathering_of(PyObject *op)
{
    return (GatheringObject *)(void *)op;
}

static struct fl_state *
state_of(GatheringObject *self)
{
    return fl_future_state(&self->base);
}

/* ---- the results ---- */

/* CancelledError(message of the cancelled child): new, or NULL. escapes. */
static PyObject *
cancelled_child(const struct fl_state *state, PyObject *child)
{
    PyObject *message = PyObject_GetAttr(child, state->str__cancel_message);
    if (message == NULL) {
        return NULL;
    }
    if (message == Py_None) {
        Py_SETREF(message, PyUnicode_FromStringAndSize("", 0));
    }
    PyObject *error =
        message == NULL ? NULL : PyObject_CallOneArg(state->CancelledError, message);
    Py_XDECREF(message);
    return error;
}

/* What is in the list for a child that is done: new, or NULL. escapes. */
static PyObject *
outcome_of(const struct fl_state *state, PyObject *child)
{
    FutureObject *own = fl_future_of(state, child);
    if (own != NULL && own->status == FL_FUTURE_FINISHED && own->exception == NULL) {
        own->log_tb = 0; /* fast: of most children; two calls less */
        return fl_or_none(own->result);
    }
    int cancelled = fl_aio_is_cancelled(state, child); /* escapes */
    if (cancelled != 0) {
        return cancelled < 0 ? NULL : cancelled_child(state, child);
    }
    PyObject *exc;
    if (fl_aio_exception(state, child, &exc) < 0) {
        return NULL;
    }
    return exc != NULL ? exc : fl_aio_result(state, child);
}

static PyObject *
outcomes_of(const struct fl_state *state, PyObject *children)
{
    PyObject *results = PyList_New(0);
    for (Py_ssize_t i = 0; results != NULL && i < PyList_GET_SIZE(children); i++) {
        PyObject *child = Py_NewRef(PyList_GET_ITEM(children, i));
        PyObject *outcome = outcome_of(state, child); /* escapes */
        if (outcome == NULL || PyList_Append(results, outcome) < 0) {
            Py_CLEAR(results);
        }
        Py_XDECREF(outcome);
        Py_DECREF(child);
    }
    return results;
}

/* All children are done. escapes. 0 or -1. */
static int
finish(const struct fl_state *state, GatheringObject *self)
{
    PyObject *children = fl_or_none(self->gathered);
    if (!PyList_CheckExact(children) || PyList_GET_SIZE(children) == 0) {
        Py_DECREF(children); /* cleared by the collector, or emptied by somebody */
        return 0;
    }
    int status = -1;
    PyObject *results = outcomes_of(state, children); /* escapes */
    if (results != NULL && !self->cancel_requested) {
        status = fl_future_set_result(&self->base, results);
    }
    else if (results != NULL) {
        /* the cancellation goes on, whatever became of the children */
        PyObject *last =
            Py_NewRef(PyList_GET_ITEM(children, PyList_GET_SIZE(children) - 1));
        PyObject *error = fl_aio_cancelled_error(state, last); /* escapes */
        status = error == NULL ? -1 : fl_future_set_exception(&self->base, error);
        Py_XDECREF(error);
        Py_DECREF(last);
    }
    Py_XDECREF(results);
    Py_DECREF(children);
    return status;
}

/* ---- a child is done ---- */

/* Its exception is as good as retrieved. escapes. 0 or -1. */
static int
ignore_outcome(const struct fl_state *state, PyObject *child)
{
    PyObject *exc = NULL;
    int cancelled = fl_aio_is_cancelled(state, child); /* escapes */
    if (cancelled == 0 && fl_aio_exception(state, child, &exc) < 0) {
        return -1;
    }
    Py_XDECREF(exc);
    return cancelled < 0 ? -1 : 0;
}

/* The first exception of a child ends the gathering: 1 if there is one, 0, or -1.
 * escapes. */
static int
take_exception(const struct fl_state *state, GatheringObject *self, PyObject *child)
{
    FutureObject *own = fl_future_of(state, child);
    if (own != NULL && own->status == FL_FUTURE_FINISHED && own->exception == NULL) {
        own->log_tb = 0; /* fast, as above */
        return 0;
    }
    PyObject *exc = NULL;
    int cancelled = fl_aio_is_cancelled(state, child); /* escapes */
    if (cancelled < 0) {
        return -1;
    }
    if (cancelled) {
        exc = fl_aio_cancelled_error(state, child); /* escapes */
        if (exc == NULL) {
            return -1;
        }
    }
    else if (fl_aio_exception(state, child, &exc) < 0) {
        return -1;
    }
    if (exc == NULL) {
        return 0;
    }
    int status = fl_future_set_exception(&self->base, exc); /* escapes */
    Py_DECREF(exc);
    return status < 0 ? -1 : 1;
}

static int
child_done(const struct fl_state *state, GatheringObject *self, PyObject *child)
{
    self->n_finished++;
    if (self->task != NULL && fl_awaited_by_discard(state, child, self->task) < 0) {
        return -1;
    }
    if (!self->ready || self->base.status != FL_FUTURE_PENDING) {
        return ignore_outcome(state, child);
    }
    int taken = self->returns_exceptions ? 0 : take_exception(state, self, child);
    if (taken != 0) {
        return taken < 0 ? -1 : 0;
    }
    return self->n_finished == self->n_children ? finish(state, self) : 0;
}

static PyObject *
gathering_child_done(PyObject *op, PyObject *child)
{
    GatheringObject *self = gathering_of(op);
    const struct fl_state *state = state_of(self);
    if (state == NULL || child_done(state, self, child) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef child_done_def = {
    "_done_callback", gathering_child_done, METH_O, NULL
};

#if defined(FL_HAVE_THREAD_TASKS)
/* (children, task): of the outer future, which may be done before them. */
static PyObject *
gathering_outer_done(PyObject *pair, PyObject *outer)
{
    const struct fl_state *state = state_of(gathering_of(outer));
    PyObject *children = PyTuple_GET_ITEM(pair, 0);
    PyObject *task = PyTuple_GET_ITEM(pair, 1);
    for (Py_ssize_t i = 0; state != NULL && i < PyList_GET_SIZE(children); i++) {
        if (fl_awaited_by_discard(state, PyList_GET_ITEM(children, i), task) < 0) {
            return NULL;
        }
    }
    return state == NULL ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef outer_done_def = {
    "_discard_awaited_by", gathering_outer_done, METH_O, NULL
};

/* Has the children forget, once the outer future is done, who awaits them. */
static int
tell_when_done(const struct fl_state *state, GatheringObject *self, PyObject **context)
{
    if (self->task == NULL || !state->aio.gather_discards) {
        return 0;
    }
    PyObject *pair = PyTuple_Pack(2, self->gathered, self->task);
    PyObject *callback = pair == NULL ? NULL : PyCFunction_New(&outer_done_def, pair);
    int status = callback == NULL
                     ? -1
                     : fl_aio_tell(state, (PyObject *)(void *)self, callback, context);
    Py_XDECREF(pair);
    Py_XDECREF(callback);
    return status;
}
#else
static int
tell_when_done(
    const struct fl_state *Py_UNUSED(state), GatheringObject *Py_UNUSED(self),
    PyObject **Py_UNUSED(context)
)
{
    return 0;
}
#endif

/* ---- gathering ---- */

/* While arguments are looked at. All owned. */
struct gathering {
    GatheringObject *self;
    PyObject *loop;     /* NULL before it is known */
    PyObject *known;    /* dict: argument -> its future */
    PyObject *done;     /* list of those that were done at once, or NULL */
    PyObject *callback; /* the method that children call */
    PyObject *context;  /* that they call it in, or NULL */
};

/* A child that is new. escapes. 0 or -1. */
static int
add_child(const struct fl_state *state, struct gathering *all, PyObject *child)
{
    GatheringObject *self = all->self;
    int done = FL_GATHER_TAKES_DONE ? fl_aio_is_done(state, child) : 0; /* escapes */
    if (done < 0) {
        return -1;
    }
    self->n_children++;
    if (done) {
        if (all->done == NULL) {
            all->done = PyList_New(0);
        }
        return all->done == NULL ? -1 : PyList_Append(all->done, child);
    }
    if (self->task != NULL && fl_awaited_by_add(state, child, self->task) < 0) {
        return -1;
    }
    return fl_aio_tell(state, child, all->callback, &all->context); /* escapes */
}

/* Its future, which is a new task if the argument is none. escapes. New, or NULL. */
static PyObject *
future_for(const struct fl_state *state, struct gathering *all, PyObject *arg)
{
    PyObject *child = fl_aio_ensure_future(state, arg, all->loop); /* escapes */
    if (child == NULL) {
        return NULL;
    }
    if (all->loop == NULL) {
        all->loop = fl_aio_loop_of(state, child); /* escapes */
        if (all->loop == NULL) {
            Py_DECREF(child);
            return NULL;
        }
    }
    int status = 0;
    if (child != arg && Py_IS_TYPE(child, state->task_type)) {
        /* nobody else can have it: that it dies pending is no news */
        FL_TASK_FLAGS(fl_base_task(child))->log_destroy_pending = 0;
    }
    else if (child != arg) {
        status = PyObject_SetAttr(child, state->str__log_destroy_pending, Py_False);
    }
    if (status < 0 || PyDict_SetItem(all->known, arg, child) < 0 || /* escapes */
        add_child(state, all, child) < 0) {
        Py_CLEAR(child);
    }
    return child;
}

static int
add_argument(const struct fl_state *state, struct gathering *all, PyObject *arg)
{
    PyObject *child = PyDict_GetItemWithError(all->known, arg); /* escapes */
    if (child != NULL) {
        return PyList_Append(all->self->gathered, child);
    }
    child = PyErr_Occurred() ? NULL : future_for(state, all, arg);
    if (child == NULL) {
        return -1;
    }
    int status = PyList_Append(all->self->gathered, child);
    Py_DECREF(child);
    return status;
}

/* Initialises the outer future; those of its children that were done already may make
 * it done, too. escapes. 0 or -1. */
static int
complete(const struct fl_state *state, struct gathering *all)
{
    GatheringObject *self = all->self;
    if (fl_future_init(&self->base, all->loop) < 0 ||
        tell_when_done(state, self, &all->context) < 0) {
        return -1;
    }
    self->ready = true;
    int status = 0;
    Py_ssize_t n_done = all->done == NULL ? 0 : PyList_GET_SIZE(all->done);
    for (Py_ssize_t i = 0; status == 0 && i < n_done; i++) {
        status = child_done(state, self, PyList_GET_ITEM(all->done, i)); /* escapes */
    }
    return status;
}

/* 0 or -1. */
static int
begin(struct fl_state *state, struct gathering *all, PyObject *loop)
{
    PyTypeObject *type = state->gathering_type;
    GatheringObject *self = gathering_of(FL_SLOT_POINTER(type->tp_alloc(type, 0)));
    all->self = self;
    if (self == NULL) {
        return -1;
    }
    fl_state_of_type(type)->counts.futures++;
    self->gathered = PyList_New(0);
    self->children = Py_XNewRef(self->gathered);
    all->known = PyDict_New();
    all->callback = PyCFunction_New(&child_done_def, (PyObject *)(void *)self);
    if (FL_GATHER_KNOWS_TASK) {
        all->loop = Py_NewRef(loop);
    }
    if (fl_aio_awaiting_task(state, loop, &self->task) < 0) {
        return -1;
    }
    return self->gathered == NULL || all->known == NULL || all->callback == NULL ? -1
                                                                                 : 0;
}

/* gather(*args) on that running loop. escapes. New, or NULL. */
static PyObject *
gather(
    struct fl_state *state, PyObject *loop, PyObject *const *args, Py_ssize_t n_args,
    bool return_exceptions
)
{
    struct gathering all = {NULL, NULL, NULL, NULL, NULL, NULL};
    int status = begin(state, &all, loop);
    if (status == 0) {
        all.self->returns_exceptions = return_exceptions;
    }
    for (Py_ssize_t i = 0; status == 0 && i < n_args; i++) {
        status = add_argument(state, &all, args[i]); /* escapes */
    }
    if (status == 0) {
        status = complete(state, &all); /* escapes */
    }
    PyObject *exc = status < 0 ? fl_error_take() : NULL;
    Py_XDECREF(all.loop); /* escapes, as do all of these */
    Py_XDECREF(all.known);
    Py_XDECREF(all.done);
    Py_XDECREF(all.callback);
    Py_XDECREF(all.context);
    if (status < 0) {
        Py_XDECREF((PyObject *)(void *)all.self);
        fl_error_restore(exc);
        return NULL;
    }
    return (PyObject *)(void *)all.self;
}

static PyObject *
gather_call(
    PyObject *function, PyObject *const *args, size_t n_args_flag, PyObject *kwnames
)
{
    const AioFunctionObject *self = (AioFunctionObject *)function;
    struct fl_state *state = self->state;
    Py_ssize_t n_args = PyVectorcall_NARGS(n_args_flag);
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    bool plain = n_args > 0 && n_keywords <= 1;
    if (n_keywords == 1) {
        plain = plain && PyUnicode_Compare(
                             PyTuple_GET_ITEM(kwnames, 0), state->str_return_exceptions
                         ) == 0;
    }
    PyObject *loop = plain ? fl_aio_running_loop(state) : Py_NewRef(Py_None);
    if (loop == NULL) {
        return NULL;
    }
    int truth = n_keywords == 1 && plain ? PyObject_IsTrue(args[n_args]) : 0;
    PyObject *result = NULL;
    if (loop == Py_None) { /* who asks for one may be warned */
        result = PyObject_Vectorcall(self->stock, args, n_args_flag, kwnames);
    }
    else if (truth >= 0) {
        result = gather(state, loop, args, n_args, truth != 0); /* escapes */
    }
    Py_DECREF(loop);
    return result;
}

/* ---- the type ---- */

PyDoc_STRVAR(
    cancel_doc, "cancel($self, /, msg=None)\n--\n\n"
                "Cancel all children that are not done.\n\n"
                "msg: the argument of their CancelledErrors.\n"
                "Return False if it is done, or no child could be cancelled."
);

static PyObject *
gathering_cancel(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    GatheringObject *self = gathering_of(op);
    const struct fl_state *state = state_of(self);
    PyObject *message = Py_None;
    if (state == NULL || fl_keywords_parse_optional(
                             "cancel", state->str_msg, args, n_args, kwnames, &message
                         ) < 0) {
        return NULL;
    }
    if (self->base.status != FL_FUTURE_PENDING) {
        Py_RETURN_FALSE;
    }
    PyObject *children = PyObject_GetAttr(op, state->str__children);
    PyObject *iterator = children == NULL ? NULL : PyObject_GetIter(children);
    Py_XDECREF(children);
    if (iterator == NULL) {
        return NULL;
    }
    int any = 0;
    PyObject *child;
    while (any >= 0 && (child = PyIter_Next(iterator)) != NULL) {
        int cancelled = fl_aio_cancel_with(state, child, message); /* escapes */
        Py_DECREF(child);
        any = cancelled < 0 ? -1 : any | cancelled;
    }
    Py_DECREF(iterator);
    if (any < 0 || PyErr_Occurred()) {
        return NULL;
    }
    if (any) {
        self->cancel_requested = 1;
    }
    return PyBool_FromLong(any);
}

static int
gathering_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(gathering_of(op)->gathered);
    Py_VISIT(gathering_of(op)->children);
    Py_VISIT(gathering_of(op)->task);
    return fl_future_traverse_base(op, visit, arg);
}

static int
gathering_clear(PyObject *op)
{
    Py_CLEAR(gathering_of(op)->gathered); /* escapes, as do all of these */
    Py_CLEAR(gathering_of(op)->children);
    Py_CLEAR(gathering_of(op)->task);
    fl_future_clear_base(op);
    return 0;
}

static void
gathering_dealloc(PyObject *op)
{
    fl_future_dealloc_derived(op, gathering_clear);
}

static PyMethodDef gathering_methods[] = {
    {"cancel", FL_FASTCALL(gathering_cancel), METH_FASTCALL | METH_KEYWORDS,
     cancel_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef gathering_members[] = {
    {"_children", T_OBJECT_EX, offsetof(GatheringObject, children), 0, ""},
    {"_cancel_requested", T_BOOL, offsetof(GatheringObject, cancel_requested), 0, ""},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    gathering_doc, "What gather() returns: the future of the results of many."
);

static PyType_Slot gathering_slots[] = {
    {Py_tp_doc, (void *)gathering_doc},
    {Py_tp_traverse, gathering_traverse},
    {Py_tp_clear, gathering_clear},
    {Py_tp_dealloc, gathering_dealloc},
    {Py_tp_methods, gathering_methods},
    {Py_tp_members, gathering_members},
    {0, NULL},
};

static PyType_Spec gathering_spec = {
    .name = "fastloop.aio._GatheringFuture",
    .basicsize = sizeof(GatheringObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = gathering_slots,
};

int
fl_gather_add(PyObject *module, struct fl_state *state)
{
    PyObject *bases =
        PyTuple_Pack(2, state->future_type, state->asyncio_GatheringFuture);
    if (bases == NULL) {
        return -1;
    }
    int status = fl_make_type(&state->gathering_type, module, &gathering_spec, bases);
    Py_DECREF(bases);
    PyObject *found = NULL; /* patch releases differ */
    if (status < 0 ||
        fl_aio_optional("asyncio.tasks", "_discard_awaited_by", &found) < 0) {
        return -1;
    }
    state->aio.gather_discards = found != NULL;
    Py_XDECREF(found);
    return fl_aio_add_function(
        module, state, "gather", gather_call, state->asyncio_gather
    );
}
