#include "base/fd_table.h"

#include "check.h"

#include <errno.h>

static struct fl_fd_table table;
static int pointed_to;

CASE(an_empty_table_has_nothing_at_any_number)
{
    CHECK(fl_fd_table_find(&table, -1) == NULL);
    CHECK(fl_fd_table_find(&table, 0) == NULL);
    CHECK(fl_fd_table_find(&table, 1 << 30) == NULL);
}

CASE(what_is_in_stays_while_it_grows)
{
    CHECK(fl_fd_table_reserve(&table, 3) == 0);
    CHECK(fl_fd_table_find(&table, 3) == NULL);
    table.slots[3] = &pointed_to;
    CHECK(fl_fd_table_reserve(&table, 5000) == 0);
    CHECK(fl_fd_table_find(&table, 3) == &pointed_to);
    for (int fd = 4; fd <= 5001; fd++) {
        CHECK(fl_fd_table_find(&table, fd) == NULL);
    }
    fl_fd_table_deinit(&table);
    CHECK(fl_fd_table_find(&table, 3) == NULL);
}

CASE(without_memory_it_stays_as_it_was)
{
    CHECK(fl_fd_table_reserve(&table, 0) == 0);
    table.slots[0] = &pointed_to;
    size_t size = table.size;
    fault_inject(FAULT_ALLOC, 0, ENOMEM);
    CHECK(fl_fd_table_reserve(&table, (int)size) == -ENOMEM);
    CHECK(table.size == size && fl_fd_table_find(&table, 0) == &pointed_to);
    fl_fd_table_deinit(&table);
}
