/* Pointers by file descriptor. */
#include "base/fd_table.h"

#include "base/fault.h"

#include <errno.h>
#include <stdlib.h>

#define SIZE_MIN 64u

int
fl_fd_table_reserve(struct fl_fd_table *table, int fd)
{
    if ((size_t)fd < table->size) {
        return 0;
    }
    size_t size = table->size > 0 ? table->size : SIZE_MIN;
    while (size <= (size_t)fd) {
        size *= 2;
    }
    void **slots = (void **)realloc((void *)table->slots, size * sizeof(void *));
    if (slots == NULL) {
        return -ENOMEM;
    }
    for (size_t i = table->size; i < size; i++) {
        slots[i] = NULL;
    }
    table->slots = slots;
    table->size = size;
    return 0;
}

void
fl_fd_table_deinit(struct fl_fd_table *table)
{
    free((void *)table->slots);
    *table = (struct fl_fd_table){NULL, 0};
}
