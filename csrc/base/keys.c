/* Keys: which small number a word, with some more, has been given. */
#include "base/keys.h"

#include "base/fault.h"

#include <errno.h>
#include <stdlib.h>

#define CAPACITY 64 /* to begin with */

/* 0 or -ENOMEM. */
static FL_SLOW int
grow_keys(struct fl_keys *keys)
{
    size_t capacity = keys->slots == NULL ? CAPACITY : 2 * (keys->mask + 1);
    struct fl_keys larger = {
        .slots = calloc(capacity, sizeof(struct fl_key)),
        .mask = capacity - 1,
        .count = keys->count,
    };
    if (larger.slots == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; keys->slots != NULL && i <= keys->mask; i++) {
        const struct fl_key *key = &keys->slots[i];
        if (key->number != 0) {
            *fl_keys_place(&larger, key->word, key->more) = *key;
        }
    }
    free(keys->slots);
    *keys = larger;
    return 0;
}

int
fl_keys_put(struct fl_keys *keys, uintptr_t word, uint32_t more, uint32_t number)
{
    /* at most half full, so that what is not in is soon found not to be */
    if ((keys->slots == NULL || 2 * (keys->count + 1) > keys->mask) &&
        grow_keys(keys) < 0) {
        return -ENOMEM;
    }
    struct fl_key *place = fl_keys_place(keys, word, more);
    keys->count += place->number == 0;
    *place = (struct fl_key){word, more, number};
    return 0;
}

void
fl_keys_deinit(struct fl_keys *keys)
{
    free(keys->slots);
    *keys = (struct fl_keys){0};
}
