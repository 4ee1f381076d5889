/* Intrusive doubly linked list.
 *
 * A list is a ring of nodes with the head as its sentinel. A node that is in no
 * list points to itself, so unlinking twice is harmless. The list owns nothing: each
 * says where it is declared who may still be in it and who takes it out. Where what it
 * links has references, one that has none left may be in it still, and is passed over.
 */
#ifndef FASTLOOP_BASE_LIST_H
#define FASTLOOP_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct fl_list {
    struct fl_list *prev;
    struct fl_list *next;
};

#define FL_CONTAINER_OF(ptr, type, member) \
    ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static inline void
fl_list_init(struct fl_list *node)
{
    node->prev = node;
    node->next = node;
}

static inline bool
fl_list_empty(const struct fl_list *head)
{
    return head->next == head;
}

/* Link node in front of head, that is at the list's end. */
static inline void
fl_list_append(struct fl_list *head, struct fl_list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void
fl_list_unlink(struct fl_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    fl_list_init(node);
}

#endif
