/* Watches of fds, each with a Handle or a future for a direction. */
#include "core/reader_watch.h"

#include "core/future.h"
#include "py/error.h"

#include <errno.h>

static struct fl_reader_watch *
watch_of_link(struct fl_list *link)
{
    return FL_CONTAINER_OF(link, struct fl_reader_watch, link);
}

static void
party_drop(struct fl_watch_party party)
{
    Py_XDECREF(party.handle); /* escapes */
    Py_XDECREF(party.future);
}

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
    FutureObject *own = fl_future(future);
    if (own->status == FL_FUTURE_PENDING &&
        fl_future_set_result(own, Py_None) < 0) { /* escapes */
        PyErr_WriteUnraisable(future);
    }
}

/* A handle cancelled by hand left its watch behind: it is dropped now. */
static void
direction_ready(struct fl_reader_watch *self, uint32_t event)
{
    struct fl_watch_party *party = fl_reader_watch_party(self, event);
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
        (void)fl_reader_watch_drop(self, event); /* escapes */
    }
    if (future != NULL) {
        finish_future(future);
        Py_DECREF(future);
    }
}

static void
reader_on_ready(struct fl_watch *watch, uint32_t events)
{
    struct fl_reader_watch *self =
        FL_CONTAINER_OF(watch, struct fl_reader_watch, watch);
    LoopObject *loop = self->loop;
    int fd = watch->fd;
    if (events & FL_POLL_READ) {
        direction_ready(self, FL_POLL_READ); /* escapes */
        self = fl_reader_watch_find(loop, fd);
    }
    if (events & FL_POLL_WRITE && self != NULL) {
        direction_ready(self, FL_POLL_WRITE);
    }
}

static struct fl_reader_watch *
watch_new(LoopObject *loop, int fd, PyObject *fileobj)
{
    struct fl_reader_watch *self = PyMem_Calloc(1, sizeof(*self));
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
watch_free(struct fl_reader_watch *self)
{
    LoopObject *loop = self->loop;
    struct fl_watch_party reader = self->reader, writer = self->writer;
    PyObject *fileobj = self->fileobj;
    fl_poller_remove(&loop->poller, &self->watch);
    fl_list_unlink(&self->link);
    loop->state->counts.watches--;
    PyMem_Free(self);
    party_drop(reader); /* escapes */
    party_drop(writer);
    Py_XDECREF(fileobj);
}

struct fl_reader_watch *
fl_reader_watch_find(LoopObject *self, int fd)
{
    struct fl_watch *watch = fl_poller_find(&self->poller, fd);
    if (watch == NULL || watch->on_ready != reader_on_ready) {
        return NULL;
    }
    return FL_CONTAINER_OF(watch, struct fl_reader_watch, watch);
}

struct fl_reader_watch *
fl_reader_watch_find_object(LoopObject *self, const PyObject *fileobj)
{
    struct fl_list *head = &self->reader_watches;
    for (struct fl_list *link = head->next; link != head; link = link->next) {
        if (watch_of_link(link)->fileobj == fileobj) {
            return watch_of_link(link);
        }
    }
    return NULL;
}

static bool
has_party(struct fl_reader_watch *self, uint32_t event)
{
    const struct fl_watch_party *party = fl_reader_watch_party(self, event);
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
watch_free_stale(struct fl_reader_watch *self)
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

int
fl_reader_watch_drop(struct fl_reader_watch *self, uint32_t event)
{
    struct fl_watch_party party = *fl_reader_watch_party(self, event);
    *fl_reader_watch_party(self, event) = (struct fl_watch_party){NULL, NULL};
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

int
fl_reader_watch_want(
    LoopObject *self, PyObject *fileobj, int fd, uint32_t event,
    struct fl_watch_party who
)
{
    if (fl_loop_ensure_own(self) < 0) { /* escapes */
        party_drop(who);
        return -1;
    }
    struct fl_reader_watch *watch = fl_reader_watch_find(self, fd);
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
    struct fl_watch_party replaced = *fl_reader_watch_party(watch, event);
    *fl_reader_watch_party(watch, event) = who;
    watch->spare = watch->spare && event != FL_POLL_READ;
    fl_loop_note_io(self);
    int status = 0;
    if (replaced.handle != NULL) {
        status = fl_handle_cancel(replaced.handle); /* escapes */
    }
    party_drop(replaced);
    return status;
}

/* ---- for the rest of the loop ---- */

uint32_t
fl_reader_watch_events(const struct fl_reader_watch *self)
{
    return self->spare ? self->watch.events & ~FL_POLL_READ : self->watch.events;
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
    struct fl_reader_watch *watch = fl_reader_watch_find(self, fd);
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
        n_hidden += fl_reader_watch_events(watch_of_link(link)) == 0;
    }
    return self->poller.n_watches - n_hidden;
}
