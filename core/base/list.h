/* An intrusive doubly linked list: the node lies in the object, so linking can never fail. An unlinked node points at
 * itself. Not synchronised: whoever owns the list guards it. */
#ifndef FA_BASE_LIST_H
#define FA_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct fa_list {
    struct fa_list *next, *prev;
} fa_list;

/* The object in which `node` lies as `member`. */
#define FA_OBJECT(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Walks the list; `it` must not be unlinked inside (pop from the head in a while loop for that). */
#define FA_LIST_EACH(it, head) for (fa_list *it = (head)->next; it != (head); it = it->next)

static inline void fa_list_init(fa_list *node)
{
    node->next = node->prev = node;
}

static inline bool fa_list_empty(const fa_list *head)
{
    return head->next == head;
}

static inline void fa_list_insert_after(fa_list *at, fa_list *node)
{
    node->prev = at;
    node->next = at->next;
    at->next->prev = node;
    at->next = node;
}

static inline void fa_list_append(fa_list *head, fa_list *node)
{
    fa_list_insert_after(head->prev, node);
}

static inline void fa_list_prepend(fa_list *head, fa_list *node)
{
    fa_list_insert_after(head, node);
}

/* Harmless on a node that is not linked. */
static inline void fa_list_remove(fa_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    fa_list_init(node);
}

/* NULL when empty. */
static inline fa_list *fa_list_first(const fa_list *head)
{
    return fa_list_empty(head) ? NULL : head->next;
}

#endif
