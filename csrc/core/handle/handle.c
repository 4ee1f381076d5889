/* Handle: how one is made, left by its queue, kept and freed.
 *
 * Handles die on whichever thread drops the last reference, always under the GIL, so
 * the loop's freelists need no lock.
 */
#include "core/handle/handle.h"

#include "py/context.h"
#include "py/mirror/layout.h"
#include "py/poison.h"
#include "py/state/tables.h"

#include <string.h>

/* A burst of call_soon keeps at most this many dead handles, 170 bytes each, until
 * the loop next sleeps; then FREELIST_IDLE. (Bursts of 100,000 took 1.7 times as
 * long with 1,024, of call_soon_threadsafe too.) */
#define FREELIST_MAX 65536
#define FREELIST_IDLE 1024

/* ---- life ---- */

HandleObject *
fl_handle_alloc(PyTypeObject *type, LoopObject *loop, struct fl_handle_freelist *list)
{
    HandleObject *self = (HandleObject *)list->first;
    if (self != NULL) {
        fl_unpoison(list->first);
        list->first = self->callback;
        list->count--;
        self->callback = NULL;
    }
    else {
        self = PyObject_GC_New(HandleObject, type); /* untracked */
        if (self == NULL) {
            return NULL;
        }
        memset(
            (char *)self + sizeof(PyObject), 0,
            (size_t)type->tp_basicsize - sizeof(PyObject)
        );
    }
    loop->state->counts.handles++;
    self->loop = loop;
    self->queued = 1;
    return self;
}

static FL_APART int
fill_tuple(HandleObject *self, PyObject *const *args, Py_ssize_t n_args)
{
    self->args = PyTuple_New(n_args);
    if (self->args == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < n_args; i++) {
        PyTuple_SET_ITEM(self->args, i, Py_NewRef(args[i]));
    }
    return 0;
}

static FL_APART int
fill_traceback(HandleObject *self, LoopObject *loop)
{
    PyObject *frame = (PyObject *)PyEval_GetFrame();
    self->source_traceback = PyObject_CallOneArg(
        loop->state->extract_stack, frame != NULL ? frame : Py_None
    );
    return self->source_traceback == NULL ? -1 : 0;
}

int
fl_handle_fill(
    HandleObject *self, LoopObject *loop, PyObject *callback, PyObject *const *args,
    Py_ssize_t n_args, PyObject *context
)
{
    self->callback = Py_NewRef(callback);
    if (n_args <= FL_HANDLE_N_INLINE) {
        for (Py_ssize_t i = 0; i < n_args; i++) {
            self->vector[1 + i] = Py_NewRef(args[i]);
        }
        self->n_inline = (uint8_t)n_args;
    }
    else if (fill_tuple(self, args, n_args) < 0) {
        return -1;
    }
    if (context != NULL) {
        self->context = Py_NewRef(context);
    }
    else {
        self->context = fl_context_snapshot(loop->state, &loop->contexts);
        if (self->context == NULL) {
            return -1;
        }
        self->context_shared = 1;
        self->context_made = loop->state->context_layout_known;
    }
    return loop->debug ? fill_traceback(self, loop) : 0;
}

HandleObject *
fl_handle_new(
    LoopObject *loop, PyObject *callback, PyObject *const *args, Py_ssize_t n_args,
    PyObject *context
)
{
    HandleObject *self =
        fl_handle_alloc(loop->state->handle_type, loop, &loop->free_handles);
    if (self == NULL) {
        return NULL;
    }
    if (fl_handle_fill(self, loop, callback, args, n_args, context) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

void
fl_handle_drop_args(HandleObject *self)
{
    Py_CLEAR(self->args);
    for (int i = self->n_inline; i > 0; i--) {
        Py_CLEAR(self->vector[i]);
    }
    self->n_inline = 0;
}

/* All but the loop. Not visited, to be quick where 100,000 timers wait: the
 * type, which holds no handle, and the repr, a string. */
static int
traverse_call(HandleObject *self, visitproc visit, void *arg)
{
    Py_VISIT(self->callback);
    Py_VISIT(self->context);
    for (int i = 1; i <= self->n_inline; i++) {
        Py_VISIT(self->vector[i]);
    }
    Py_VISIT(self->args);
    Py_VISIT(self->source_traceback);
    Py_VISIT(self->when);
    Py_VISIT(self->slot_cancelled);
    Py_VISIT(self->slot_scheduled);
    Py_VISIT(self->slot_loop);
    return 0;
}

int
fl_handle_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(((HandleObject *)op)->loop);
    return traverse_call((HandleObject *)op, visit, arg);
}

int
fl_handle_traverse_queued(HandleObject *self, visitproc visit, void *arg)
{
    if (self->queued) {
        return traverse_call(self, visit, arg);
    }
    Py_VISIT(self);
    return 0;
}

/* The loop stays: it is needed to the end, and it breaks the cycle itself by
 * dropping what it has queued. */
int
fl_handle_clear(PyObject *op)
{
    HandleObject *self = (HandleObject *)op;
    fl_handle_drop_call(self);
    Py_CLEAR(self->slot_cancelled);
    Py_CLEAR(self->slot_scheduled);
    Py_CLEAR(self->slot_loop);
    Py_CLEAR(self->context);
    Py_CLEAR(self->repr);
    Py_CLEAR(self->source_traceback);
    Py_CLEAR(self->when);
    return 0;
}

static bool
has_weakrefs(HandleObject *self)
{
#ifdef FL_HAVE_MANAGED_WEAKREF
    /* what PyObject_GET_WEAKREFS_LISTPTR looks at, without the call */
    Py_ssize_t offset = Py_TYPE(self)->tp_weaklistoffset;
    return *(PyObject **)(void *)((char *)self + offset) != NULL;
#else
    return self->weakrefs != NULL;
#endif
}

/* Whether there is what few handles have, and dealloc sees to. */
static inline bool
has_more(HandleObject *self)
{
    return ((uintptr_t)self->source_traceback | (uintptr_t)self->repr |
            (uintptr_t)self->when | (uintptr_t)self->slot_loop) != 0 ||
           has_weakrefs(self);
}

static struct fl_handle_freelist *
freelist_of(HandleObject *self)
{
    LoopObject *loop = self->loop;
    if (self->threadsafe) {
        return &loop->free_threadsafe_handles;
    }
    return Py_IS_TYPE(self, loop->state->handle_type) ? &loop->free_handles
                                                      : &loop->free_timer_handles;
}

/* Puts an emptied handle, and the one reference to it, into its freelist. */
static void
handle_keep(HandleObject *self, struct fl_handle_freelist *list)
{
    self->loop->state->counts.handles--;
    self->loop = NULL;
    self->queued = 0;
    self->cancelled = 0;
    self->context_shared = 0;
    self->context_made = 0;
    self->callback = list->first;
    list->first = (PyObject *)self;
    list->count++;
    fl_poison((PyObject *)self);
}

void
fl_handle_dealloc(PyObject *op)
{
    HandleObject *self = (HandleObject *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_TRASHCAN_BEGIN(op, fl_handle_dealloc)
    if (has_weakrefs(self)) {
        PyObject_ClearWeakRefs(op);
    }
    fl_handle_clear(op);
    LoopObject *owned = self->queued ? NULL : self->loop;
    if (owned != NULL && !owned->closed && freelist_of(self)->count < FREELIST_MAX) {
        _Py_NewReference(op);
        handle_keep(self, freelist_of(self));
    }
    else {
        if (self->loop != NULL) {
            self->loop->state->counts.handles--;
        }
        type->tp_free(op);
        Py_DECREF(type);
    }
    Py_XDECREF(owned); /* may free the lists, self with them */
    Py_TRASHCAN_END
}

/* Fast path: the last owner empties the handle and keeps it, without the round
 * through dealloc (130 ns became 115 in a chain of call_soon). */
static bool
handle_recycle(HandleObject *self)
{
    struct fl_handle_freelist *list = freelist_of(self);
    if (Py_REFCNT(self) != 1 || !self->queued || self->loop->closed ||
        list->count >= FREELIST_MAX || has_more(self)) {
        return false;
    }
    fl_handle_drop_call(self); /* escapes */
    if (self->context_made) {
        fl_context_give_up(&self->context, &self->loop->contexts);
    }
    else {
        Py_CLEAR(self->context); /* escapes */
    }
    handle_keep(self, list);
    return true;
}

void
fl_handle_settle(HandleObject *self)
{
    if (self->queued) {
        self->queued = 0;
        Py_INCREF(self->loop);
        PyObject_GC_Track((PyObject *)self);
    }
}

void
fl_handle_release(HandleObject *self)
{
    if (handle_recycle(self)) {
        return;
    }
    if (Py_REFCNT(self) > 1) {
        fl_handle_settle(self);
    }
    Py_DECREF(self); /* escapes */
}

void
fl_handle_forget_loop(HandleObject *self)
{
    if (self->queued) {
        self->loop->state->counts.handles--;
        self->loop = NULL;
        self->queued = 0;
        self->cancelled = 1;
    }
}

void
fl_handle_orphan(HandleObject *self)
{
    if (self->loop == NULL && !self->running) {
        fl_handle_drop_call(self); /* escapes */
    }
    if (self->loop == NULL && Py_REFCNT(self) > 1) {
        PyObject_GC_Track((PyObject *)self);
    }
    Py_DECREF(self);
}

/* Whether there was more. */
static bool
trim_list(struct fl_handle_freelist *list, int max)
{
    bool more = list->count > max;
    for (; list->count > max; list->count--) {
        HandleObject *self = (HandleObject *)list->first;
        fl_unpoison(list->first);
        list->first = self->callback;
        self->callback = NULL;
        Py_DECREF(self);
    }
    return more;
}

static FL_APART bool
trim_lists(LoopObject *loop, int max)
{
    bool more = trim_list(&loop->free_handles, max);
    more |= trim_list(&loop->free_timer_handles, max);
    return trim_list(&loop->free_threadsafe_handles, max) || more;
}

bool
fl_handle_trim_lists(LoopObject *loop)
{
    /* fast: any above a power of two shows in all of them at once */
    if ((loop->free_handles.count | loop->free_timer_handles.count |
         loop->free_threadsafe_handles.count) > FREELIST_IDLE) {
        return trim_lists(loop, FREELIST_IDLE);
    }
    return false;
}

void
fl_handle_free_lists(LoopObject *loop)
{
    (void)trim_lists(loop, 0);
}

/* ---- the type ---- */

PyDoc_STRVAR(
    handle_doc, "A callback to run once, made by loop.call_soon().\n\n"
                "Imitates asyncio.Handle, its base class."
);

static PyType_Slot handle_slots[] = {
    {Py_tp_doc, (void *)handle_doc},
    {Py_tp_dealloc, fl_handle_dealloc},
    {Py_tp_traverse, fl_handle_traverse},
    {Py_tp_clear, fl_handle_clear},
    {Py_tp_methods, fl_handle_methods},
    {Py_tp_getset, fl_handle_getset},
    {0, NULL},
};

/* Not immutable: the base is a Python class, for which CPython 3.12 warns and
 * 3.14 refuses. */
static PyType_Spec handle_spec = {
    .name = "fastloop.Handle",
    .basicsize = sizeof(HandleObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = handle_slots,
};

static const struct fl_slot inherited_slots[] = {
    {"_args", offsetof(HandleObject, args)},
    {"_callback", offsetof(HandleObject, callback)},
    {"_cancelled", offsetof(HandleObject, slot_cancelled)},
    {"_context", offsetof(HandleObject, context)},
    {"_loop", offsetof(HandleObject, slot_loop)},
    {"_repr", offsetof(HandleObject, repr)},
    {"_source_traceback", offsetof(HandleObject, source_traceback)},
    {NULL, 0},
};

int
fl_handle_add_type(PyObject *module, struct fl_state *state)
{
    PyObject **base = &state->asyncio_Handle;
    if (fl_layout_provide(
            base, inherited_slots, offsetof(HandleObject, slot_scheduled),
            FL_HANDLE_SLOTS
        ) < 0) {
        return -1;
    }
    return fl_make_type(&state->handle_type, module, &handle_spec, *base);
}
