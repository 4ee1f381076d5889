/* Keys: which small number a word, with some more, has been given.
 *
 * A table with open addressing that only grows. The words are whatever the owner makes
 * them; a key that is put again gets its new number. Numbers begin at 1.
 *
 * One thread at a time.
 */
#ifndef FASTLOOP_BASE_KEYS_H
#define FASTLOOP_BASE_KEYS_H

#include "base/hot.h"

#include <stddef.h>
#include <stdint.h>

struct fl_key {
    uintptr_t word;
    uint32_t more;
    uint32_t number; /* 0: the place is empty */
};

/* Zeroed, it holds none. */
struct fl_keys {
    struct fl_key *slots;
    size_t mask; /* capacity - 1, if there are slots */
    size_t count;
};

/* Where the key is, or the empty place for it. The table has slots. */
static inline struct fl_key *
fl_keys_place(const struct fl_keys *keys, uintptr_t word, uint32_t more)
{
    /* the low bits of a pointer say nothing */
    uint64_t hash = ((uint64_t)word >> 3u) + ((uint64_t)more << 40u);
    hash = (hash ^ more) * 0x9E3779B97F4A7C15u;
    size_t at = (size_t)(hash >> 32u) & keys->mask;
    while (keys->slots[at].number != 0 &&
           (keys->slots[at].word != word || keys->slots[at].more != more)) {
        at = (at + 1) & keys->mask;
    }
    return &keys->slots[at];
}

/* The key's number, or 0. */
static inline uint32_t
fl_keys_find(const struct fl_keys *keys, uintptr_t word, uint32_t more)
{
    return keys->slots == NULL ? 0 : fl_keys_place(keys, word, more)->number;
}

/* 0, or -ENOMEM with nothing changed. number: not 0. */
int fl_keys_put(struct fl_keys *keys, uintptr_t word, uint32_t more, uint32_t number);

/* Forgets them all. */
void fl_keys_deinit(struct fl_keys *keys);

#endif
