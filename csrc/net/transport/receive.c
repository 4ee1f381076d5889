/* Where a receive puts its bytes. */
#include "net/transport/receive.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define PAGE_BYTES 4096

/* glibc gives freed memory back to the kernel from 128 KiB on, at once, until a larger
 * block was freed: then what is smaller stays (mallopt(3), M_MMAP_THRESHOLD). What
 * comes in long is freed again soon, and a StreamReader's buffer whenever it is empty:
 * 512 MiB by readexactly(65536) cost 128,000 page faults and 1,180 ms, after this 330
 * and 390 (Python 3.11). */
static void
keep_freed_memory(void)
{
    void *volatile block = malloc(4 * FL_RECEIVE_MAX);
    free(block);
}

void *
fl_receive_buffer(LoopObject *loop)
{
    if (loop->receive_buffer == NULL) {
        keep_freed_memory();
        if (posix_memalign(&loop->receive_buffer, PAGE_BYTES, FL_RECEIVE_MAX) != 0) {
            loop->receive_buffer = NULL;
        }
    }
    return loop->receive_buffer;
}

bool
fl_room_open_in_place(struct fl_room *room, size_t size)
{
    room->bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (room->bytes == NULL) {
        return false;
    }
    room->start = PyBytes_AS_STRING(room->bytes);
    room->size = size;
    return true;
}

bool
fl_room_widen(struct fl_room *room, int fd, size_t max)
{
    /* A receive that finds nothing may take an error from the socket, and lose it. */
    int waiting = 0;
    if (ioctl(fd, FIONREAD, &waiting) < 0 || waiting <= 0) {
        return false;
    }
    struct fl_room wide = *room;
    size_t rest = max - room->size;
    if (!fl_room_open_in_place(
            &wide, room->size + ((size_t)waiting < rest ? (size_t)waiting : rest)
        )) {
        PyErr_Clear(); /* it comes with the next event */
        return false;
    }
    memcpy(wide.start, room->start, room->size);
    Py_DECREF(room->bytes);
    *room = wide;
    return true;
}

PyObject *
fl_room_take_in_place(struct fl_room *room, size_t n)
{
    PyObject *data = room->bytes;
    room->bytes = NULL;
    if (n < room->size) {
        _PyBytes_Resize(&data, (Py_ssize_t)n);
    }
    return data;
}
