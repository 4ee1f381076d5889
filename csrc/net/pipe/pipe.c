/* What the two ends of a pipe share: making one, and what is seen of it.
 *
 * One fd may be open for both directions, as a terminal's is, and have a transport for
 * each, but the poller knows an fd once: the reading end then watches a duplicate.
 */
#include "net/pipe/pipe.h"

#include "py/args/call.h"
#include "py/error.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* ---- the file ---- */

/* file.fileno(), or -1 with an exception. escapes. */
static int
file_number(const struct fl_state *state, PyObject *file)
{
    PyObject *number = PyObject_CallMethodNoArgs(file, state->str_fileno);
    if (number == NULL) {
        return -1;
    }
    if (PyLong_Check(number) && PyLong_AsLong(number) == -1 && !PyErr_Occurred()) {
        Py_DECREF(number); /* a closed socket's */
        fl_raise_errno(EBADF);
        return -1;
    }
    int fd = PyErr_Occurred() ? -1 : PyObject_AsFileDescriptor(number);
    Py_DECREF(number);
    return fd;
}

int
fl_pipe_fd(const PipeObject *self)
{
    PyObject *file = Py_XNewRef(self->base.file);
    if (file == NULL) {
        return -1;
    }
    int fd = file_number(fl_state_of_type(Py_TYPE(self)), file); /* escapes */
    Py_DECREF(file);
    if (fd < 0) {
        PyErr_Clear();
    }
    return fd == self->fd ? fd : -1;
}

static bool
may_be_a_pipe(mode_t mode)
{
    return S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISCHR(mode);
}

/* Its access mode, one of O_RDONLY, O_WRONLY, O_RDWR, or -1 with an exception. */
static int
stop_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 ||
        (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)) {
        fl_raise_errno(errno);
        return -1;
    }
    return flags & O_ACCMODE;
}

/* What to watch for the file: its fd, or a duplicate; -1 with an exception. */
static int
fd_to_watch(int fd, bool reads)
{
    int access = stop_blocking(fd);
    if (access < 0) {
        return -1;
    }
    if (access != O_RDWR || !reads) {
        return fd;
    }
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) {
        fl_raise_errno(errno);
    }
    return copy;
}

/* ---- making one ---- */

/* extra["pipe"] = pipe */
static int
note_extra(TransportObject *self, PyObject *given)
{
    self->extra = given != Py_None ? Py_NewRef(given) : PyDict_New();
    return self->extra == NULL
               ? -1
               : PyObject_SetItem(
                     self->extra, self->source.loop->state->str_pipe, self->file
                 );
}

/* args: loop, pipe, protocol, waiter, extra */
static PipeObject *
pipe_new(const struct fl_pipe_parts *parts, PyObject *const *args, int fd, int watched)
{
    const struct fl_transport_parts all = {
        (LoopObject *)args[0], watched, args[1], Py_None
    };
    TransportObject *base = fl_transport_new(parts->type, parts->kind, &all);
    if (base == NULL) {
        if (watched != fd) {
            close(watched);
        }
        return NULL;
    }
    PipeObject *self = (PipeObject *)base;
    self->fd = fd;
    all.loop->state->counts.pipes++;
    fl_loop_drop_stale_watch(all.loop, watched); /* escapes */
    if (note_extra(base, args[4]) < 0 ||         /* escapes */
        fl_transport_use_protocol(base, args[2]) < 0 ||
        fl_transport_schedule_start(base, args[3]) < 0) {
        Py_CLEAR(self); /* escapes */
    }
    return self;
}

PipeObject *
fl_pipe_make(
    const struct fl_pipe_parts *parts, PyObject *const *args, Py_ssize_t n_args,
    mode_t *mode
)
{
    const struct fl_state *state = fl_state_of_type(parts->type);
    if (n_args != 5 || !PyObject_TypeCheck(args[0], state->loop_type)) {
        PyErr_SetString(PyExc_TypeError, "a loop and its data are wanted");
        return NULL;
    }
    int fd = file_number(state, args[1]); /* escapes */
    if (fd < 0) {
        return NULL;
    }
    struct stat status;
    if (fstat(fd, &status) < 0) {
        fl_raise_errno(errno);
        return NULL;
    }
    *mode = status.st_mode;
    if (!may_be_a_pipe(status.st_mode)) {
        PyErr_SetString(PyExc_ValueError, parts->refusal);
        return NULL;
    }
    int watched = fd_to_watch(fd, parts->reads);
    return watched < 0 ? NULL : pipe_new(parts, args, fd, watched);
}

/* ---- the end ---- */

int
fl_pipe_ended(TransportObject *base)
{
    PipeObject *self = (PipeObject *)base;
    if (base->source.watch.fd != self->fd) {
        close(base->source.watch.fd);
        base->source.watch.fd = self->fd;
    }
    return 0;
}

void
fl_pipe_dealloc(PyObject *op)
{
    if (!fl_transport_dealloc_begins(op)) { /* escapes */
        return;
    }
    fl_transport_clear(op); /* escapes */
    fl_pipe_ended((TransportObject *)op);
    struct fl_state *state = fl_state_of_dying(Py_TYPE(op));
    if (state != NULL) {
        state->counts.pipes--;
    }
    fl_transport_dealloc_ends(op);
}

/* ---- looking ---- */

int
fl_pipe_note_peer_left(PipeObject *self)
{
    LoopObject *loop = self->base.source.loop;
    if (!loop->debug) {
        return 0;
    }
    return fl_call_status(PyObject_CallMethod(
        loop->state->logger, "info", "sO", "%r was closed by peer", self
    )); /* escapes */
}

/* Who sets None has taken the file: it is not ours to close. */
int
fl_pipe_set_file(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    TransportObject *self = (TransportObject *)op;
    if (value != Py_None) {
        PyErr_SetString(PyExc_AttributeError, "_pipe can only be set to None");
        return -1;
    }
    if (self->source.loop != NULL) {
        fl_source_ignore(&self->source); /* escapes */
    }
    (void)fl_transport_go_on(self, FL_ENDED);
    Py_CLEAR(self->file); /* escapes */
    return 0;
}

PyObject *
fl_pipe_get_fileno(PyObject *op, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(((PipeObject *)op)->fd);
}

PyObject *
fl_pipe_repr(const PipeObject *self, uint32_t event)
{
    const TransportObject *base = &self->base;
    const char *state = fl_transport_state_text(base);
    const char *doing = "open";
    if (base->life == FL_ENDED) {
        doing = "closed";
    }
    else if (base->source.loop != NULL && !base->source.loop->closed) {
        doing = base->source.watch.events & event ? "polling" : "idle";
    }
    return PyUnicode_FromFormat(
        "<%s%s fd=%d %s", fl_type_short_name(Py_TYPE(self)), state, self->fd, doing
    );
}
