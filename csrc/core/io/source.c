/* Watched fds of upper floors, and what waits for the end of a step.
 *
 * In debug mode a ready source queues Handles of its object's methods instead of
 * itself: slow ones are then named and failing ones reported as asyncio's are. One
 * lasts as long as the watch, because making one takes a stack (a TCP echo took twice
 * as long as asyncio's while each event made its own).
 */
#include "core/io/source.h"

#include "core/handle/handle.h"
#include "py/error.h"
#include "py/state/tables.h"

static struct fl_source *
source_of_link(struct fl_list *link)
{
    return FL_CONTAINER_OF(link, struct fl_source, link);
}

/* A Handle of the method that events call: new, or NULL with an exception. */
static HandleObject *
source_handle(
    const struct fl_source *self, LoopObject *loop, uint32_t events, PyObject *context
)
{
    const char *name =
        events & FL_POLL_READ ? self->kind->read_method : self->kind->write_method;
    PyObject *method = PyObject_GetAttrString(self->owner, name);
    if (method == NULL) {
        return NULL;
    }
    HandleObject *handle = fl_handle_new(loop, method, NULL, 0, context);
    Py_DECREF(method);
    return handle;
}

static PyObject **
debug_handle_of(struct fl_source *self, uint32_t event)
{
    return &self->handles[event != FL_POLL_READ];
}

/* Forgets the handles of all but these events; one that is queued runs no more, also if
 * the event is wanted again. escapes. */
static void
drop_debug_handles(struct fl_source *self, uint32_t events)
{
    for (uint32_t event = FL_POLL_READ; event <= FL_POLL_WRITE; event <<= 1) {
        PyObject **kept = debug_handle_of(self, event);
        HandleObject *handle = (HandleObject *)*kept;
        if (events & event || handle == NULL) {
            continue;
        }
        *kept = NULL;
        if (!handle->running) {
            handle->cancelled = 1;
            fl_handle_drop_call(handle); /* escapes */
        }
        Py_DECREF(handle); /* escapes */
    }
}

/* Queues the handle of event, made if there is none. escapes. 0, or -1 with an
 * exception.
 */
static int
queue_debug_handle(struct fl_source *self, uint32_t event)
{
    PyObject **kept = debug_handle_of(self, event);
    if (*kept == NULL) {
        HandleObject *made = source_handle(self, self->loop, event, self->context);
        if (made == NULL) {
            return -1;
        }
        fl_handle_settle(made);
        if (self->loop == NULL || !(self->watch.events & event) || *kept != NULL) {
            Py_DECREF(made); /* it ended, or began anew, meanwhile */
            return 0;
        }
        *kept = (PyObject *)made;
    }
    if (((HandleObject *)*kept)->cancelled) { /* by hand: asyncio then stops watching */
        return fl_source_want(self, self->watch.events & ~event); /* escapes */
    }
    uintptr_t word = (uintptr_t)*kept | FL_ENTRY_HANDLE;
    if (fl_loop_push(self->loop, word) < 0) {
        return -1;
    }
    Py_INCREF(*kept);
    return 0;
}

/* escapes */
static void
queue_debug(struct fl_source *self, uint32_t events)
{
    PyObject *owner = Py_NewRef(self->owner);
    for (uint32_t event = FL_POLL_READ; event <= FL_POLL_WRITE; event <<= 1) {
        if (self->loop != NULL && events & self->watch.events & event &&
            queue_debug_handle(self, event) < 0) {
            PyErr_Clear(); /* no memory: it is still ready at the next poll */
        }
    }
    Py_DECREF(owner);
}

static void
source_on_ready(struct fl_watch *watch, uint32_t events)
{
    struct fl_source *self = FL_CONTAINER_OF(watch, struct fl_source, watch);
    if (self->loop->debug) {
        queue_debug(self, events);
        return;
    }
    bool queued = self->queued;
    self->fired |= events;
    if (queued) {
        return;
    }
    if (fl_loop_push(self->loop, (uintptr_t)self | FL_ENTRY_SOURCE) < 0) {
        PyErr_Clear(); /* no memory: it is still ready at the next poll */
        self->fired = 0;
        return;
    }
    self->queued = true;
    Py_INCREF(self->owner);
}

void
fl_source_init(
    struct fl_source *self, const struct fl_source_kind *kind, PyObject *owner, int fd
)
{
    self->watch.fd = fd;
    self->watch.on_ready = source_on_ready;
    self->kind = kind;
    self->owner = owner;
    fl_list_init(&self->link);
}

/* ---- watching ---- */

int
fl_source_want(struct fl_source *self, uint32_t events)
{
    if (events == self->watch.events) {
        return 0;
    }
    if (events == 0) {
        fl_source_ignore(self); /* escapes */
        return 0;
    }
    if (fl_loop_check_closed(self->loop) < 0 ||
        fl_loop_ensure_own(self->loop) < 0) { /* escapes */
        return -1;
    }
    if (self->loop == NULL) { /* it has ended meanwhile */
        return 0;
    }
    struct fl_poller *poller = &self->loop->poller;
    bool first = fl_list_empty(&self->link);
    int err;
    if (first) {
        self->watch.events = events;
        err = fl_poller_add(poller, &self->watch);
    }
    else {
        err = fl_poller_modify(poller, &self->watch, events);
    }
    if (err < 0) {
        if (first) {
            self->watch.events = 0;
        }
        fl_raise_errno(err);
        return -1;
    }
    if (first) {
        Py_INCREF(self->owner);
        fl_list_append(&self->loop->sources, &self->link);
        self->loop->state->counts.watches++;
    }
    self->fired &= events;
    fl_loop_note_io(self->loop);
    drop_debug_handles(self, events); /* escapes */
    return 0;
}

void
fl_source_ignore(struct fl_source *self)
{
    if (fl_list_empty(&self->link)) {
        return;
    }
    LoopObject *loop = self->loop;
    fl_poller_remove(&loop->poller, &self->watch);
    self->watch.events = 0;
    self->fired = 0;
    fl_list_unlink(&self->link);
    loop->state->counts.watches--;
    fl_loop_note_io(loop);
    PyObject *owner = self->owner;
    drop_debug_handles(self, 0); /* escapes */
    Py_DECREF(owner);            /* escapes */
}

static struct fl_source *
source_at(const LoopObject *loop, int fd)
{
    struct fl_watch *watch = fl_poller_find(&loop->poller, fd);
    return watch == NULL || watch->on_ready != source_on_ready
               ? NULL
               : FL_CONTAINER_OF(watch, struct fl_source, watch);
}

bool
fl_source_remove(LoopObject *loop, int fd, uint32_t events)
{
    struct fl_source *self = source_at(loop, fd);
    if (self == NULL || !(self->watch.events & events)) {
        return false;
    }
    if (fl_source_want(self, self->watch.events & ~events) < 0) { /* escapes */
        PyErr_Clear(); /* the kernel forgot the fd: that is no interest, too */
        fl_source_ignore(self);
    }
    return true;
}

bool
fl_source_yield(LoopObject *loop, int fd, uint32_t events)
{
    const struct fl_source *self = source_at(loop, fd);
    return self != NULL && self->gives_way &&
           fl_source_remove(loop, fd, events); /* escapes */
}

/* ---- owning ---- */

/* fast: a weak dictionary in Python takes a quarter of the instructions of accepting
 * and closing a connection, so that is only filled for who looks at it. */

int
fl_source_own_fd(struct fl_source *self)
{
    LoopObject *loop = self->loop;
    int fd = self->watch.fd;
    if (fl_fd_table_reserve(&loop->fd_owners, fd) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    struct fl_source *former = loop->fd_owners.slots[fd];
    if (former != NULL) { /* its fd was closed behind its back */
        fl_source_disown_fd(former);
    }
    loop->fd_owners.slots[fd] = self;
    loop->n_unlisted_owners++;
    self->owns_fd = true;
    self->listed = false;
    return 0;
}

void
fl_source_disown_fd(struct fl_source *self)
{
    if (self->owns_fd) {
        self->owns_fd = false;
        self->loop->fd_owners.slots[self->watch.fd] = NULL;
        self->loop->n_unlisted_owners -= !self->listed;
    }
}

/* Can't be reached any more: what asyncio's weak references would not find. */
static bool
is_dying(const struct fl_source *self)
{
    return Py_REFCNT(self->owner) == 0 || fl_is_garbage(self->owner);
}

struct fl_source *
fl_source_of_fd(const LoopObject *self, int fd)
{
    struct fl_source *source = fl_fd_table_find(&self->fd_owners, fd);
    return source == NULL || is_dying(source) ? NULL : source;
}

int
fl_source_list_owners(LoopObject *self)
{
    int status = 0;
    for (size_t fd = 0; self->n_unlisted_owners > 0 && fd < self->fd_owners.size;
         fd++) {
        struct fl_source *source = self->fd_owners.slots[fd];
        if (source == NULL || source->listed || is_dying(source)) {
            continue;
        }
        source->listed = true;
        self->n_unlisted_owners--;
        PyObject *owner = Py_NewRef(source->owner);
        PyObject *number = PyLong_FromSize_t(fd);
        PyObject *into = fl_or_none(self->transports);
        if (number == NULL || PyObject_SetItem(into, number, owner) < 0) { /* escapes */
            status = -1;
            if (source->owns_fd && source->listed) {
                source->listed = false;
                self->n_unlisted_owners++;
            }
        }
        Py_DECREF(into);
        Py_XDECREF(number);
        Py_DECREF(owner); /* escapes */
        if (status < 0) {
            break;
        }
    }
    return status;
}

/* ---- a turn ---- */

/* As for any callback's exception: the exception handler hears of it. */
static int
source_report(struct fl_source *self, LoopObject *loop, uint32_t events)
{
    if (fl_error_is_exit()) {
        return -1;
    }
    PyObject *exc = fl_error_take();
    HandleObject *handle = source_handle(self, loop, events, NULL);
    return fl_handle_report_as(handle, loop, exc); /* escapes */
}

int
fl_source_run(struct fl_source *self)
{
    uint32_t events = self->fired & self->watch.events;
    self->fired = 0;
    self->queued = false;
    if (events == 0 || self->loop == NULL) {
        return 0;
    }
    LoopObject *loop = (LoopObject *)Py_NewRef(self->loop);
    PyObject *context = Py_NewRef(self->context);
    loop->n_steps++;
    int status = PyContext_Enter(context);
    if (status == 0) {
        status = self->kind->run(self, events); /* escapes */
        PyObject *exc = fl_error_take();
        if (PyContext_Exit(context) < 0 && exc == NULL) {
            status = -1;
        }
        else {
            fl_error_restore(exc);
        }
    }
    if (status < 0) {
        status = source_report(self, loop, events);
    }
    Py_DECREF(context);
    Py_DECREF(loop);
    return status;
}

/* ---- the end of a step ---- */

static int
flush_one(struct fl_source *self)
{
    int status = self->loop == NULL ? 0 : self->kind->flush(self); /* escapes */
    if (status < 0 && !fl_error_is_exit()) {
        PyErr_WriteUnraisable(self->owner); /* escapes */
        status = 0;
    }
    return status;
}

int
fl_loop_flush_deferred(LoopObject *self)
{
    PyObject *exc = fl_error_take();
    while (self->deferred != NULL) {
        struct fl_source *source = self->deferred;
        PyObject *owner = source->owner; /* the loop's reference */
        self->deferred = NULL;
        if (flush_one(source) < 0) { /* escapes */
            PyObject *newer = fl_error_take();
            if (exc == NULL) {
                exc = newer;
            }
            else {
                Py_XDECREF(newer);
            }
        }
        Py_DECREF(owner); /* escapes */
    }
    if (exc == NULL) {
        return 0;
    }
    fl_error_restore(exc);
    return -1;
}

/* Of the loop that runs in this thread: in another's a step has no order with this. */
int
fl_thread_flush(const struct fl_state *state)
{
    const struct fl_list *head = &state->loops;
    for (const struct fl_list *link = head->next; link != head; link = link->next) {
        LoopObject *loop = FL_CONTAINER_OF(link, LoopObject, live_loops);
        if (loop->deferred != NULL && loop->running &&
            loop->thread_id == PyThread_get_thread_ident()) {
            Py_INCREF(loop);
            int status = fl_loop_flush(loop); /* escapes */
            Py_DECREF(loop);
            return status;
        }
    }
    return 0;
}

/* For Python code of ours that somebody else is to hear after what was written. */
PyObject *
fl_loop_send_waiting(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_loop_flush((LoopObject *)op) < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- for the loop ---- */

int
fl_loop_traverse_sources(LoopObject *self, visitproc visit, void *arg)
{
    struct fl_list *head = &self->sources;
    for (struct fl_list *link = head->next; link != head; link = link->next) {
        Py_VISIT(source_of_link(link)->owner);
        Py_VISIT(source_of_link(link)->handles[0]);
        Py_VISIT(source_of_link(link)->handles[1]);
    }
    if (self->deferred != NULL) {
        Py_VISIT(self->deferred->owner);
    }
    return 0;
}

void
fl_loop_drop_sources(LoopObject *self)
{
    if (self->deferred != NULL) {
        fl_source_undefer(self->deferred); /* escapes */
    }
    while (!fl_list_empty(&self->sources)) {
        fl_source_ignore(source_of_link(self->sources.next)); /* escapes */
    }
}

void
fl_source_forget_queued(uintptr_t word)
{
    struct fl_source *self = (struct fl_source *)(word & ~FL_ENTRY_KIND_MASK);
    self->queued = false;
    self->fired = 0;
    Py_DECREF(self->owner); /* escapes */
}
