/* What add_reader and kin watch: one watch per fd, for each direction a Handle, or a
 * future of ours that somebody awaits.
 *
 * A watch that fires queues its handles; they run when the ring reaches them. A
 * future is done at once, and what it waited for no longer watched. A watch of futures
 * alone is one-shot: told once, it is spare. Nobody outside reader_watch.c sees it, and
 * the kernel reports nothing of it, whatever becomes of its file; the next future of
 * that fd, most often the same reader's, has it for one system call.
 */
#ifndef FASTLOOP_CORE_READER_WATCH_H
#define FASTLOOP_CORE_READER_WATCH_H

#include "core/handle/handle.h"

/* Who is told of one direction: one of the two, owned, or nobody. */
struct fl_watch_party {
    HandleObject *handle;
    PyObject *future;
};

struct fl_reader_watch {
    struct fl_watch watch;
    struct fl_list link; /* in loop->reader_watches */
    LoopObject *loop;    /* borrowed: the loop owns the watch */
    PyObject *fileobj;   /* owned; NULL if it was given as an int */
    struct fl_watch_party reader;
    struct fl_watch_party writer;
    uint64_t inode; /* of the file that has handles: see fl_loop_mark_stale */
};

static inline struct fl_watch_party *
fl_reader_watch_party(struct fl_reader_watch *self, uint32_t event)
{
    return event == FL_POLL_READ ? &self->reader : &self->writer;
}

/* The watch of an fd, or NULL. */
struct fl_reader_watch *fl_reader_watch_find(LoopObject *self, int fd);
/* The watch that was asked for with this very object, or NULL. */
struct fl_reader_watch *
fl_reader_watch_find_object(LoopObject *self, const PyObject *fileobj);

/* Has who told of event, in the place of who was told before; a handle that is so
 * replaced is cancelled. fileobj: as it was given, or NULL. Takes who's references,
 * also on failure. escapes. 0, or -1 with an exception. */
int fl_reader_watch_want(
    LoopObject *self, PyObject *fileobj, int fd, uint32_t event,
    struct fl_watch_party who
);

/* Ends the watch's interest in event; frees it when no other is left. If the kernel
 * can't be told, it says so of each event, and is told then. escapes. 0, or -errno if
 * the other interest is lost with it. */
int fl_reader_watch_drop(struct fl_reader_watch *self, uint32_t event);

#endif
