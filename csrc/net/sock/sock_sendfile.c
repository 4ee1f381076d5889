/* sock_sendfile: a regular file by sendfile(2), any other by asyncio's fallback. */
#include "net/sock/sock_op.h"
#include "net/stream/stream.h"
#include "py/error.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* The most one call of sendfile(2) takes. */
#define BLOCK_MAX ((Py_ssize_t)0x7ffff000)

enum { SOCK, FILE_OBJECT, OFFSET, COUNT };

/* Asked for each time, so that a file closed meanwhile is met as such and not as
 * whatever has its number now. -1 with an exception; escapes. */
static int
file_number(const SockOpObject *self)
{
    PyObject *number = PyObject_CallMethodNoArgs(
        self->args[FILE_OBJECT], self->state->str_fileno
    ); /* escapes */
    long fd = number == NULL ? -1 : PyLong_AsLong(number);
    Py_XDECREF(number);
    if (fd == -1 && !PyErr_Occurred()) {
        fl_raise_errno(EBADF);
    }
    return (int)fd;
}

/* asyncio's own check of the arguments: 0, or -1 with TypeError or ValueError. */
static int
check_arguments(const SockOpObject *self)
{
    PyObject *result = PyObject_CallMethod(
        (PyObject *)self->loop, "_check_sendfile_params", "OOOO", self->args[SOCK],
        self->args[FILE_OBJECT], self->args[OFFSET], self->args[COUNT]
    ); /* escapes */
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Where the file stands is where sending it has come to; if that was nowhere, as
 * the running asyncio has it. */
static void
set_file_position(SockOpObject *self, int file_fd)
{
    if (self->position > 0 || self->state->net.sendfile_always_seeks) {
        (void)lseek(
            file_fd, fl_sock_size(self->args[OFFSET]) + self->position, SEEK_SET
        );
    }
}

static void
abandon_sendfile(SockOpObject *self)
{
    PyObject *exc = fl_error_take();
    int file_fd = self->position > 0 ? file_number(self) : -1; /* escapes */
    PyErr_Clear();
    if (file_fd >= 0) {
        set_file_position(self, file_fd);
    }
    fl_error_restore(exc);
}

static enum fl_sock_outcome
finish(SockOpObject *self, int file_fd, PyObject **result)
{
    set_file_position(self, file_fd);
    *result = PyLong_FromSsize_t(self->position);
    return *result == NULL ? FL_SOCK_FAILED : FL_SOCK_DONE;
}

static enum fl_sock_outcome
sendfile_refused(SockOpObject *self, int file_fd, int err)
{
    if (err == EAGAIN || err == EINTR) {
        return fl_sock_refused(err);
    }
    if (self->position == 0) {
        return FL_SOCK_FOREIGN; /* not a file it can send, or an error to meet again */
    }
    set_file_position(self, file_fd);
    fl_raise_errno(err);
    if (err == ENOTCONN) {
        PyObject *cause = fl_error_take();
        PyObject *error = PyObject_CallFunction(
            PyExc_ConnectionError, "si", "socket is not connected", ENOTCONN
        );
        if (error == NULL) {
            Py_XDECREF(cause);
            return FL_SOCK_FAILED;
        }
        PyException_SetCause(error, cause);
        fl_error_restore(error);
    }
    return FL_SOCK_FAILED;
}

/* One block: what was sent, 0 at the end of the file, or -errno. */
static Py_ssize_t
send_block(SockOpObject *self, int file_fd, Py_ssize_t offset, Py_ssize_t size)
{
    off_t position = offset + self->position;
    Py_ssize_t n;
    Py_BEGIN_ALLOW_THREADS
    n = sendfile(
        self->fd, file_fd, &position, (size_t)(size < BLOCK_MAX ? size : BLOCK_MAX)
    );
    n = n < 0 ? -errno : n;
    Py_END_ALLOW_THREADS
    return n;
}

/* Waits after each short block; the end of the file is met at once. */
static enum fl_sock_outcome
send_file(
    SockOpObject *self, int file_fd, Py_ssize_t count, Py_ssize_t file_size,
    PyObject **result
)
{
    Py_ssize_t offset = fl_sock_size(self->args[OFFSET]);
    for (;;) {
        Py_ssize_t rest = count > 0 ? count - self->position : file_size;
        if (rest <= 0 && self->position == 0) { /* an empty file */
            *result = PyLong_FromLong(0);
            return *result == NULL ? FL_SOCK_FAILED : FL_SOCK_DONE;
        }
        if (rest <= 0) {
            return finish(self, file_fd, result);
        }
        Py_ssize_t n = send_block(self, file_fd, offset, rest);
        if (n < 0) {
            return sendfile_refused(self, file_fd, (int)-n);
        }
        if (n == 0) {
            return finish(self, file_fd, result);
        }
        self->position += n;
        if (n < rest && offset + self->position < file_size) {
            return FL_SOCK_AGAIN;
        }
    }
}

static enum fl_sock_outcome
attempt_sendfile(SockOpObject *self, PyObject **result)
{
    if (!self->retrying && check_arguments(self) < 0) { /* escapes */
        return FL_SOCK_FAILED;
    }
    Py_ssize_t count =
        self->args[COUNT] == Py_None ? 0 : fl_sock_size(self->args[COUNT]);
    if (count < 0 || fl_sock_size(self->args[OFFSET]) < 0) {
        return FL_SOCK_FOREIGN;
    }
    int file_fd = file_number(self); /* escapes */
    struct stat status;
    if (file_fd >= 0 && fstat(file_fd, &status) < 0) {
        fl_raise_errno(errno);
        file_fd = -1;
    }
    if (file_fd < 0 && self->position > 0) {
        return FL_SOCK_FAILED;
    }
    if (file_fd < 0 || !S_ISREG(status.st_mode)) {
        PyErr_Clear();
        return FL_SOCK_FOREIGN;
    }
    return send_file(self, file_fd, count, (Py_ssize_t)status.st_size, result);
}

/* loop.sendfile lends the socket of a transport, which may read meanwhile: an fd has
 * one watch, so the transport's waits. */
static int
wait_in_transport(SockOpObject *self, PyObject *future)
{
    struct fl_source *source = fl_source_of_fd(self->loop, self->fd);
    if (source == NULL || Py_TYPE(source->owner) != self->state->stream_type) {
        return 0;
    }
    return fl_stream_wait_for_room((StreamObject *)source->owner, future);
}

const struct fl_sock_call fl_sock_sendfile_call = {
    .name = "sock_sendfile",
    .event = FL_POLL_WRITE,
    .may_block = true,
    .attempt = attempt_sendfile,
    .wait = wait_in_transport,
    .abandon = abandon_sendfile,
};
