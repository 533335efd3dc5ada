/* Lists: doubly linked, intrusive, circular with a head node.
 *
 * Embed a `struct list` in the thing; LIST_ITEM gets back from the node to the
 * thing. A node that is in no list points to itself (list_init), so removing
 * twice is harmless. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

static inline void list_init(struct list *l)
{
    l->prev = l->next = l;
}
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}
static inline void list_remove(struct list *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}
/* At the end of the list whose head is `l`. */
static inline void list_push(struct list *l, struct list *n)
{
    n->prev = l->prev;
    n->next = l;
    l->prev->next = n;
    l->prev = n;
}
/* The first node, taken out; NULL if the list is empty. */
static inline struct list *list_pop(struct list *l)
{
    struct list *n = l->next;
    if (n == l)
        return NULL;
    list_remove(n);
    return n;
}

#define LIST_ITEM(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))
/* `next` is read before the body runs: the body may remove `it`. */
#define LIST_EACH(it, head)                                                                        \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)
