/* sock_recv, sock_recv_into, sock_recvfrom, sock_recvfrom_into. */
#include "net/address.h"
#include "net/sock/sock_op.h"
#include "net/transport/receive.h"

#include <errno.h>

#define MUCH ((size_t)32 * 1024)      /* worth a bytes object of its own */
#define LONG ((Py_ssize_t)128 * 1024) /* worth letting other threads run */

static const struct fl_receive_sizes sizes = {
    .is_short = MUCH - 1, .least = MUCH, .most = MUCH, .whole = true
};

struct sender {
    struct sockaddr_storage address;
    socklen_t length;
};

/* The count, or -errno. sender may be NULL. aside: other threads may run. */
static Py_ssize_t
receive(int fd, void *buffer, Py_ssize_t size, struct sender *sender, bool aside)
{
    struct sockaddr *address = NULL;
    socklen_t *length = NULL;
    if (sender != NULL) {
        sender->length = sizeof(sender->address);
        address = (struct sockaddr *)&sender->address;
        length = &sender->length;
    }
    PyThreadState *thread = aside ? PyEval_SaveThread() : NULL;
    Py_ssize_t n = recvfrom(fd, buffer, (size_t)size, MSG_DONTWAIT, address, length);
    n = n < 0 ? -errno : n;
    if (aside) {
        PyEval_RestoreThread(thread);
    }
    return n;
}

/* At most size bytes, one at least: new; or NULL, with *n an -errno. sender may be
 * NULL. */
static PyObject *
receive_bytes(
    const SockOpObject *self, Py_ssize_t size, struct sender *sender, Py_ssize_t *n
)
{
    struct fl_room room;
    struct fl_receive *memory = &self->state->net.sock_memory;
    *n = -ENOMEM;
    if (fl_room_open(&room, self->loop, memory, &sizes, (size_t)size)) {
        bool aside = size >= LONG && room.bytes != NULL;
        *n = receive(self->fd, room.start, size, sender, aside);
    }
    PyObject *data = fl_room_take(&room, *n);
    if (*n == 0) {
        fl_receive_note(memory, &sizes, 0);
        data = PyBytes_FromStringAndSize(NULL, 0);
    }
    if (data == NULL && *n >= 0) {
        *n = -ENOMEM;
    }
    return data;
}

/* What a negative n from above means. */
static enum fl_sock_outcome
refused(Py_ssize_t n)
{
    if (PyErr_Occurred()) {
        return FL_SOCK_FAILED;
    }
    return fl_sock_refused((int)-n);
}

/* ---- into bytes ---- */

static enum fl_sock_outcome
attempt_recv(SockOpObject *self, PyObject **result)
{
    Py_ssize_t size = fl_sock_size(self->args[1]);
    if (size < 0) {
        return FL_SOCK_FOREIGN;
    }
    if (size == 0) { /* not a system call */
        *result = PyBytes_FromStringAndSize(NULL, 0);
        return *result == NULL ? FL_SOCK_FAILED : FL_SOCK_DONE;
    }
    Py_ssize_t n;
    *result = receive_bytes(self, size, NULL, &n);
    return *result != NULL ? FL_SOCK_DONE : refused(n);
}

/* (first, the sender's address); steals first, which may be NULL. */
static enum fl_sock_outcome
give_with_sender(PyObject *first, const struct sender *sender, PyObject **result)
{
    PyObject *address =
        first == NULL ? NULL
                      : fl_address_to_object(
                            (const struct sockaddr *)&sender->address, sender->length
                        );
    *result = address == NULL ? NULL : PyTuple_Pack(2, first, address);
    Py_XDECREF(first);
    Py_XDECREF(address);
    return *result == NULL ? FL_SOCK_FAILED : FL_SOCK_DONE;
}

static enum fl_sock_outcome
attempt_recvfrom(SockOpObject *self, PyObject **result)
{
    Py_ssize_t size = fl_sock_size(self->args[1]);
    if (size < 0 || !fl_address_knows(fl_sock_family(self))) {
        return FL_SOCK_FOREIGN;
    }
    struct sender sender;
    Py_ssize_t n;
    PyObject *data = receive_bytes(self, size, &sender, &n);
    return data != NULL ? give_with_sender(data, &sender, result) : refused(n);
}

/* ---- into a buffer of the caller's ---- */

/* It is held for the attempt only: between two its owner may resize it. False, with
 * no exception, if it is none: asyncio finds the words. escapes. */
static bool
borrow_buffer(SockOpObject *self, Py_buffer *view)
{
    int status = PyObject_GetBuffer(self->args[1], view, PyBUF_WRITABLE);
    fl_sock_look_again(self);
    if (status < 0) {
        PyErr_Clear();
    }
    return status == 0;
}

static enum fl_sock_outcome
attempt_recv_into(SockOpObject *self, PyObject **result)
{
    Py_buffer view;
    if (!borrow_buffer(self, &view)) {
        return FL_SOCK_FOREIGN;
    }
    Py_ssize_t n = 0;
    if (view.len > 0) {
        n = receive(self->fd, view.buf, view.len, NULL, view.len >= LONG);
    }
    PyBuffer_Release(&view); /* escapes */
    if (n < 0) {
        return refused(n);
    }
    *result = PyLong_FromSsize_t(n);
    return *result == NULL ? FL_SOCK_FAILED : FL_SOCK_DONE;
}

/* Whether len() of it, which asyncio asks for, is its number of bytes. */
static bool
has_length_in_bytes(PyObject *buffer)
{
    if (!PyMemoryView_Check(buffer)) {
        return PyByteArray_CheckExact(buffer);
    }
    const Py_buffer *view = PyMemoryView_GET_BUFFER(buffer);
    return view->ndim == 1 && view->itemsize == 1;
}

static enum fl_sock_outcome
attempt_recvfrom_into(SockOpObject *self, PyObject **result)
{
    Py_ssize_t size = self->args[2] == NULL ? 0 : fl_sock_size(self->args[2]);
    Py_buffer view;
    if (size < 0 || !fl_address_knows(fl_sock_family(self)) ||
        !has_length_in_bytes(self->args[1]) || !borrow_buffer(self, &view)) {
        return FL_SOCK_FOREIGN;
    }
    if (size == 0) {
        size = view.len;
    }
    if (size > view.len) {
        PyBuffer_Release(&view);
        return FL_SOCK_FOREIGN;
    }
    struct sender sender;
    Py_ssize_t n = receive(self->fd, view.buf, size, &sender, size >= LONG);
    PyBuffer_Release(&view); /* escapes */
    if (n < 0) {
        return refused(n);
    }
    return give_with_sender(PyLong_FromSsize_t(n), &sender, result);
}

const struct fl_sock_call fl_sock_recv_call = {
    .name = "sock_recv", .event = FL_POLL_READ, .attempt = attempt_recv
};
const struct fl_sock_call fl_sock_recvfrom_call = {
    .name = "sock_recvfrom", .event = FL_POLL_READ, .attempt = attempt_recvfrom
};
const struct fl_sock_call fl_sock_recv_into_call = {
    .name = "sock_recv_into", .event = FL_POLL_READ, .attempt = attempt_recv_into
};
const struct fl_sock_call fl_sock_recvfrom_into_call = {
    .name = "sock_recvfrom_into",
    .event = FL_POLL_READ,
    .attempt = attempt_recvfrom_into
};
