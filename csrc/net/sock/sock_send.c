/* sock_sendall, sock_sendto.
 *
 * What is sent is held until all of it is: a mutable buffer can't be resized
 * meanwhile, and what is changed in it before it is sent is sent changed.
 */
#include "net/address.h"
#include "net/sock/sock_op.h"

#include <errno.h>

#define LONG ((Py_ssize_t)128 * 1024) /* worth letting other threads run */

/* The count, or -errno. */
static Py_ssize_t
send_bytes(
    int fd, const void *data, Py_ssize_t size, const struct sockaddr *address,
    socklen_t length
)
{
    PyThreadState *thread = size >= LONG ? PyEval_SaveThread() : NULL;
    Py_ssize_t n =
        sendto(fd, data, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL, address, length);
    n = n < 0 ? -errno : n;
    if (thread != NULL) {
        PyEval_RestoreThread(thread);
    }
    return n;
}

/* escapes. */
static int
hold_data(SockOpObject *self)
{
    if (self->view.obj != NULL) {
        return 0;
    }
    int status = PyObject_GetBuffer(self->args[1], &self->view, PyBUF_SIMPLE);
    fl_sock_look_again(self);
    self->state->counts.buffers += status == 0;
    return status;
}

static enum fl_sock_outcome
attempt_sendall(SockOpObject *self, PyObject **result)
{
    if (hold_data(self) < 0) {
        return FL_SOCK_FAILED;
    }
    const char *rest = (const char *)self->view.buf + self->position;
    Py_ssize_t n = send_bytes(self->fd, rest, self->view.len - self->position, NULL, 0);
    if (n < 0) {
        return fl_sock_refused((int)-n);
    }
    self->position += n;
    if (self->position < self->view.len) {
        return FL_SOCK_AGAIN;
    }
    *result = Py_NewRef(Py_None);
    return FL_SOCK_DONE;
}

static enum fl_sock_outcome
attempt_sendto(SockOpObject *self, PyObject **result)
{
    struct sockaddr_storage address;
    socklen_t length;
    if (!fl_address_from_object(
            fl_sock_family(self), self->args[2], &address, &length
        )) {
        return FL_SOCK_FOREIGN;
    }
    if (hold_data(self) < 0 ||
        (!self->retrying &&
         PySys_Audit("socket.sendto", "OO", fl_sock_of(self), self->args[2]) < 0)) {
        return FL_SOCK_FAILED;
    }
    fl_sock_look_again(self);
    Py_ssize_t n = send_bytes(
        self->fd, self->view.buf, self->view.len, (const struct sockaddr *)&address,
        length
    );
    if (n < 0) {
        return fl_sock_refused((int)-n);
    }
    *result = PyLong_FromSsize_t(n);
    return *result == NULL ? FL_SOCK_FAILED : FL_SOCK_DONE;
}

const struct fl_sock_call fl_sock_sendall_call = {
    .name = "sock_sendall", .event = FL_POLL_WRITE, .attempt = attempt_sendall
};
const struct fl_sock_call fl_sock_sendto_call = {
    .name = "sock_sendto", .event = FL_POLL_WRITE, .attempt = attempt_sendto
};
