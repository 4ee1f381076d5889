/* One writer for sockets and pipes.
 *
 * Each call sends first, then does what follows from it; what follows may run user
 * code, and the buffer of somebody else is given back between the two.
 */
#include "net/transport/writer.h"

#include "net/audit.h"

#include "py/error.h"

void
fl_writer_init(
    struct fl_writer *self, TransportObject *transport,
    const struct fl_writer_kind *kind
)
{
    self->transport = transport;
    self->kind = kind;
}

/* Whether what is queued can wait for nothing any more: the loop was closed meanwhile.
 */
static bool
is_stuck(const struct fl_writer *self)
{
    const LoopObject *loop = self->transport->source.loop;
    return self->queue.count > 0 && loop != NULL && loop->closed;
}

static bool
waits_for_room(const struct fl_writer *self)
{
    return fl_transport_waits_for_room(self->transport) || is_stuck(self);
}

/* ---- what follows ---- */

static int
send_failed(struct fl_writer *self, int err)
{
    TransportObject *transport = self->transport;
    fl_write_queue_clear(&self->queue);
    fl_raise_errno(err);
    PyObject *exc = fl_error_take();
    fl_error_restore(Py_NewRef(exc));
    int status = fl_transport_fatal_error(transport, self->kind->error); /* escapes */
    if (status == 0) {
        status = self->kind->failed(transport, exc); /* escapes */
    }
    Py_DECREF(exc);
    return status;
}

/* Nothing is left to send: what waited for that. at_once: connection_lost may be
 * called here. */
static int
drained(struct fl_writer *self, bool at_once)
{
    TransportObject *transport = self->transport;
    if (self->kind->drained != NULL && self->kind->drained(transport) < 0) {
        return -1;
    }
    if (transport->life != FL_CLOSING || !fl_transport_go_on(transport, FL_LOST)) {
        return 0;
    }
    fl_source_ignore(&transport->source);                  /* escapes */
    return at_once ? fl_transport_lose(transport, Py_None) /* escapes */
                   : fl_transport_lose_soon(transport, Py_None);
}

/* The kernel has not taken all of it. */
static int
wait_for_room(struct fl_writer *self)
{
    struct fl_source *source = &self->transport->source;
    if (fl_source_want(source, source->watch.events | FL_POLL_WRITE) < 0) {
        fl_write_queue_clear(&self->queue);
        return fl_transport_fatal_error(
            self->transport, self->kind->error
        ); /* escapes */
    }
    return 0;
}

/* After a send, which failed with err unless that is 0. */
static int
sent(struct fl_writer *self, int err)
{
    TransportObject *transport = self->transport;
    if (transport->source.loop == NULL) { /* it ended meanwhile */
        return 0;
    }
    if (err != 0) {
        return send_failed(self, err); /* escapes */
    }
    if (self->queue.count == 0) {
        return drained(self, false); /* escapes */
    }
    if (!waits_for_room(self) && wait_for_room(self) < 0) { /* escapes */
        return -1;
    }
    return fl_transport_maybe_pause(transport, self->queue.size_bytes); /* escapes */
}

/* ---- sending ---- */

/* The queue and then *data, which is moved on to what was not sent. escapes, if asking
 * for the fd does. An errno, or 0. */
static int
send_all(struct fl_writer *self, const char **data, size_t *size)
{
    fl_loop_note_io(self->transport->source.loop);
    fl_source_undefer(&self->transport->source);
    int fd = self->kind->fd(self->transport); /* escapes */
    ssize_t n =
        fl_write_queue_send(&self->queue, fd, self->kind->send_pieces, *data, *size);
    if (n < 0) {
        return (int)-n;
    }
    *data += n;
    *size -= (size_t)n;
    return 0;
}

/* What is queued. */
static int
send_queue(struct fl_writer *self)
{
    const char *nothing = "";
    size_t size = 0;
    return send_all(self, &nothing, &size); /* escapes */
}

int
fl_writer_flush(struct fl_writer *self)
{
    if (self->run > self->longest) {
        self->longest = self->run;
    }
    self->run = 0;
    if (self->queue.count == 0 || waits_for_room(self) ||
        self->transport->source.loop == NULL) {
        return 0;
    }
    return sent(self, send_queue(self)); /* escapes */
}

int
fl_writer_send_rest(struct fl_writer *self)
{
    TransportObject *transport = self->transport;
    struct fl_source *source = &transport->source;
    if (transport->life >= FL_LOST || source->loop == NULL) {
        return 0;
    }
    int err = send_queue(self); /* escapes */
    if (source->loop == NULL) {
        return 0;
    }
    if (err != 0) {
        return send_failed(self, err);
    }
    bool empty = self->queue.count == 0;
    if (empty && fl_source_want(source, source->watch.events & ~FL_POLL_WRITE) < 0) {
        return -1;
    }
    size_t unsent = self->queue.size_bytes;
    int status = fl_transport_maybe_resume(transport, unsent); /* escapes */
    if (!empty || self->queue.count > 0) {
        return status;
    }
    if (status == 0) {
        return drained(self, true); /* escapes */
    }
    /* the exception leaves the loop, which may run on: the rest is due all the same */
    PyObject *exit = fl_error_take();
    if (drained(self, false) < 0) {
        PyErr_WriteUnraisable((PyObject *)transport);
    }
    fl_error_restore(exit);
    return -1;
}

/* ---- joining ---- */

/* Who writes so often in a step pours out what he has, and may well go on. 1 KiB at a
 * time, half of the time. */
#define LONG_RUN 16

/* Notes a write: is another one of this step expected to follow? */
static bool
more_is_expected(struct fl_writer *self)
{
    const LoopObject *loop = self->transport->source.loop;
    if (!self->may_join || !fl_transport_may_defer(loop)) {
        return false;
    }
    if (self->step != loop->n_steps) {
        self->step = loop->n_steps;
        self->expected = self->run > self->longest ? self->run : self->longest;
        self->run = self->longest = 0;
    }
    self->run++;
    return self->run < self->expected ||
           (self->expected >= LONG_RUN && self->run % self->expected != 0);
}

/* May what was just queued wait for the next write? Nobody else's does: they went
 * first. */
static bool
may_wait(const struct fl_writer *self)
{
    const struct fl_source *source = &self->transport->source;
    return fl_audit_hears(source->loop->state) &&
           self->queue.size_bytes <= self->transport->high_bytes;
}

/* What was just queued waits for more, or goes now. escapes. 0 or -1. */
static int
wait_or_send(struct fl_writer *self)
{
    if (may_wait(self)) {
        fl_source_defer(&self->transport->source);
        return 0;
    }
    return fl_writer_flush(self); /* escapes */
}

/* ---- writing ---- */

/* Of what is sent by way of the loop the order stays: whatever waits elsewhere goes
 * first. escapes. 1, 0 if nothing is to be written any more, -1 with an exception. */
static int
let_others_go_first(struct fl_writer *self)
{
    const TransportObject *transport = self->transport;
    LoopObject *loop = transport->source.loop;
    if (loop->deferred == NULL || loop->deferred == &transport->source) {
        return 1;
    }
    if (fl_loop_flush_deferred(loop) < 0) { /* escapes */
        return -1;
    }
    return transport->source.loop != NULL && transport->life < FL_LOST;
}

/* Queues data. owner: the bytes object that it lies in; NULL: it may change, so what is
 * queued is a copy. 0, or -1 with an exception. */
static int
add(struct fl_writer *self, PyObject *owner, const char *data, size_t size)
{
    PyObject *kept = owner != NULL ? Py_NewRef(owner)
                                   : PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
    if (kept == NULL) {
        return -1;
    }
    const char *start = owner != NULL ? data : PyBytes_AS_STRING(kept);
    int status = fl_write_queue_add(&self->queue, kept, start, size);
    Py_DECREF(kept);
    return status;
}

/* Sends data as far as the kernel takes it, and queues the rest, as add() has it. *err:
 * of a send that failed. 0, or -1 with an exception. */
static int
take(struct fl_writer *self, PyObject *owner, const char *data, size_t size, int *err)
{
    if (waits_for_room(self)) {
        return add(self, owner, data, size);
    }
    *err = send_all(self, &data, &size); /* escapes */
    if (*err != 0 || size == 0) {
        return 0;
    }
    LoopObject *loop = self->transport->source.loop;
    if (loop != NULL && fl_loop_check_closed(loop) < 0) {
        return -1;
    }
    return add(self, owner, data, size);
}

/* What the program does past the loop is to be heard before anything waits. */
static void
prepare_joining(const struct fl_writer *self)
{
    const LoopObject *loop = self->transport->source.loop;
    if (loop != NULL) {
        fl_audit_listen(loop->state); /* escapes */
    }
}

/* Of what does not change in here. owner as add() has it. */
static int
write_lasting(struct fl_writer *self, PyObject *owner, const char *data, size_t size)
{
    if (more_is_expected(self) && !waits_for_room(self)) {
        if (add(self, owner, data, size) < 0) {
            return -1;
        }
        return wait_or_send(self); /* escapes */
    }
    int err = 0;
    if (take(self, owner, data, size, &err) < 0 || sent(self, err) < 0) {
        return -1;
    }
    if (self->run == 2) {      /* later steps may join */
        prepare_joining(self); /* escapes */
    }
    return 0;
}

int
fl_writer_write(struct fl_writer *self, PyObject *data)
{
    int go_on = let_others_go_first(self); /* escapes */
    if (go_on <= 0) {
        return go_on;
    }
    if (PyBytes_CheckExact(data)) {
        return write_lasting(
            self, data, PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data)
        ); /* escapes */
    }
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) { /* escapes */
        return fl_transport_fatal_error(self->transport, self->kind->error);
    }
    if (view.len == 0 || self->transport->life >= FL_LOST) {
        PyBuffer_Release(&view); /* escapes */
        return 0;
    }
    PyObject *behind = fl_writer_bytes_behind(data);
    if (behind != NULL) {
        const char *start = view.buf;
        size_t size = (size_t)view.len;
        PyBuffer_Release(&view); /* the view itself keeps its bytes */
        return write_lasting(self, behind, start, size);
    }
    (void)more_is_expected(self);
    int err = 0;
    int status = take(self, NULL, view.buf, (size_t)view.len, &err);
    PyBuffer_Release(&view); /* escapes */
    return status < 0 ? -1 : sent(self, err);
}

int
fl_writer_write_copy(struct fl_writer *self, const char *data, size_t size)
{
    int go_on = let_others_go_first(self);                             /* escapes */
    return go_on <= 0 ? go_on : write_lasting(self, NULL, data, size); /* escapes */
}

int
fl_writer_write_pieces(struct fl_writer *self, struct fl_write_queue *pieces)
{
    int go_on = let_others_go_first(self); /* escapes */
    if (go_on <= 0 || pieces->count == 0) {
        return go_on < 0 ? -1 : 0;
    }
    bool more = more_is_expected(self);
    bool waits = waits_for_room(self); /* for those before it */
    if (fl_write_queue_move(&self->queue, pieces) < 0) {
        return -1;
    }
    if (more && !waits) {
        return wait_or_send(self); /* escapes */
    }
    return sent(self, waits ? 0 : send_queue(self)); /* escapes */
}
