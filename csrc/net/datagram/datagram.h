/* The datagram transport.
 *
 *   datagram.c       the type: life, from the kernel to the protocol
 *   datagram_send.c  from sendto() to the kernel
 *
 * Imitates asyncio.selector_events._SelectorDatagramTransport: one datagram per event
 * (more while nobody could tell), sendto() sends at once, and what the kernel refuses
 * waits in a queue.
 *
 * Addresses are made and taken apart here for the families of fl_address_knows; all
 * other families are received from and sent to by the socket object's own methods. The
 * last sender's address and the last one sent to are kept in both forms, for they are
 * likely to be the next, too.
 */
#ifndef FASTLOOP_NET_DATAGRAM_H
#define FASTLOOP_NET_DATAGRAM_H

#include "net/transport/transport.h"

#include <sys/socket.h>

/* A datagram that waits. */
struct fl_packet {
    struct fl_packet *next;
    PyObject *data; /* exactly bytes */
    PyObject *address;
};

struct fl_packets {
    struct fl_packet *first; /* NULL: empty */
    struct fl_packet *last;
    size_t size_bytes; /* as get_write_buffer_size() counts */
};

/* An address as Python and as the kernel has it. */
struct fl_known_address {
    PyObject *object; /* immutable, of exact types; or NULL */
    socklen_t length;
    struct sockaddr_storage address;
};

typedef struct {
    TransportObject base;
    PyObject *address; /* where all is sent, as it was given; Py_None: anywhere */
    struct fl_packets packets;
    struct fl_known_address sender;
    struct fl_known_address target;
    int family;
    uint8_t turns_alone; /* to come before more than one datagram is tried for */
    char has_address;    /* address is true */
    char is_connected;   /* the socket has a peer */
} DatagramObject;

/* datagram.c */
int fl_datagram_add_type(PyObject *module, struct fl_state *state);
/* _make_datagram(loop, sock, protocol, address, waiter, extra): a transport over a
 * socket object, or None if the socket is of a kind that asyncio's own code must
 * drive. */
PyObject *fl_datagram_make(PyObject *module, PyObject *const *args, Py_ssize_t n_args);

/* protocol.error_received(the exception set); any but OSError is fatal. escapes. 0, or
 * -1 with an exception. */
int fl_datagram_error(DatagramObject *self, const char *fatal_message);

/* datagram_send.c */
PyObject *fl_datagram_sendto(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
);
/* The fd can be written. escapes. 0, or -1 with an exception. */
int fl_datagram_send_rest(DatagramObject *self);
PyObject *fl_datagram_sendto_ready(PyObject *op, PyObject *ignored);
void fl_packets_clear(struct fl_packets *self);
/* They as a list of (data, address). New or NULL. */
PyObject *fl_packets_copy(const struct fl_packets *self);

#endif
