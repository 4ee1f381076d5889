/* The seam to protocols that are written in C: they are called without a call from
 * Python, and may look at what was received where it lies.
 *
 * Such a protocol derives from the type of this file. Its methods in Python stay what
 * they are, and other transports call those; ours call these functions instead, while
 * the protocol offers them.
 */
#ifndef FASTLOOP_NET_PROTOCOL_H
#define FASTLOOP_NET_PROTOCOL_H

#include "py/state/state.h"

struct fl_protocol_calls {
    /* size bytes, one at least, which lie there until Python code runs. escapes. 0, or
     * -1 with an exception. */
    int (*received)(PyObject *protocol, const char *data, size_t size);
};

/* How objects of the type, or of one derived from it, begin. */
typedef struct {
    PyObject_HEAD
    const struct fl_protocol_calls *calls; /* NULL: its methods are called */
} ProtocolObject;

/* What it offers, or NULL. */
static inline const struct fl_protocol_calls *
fl_protocol_calls(const struct fl_state *state, PyObject *protocol)
{
    return PyObject_TypeCheck(protocol, state->protocol_type)
               ? ((const ProtocolObject *)(const void *)protocol)->calls
               : NULL;
}

/* Whether it may be fed: state->net.feed, which says whether it was. */
static inline bool
fl_protocol_is_fed(const struct fl_state *state, PyObject *protocol)
{
    PyTypeObject *const *fed = state->net.fed_types;
    return Py_IS_TYPE(protocol, fed[0]) || Py_IS_TYPE(protocol, fed[1]);
}

int fl_protocol_add_type(PyObject *module, struct fl_state *state);

#endif
