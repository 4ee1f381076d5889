/* add_reader, add_writer and kin: one watch per fd, a Handle for each direction.
 *
 * A watch that fires queues its handles; they run when the ring reaches them.
 * Imitates asyncio.selector_events.BaseSelectorEventLoop's methods.
 */
#include "core/handle.h"
#include "core/source.h"
#include "py/args.h"
#include "py/error.h"

#include <limits.h>

struct reader_watch {
    struct fl_watch watch;
    struct fl_list link;  /* in loop->reader_watches */
    LoopObject *loop;     /* borrowed: the loop owns the watch */
    PyObject *fileobj;    /* owned; NULL if it was given as an int */
    HandleObject *reader; /* owned or NULL */
    HandleObject *writer;
};

static struct reader_watch *
watch_of_link(struct fl_list *link)
{
    return FL_CONTAINER_OF(link, struct reader_watch, link);
}

/* ---- a watch ---- */

static HandleObject **
handle_slot(struct reader_watch *self, uint32_t event)
{
    return event == FL_POLL_READ ? &self->reader : &self->writer;
}

static void
queue_handle(struct reader_watch *self, HandleObject *handle)
{
    if (handle == NULL || handle->cancelled) {
        return;
    }
    if (fl_loop_push(self->loop, (uintptr_t)handle | FL_ENTRY_HANDLE) == 0) {
        Py_INCREF(handle);
    }
    else {
        PyErr_Clear(); /* no memory: it is still ready at the next poll */
    }
}

static void drop_direction(struct reader_watch *self, uint32_t event);

static void
reader_on_ready(struct fl_watch *watch, uint32_t events)
{
    struct reader_watch *self = FL_CONTAINER_OF(watch, struct reader_watch, watch);
    HandleObject *writer = events & FL_POLL_WRITE ? self->writer : NULL;
    bool writer_cancelled = writer != NULL && writer->cancelled;
    if (events & FL_POLL_READ) {
        queue_handle(self, self->reader);
    }
    queue_handle(self, writer);
    /* A handle cancelled by hand leaves its watch behind: drop it now. The
     * second drop may free the watch, so it comes last. */
    if (events & FL_POLL_READ && self->reader != NULL && self->reader->cancelled) {
        bool last = self->watch.events == FL_POLL_READ;
        drop_direction(self, FL_POLL_READ);
        if (last) {
            return;
        }
    }
    if (writer_cancelled) {
        drop_direction(self, FL_POLL_WRITE);
    }
}

static struct reader_watch *
watch_new(LoopObject *loop, int fd, PyObject *fileobj)
{
    struct reader_watch *self = PyMem_Calloc(1, sizeof(*self));
    if (self == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    self->watch.fd = fd;
    self->watch.on_ready = reader_on_ready;
    self->loop = loop;
    self->fileobj = PyLong_Check(fileobj) ? NULL : Py_NewRef(fileobj);
    fl_list_append(&loop->reader_watches, &self->link);
    loop->state->counts.watches++;
    return self;
}

/* Takes the watch out of everything; its handles are dropped uncancelled. */
static void
watch_free(struct reader_watch *self)
{
    LoopObject *loop = self->loop;
    HandleObject *reader = self->reader, *writer = self->writer;
    PyObject *fileobj = self->fileobj;
    fl_poller_remove(&loop->poller, &self->watch);
    fl_list_unlink(&self->link);
    loop->state->counts.watches--;
    PyMem_Free(self);
    Py_XDECREF(reader); /* escapes */
    Py_XDECREF(writer);
    Py_XDECREF(fileobj);
}

static struct reader_watch *
find_watch(LoopObject *self, int fd)
{
    struct fl_watch *watch = fl_poller_find(&self->poller, fd);
    if (watch == NULL || watch->on_ready != reader_on_ready) {
        return NULL;
    }
    return FL_CONTAINER_OF(watch, struct reader_watch, watch);
}

/* Ends the watch's interest in event; frees it when no other is left. */
static void
drop_direction(struct reader_watch *self, uint32_t event)
{
    HandleObject **slot = handle_slot(self, event);
    HandleObject *handle = *slot;
    uint32_t rest = self->watch.events & ~event;
    *slot = NULL;
    fl_loop_note_io(self->loop);
    if (rest == 0 || fl_poller_modify(&self->loop->poller, &self->watch, rest) < 0) {
        watch_free(self); /* escapes */
    }
    Py_XDECREF(handle); /* escapes */
}

/* ---- file descriptors ---- */

/* asyncio's _ensure_fd_no_transport and selectors' look-up read an fd alike. */
static int
fd_of_object(PyObject *fileobj, long *fd)
{
    if (PyLong_Check(fileobj)) {
        *fd = PyLong_AsLong(fileobj);
        return *fd == -1 && PyErr_Occurred() ? -1 : 0;
    }
    PyObject *fileno = PyObject_CallMethod(fileobj, "fileno", NULL); /* escapes */
    PyObject *number = fileno == NULL ? NULL : PyNumber_Long(fileno);
    Py_XDECREF(fileno);
    *fd = number == NULL ? -1 : PyLong_AsLong(number);
    Py_XDECREF(number);
    if (*fd == -1 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError) ||
            PyErr_ExceptionMatches(PyExc_TypeError) ||
            PyErr_ExceptionMatches(PyExc_ValueError)) {
            PyErr_Format(PyExc_ValueError, "Invalid file object: %R", fileobj);
        }
        return -1;
    }
    return 0;
}

static int
check_fd(long fd)
{
    if (fd < 0) {
        PyErr_Format(PyExc_ValueError, "Invalid file descriptor: %ld", fd);
        return -1;
    }
    if (fd > INT_MAX) {
        PyErr_SetString(
            PyExc_OverflowError, "Python int too large to convert to C int"
        );
        return -1;
    }
    return 0;
}

/* A transport's fd is not to be watched by others; escapes. */
static int
check_no_transport(LoopObject *self, PyObject *fileobj)
{
    long fd;
    if (fd_of_object(fileobj, &fd) < 0) {
        return -1;
    }
    if (self->transports == NULL) {
        return 0;
    }
    PyObject *transport =
        PyObject_CallMethod(self->transports, "get", "l", fd); /* escapes */
    if (transport == NULL) {
        return -1;
    }
    int status = 0;
    if (PyObject_IsTrue(transport) == 1) {
        PyObject *closing = PyObject_CallMethod(transport, "is_closing", NULL);
        int truth = closing == NULL ? -1 : PyObject_IsTrue(closing);
        Py_XDECREF(closing);
        if (truth == 0) {
            PyErr_Format(
                PyExc_RuntimeError, "File descriptor %R is used by transport %R",
                fileobj, transport
            );
        }
        status = truth == 1 ? 0 : -1;
    }
    Py_DECREF(transport);
    return status;
}

/* ---- adding ---- */

static int
want(LoopObject *self, PyObject *fileobj, int fd, uint32_t event, HandleObject *handle)
{
    struct reader_watch *watch = find_watch(self, fd);
    int err;
    if (watch == NULL) {
        watch = watch_new(self, fd, fileobj);
        if (watch == NULL) {
            return -1;
        }
        watch->watch.events = event;
        err = fl_poller_add(&self->poller, &watch->watch);
    }
    else {
        err =
            fl_poller_modify(&self->poller, &watch->watch, watch->watch.events | event);
    }
    if (err < 0) {
        watch_free(watch); /* escapes */
        fl_raise_errno(err);
        return -1;
    }
    HandleObject **slot = handle_slot(watch, event);
    HandleObject *replaced = *slot;
    *slot = (HandleObject *)Py_NewRef(handle);
    fl_loop_note_io(self);
    int status = 0;
    if (replaced != NULL) {
        status = fl_handle_cancel(replaced); /* escapes */
        Py_DECREF(replaced);
    }
    return status;
}

/* The private forms take a context: 3.15's transports pass theirs. */
static PyObject *
add_direction(
    PyObject *op, const char *function, uint32_t event, PyObject *const *args,
    Py_ssize_t n_args, PyObject *kwnames
)
{
    const struct fl_callback_signature signature = {
        function, {"fd", "callback"}, function[0] == '_'
    };
    LoopObject *self = (LoopObject *)op;
    struct fl_callback_args call;
    if (fl_args_parse(self->state, &signature, args, n_args, kwnames, &call) < 0 ||
        fl_loop_check_closed(self) < 0) {
        return NULL;
    }
    HandleObject *handle =
        fl_handle_new(self, call.leading[1], call.args, call.n_args, call.context);
    if (handle == NULL) {
        return NULL;
    }
    fl_handle_settle(handle);
    long fd;
    if (fd_of_object(call.leading[0], &fd) < 0 || check_fd(fd) < 0 ||
        fl_loop_check_closed(self) < 0 ||
        want(self, call.leading[0], (int)fd, event, handle) < 0) {
        Py_DECREF(handle);
        return NULL;
    }
    return (PyObject *)handle;
}

PyObject *
fl_loop__add_reader(PyObject *op, PyObject *const *args, Py_ssize_t n, PyObject *kw)
{
    return add_direction(op, "_add_reader", FL_POLL_READ, args, n, kw);
}

PyObject *
fl_loop__add_writer(PyObject *op, PyObject *const *args, Py_ssize_t n, PyObject *kw)
{
    return add_direction(op, "_add_writer", FL_POLL_WRITE, args, n, kw);
}

/* The public form: refuses a transport's fd, honours a replaced _add_…, and
 * returns None. */
static PyObject *
add_public(
    PyObject *op, uint32_t event, PyObject *const *args, Py_ssize_t n_args,
    PyObject *kwnames
)
{
    LoopObject *self = (LoopObject *)op;
    bool reading = event == FL_POLL_READ;
    const struct fl_callback_signature signature = {
        reading ? "add_reader" : "add_writer", {"fd", "callback"}, false
    };
    struct fl_callback_args call;
    if (fl_args_parse(self->state, &signature, args, n_args, kwnames, &call) < 0 ||
        check_no_transport(self, call.leading[0]) < 0) {
        return NULL;
    }
    uint32_t overridden = reading ? FL_OVERRIDES_ADD_READER : FL_OVERRIDES_ADD_WRITER;
    PyObject *handle;
    if (fl_loop_overrides(self) & overridden) {
        PyObject *name =
            reading ? self->state->str__add_reader : self->state->str__add_writer;
        PyObject *method = PyObject_GetAttr(op, name);
        handle = method == NULL
                     ? NULL
                     : PyObject_Vectorcall(method, args, (size_t)n_args, kwnames);
        Py_XDECREF(method);
    }
    else {
        handle = add_direction(op, signature.function, event, args, n_args, kwnames);
    }
    Py_XDECREF(handle);
    return handle == NULL ? NULL : Py_NewRef(Py_None);
}

PyObject *
fl_loop_add_reader(PyObject *op, PyObject *const *args, Py_ssize_t n, PyObject *kw)
{
    return add_public(op, FL_POLL_READ, args, n, kw);
}

PyObject *
fl_loop_add_writer(PyObject *op, PyObject *const *args, Py_ssize_t n, PyObject *kw)
{
    return add_public(op, FL_POLL_WRITE, args, n, kw);
}

/* ---- removing ---- */

/* By fd, or by the very object if that was closed meanwhile. NULL with or
 * without an exception. */
static struct reader_watch *
find_by_object(LoopObject *self, PyObject *fileobj)
{
    long fd;
    if (fd_of_object(fileobj, &fd) == 0 && fd >= 0 && fd <= INT_MAX) {
        return find_watch(self, (int)fd);
    }
    if (!PyLong_Check(fileobj)) {
        struct fl_list *head = &self->reader_watches;
        for (struct fl_list *link = head->next; link != head; link = link->next) {
            if (watch_of_link(link)->fileobj == fileobj) {
                PyErr_Clear();
                return watch_of_link(link);
            }
        }
    }
    if (!PyErr_Occurred()) {
        check_fd(fd);
    }
    return NULL;
}

static PyObject *
remove_direction(PyObject *op, PyObject *fileobj, uint32_t event)
{
    LoopObject *self = (LoopObject *)op;
    if (self->closed) {
        Py_RETURN_FALSE;
    }
    struct reader_watch *watch = find_by_object(self, fileobj); /* escapes */
    if (watch == NULL) {
        if (PyErr_Occurred()) {
            return NULL;
        }
        long number;
        if (fd_of_object(fileobj, &number) < 0) { /* escapes */
            return NULL;
        }
        return PyBool_FromLong(fl_source_remove(self, (int)number, event));
    }
    HandleObject *handle = *handle_slot(watch, event);
    if (handle == NULL) {
        Py_RETURN_FALSE;
    }
    Py_INCREF(handle);
    drop_direction(watch, event); /* escapes */
    int status = fl_handle_cancel(handle);
    Py_DECREF(handle);
    return status < 0 ? NULL : Py_NewRef(Py_True);
}

PyObject *
fl_loop__remove_reader(PyObject *op, PyObject *fd)
{
    return remove_direction(op, fd, FL_POLL_READ);
}

PyObject *
fl_loop__remove_writer(PyObject *op, PyObject *fd)
{
    return remove_direction(op, fd, FL_POLL_WRITE);
}

static PyObject *
remove_public(PyObject *op, PyObject *fd, uint32_t event)
{
    LoopObject *self = (LoopObject *)op;
    bool reading = event == FL_POLL_READ;
    if (check_no_transport(self, fd) < 0) {
        return NULL;
    }
    uint32_t overridden =
        reading ? FL_OVERRIDES_REMOVE_READER : FL_OVERRIDES_REMOVE_WRITER;
    if (fl_loop_overrides(self) & overridden) {
        PyObject *name =
            reading ? self->state->str__remove_reader : self->state->str__remove_writer;
        return PyObject_CallMethodOneArg(op, name, fd);
    }
    return remove_direction(op, fd, event);
}

PyObject *
fl_loop_remove_reader(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    PyObject *fd = fl_args_one("remove_reader", "fd", args, n_args, kwnames);
    return fd == NULL ? NULL : remove_public(op, fd, FL_POLL_READ);
}

PyObject *
fl_loop_remove_writer(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    PyObject *fd = fl_args_one("remove_writer", "fd", args, n_args, kwnames);
    return fd == NULL ? NULL : remove_public(op, fd, FL_POLL_WRITE);
}

/* ---- for the rest of the loop ---- */

/* _watched_events(fd): EVENT_READ | EVENT_WRITE as selectors has them, or None. */
PyObject *
fl_loop_watched_events(PyObject *op, PyObject *fileobj)
{
    LoopObject *self = (LoopObject *)op;
    struct reader_watch *found = find_by_object(self, fileobj); /* escapes */
    long fd;
    if (found == NULL && (PyErr_Occurred() || fd_of_object(fileobj, &fd) < 0)) {
        return NULL;
    }
    struct fl_watch *watch =
        found != NULL ? &found->watch : fl_poller_find(&self->poller, (int)fd);
    return watch == NULL ? Py_NewRef(Py_None) : PyLong_FromUnsignedLong(watch->events);
}

int
fl_loop_traverse_watches(LoopObject *self, visitproc visit, void *arg)
{
    struct fl_list *head = &self->reader_watches;
    for (struct fl_list *link = head->next; link != head; link = link->next) {
        Py_VISIT(watch_of_link(link)->fileobj);
        Py_VISIT(watch_of_link(link)->reader);
        Py_VISIT(watch_of_link(link)->writer);
    }
    return 0;
}

void
fl_loop_drop_watches(LoopObject *self)
{
    while (!fl_list_empty(&self->reader_watches)) {
        watch_free(watch_of_link(self->reader_watches.next)); /* escapes */
    }
}

void
fl_loop_drop_stale_watch(LoopObject *self, int fd)
{
    struct reader_watch *watch = find_watch(self, fd);
    if (watch != NULL) {
        watch_free(watch); /* escapes */
    }
}

size_t
fl_loop_count_watches(const LoopObject *self)
{
    size_t n_internal = self->wakeup.event_fd >= 0 ? 1 : 0;
    n_internal += self->wakeup.signal_read_fd >= 0 ? 1 : 0;
    return self->poller.n_watches - n_internal;
}
