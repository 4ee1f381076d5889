/* Where a receive puts its bytes: into the loop's buffer, or into the bytes object that
 * they become. base/receive.h says which.
 *
 *     struct fl_room room;
 *     ssize_t n = fl_room_open(&room, loop, &memory, &sizes, max)
 *                     ? what a system call says of room.start and room.size
 *                     : -ENOMEM;
 *     PyObject *data = fl_room_take(&room, n);
 */
#ifndef FASTLOOP_NET_RECEIVE_H
#define FASTLOOP_NET_RECEIVE_H

#include "base/receive.h"
#include "core/loop/loop.h"

#include <sys/types.h>

/* asyncio's max_size: what one event may bring. */
#define FL_RECEIVE_MAX ((size_t)256 * 1024)

/* The loop's page-aligned buffer of that size, or NULL if there is no memory. */
void *fl_receive_buffer(LoopObject *loop);

struct fl_room {
    char *start;
    size_t size;
    PyObject
        *bytes; /* in place; NULL: it is the loop's buffer, until Python code runs */
    struct fl_receive *memory;
    const struct fl_receive_sizes *sizes;
};

/* In place, for size bytes: false with an exception. */
FL_APART bool fl_room_open_in_place(struct fl_room *room, size_t size);
/* A full one, for what waits in the descriptor besides, max bytes in all: false if that
 * is nothing, or there is no memory for it. */
FL_APART bool fl_room_widen(struct fl_room *room, int fd, size_t max);
/* The object with the first n, one at least: new, or NULL with an exception. */
FL_APART PyObject *fl_room_take_in_place(struct fl_room *room, size_t n);

/* For max bytes at most. False with MemoryError. */
static inline bool
fl_room_open(
    struct fl_room *room, LoopObject *loop, struct fl_receive *memory,
    const struct fl_receive_sizes *sizes, size_t max
)
{
    size_t in_place = max > FL_RECEIVE_MAX /* the program has asked for that much */
                          ? max
                          : fl_receive_in_place(memory, sizes, max);
    room->memory = memory;
    room->sizes = sizes;
    if (in_place == 0) {
        room->start = fl_receive_buffer(loop);
        room->size = max;
        room->bytes = NULL;
        if (room->start != NULL) {
            return true;
        }
        in_place = max;
    }
    return fl_room_open_in_place(room, in_place);
}

/* n: what the system call said of a room for max bytes at most. Would all max have
 * brought more, perhaps? Then fl_room_widen() says, and another call is to fill what it
 * made, from room.start + n on. */
static inline bool
fl_room_is_full(const struct fl_room *room, ssize_t n, size_t max)
{
    return n > 0 && (size_t)n == room->size && room->size < max;
}

/* n: what the system calls said. New bytes; NULL with an exception, or, if n is not
 * positive, without. */
static inline PyObject *
fl_room_take(struct fl_room *room, ssize_t n)
{
    if (n <= 0) {
        Py_CLEAR(room->bytes);
        return NULL;
    }
    fl_receive_note(room->memory, room->sizes, (size_t)n);
    return room->bytes == NULL ? PyBytes_FromStringAndSize(room->start, n)
                               : fl_room_take_in_place(room, (size_t)n);
}

#endif
