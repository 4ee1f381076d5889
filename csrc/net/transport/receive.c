/* Where a receive puts its bytes. */
#include "net/transport/receive.h"

#include <stdlib.h>

#define PAGE_BYTES 4096

void *
fl_receive_buffer(LoopObject *loop)
{
    if (loop->receive_buffer == NULL &&
        posix_memalign(&loop->receive_buffer, PAGE_BYTES, FL_RECEIVE_MAX) != 0) {
        loop->receive_buffer = NULL;
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
