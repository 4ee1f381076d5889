/* Pointers by file descriptor: an array that grows to the highest number put in.
 *
 * Numbers are dense, since the kernel gives out the lowest that is free. All zero is
 * an empty table. It owns nothing that its pointers point to.
 */
#ifndef FASTLOOP_BASE_FD_TABLE_H
#define FASTLOOP_BASE_FD_TABLE_H

#include <stddef.h>

struct fl_fd_table {
    void **slots;
    size_t size;
};

/* Makes slots[fd], which is NULL if it is new. fd: not negative. 0 or -ENOMEM. */
int fl_fd_table_reserve(struct fl_fd_table *table, int fd);

/* Forgets everything; it may be used again. */
void fl_fd_table_deinit(struct fl_fd_table *table);

/* The pointer at fd, any number, or NULL. */
static inline void *
fl_fd_table_find(const struct fl_fd_table *table, int fd)
{
    return fd < 0 || (size_t)fd >= table->size ? NULL : table->slots[fd];
}

#endif
