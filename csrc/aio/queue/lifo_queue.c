/* LifoQueue: asyncio.LifoQueue in C, a Queue that is a stack. */
#include "aio/queue/queue.h"

static PyObject *
lifo_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    return fl_aio_new(type, FL_AIO_lifo_queue);
}

PyDoc_STRVAR(
    lifo_doc, "LifoQueue(maxsize=0)\n--\n\n"
              "A Queue that gives what came last first: asyncio.LifoQueue, which it\n"
              "derives from, in C.\n\n"
              "maxsize: how many there is room for; without a bound if it is 0 or less."
);

static const PyMemberDef no_members[] = {{NULL, 0, 0, 0, NULL}};

static PyType_Slot lifo_slots[] = {
    {Py_tp_doc, (void *)lifo_doc},
    {Py_tp_new, lifo_new},
    {Py_tp_members, (void *)no_members},
    {0, NULL},
};

static PyType_Spec lifo_spec = {
    .name = "fastloop.aio.LifoQueue",
    .basicsize = sizeof(QueueObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = lifo_slots,
};

int
fl_lifo_queue_add_type(PyObject *module, struct fl_state *state)
{
    return fl_queue_add_derived(
        module, state, FL_AIO_lifo_queue, &lifo_spec, &state->lifo_queue_type,
        state->asyncio_LifoQueue
    );
}
