/* The inventory: what is alive, one by one, and the line that made it. The census (census.h) adds up; this one names.
 *
 * For whoever asks what is left: a test at its end, and the analysis of a quiet server. Fixed size, takes no memory: what does not fit
 * is only counted. Texts that it points to are static or interned and live as long as the ledger. Thread: that of the tree.
 */
#ifndef FA_MEMORY_INVENTORY_H
#define FA_MEMORY_INVENTORY_H

#include "memory/scope.h"

enum { FA_INVENTORY_ITEMS = 32, FA_ITEM_NAME_SIZE = 128 };

typedef struct fa_item {
    const char *what;             /* "scope", "buffer", "handle", "timer", "task", "job" */
    char name[FA_ITEM_NAME_SIZE]; /* "turn 2 of vd-…"; "'tts chunk 3' of turn 2 of vd-…" */
    fa_kind kind;                 /* of the scope that it is or belongs to */
    unsigned worker;
    size_t bytes; /* a scope's own, its buffers included; 0 for what is not counted by itself */
    fa_origin at; /* where it was made; of a task: where it waits */
} fa_item;

typedef struct fa_inventory {
    size_t count; /* all that there is */
    fa_item items[FA_INVENTORY_ITEMS];
} fa_inventory;

/* Adds to an inventory (zeroed before the first). item: copied. */
void fa_inventory_add(fa_inventory *inventory, const fa_item *item);

/* Adds the scopes of a tree, their buffers and their handles. except: a scope to leave out with all below it, or NULL. lasting: also
 * the scopes that live as long as the server (fa_kind_lasts) and their buffers; their handles are told in any case. */
void fa_inventory_take(fa_inventory *inventory, fa_scope *root, const fa_scope *except, bool lasting, unsigned worker);

void fa_inventory_merge(fa_inventory *into, const fa_inventory *from);

/* Whether `scope` is `above` or hangs from it. above: NULL for none. */
bool fa_scope_within(const fa_scope *scope, const fa_scope *above);

/* "buffer 'event 1.2 words' of dialogue vd-…, 320 bytes, made at core/dialogue/event_log.c:201". Returns `out`. */
char *fa_item_text(const fa_item *item, char *out, size_t size);

#endif
