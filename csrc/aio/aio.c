/* asyncio above the loop, in C: makes the types in order. */
#include "aio/aio.h"

#include "aio/call.h"
#include "aio/group/as_completed.h"
#include "aio/group/gather.h"
#include "aio/group/task_group.h"
#include "aio/lock/condition.h"
#include "aio/lock/event.h"
#include "aio/lock/lock.h"
#include "aio/lock/semaphore.h"
#include "aio/queue/queue.h"
#include "aio/stream/stream_feed.h"
#include "aio/stream/stream_protocol.h"
#include "aio/stream/stream_reader.h"
#include "aio/stream/stream_writer.h"
#include "aio/timeout/timeout.h"
#include "aio/wait/shield.h"
#include "aio/wait/sleep.h"
#include "aio/wait/wait.h"
#include "aio/wait/wait_for.h"
#include "py/mirror/layout.h"

/* 0, or -1 with an exception. */
static int
find_method(PyObject **found, PyObject *type, const char *name)
{
    *found = PyObject_GetAttrString(type, name);
    return *found == NULL ? -1 : 0;
}

static int
find_methods(struct fl_state *state)
{
    struct fl_aio_state *aio = &state->aio;
    if (find_method(&aio->deque_append, state->deque, "append") < 0 ||
        find_method(&aio->deque_remove, state->deque, "remove") < 0 ||
        find_method(&aio->deque_popleft, state->deque, "popleft") < 0) {
        return -1;
    }
    return find_method(&aio->list_pop, (PyObject *)&PyList_Type, "pop");
}

int
fl_aio_optional(const char *module, const char *name, PyObject **found)
{
    *found = NULL;
    PyObject *from = PyImport_ImportModule(module);
    PyObject *attribute = PyUnicode_InternFromString(name);
    int status = from == NULL || attribute == NULL
                     ? -1
                     : fl_optional_attribute(from, attribute, found);
    Py_XDECREF(attribute);
    Py_XDECREF(from);
    return status;
}

/* asyncio's classes that ours derive from, by name. */
static const struct stock {
    const char *name;
    size_t offset; /* in the state */
} stock_classes[] = {
    {"Lock", offsetof(struct fl_state, asyncio_Lock)},
    {"Event", offsetof(struct fl_state, asyncio_Event)},
    {"Semaphore", offsetof(struct fl_state, asyncio_Semaphore)},
    {"BoundedSemaphore", offsetof(struct fl_state, asyncio_BoundedSemaphore)},
    {"Condition", offsetof(struct fl_state, asyncio_Condition)},
    {"Queue", offsetof(struct fl_state, asyncio_Queue)},
    {"PriorityQueue", offsetof(struct fl_state, asyncio_PriorityQueue)},
    {"LifoQueue", offsetof(struct fl_state, asyncio_LifoQueue)},
    {"TaskGroup", offsetof(struct fl_state, asyncio_TaskGroup)},
    {"Timeout", offsetof(struct fl_state, asyncio_Timeout)},
    {"StreamReader", offsetof(struct fl_state, asyncio_StreamReader)},
    {"StreamWriter", offsetof(struct fl_state, asyncio_StreamWriter)},
    {"StreamReaderProtocol", offsetof(struct fl_state, asyncio_StreamReaderProtocol)},
};

static PyObject *
class_of(const struct fl_state *state, const struct stock *stock)
{
    return *(PyObject *const *)(const void *)((const char *)state + stock->offset);
}

/* Whether our structs begin where those of asyncio's classes end. */
static bool
is_known_layout(const struct fl_state *state)
{
    static const struct fl_slot none[] = {{NULL, 0}};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(stock_classes); i++) {
        PyObject *base = class_of(state, &stock_classes[i]);
        if (!fl_layout_matches(base, none, offsetof(AioObject, loop))) {
            return false;
        }
    }
    return true;
}

/* What makes an object of ours, and needs its layout. */
static const struct stock stock_makers[] = {
    {"timeout", offsetof(struct fl_state, asyncio_timeout)},
    {"wait_for", offsetof(struct fl_state, asyncio_wait_for)},
    {"timeout_at", offsetof(struct fl_state, asyncio_timeout_at)},
    {"as_completed", offsetof(struct fl_state, asyncio_as_completed)},
};

/* asyncio's, that ours hold on to. */
static const struct stock stock_functions[] = {
    {"gather", offsetof(struct fl_state, asyncio_gather)},
    {"shield", offsetof(struct fl_state, asyncio_shield)},
    {"wait", offsetof(struct fl_state, asyncio_wait)},
};

static int
add_stock(
    PyObject *module, const struct fl_state *state, const struct stock *stock, size_t n
)
{
    int status = 0;
    for (size_t i = 0; status == 0 && i < n; i++) {
        PyObject *value = class_of(state, &stock[i]);
        status = PyModule_AddObjectRef(module, stock[i].name, value);
    }
    return status;
}

/* What makes futures of ours, and needs them. 0 or -1. */
static int
add_functions(PyObject *module, struct fl_state *state)
{
    if (!state->types.own) {
        return add_stock(
            module, state, stock_functions, Py_ARRAY_LENGTH(stock_functions)
        );
    }
    if (fl_gather_add(module, state) < 0 || fl_shield_add(module, state) < 0) {
        return -1;
    }
    return fl_wait_add(module, state);
}

static int (*const adders[])(PyObject *module, struct fl_state *state) = {
    fl_lock_add_type,          fl_event_add_type,           fl_semaphore_add_types,
    fl_condition_add_type,     fl_queue_add_type,           fl_priority_queue_add_type,
    fl_lifo_queue_add_type,    fl_task_group_add_type,      fl_stream_reader_add_type,
    fl_stream_writer_add_type, fl_stream_protocol_add_type, fl_timeout_add,
    fl_wait_for_add,           fl_as_completed_add,         add_functions,
};

/* On a Python newer than this fastloop our names mean asyncio's own. */
static int
add_asyncios(PyObject *module, struct fl_state *state)
{
    if (add_stock(module, state, stock_classes, Py_ARRAY_LENGTH(stock_classes)) < 0 ||
        add_stock(module, state, stock_makers, Py_ARRAY_LENGTH(stock_makers)) < 0) {
        return -1;
    }
    return add_functions(module, state);
}

int
fl_aio_add_types(PyObject *module, struct fl_state *state)
{
    if (fl_aio_call_add_type(module, state) < 0 ||
        fl_aio_function_add_type(module, state) < 0 ||
        fl_sleep_add(module, state) < 0 || fl_timeout_find_states(state) < 0) {
        return -1;
    }
    if (!is_known_layout(state)) {
        return add_asyncios(module, state);
    }
    if (find_methods(state) < 0 || fl_stream_feed_offer(state) < 0) {
        return -1;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(adders); i++) {
        if (adders[i](module, state) < 0) {
            return -1;
        }
    }
    state->aio.lock_acquire =
        PyObject_GetAttr((PyObject *)state->lock_type, state->str_acquire);
    return state->aio.lock_acquire == NULL ? -1 : 0;
}

void
fl_aio_trim(struct fl_state *state)
{
    fl_aio_call_trim(state, 0);
}
