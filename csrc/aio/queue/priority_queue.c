/* PriorityQueue: asyncio.PriorityQueue in C, a Queue with a heap. */
#include "aio/queue/queue.h"

static PyObject *
priority_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    return fl_aio_new(type, FL_AIO_priority_queue);
}

PyDoc_STRVAR(
    priority_doc, "PriorityQueue(maxsize=0)\n--\n\n"
                  "A Queue that gives the least of its items first:\n"
                  "asyncio.PriorityQueue, which it derives from, in C.\n\n"
                  "maxsize: how many there is room for; without a bound if it is 0 or\n"
                  "less."
);

static const PyMemberDef no_members[] = {{NULL, 0, 0, 0, NULL}};

static PyType_Slot priority_slots[] = {
    {Py_tp_doc, (void *)priority_doc},
    {Py_tp_new, priority_new},
    {Py_tp_members, (void *)no_members},
    {0, NULL},
};

static PyType_Spec priority_spec = {
    .name = "fastloop.aio.PriorityQueue",
    .basicsize = sizeof(QueueObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = priority_slots,
};

int
fl_priority_queue_add_type(PyObject *module, struct fl_state *state)
{
    return fl_queue_add_derived(
        module, state, FL_AIO_priority_queue, &priority_spec,
        &state->priority_queue_type, state->asyncio_PriorityQueue
    );
}
