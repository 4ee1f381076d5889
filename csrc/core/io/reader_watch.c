/* Watches of fds, each with a Handle or a future for a direction. */
#include "core/io/reader_watch.h"

#include "core/future/future.h"
#include "core/io/source.h"
#include "py/error.h"

#include <errno.h>
#include <sys/stat.h>

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

static bool
has_party(struct fl_reader_watch *self, uint32_t event)
{
    const struct fl_watch_party *party = fl_reader_watch_party(self, event);
    return party->handle != NULL || party->future != NULL;
}

static bool
has_handle(const struct fl_reader_watch *self)
{
    return self->reader.handle != NULL || self->writer.handle != NULL;
}

/* The events that somebody is to be told of. */
static uint32_t
wanted(struct fl_reader_watch *self)
{
    return (has_party(self, FL_POLL_READ) ? FL_POLL_READ : 0) |
           (has_party(self, FL_POLL_WRITE) ? FL_POLL_WRITE : 0);
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
    if (future != NULL && self->watch.one_shot) {
        Py_CLEAR(party->future);
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

/* A watch that was told is not watched any more: has it watched for who was not.
 * False if it is stale; then all were told, and it is gone. */
static bool
watch_for_others(struct fl_reader_watch *self, uint32_t told)
{
    uint32_t rest = wanted(self) & ~told;
    if (rest == 0 || fl_poller_modify(&self->loop->poller, &self->watch, rest) == 0) {
        return true;
    }
    watch_free_stale(self); /* escapes */
    return false;
}

static void
reader_on_ready(struct fl_watch *watch, uint32_t events)
{
    struct fl_reader_watch *self =
        FL_CONTAINER_OF(watch, struct fl_reader_watch, watch);
    LoopObject *loop = self->loop;
    int fd = watch->fd;
    if (watch->one_shot && !watch_for_others(self, events)) {
        return;
    }
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
    self->fileobj = Py_XNewRef(fileobj);
    fl_list_append(&loop->reader_watches, &self->link);
    loop->state->counts.watches++;
    return self;
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

int
fl_reader_watch_drop(struct fl_reader_watch *self, uint32_t event)
{
    struct fl_watch_party party = *fl_reader_watch_party(self, event);
    *fl_reader_watch_party(self, event) = (struct fl_watch_party){NULL, NULL};
    fl_loop_note_io(self->loop);
    uint32_t rest = wanted(self);
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

static uint64_t
inode_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) < 0 ? 0 : status.st_ino;
}

static struct fl_reader_watch *
watch_add(
    LoopObject *self, PyObject *fileobj, int fd, uint32_t event, bool one_shot, int *err
)
{
    struct fl_reader_watch *watch = watch_new(self, fd, fileobj);
    if (watch == NULL) {
        *err = -ENOMEM;
        return NULL;
    }
    watch->watch.events = event;
    watch->watch.one_shot = one_shot;
    *err = fl_poller_add(&self->poller, &watch->watch);
    if (*err < 0) {
        watch_free(watch); /* escapes */
        return NULL;
    }
    return watch;
}

/* A future that takes another's place asks the kernel, which nobody else does in
 * asyncio: the other may have been of a file that was closed. */
static int
watch_extend(struct fl_reader_watch *self, uint32_t event, bool for_future)
{
    struct fl_poller *poller = &self->loop->poller;
    const struct fl_watch_party *party = fl_reader_watch_party(self, event);
    uint32_t events = self->watch.events | event;
    bool before = self->watch.one_shot;
    bool one_shot = for_future && !has_handle(self);
    self->watch.one_shot = one_shot;
    int err = one_shot != before || (for_future && party->future != NULL)
                  ? fl_poller_renew(poller, &self->watch, events)
                  : fl_poller_modify(poller, &self->watch, events);
    if (err < 0) {
        self->watch.one_shot = before;
    }
    return err;
}

/* The watch of an fd, made if there is none, with the event. A server that listens
 * there gives way, as asyncio's does. escapes. *err: 0, or -errno. */
static struct fl_reader_watch *
watch_take(
    LoopObject *self, PyObject *fileobj, int fd, uint32_t event, bool for_future,
    int *err
)
{
    struct fl_reader_watch *watch = fl_reader_watch_find(self, fd);
    if (watch == NULL && fl_source_yield(self, fd, event)) { /* escapes */
        watch = fl_reader_watch_find(self, fd);
    }
    if (watch != NULL) {
        *err = watch_extend(watch, event, for_future);
        if (!is_stale(*err)) {
            return watch;
        }
        bool retry = for_future && !has_handle(watch);
        watch_free_stale(watch); /* escapes */
        if (!retry || fl_reader_watch_find(self, fd) != NULL) {
            return NULL;
        }
    }
    return watch_add(self, fileobj, fd, event, for_future, err);
}

int
fl_reader_watch_want(
    LoopObject *self, PyObject *fileobj, int fd, uint32_t event,
    struct fl_watch_party who
)
{
    int err = fl_loop_ensure_own(self) < 0 ? -1 : 0; /* escapes */
    fileobj = fileobj == NULL || PyLong_Check(fileobj) ? NULL : fileobj;
    struct fl_reader_watch *watch = NULL;
    if (err == 0) {
        watch = watch_take(self, fileobj, fd, event, who.future != NULL, &err);
    }
    if (err < 0) {
        party_drop(who); /* escapes */
        if (!PyErr_Occurred()) {
            fl_raise_errno(err);
        }
        return -1;
    }
    PyObject *former = NULL;
    if (wanted(watch) == 0 && watch->fileobj != fileobj) { /* new, or a spare one */
        former = watch->fileobj;
        watch->fileobj = Py_XNewRef(fileobj);
    }
    if (who.handle != NULL && !has_handle(watch)) {
        watch->inode = inode_of(fd);
    }
    struct fl_watch_party replaced = *fl_reader_watch_party(watch, event);
    *fl_reader_watch_party(watch, event) = who;
    fl_loop_note_io(self);
    int status = 0;
    if (replaced.handle != NULL) {
        status = fl_handle_cancel(replaced.handle); /* escapes */
    }
    party_drop(replaced);
    Py_XDECREF(former);
    return status;
}

/* ---- for the rest of the loop ---- */

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
    (void)fl_source_remove(self, fd, FL_POLL_READ | FL_POLL_WRITE); /* escapes */
}

void
fl_loop_mark_stale(LoopObject *self)
{
    struct fl_list *head = &self->reader_watches;
    for (struct fl_list *link = head->next; link != head; link = link->next) {
        struct fl_reader_watch *watch = watch_of_link(link);
        if (has_handle(watch) && inode_of(watch->watch.fd) != watch->inode) {
            watch->watch.registered = false;
        }
    }
}

size_t
fl_loop_count_watches(LoopObject *self)
{
    size_t n_hidden = fl_loop_count_internal(self);
    struct fl_list *head = &self->reader_watches;
    for (struct fl_list *link = head->next; link != head; link = link->next) {
        n_hidden += watch_of_link(link)->watch.events == 0;
    }
    return self->poller.n_watches - n_hidden;
}
