/* The type that protocols in C derive from; it has nothing but its place. */
#include "net/transport/protocol.h"

#include "py/state/tables.h"

static int
protocol_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    return 0;
}

static void
protocol_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    type->tp_free(op);
    Py_DECREF(type);
}

static const char protocol_doc[] = "What protocols in C derive from.";

static PyType_Slot protocol_slots[] = {
    {Py_tp_doc, (void *)protocol_doc},
    {Py_tp_traverse, protocol_traverse},
    {Py_tp_dealloc, protocol_dealloc},
    {0, NULL},
};

static PyType_Spec protocol_spec = {
    .name = "fastloop._core._Protocol",
    .basicsize = sizeof(ProtocolObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = protocol_slots,
};

int
fl_protocol_add_type(PyObject *module, struct fl_state *state)
{
    return fl_make_type(&state->protocol_type, module, &protocol_spec, NULL);
}
