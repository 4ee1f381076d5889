/* add_reader, add_writer and kin: one watch per fd, for each direction a Handle, or
 * a future of ours that somebody awaits.
 *
 * A watch that fires queues its handles; they run when the ring reaches them. A
 * future is done at once, and its direction no longer watched; but of a reader the
 * kernel is told only if it comes to an event that nobody wants, because most wait
 * again at once. Until then the watch is spare: nobody outside this file sees it, and
 * when it is wanted again, the kernel is asked whether the fd still is the same file.
 * Imitates asyncio.selector_events.BaseSelectorEventLoop's methods.
 */
#include "core/future.h"
#include "core/handle.h"
#include "core/source.h"
#include "py/args.h"
#include "py/error.h"

#include <errno.h>
#include <limits.h>

/* Who is told of one direction: one of the two, owned, or nobody. */
struct party {
    HandleObject *handle;
    PyObject *future;
};

struct reader_watch {
    struct fl_watch watch;
    struct fl_list link; /* in loop->reader_watches */
    LoopObject *loop;    /* borrowed: the loop owns the watch */
    PyObject *fileobj;   /* owned; NULL if it was given as an int */
    struct party reader;
    struct party writer;
    bool spare; /* registered for reading, without a reader */
};

static struct reader_watch *
watch_of_link(struct fl_list *link)
{
    return FL_CONTAINER_OF(link, struct reader_watch, link);
}

/* ---- a watch ---- */

static struct party *
party_of(struct reader_watch *self, uint32_t event)
{
    return event == FL_POLL_READ ? &self->reader : &self->writer;
}

static void
party_drop(struct party party)
{
    Py_XDECREF(party.handle); /* escapes */
    Py_XDECREF(party.future);
}

static struct reader_watch *find_watch(LoopObject *self, int fd);
static int drop_direction(struct reader_watch *self, uint32_t event);

static void
queue_handle(LoopObject *loop, HandleObject *handle)
{
    if (fl_loop_push(loop, (uintptr_t)handle | FL_ENTRY_HANDLE) == 0) {
        Py_INCREF(handle);
    }
    else {
        PyErr_Clear(); /* no memory: it is still ready at the next poll */
    }
}

static void
finish_future(PyObject *future)
{
    struct fl_future_state *own = fl_future_own(future);
    if (own->status == FL_FUTURE_PENDING &&
        fl_future_set_result(future, own, Py_None) < 0) { /* escapes */
        PyErr_WriteUnraisable(future);
    }
}

/* A handle cancelled by hand left its watch behind: it is dropped now. */
static void
direction_ready(struct reader_watch *self, uint32_t event)
{
    struct party *party = party_of(self, event);
    if (party->handle != NULL && !party->handle->cancelled) {
        queue_handle(self->loop, party->handle);
        return;
    }
    PyObject *future = Py_XNewRef(party->future);
    if (future != NULL && event == FL_POLL_READ) {
        Py_CLEAR(party->future);
        self->spare = true;
        fl_loop_note_io(self->loop);
    }
    else {
        (void)drop_direction(self, event); /* escapes */
    }
    if (future != NULL) {
        finish_future(future);
        Py_DECREF(future);
    }
}

static void
reader_on_ready(struct fl_watch *watch, uint32_t events)
{
    struct reader_watch *self = FL_CONTAINER_OF(watch, struct reader_watch, watch);
    LoopObject *loop = self->loop;
    int fd = watch->fd;
    if (events & FL_POLL_READ) {
        direction_ready(self, FL_POLL_READ); /* escapes */
        self = find_watch(loop, fd);
    }
    if (events & FL_POLL_WRITE && self != NULL) {
        direction_ready(self, FL_POLL_WRITE);
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
    self->fileobj =
        fileobj == NULL || PyLong_Check(fileobj) ? NULL : Py_NewRef(fileobj);
    fl_list_append(&loop->reader_watches, &self->link);
    loop->state->counts.watches++;
    return self;
}

/* Takes the watch out of everything; its parties are dropped uncancelled. */
static void
watch_free(struct reader_watch *self)
{
    LoopObject *loop = self->loop;
    struct party reader = self->reader, writer = self->writer;
    PyObject *fileobj = self->fileobj;
    fl_poller_remove(&loop->poller, &self->watch);
    fl_list_unlink(&self->link);
    loop->state->counts.watches--;
    PyMem_Free(self);
    party_drop(reader); /* escapes */
    party_drop(writer);
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

static bool
has_party(struct reader_watch *self, uint32_t event)
{
    const struct party *party = party_of(self, event);
    return party->handle != NULL || party->future != NULL;
}

/* Did the kernel say that the fd is not what it was? Otherwise the watch goes on as
 * before: one direction's trouble is not to take away the other. */
static bool
is_stale(int err)
{
    return err == -EBADF || err == -ENOENT || err == -EPERM;
}

/* A watch of what is no more: whoever awaits it looks for himself, and meets the
 * error. */
static void
watch_free_stale(struct reader_watch *self)
{
    PyObject *futures[2] = {
        Py_XNewRef(self->reader.future), Py_XNewRef(self->writer.future)
    };
    watch_free(self); /* escapes */
    for (int i = 0; i < 2; i++) {
        if (futures[i] != NULL) {
            finish_future(futures[i]); /* escapes */
            Py_DECREF(futures[i]);
        }
    }
}

/* Ends the watch's interest in event; frees it when no other is left. If the kernel
 * can't be told, it says so of each event, and is told then. 0, or -errno if the other
 * interest is lost with it. */
static int
drop_direction(struct reader_watch *self, uint32_t event)
{
    struct party party = *party_of(self, event);
    *party_of(self, event) = (struct party){NULL, NULL};
    self->spare = self->spare && event != FL_POLL_READ;
    fl_loop_note_io(self->loop);
    bool reading = self->spare || has_party(self, FL_POLL_READ);
    bool writing = has_party(self, FL_POLL_WRITE);
    uint32_t rest = (reading ? FL_POLL_READ : 0) | (writing ? FL_POLL_WRITE : 0);
    int err = rest == 0 ? 0 : fl_poller_modify(&self->loop->poller, &self->watch, rest);
    if (rest == 0) {
        watch_free(self); /* escapes */
    }
    else if (is_stale(err)) {
        watch_free_stale(self); /* escapes */
    }
    party_drop(party); /* escapes */
    return is_stale(err) ? err : 0;
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

/* A transport's fd is not to be watched by others. named: what the message calls it.
 * escapes. */
static int
check_free(LoopObject *self, long fd, PyObject *named)
{
    struct fl_source *source = fl_source_of_fd(self, (int)fd);
    bool unlisted = source != NULL && !source->listed;
    if (!unlisted && self->transports == NULL) {
        return 0;
    }
    PyObject *transport =
        unlisted ? Py_NewRef(source->owner)
                 : PyObject_CallMethod(self->transports, "get", "l", fd); /* escapes */
    if (transport == NULL) {
        return -1;
    }
    int used = PyObject_IsTrue(transport);
    int status = used < 0 ? -1 : 0;
    if (used > 0) {
        PyObject *closing = PyObject_CallMethod(transport, "is_closing", NULL);
        int truth = closing == NULL ? -1 : PyObject_IsTrue(closing);
        Py_XDECREF(closing);
        if (truth == 0) {
            PyErr_Format(
                PyExc_RuntimeError, "File descriptor %R is used by transport %R", named,
                transport
            );
        }
        status = truth == 1 ? 0 : -1;
    }
    Py_DECREF(transport);
    return status;
}

static int
check_no_transport(LoopObject *self, PyObject *fileobj)
{
    long fd;
    if (fd_of_object(fileobj, &fd) < 0) {
        return -1;
    }
    return check_free(self, fd, fileobj);
}

/* asyncio's own would fill loop._transports first. */
PyObject *
fl_loop_ensure_fd_no_transport(PyObject *op, PyObject *fileobj)
{
    return check_no_transport((LoopObject *)op, fileobj) < 0 ? NULL
                                                             : Py_NewRef(Py_None);
}

int
fl_loop_check_no_transport(LoopObject *self, int fd)
{
    if (self->transports == NULL && fl_source_of_fd(self, fd) == NULL) {
        return 0;
    }
    PyObject *number = PyLong_FromLong(fd);
    int status = number == NULL ? -1 : check_free(self, fd, number);
    Py_XDECREF(number);
    return status;
}

/* ---- adding ---- */

/* Takes who's references, also on failure. */
static int
want(LoopObject *self, PyObject *fileobj, int fd, uint32_t event, struct party who)
{
    struct reader_watch *watch = find_watch(self, fd);
    bool is_new = watch == NULL;
    int err;
    if (is_new) {
        watch = watch_new(self, fd, fileobj);
        if (watch == NULL) {
            party_drop(who); /* escapes */
            return -1;
        }
        watch->watch.events = event;
        err = fl_poller_add(&self->poller, &watch->watch);
    }
    else if (watch->spare) {
        err =
            fl_poller_renew(&self->poller, &watch->watch, watch->watch.events | event);
    }
    else {
        err =
            fl_poller_modify(&self->poller, &watch->watch, watch->watch.events | event);
    }
    if (err < 0) {
        if (is_new || is_stale(err)) {
            watch_free_stale(watch); /* escapes */
        }
        party_drop(who);
        fl_raise_errno(err);
        return -1;
    }
    struct party replaced = *party_of(watch, event);
    *party_of(watch, event) = who;
    watch->spare = watch->spare && event != FL_POLL_READ;
    fl_loop_note_io(self);
    int status = 0;
    if (replaced.handle != NULL) {
        status = fl_handle_cancel(replaced.handle); /* escapes */
    }
    party_drop(replaced);
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
        fl_loop_check_closed(self) < 0) {
        Py_DECREF(handle);
        return NULL;
    }
    struct party who = {(HandleObject *)Py_NewRef(handle), NULL};
    if (want(self, call.leading[0], (int)fd, event, who) < 0) { /* escapes */
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
    const struct party *party = party_of(watch, event);
    if (party->handle == NULL && party->future == NULL) {
        Py_RETURN_FALSE;
    }
    HandleObject *handle = (HandleObject *)Py_XNewRef(party->handle);
    int err = drop_direction(watch, event); /* escapes */
    int status = handle == NULL ? 0 : fl_handle_cancel(handle);
    Py_XDECREF(handle);
    if (status == 0 && err < 0) {
        return fl_raise_errno(err);
    }
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

/* ---- futures ---- */

int
fl_loop_watch_future(LoopObject *self, int fd, uint32_t event, PyObject *future)
{
    if (fl_loop_check_closed(self) < 0 || check_fd(fd) < 0) {
        return -1;
    }
    struct party who = {NULL, Py_NewRef(future)};
    return want(self, NULL, fd, event, who);
}

void
fl_loop_unwatch_future(LoopObject *self, int fd, uint32_t event, PyObject *future)
{
    struct reader_watch *watch = find_watch(self, fd);
    if (watch != NULL && party_of(watch, event)->future == future) {
        (void)drop_direction(watch, event); /* escapes */
    }
}

/* ---- for the rest of the loop ---- */

static uint32_t
visible_events(const struct reader_watch *self)
{
    return self->spare ? self->watch.events & ~FL_POLL_READ : self->watch.events;
}

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
    if (found != NULL) {
        uint32_t events = visible_events(found);
        return events == 0 ? Py_NewRef(Py_None) : PyLong_FromUnsignedLong(events);
    }
    struct fl_watch *watch = fl_poller_find(&self->poller, (int)fd);
    return watch == NULL ? Py_NewRef(Py_None) : PyLong_FromUnsignedLong(watch->events);
}

int
fl_loop_traverse_watches(LoopObject *self, visitproc visit, void *arg)
{
    struct fl_list *head = &self->reader_watches;
    for (struct fl_list *link = head->next; link != head; link = link->next) {
        Py_VISIT(watch_of_link(link)->fileobj);
        Py_VISIT(watch_of_link(link)->reader.handle);
        Py_VISIT(watch_of_link(link)->reader.future);
        Py_VISIT(watch_of_link(link)->writer.handle);
        Py_VISIT(watch_of_link(link)->writer.future);
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

static size_t
count_internal(const LoopObject *self)
{
    size_t n = self->wakeup.event_fd >= 0 ? 1 : 0;
    return n + (self->wakeup.signal_read_fd >= 0 ? 1 : 0);
}

bool
fl_loop_has_watches(const LoopObject *self)
{
    return self->poller.n_watches > count_internal(self);
}

size_t
fl_loop_count_watches(LoopObject *self)
{
    size_t n_hidden = count_internal(self);
    struct fl_list *head = &self->reader_watches;
    for (struct fl_list *link = head->next; link != head; link = link->next) {
        n_hidden += visible_events(watch_of_link(link)) == 0;
    }
    return self->poller.n_watches - n_hidden;
}
