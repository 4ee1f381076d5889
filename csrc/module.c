/* fastloop._core: makes the types in order; no logic. */
#include "aio/aio.h"
#include "core/future/future.h"
#include "core/handle/handle.h"
#include "core/handle/threadsafe_handle.h"
#include "core/handle/timer_handle.h"
#include "core/loop/loop.h"
#include "core/task/task.h"
#include "core/task/task_observe.h"
#include "core/task/task_registry.h"
#include "net/audit.h"
#include "net/datagram/datagram.h"
#include "net/listener.h"
#include "net/pipe/pipe.h"
#include "net/sock/sock_op.h"
#include "net/stream/stream.h"
#include "net/transport/protocol.h"
#include "py/await/awaitable_iter.h"
#include "py/context.h"
#include "py/mirror/mirror.h"
#include "py/state/state.h"
#include "py/state/tables.h"
#include "py/time_watch.h"
#include "tls/protocol.h"
#include "watch/watch_methods.h"

static PyObject *
module_after_fork(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    fl_lookout_after_fork(fl_state_of_module(module));
    fl_recorder_drop(fl_state_of_module(module)); /* the file is the parent's */
    if (fl_fork_leave_parent(fl_state_of_module(module)) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* What was written must not wait in two processes. */
static PyObject *
module_before_fork(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    struct fl_list *head = &fl_state_of_module(module)->loops;
    struct fl_list *link = head->next;
    while (link != head) {
        LoopObject *loop = FL_CONTAINER_OF(link, LoopObject, live_loops);
        link = link->next;
        if (loop->deferred == NULL || Py_REFCNT(loop) == 0) {
            continue; /* one that is dying drops them itself */
        }
        Py_INCREF(loop);
        if (fl_loop_flush(loop) < 0) { /* escapes: loops may come and go */
            PyErr_WriteUnraisable((PyObject *)loop);
        }
        Py_DECREF(loop);
        link = head->next;
    }
    Py_RETURN_NONE;
}

static PyObject *
module_pending_tasks(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    return fl_task_list_pending(fl_state_of_module(module));
}

static PyObject *
module_loops_run(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromSsize_t(fl_state_of_module(module)->runs);
}

static PyObject *
module_unlist_task(PyObject *module, PyObject *task)
{
    fl_task_unlist(fl_state_of_module(module), task);
    Py_RETURN_NONE;
}

#ifdef FASTLOOP_DEBUG
static PyObject *
module_debug_counts(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    const struct fl_counts *counts = &fl_state_of_module(module)->counts;
    return Py_BuildValue(
        "{s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:n,s:n}", "loops", counts->loops, "handles",
        counts->handles, "watches", counts->watches, "futures", counts->futures,
        "tasks", counts->tasks, "streams", counts->streams, "pipes", counts->pipes,
        "datagrams", counts->datagrams, "sock_ops", counts->sock_ops, "buffers",
        counts->buffers
    );
}

static PyObject *
module_debug_check(PyObject *module, PyObject *Py_UNUSED(ignored))
{
    struct fl_list *head = &fl_state_of_module(module)->loops;
    for (struct fl_list *link = head->next; link != head; link = link->next) {
        const LoopObject *loop = FL_CONTAINER_OF(link, LoopObject, live_loops);
        const char *wrong = loop->is_open ? fl_loop_check(loop) : NULL;
        if (wrong != NULL) {
            PyErr_Format(PyExc_AssertionError, "inconsistent: %s", wrong);
            return NULL;
        }
    }
    Py_RETURN_NONE;
}
#endif

PyDoc_STRVAR(
    listen_doc,
    "_listen(loop, sock, factory, server, backlog, context, tls, /)\n--\n\n"
    "Accept connections; False if asyncio's own must drive that kind of socket."
);
PyDoc_STRVAR(
    make_stream_doc,
    "_make_stream(loop, sock, protocol, waiter, extra, server, context, /)\n--\n\n"
    "Return a transport, or None if asyncio's own must drive that kind of socket."
);
PyDoc_STRVAR(
    make_read_pipe_doc,
    "_make_read_pipe(loop, pipe, protocol, waiter, extra, /)\n--\n\n"
    "Return the transport of a pipe to read from; ValueError if it is none."
);
PyDoc_STRVAR(
    make_write_pipe_doc,
    "_make_write_pipe(loop, pipe, protocol, waiter, extra, /)\n--\n\n"
    "Return the transport of a pipe to write to; ValueError if it is none."
);

PyDoc_STRVAR(
    make_datagram_doc,
    "_make_datagram(loop, sock, protocol, address, waiter, extra, /)\n--\n\n"
    "Return a transport, or None if asyncio's own must drive that kind of socket."
);
PyDoc_STRVAR(
    loops_run_doc,
    "_loops_run($module, /)\n--\n\nReturn how often a loop of ours has begun to run."
);

PyDoc_STRVAR(
    tls_set_up_doc,
    "_tls_set_up(sslproto, socket_class, path, version, /)\n--\n\n"
    "Return whether TLS can be driven from C, with the OpenSSL that the shared object\n"
    "at path has loaded."
);

static PyMethodDef module_methods[] = {
    {"_after_fork", module_after_fork, METH_NOARGS, NULL},
    {"_before_fork", module_before_fork, METH_NOARGS, NULL},
    {"_listen", FL_FASTCALL(fl_listener_start), METH_FASTCALL, listen_doc},
    {"_make_read_pipe", FL_FASTCALL(fl_pipe_read_make), METH_FASTCALL,
     make_read_pipe_doc},
    {"_make_write_pipe", FL_FASTCALL(fl_pipe_write_make), METH_FASTCALL,
     make_write_pipe_doc},
    {"_make_datagram", FL_FASTCALL(fl_datagram_make), METH_FASTCALL, make_datagram_doc},
    {"_make_stream", FL_FASTCALL(fl_stream_make), METH_FASTCALL, make_stream_doc},
    {"_observe", FL_FASTCALL(fl_observe), METH_FASTCALL, NULL},
    {"_loops_run", module_loops_run, METH_NOARGS, loops_run_doc},
    {"_pending_tasks", module_pending_tasks, METH_NOARGS, NULL},
    {"_timeline_start", fl_timeline_start, METH_VARARGS, NULL},
    {"_timeline_stop", fl_timeline_stop, METH_NOARGS, NULL},
    {"_tls_set_up", FL_FASTCALL(fl_tls_set_up), METH_FASTCALL, tls_set_up_doc},
    {"_unlist_task", module_unlist_task, METH_O, NULL},
    {"_watch_check_in", fl_watch_check_in, METH_O, NULL},
    {"_watch_gc", FL_FASTCALL(fl_watch_gc), METH_FASTCALL, NULL},
    {"_watch_loops", fl_watch_loops, METH_NOARGS, NULL},
    {"_watch_since", fl_watch_since, METH_O, NULL},
    {"_watch_start", (PyCFunction)(void (*)(void))fl_watch_start,
     METH_VARARGS | METH_KEYWORDS, NULL},
    {"_watch_stuck", fl_watch_stuck, METH_NOARGS, NULL},
    {"_watch_stop", fl_watch_stop, METH_NOARGS, NULL},
    {"_watch_take", fl_watch_take, METH_NOARGS, NULL},
#ifdef FASTLOOP_DEBUG
    {"_debug_check", module_debug_check, METH_NOARGS, NULL},
    {"_debug_counts", module_debug_counts, METH_NOARGS, NULL},
#endif
    {NULL, NULL, 0, NULL},
};

static int
probe_mirror(PyObject *Py_UNUSED(module), struct fl_state *state)
{
    return fl_mirror_probe(state);
}

static int
add_sock_methods(PyObject *Py_UNUSED(module), struct fl_state *state)
{
    return fl_sock_add_methods(state);
}

typedef int (*adder)(PyObject *module, struct fl_state *state);

/* In this order: a type is added after those that it stands on. */
static const adder adders[] = {
    fl_handle_add_type,
    fl_timer_handle_add_type,
    fl_threadsafe_handle_add_type,
    fl_loop_add_type,
    probe_mirror,
    fl_future_add_type,
    fl_task_add_type,
    fl_coroutine_iter_add_type,
    fl_sock_op_add_type,
    add_sock_methods,
    fl_protocol_add_type,
    fl_stream_add_type,
    fl_pipe_read_add_type,
    fl_pipe_write_add_type,
    fl_datagram_add_type,
    fl_listener_add_type,
    fl_tls_add_types,
    fl_aio_add_types,
};

static FL_SLOW int
module_exec(PyObject *module)
{
    struct fl_state *state = fl_state_of_module(module);
    if (fl_state_init(state) < 0 || fl_context_probe(state) < 0 ||
        fl_time_watch_begin(state) < 0) {
        return -1;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(adders); i++) {
        if (adders[i](module, state) < 0) {
            return -1;
        }
    }
    fl_mirror_find_breaker(state);
#ifdef FASTLOOP_DEBUG
    return fl_fault_add_methods(module);
#else
    return 0;
#endif
}

static FL_SLOW int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    return fl_state_traverse(fl_state_of_module(module), visit, arg);
}

static FL_SLOW int
module_clear(PyObject *module)
{
    fl_lookout_stop(fl_state_of_module(module));
    fl_recorder_drop(fl_state_of_module(module));
    fl_task_trim(fl_state_of_module(module), 0);
    fl_aio_trim(fl_state_of_module(module));
    fl_time_watch_end(fl_state_of_module(module));
    fl_audit_leave(fl_state_of_module(module));
    fl_state_clear(fl_state_of_module(module));
    return 0;
}

static void
module_free(void *module)
{
    module_clear(module);
    fl_openssl_free(fl_state_of_module(module)->tls.openssl);
    fl_state_of_module(module)->tls.openssl = NULL;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_exec},
    FL_MODULE_INTERPRETERS_SLOT{0, NULL},
};

PyDoc_STRVAR(module_doc, "The C core of fastloop.");

struct PyModuleDef fl_module_def = {
    PyModuleDef_HEAD_INIT,         .m_name = "fastloop._core",
    .m_doc = module_doc,           .m_size = sizeof(struct fl_state),
    .m_methods = module_methods,   .m_slots = module_slots,
    .m_traverse = module_traverse, .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&fl_module_def);
}
