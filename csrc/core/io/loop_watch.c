/* add_reader, add_writer and kin, and awaiting an fd: what users may ask, and how.
 *
 * Imitates asyncio.selector_events.BaseSelectorEventLoop's methods.
 */
#include "core/handle/handle.h"
#include "core/io/reader_watch.h"
#include "core/io/source.h"
#include "py/args/args.h"
#include "py/args/call.h"
#include "py/error.h"

#include <limits.h>

/* ---- file descriptors ---- */

/* asyncio's _ensure_fd_no_transport and selectors' look-up read an fd alike. */
static int
fd_of_object(PyObject *fileobj, long *fd)
{
    if (PyLong_Check(fileobj)) {
        int overflow = 0; /* no such file either way */
        long long number = PyLong_AsLongLongAndOverflow(fileobj, &overflow);
        *fd = (long)number;
        if (overflow != 0) {
            *fd = overflow > 0 ? LONG_MAX : LONG_MIN;
        }
        return number == -1 && PyErr_Occurred() ? -1 : 0;
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
        int truth = fl_call_truth(PyObject_CallMethod(transport, "is_closing", NULL));
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
    struct fl_watch_party who = {(HandleObject *)Py_NewRef(handle), NULL};
    int status =
        fl_reader_watch_want(self, call.leading[0], (int)fd, event, who); /* escapes */
    if (status < 0) {
        Py_CLEAR(handle);
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

/* By fd, or by the very object if that was closed meanwhile. NULL with or without an
 * exception; without, *fd is a number that none of ours watches, or -1. escapes. */
static struct fl_reader_watch *
find_by_object(LoopObject *self, PyObject *fileobj, int *fd)
{
    long number;
    *fd = -1;
    bool known = fd_of_object(fileobj, &number) == 0; /* escapes */
    if (known && number >= 0) {
        /* no file has a larger one, which is no error to asyncio here */
        *fd = number <= INT_MAX ? (int)number : -1;
        return *fd < 0 ? NULL : fl_reader_watch_find(self, *fd);
    }
    if (!PyLong_Check(fileobj)) {
        struct fl_reader_watch *watch = fl_reader_watch_find_object(self, fileobj);
        if (watch != NULL) {
            PyErr_Clear();
            return watch;
        }
    }
    if (known) {
        check_fd(number);
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
    /* who ends a watch closes its file next, a server the one it listens on */
    if (fl_loop_flush(self) < 0) { /* escapes */
        return NULL;
    }
    int fd;
    struct fl_reader_watch *watch = find_by_object(self, fileobj, &fd); /* escapes */
    if (watch == NULL) {
        if (PyErr_Occurred()) {
            return NULL;
        }
        return PyBool_FromLong(fd >= 0 && fl_source_remove(self, fd, event));
    }
    const struct fl_watch_party *party = fl_reader_watch_party(watch, event);
    if (party->handle == NULL && party->future == NULL) {
        Py_RETURN_FALSE;
    }
    HandleObject *handle = (HandleObject *)Py_XNewRef(party->handle);
    int err = fl_reader_watch_drop(watch, event); /* escapes */
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
    struct fl_watch_party who = {NULL, Py_NewRef(future)};
    return fl_reader_watch_want(self, NULL, fd, event, who);
}

void
fl_loop_unwatch_future(LoopObject *self, int fd, uint32_t event, PyObject *future)
{
    struct fl_reader_watch *watch = fl_reader_watch_find(self, fd);
    if (watch != NULL && fl_reader_watch_party(watch, event)->future == future) {
        (void)fl_reader_watch_drop(watch, event); /* escapes */
    }
}

/* ---- looking ---- */

/* _watched_events(fd): EVENT_READ | EVENT_WRITE as selectors has them, or None. */
PyObject *
fl_loop_watched_events(PyObject *op, PyObject *fileobj)
{
    LoopObject *self = (LoopObject *)op;
    int fd;
    struct fl_reader_watch *found = find_by_object(self, fileobj, &fd); /* escapes */
    if (found == NULL && PyErr_Occurred()) {
        return NULL;
    }
    if (found != NULL) {
        uint32_t events = found->watch.events;
        return events == 0 ? Py_NewRef(Py_None) : PyLong_FromUnsignedLong(events);
    }
    struct fl_watch *watch = fd < 0 ? NULL : fl_poller_find(&self->poller, fd);
    return watch == NULL ? Py_NewRef(Py_None) : PyLong_FromUnsignedLong(watch->events);
}
