#include "base/keys.h"

#include "check.h"

#include <errno.h>

static struct fl_keys keys;

CASE(an_empty_table_has_none)
{
    CHECK(fl_keys_find(&keys, 8, 0) == 0);
    fl_keys_deinit(&keys);
    CHECK(fl_keys_find(&keys, 8, 0) == 0);
}

CASE(each_key_has_its_number_while_it_grows)
{
    for (uint32_t i = 1; i <= 5000; i++) {
        CHECK(fl_keys_put(&keys, (uintptr_t)i * 16, i % 3, i) == 0);
    }
    CHECK(keys.count == 5000);
    for (uint32_t i = 1; i <= 5000; i++) {
        CHECK(fl_keys_find(&keys, (uintptr_t)i * 16, i % 3) == i);
        CHECK(fl_keys_find(&keys, (uintptr_t)i * 16, 3) == 0);
    }
    fl_keys_deinit(&keys);
}

CASE(a_key_that_is_put_again_has_the_new_number)
{
    CHECK(fl_keys_put(&keys, 64, 7, 1) == 0);
    CHECK(fl_keys_put(&keys, 64, 8, 2) == 0);
    CHECK(fl_keys_put(&keys, 64, 7, 3) == 0);
    CHECK(keys.count == 2);
    CHECK(fl_keys_find(&keys, 64, 7) == 3);
    CHECK(fl_keys_find(&keys, 64, 8) == 2);
    fl_keys_deinit(&keys);
}
