/* From sendto() to the kernel.
 *
 * A datagram is sent inside sendto(). Once the kernel has refused one, the fd is
 * watched for room, and until there is some, copies of all that follow wait in a
 * queue, so that their order stays.
 */
#include "net/address.h"
#include "net/datagram/datagram.h"
#include "py/args/keywords.h"
#include "py/error.h"

#include <errno.h>

static const char write_error[] = "Fatal write error on datagram transport";

/* ---- what waits ---- */

static size_t
counted_bytes(const struct fl_packet *packet)
{
    return (size_t)PyBytes_GET_SIZE(packet->data) + FL_DATAGRAM_HEADER_BYTES;
}

/* Takes a reference to both. 0 or -1. */
static int
packets_add(struct fl_packets *self, PyObject *data, PyObject *address)
{
    struct fl_packet *packet = PyMem_New(struct fl_packet, 1);
    if (packet == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    *packet = (struct fl_packet){NULL, Py_NewRef(data), Py_NewRef(address)};
    *(self->first == NULL ? &self->first : &self->last->next) = packet;
    self->last = packet;
    self->size_bytes += counted_bytes(packet);
    return 0;
}

/* The oldest, out of the queue; it is the caller's. */
static struct fl_packet *
packets_take(struct fl_packets *self)
{
    struct fl_packet *packet = self->first;
    self->first = packet->next;
    self->size_bytes -= counted_bytes(packet);
    return packet;
}

static void
packets_put_back(struct fl_packets *self, struct fl_packet *packet)
{
    packet->next = self->first;
    if (self->first == NULL) {
        self->last = packet;
    }
    self->first = packet;
    self->size_bytes += counted_bytes(packet);
}

static void
packet_free(struct fl_packet *packet)
{
    Py_DECREF(packet->data);
    Py_DECREF(packet->address); /* escapes */
    PyMem_Free(packet);
}

void
fl_packets_clear(struct fl_packets *self)
{
    while (self->first != NULL) {
        packet_free(packets_take(self)); /* escapes */
    }
}

PyObject *
fl_packets_copy(const struct fl_packets *self)
{
    PyObject *list = PyList_New(0);
    for (const struct fl_packet *packet = self->first; list != NULL && packet != NULL;
         packet = packet->next) {
        PyObject *pair = PyTuple_Pack(2, packet->data, packet->address);
        if (pair == NULL || PyList_Append(list, pair) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(pair);
    }
    return list;
}

/* ---- one datagram ---- */

enum sent {
    SENT,
    REFUSED, /* no room */
    FAILED,  /* with an exception */
};

/* What a system call returned. */
static enum sent
outcome(ssize_t n)
{
    if (n >= 0) {
        return SENT;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
        return REFUSED;
    }
    fl_raise_errno(errno);
    return FAILED;
}

/* The address as the kernel wants it; NULL if only the socket object can tell. */
static const struct fl_known_address *
look_up(DatagramObject *self, PyObject *address)
{
    if (address == self->sender.object) {
        return &self->sender;
    }
    struct fl_known_address *known = &self->target;
    if (address == known->object) {
        return known;
    }
    struct fl_known_address parsed;
    bool is_known = self->family == AF_UNIX
                        ? fl_address_from_path(address, &parsed.address, &parsed.length)
                        : fl_address_from_object(
                              self->family, address, &parsed.address, &parsed.length
                          );
    if (!is_known) {
        return NULL;
    }
    memcpy(&known->address, &parsed.address, parsed.length);
    known->length = parsed.length;
    Py_XSETREF(known->object, Py_NewRef(address));
    return known;
}

/* By the socket object's method: names, other families, errors of arguments, and what
 * somebody has patched. */
static enum sent
send_foreign(DatagramObject *self, PyObject *data, PyObject *address)
{
    const struct fl_state *state = fl_state_of_type(Py_TYPE(self));
    PyObject *file = self->base.file;
    PyObject *result =
        self->is_connected
            ? PyObject_CallMethodOneArg(file, state->str_send, data) /* escapes */
            : PyObject_CallMethodObjArgs(file, state->str_sendto, data, address, NULL);
    if (result != NULL) {
        Py_DECREF(result);
        return SENT;
    }
    if (PyErr_ExceptionMatches(PyExc_BlockingIOError) ||
        PyErr_ExceptionMatches(PyExc_InterruptedError)) {
        PyErr_Clear();
        return REFUSED;
    }
    return FAILED;
}

static enum sent
send_bytes(
    DatagramObject *self, const void *bytes, size_t size,
    const struct fl_known_address *known
)
{
    const struct sockaddr *address =
        known == NULL ? NULL : (const struct sockaddr *)(const void *)&known->address;
    ssize_t n = sendto(
        fl_transport_socket_fd(&self->base), bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL,
        address, known == NULL ? 0 : known->length
    );
    return outcome(n);
}

static enum sent
send_one(DatagramObject *self, PyObject *data, PyObject *address)
{
    const struct fl_known_address *known = NULL;
    if (!fl_socket_is_still_unpatched(self->base.source.loop->state)) {
        return send_foreign(self, data, address); /* escapes */
    }
    if (!self->is_connected) {
        known = look_up(self, address);
        if (known == NULL) {
            return send_foreign(self, data, address); /* escapes */
        }
        if (PySys_Audit("socket.sendto", "OO", self->base.file, address) < 0) {
            return FAILED;
        }
    }
    if (PyBytes_CheckExact(data)) {
        return send_bytes(
            self, PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data), known
        );
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) { /* escapes */
        return FAILED;
    }
    enum sent sent = send_bytes(self, view.buf, (size_t)view.len, known);
    PyBuffer_Release(&view); /* escapes */
    return sent;
}

/* ---- sendto ---- */

/* A copy waits until there is room. */
static int
put_off(DatagramObject *self, PyObject *data, PyObject *address)
{
    PyObject *copy = PyBytes_CheckExact(data) ? Py_NewRef(data)
                                              : PyBytes_FromObject(data); /* escapes */
    int status = copy == NULL ? -1 : packets_add(&self->packets, copy, address);
    Py_XDECREF(copy);
    if (status < 0) {
        return -1;
    }
    return fl_transport_maybe_pause(&self->base, self->packets.size_bytes);
}

static int
send_or_put_off(DatagramObject *self, PyObject *data, PyObject *address)
{
    fl_loop_note_io(self->base.source.loop);
    if (fl_loop_flush(self->base.source.loop) < 0) { /* escapes */
        return -1;
    }
    if (self->base.source.loop == NULL) {
        return 0;
    }
    if (self->packets.first == NULL) {
        enum sent sent = send_one(self, data, address); /* escapes */
        if (sent == SENT) {
            return 0;
        }
        if (sent == FAILED) {
            return fl_datagram_error(self, write_error); /* escapes */
        }
        if (self->base.source.loop == NULL) {
            return 0;
        }
        uint32_t events = self->base.source.watch.events | FL_POLL_WRITE;
        if (fl_source_want(&self->base.source, events) < 0) {
            return -1;
        }
    }
    return put_off(self, data, address);
}

/* 0, or -1 with TypeError or ValueError. */
static int
check_arguments(DatagramObject *self, PyObject *data, PyObject *address)
{
    if (!PyBytes_Check(data) && !PyByteArray_Check(data) && !PyMemoryView_Check(data)) {
        PyErr_Format(
            PyExc_TypeError, "data argument must be a bytes-like object, not '%s'",
            fl_type_short_name(Py_TYPE(data))
        );
        return -1;
    }
    if (!self->has_address || address == Py_None) {
        return 0;
    }
    int same = PyObject_RichCompareBool(address, self->address, Py_EQ); /* escapes */
    if (same == 0) {
        PyErr_Format(
            PyExc_ValueError, "Invalid address: must be None or %S", self->address
        );
    }
    return same > 0 ? 0 : -1;
}

/* True if it is not to be sent: as in asyncio, only an endpoint with an address of its
 * own is lost before connection_lost was called. */
static bool
is_lost(DatagramObject *self)
{
    return (self->has_address || self->base.source.loop == NULL) &&
           fl_transport_is_lost(&self->base, "socket.send() raised exception.");
}

static int
datagram_sendto(DatagramObject *self, PyObject *data, PyObject *address)
{
    if (!FL_SENDS_EMPTY_DATAGRAMS) {
        Py_ssize_t size = PyObject_Size(data);
        if (size <= 0) {
            return size < 0 ? -1 : 0;
        }
    }
    if (is_lost(self)) { /* escapes */
        return PyErr_Occurred() ? -1 : 0;
    }
    return send_or_put_off(self, data, self->has_address ? self->address : address);
}

/* The values of sendto(data, addr=None). 0 or -1. */
static int
parse_arguments(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames,
    PyObject **values
)
{
    if (kwnames == NULL && (n_args == 1 || n_args == 2)) {
        memcpy(values, args, (size_t)n_args * sizeof(*values));
        return 0;
    }
    const struct fl_state *state = fl_state_of_type(Py_TYPE(op));
    const struct fl_keywords expected = {
        "sendto", 2, 1, 2, {state->str_data, state->str_addr}
    };
    return fl_keywords_parse(&expected, args, n_args, kwnames, values);
}

PyObject *
fl_datagram_sendto(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    DatagramObject *self = (DatagramObject *)op;
    PyObject *values[2] = {NULL, Py_None};
    if (parse_arguments(op, args, n_args, kwnames, values) < 0 ||
        check_arguments(self, values[0], values[1]) < 0 || /* escapes */
        datagram_sendto(self, values[0], values[1]) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- when there is room ---- */

/* Sends what waits. REFUSED, FAILED, or SENT if nothing is left. */
static enum sent
send_packets(DatagramObject *self)
{
    enum sent sent = SENT;
    while (sent == SENT && self->packets.first != NULL &&
           self->base.source.loop != NULL) {
        struct fl_packet *packet = packets_take(&self->packets);
        sent = send_one(self, packet->data, packet->address); /* escapes */
        if (sent == REFUSED) {
            packets_put_back(&self->packets, packet);
        }
        else {
            packet_free(packet);
        }
    }
    return sent;
}

int
fl_datagram_send_rest(DatagramObject *self)
{
    if (self->base.source.loop == NULL) {
        return 0;
    }
    if (send_packets(self) == FAILED) { /* escapes */
        /* the rest is sent in the next iteration */
        return fl_datagram_error(self, write_error);
    }
    size_t unsent = self->packets.size_bytes;
    if (fl_transport_maybe_resume(&self->base, unsent) < 0) { /* escapes */
        return -1;
    }
    if (self->packets.first != NULL || self->base.source.loop == NULL) {
        return 0;
    }
    uint32_t rest = self->base.source.watch.events & ~FL_POLL_WRITE;
    if (fl_source_want(&self->base.source, rest) < 0) {
        return -1;
    }
    if (self->base.life != FL_CLOSING) {
        return 0;
    }
    return fl_transport_lose(&self->base, Py_None); /* escapes */
}

PyObject *
fl_datagram_sendto_ready(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    DatagramObject *self = (DatagramObject *)op;
    if (fl_transport_waits_for_room(&self->base) && fl_datagram_send_rest(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
