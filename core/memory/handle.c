#include "memory/handle.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { SLOTS_PER_PAGE = 64, NO_SLOT = UINT32_MAX };

/* Slots are allocated in pages and never move: scopes link to them. */
typedef struct slot {
    fa_list in_scope; /* while live */
    fa_handle_table *table;
    const fa_handle_type *type;
    void *object;
    uint32_t index, generation;
    uint32_t next_free;
    bool live;
    fa_origin made_at, released_at;
    char label[40], owner[FA_LABEL_SIZE], reason[FA_REASON_SIZE];
} slot;

struct fa_handle_table {
    fa_scope *owner;
    uint32_t maximum, live;
    uint32_t slot_count, slot_limit;
    uint32_t
        first_generation; /* of every slot; differs from table to table, so that one's handles do not fit another */
    uint32_t free_head, free_tail; /* a queue: oldest first */
    slot **pages;
};

fa_handle_table *fa_handle_table_new(fa_scope *owner, uint32_t maximum)
{
    fa_handle_table *table = fa_scope_allocate(owner, sizeof(*table));
    if (table == NULL)
        return NULL;
    uint32_t pages = (maximum + SLOTS_PER_PAGE - 1) / SLOTS_PER_PAGE;
    table->pages = fa_scope_allocate(owner, pages * sizeof(slot *));
    if (table->pages == NULL) {
        fa_scope_free(owner, table);
        return NULL;
    }
    table->owner = owner;
    table->maximum = maximum;
    table->slot_limit = pages * SLOTS_PER_PAGE;
    table->first_generation = (uint32_t)((uintptr_t)table >> 4) * UINT32_C(2654435761);
    table->free_head = table->free_tail = NO_SLOT;
    return table;
}

static slot *slot_at(const fa_handle_table *table, uint32_t index)
{
    return &table->pages[index / SLOTS_PER_PAGE][index % SLOTS_PER_PAGE];
}

static void queue_free(fa_handle_table *table, slot *s)
{
    s->next_free = NO_SLOT;
    if (table->free_tail == NO_SLOT)
        table->free_head = s->index;
    else
        slot_at(table, table->free_tail)->next_free = s->index;
    table->free_tail = s->index;
}

static fa_result add_page(fa_handle_table *table)
{
    if (table->slot_count == table->slot_limit)
        return FA_FULL;
    slot *page = fa_scope_allocate(table->owner, SLOTS_PER_PAGE * sizeof(slot));
    if (page == NULL)
        return FA_NO_MEMORY;
    table->pages[table->slot_count / SLOTS_PER_PAGE] = page;
    for (uint32_t i = 0; i < SLOTS_PER_PAGE; ++i) {
        page[i].table = table;
        page[i].index = table->slot_count + i;
        page[i].generation = table->first_generation;
        fa_list_init(&page[i].in_scope);
        queue_free(table, &page[i]);
    }
    table->slot_count += SLOTS_PER_PAGE;
    return FA_OK;
}

static slot *take_free(fa_handle_table *table)
{
    slot *s = slot_at(table, table->free_head);
    table->free_head = s->next_free;
    if (table->free_head == NO_SLOT)
        table->free_tail = NO_SLOT;
    return s;
}

fa_result fa_handle_make(fa_handle_table *table, const fa_handle_type *type, void *object, fa_scope *scope,
                         const char *label, fa_origin made_at, fa_handle *handle)
{
    if (!fa_scope_live(scope))
        return FA_WRONG_STATE;
    if (table->live == table->maximum)
        return FA_FULL;
    /* Keep a page of stale slots before one is reused: the story of a late use is worth 16 KB. */
    if (table->slot_count - table->live < SLOTS_PER_PAGE) {
        fa_result result = add_page(table);
        if (result != FA_OK && table->free_head == NO_SLOT)
            return result;
    }
    slot *s = take_free(table);
    if (++s->generation == 0)
        s->generation = 1;
    s->type = type;
    s->object = object;
    s->live = true;
    s->made_at = made_at;
    s->released_at = (fa_origin){NULL, 0};
    s->reason[0] = '\0';
    snprintf(s->label, sizeof(s->label), "%s", label);
    snprintf(s->owner, sizeof(s->owner), "%s", fa_scope_label(scope));
    fa_list_append(fa_scope_handles(scope), &s->in_scope);
    table->live++;
    (*fa_ledger_handles(fa_scope_ledger(table->owner)))++;
    *handle = (fa_handle){s->index, s->generation};
    return FA_OK;
}

static slot *find_slot(const fa_handle_table *table, fa_handle handle)
{
    if (handle.generation == 0 || handle.index >= table->slot_count)
        return NULL;
    slot *s = slot_at(table, handle.index);
    return s->type != NULL ? s : NULL; /* without one it was never given out */
}

static void describe(const slot *s, char *out, size_t size)
{
    snprintf(out, size, "%s #%u '%s' of %s", s->type->name, (unsigned)s->index, s->label, s->owner);
}

static void tell_story(const slot *s, fa_error *error)
{
    char what[160];
    describe(s, what, sizeof(what));
    if (s->released_at.name != NULL)
        fa_fail(error, FA_INVALID, "%s: used after release (made at %s:%u, released at %s:%u)", what, s->made_at.name,
                (unsigned)s->made_at.line, s->released_at.name, (unsigned)s->released_at.line);
    else
        fa_fail(error, FA_INVALID, "%s: used after release (made at %s:%u, released when %s ended: %s)", what,
                s->made_at.name, (unsigned)s->made_at.line, s->owner, s->reason);
}

static slot *resolve(const fa_handle_table *table, fa_handle handle, const fa_handle_type *type, fa_error *error)
{
    slot *s = find_slot(table, handle);
    if (s == NULL) {
        fa_fail(error, FA_INVALID, "%s handle expected, got none", type->name);
        return NULL;
    }
    if (s->generation != handle.generation) {
        fa_fail(error, FA_INVALID, "%s #%u: used after release (its slot has been reused since)", type->name,
                (unsigned)handle.index);
        return NULL;
    }
    if (s->type != type) {
        fa_fail(error, FA_INVALID, "%s handle expected, got a %s", type->name, s->type->name);
        return NULL;
    }
    if (!s->live) {
        tell_story(s, error);
        return NULL;
    }
    return s;
}

void *fa_handle_resolve(fa_handle_table *table, fa_handle handle, const fa_handle_type *type, fa_error *error)
{
    slot *s = resolve(table, handle, type, error);
    return s != NULL ? s->object : NULL;
}

/* The slot is stale from here on; its story stays until it is reused. */
static void retire(slot *s)
{
    void *object = s->object;
    s->live = false;
    s->object = NULL;
    fa_list_remove(&s->in_scope);
    s->table->live--;
    (*fa_ledger_handles(fa_scope_ledger(s->table->owner)))--;
    queue_free(s->table, s);
    if (s->type->release != NULL)
        s->type->release(object);
}

fa_result fa_handle_release(fa_handle_table *table, fa_handle handle, const fa_handle_type *type, fa_origin released_at,
                            fa_error *error)
{
    slot *s = resolve(table, handle, type, error);
    if (s == NULL)
        return FA_INVALID;
    s->released_at = released_at;
    retire(s);
    return FA_OK;
}

fa_result fa_handle_move(fa_handle_table *table, fa_handle handle, const fa_handle_type *type, fa_scope *scope,
                         fa_error *error)
{
    slot *s = resolve(table, handle, type, error);
    if (s == NULL)
        return FA_INVALID;
    if (!fa_scope_live(scope))
        return fa_fail(error, FA_WRONG_STATE, "%s has ended", fa_scope_label(scope));
    fa_list_remove(&s->in_scope);
    fa_list_append(fa_scope_handles(scope), &s->in_scope);
    snprintf(s->owner, sizeof(s->owner), "%s", fa_scope_label(scope));
    return FA_OK;
}

void fa_handle_describe(fa_handle_table *table, fa_handle handle, char *out, size_t size)
{
    const slot *s = find_slot(table, handle);
    if (s == NULL || s->generation != handle.generation)
        snprintf(out, size, "handle #%u (released, its slot reused)", (unsigned)handle.index);
    else
        describe(s, out, size);
}

size_t fa_handles_end_scope(fa_scope *scope, const char *reason)
{
    size_t ended = 0;
    for (fa_list *node; (node = fa_list_first(fa_scope_handles(scope))) != NULL; ++ended) {
        slot *s = FA_OBJECT(node, slot, in_scope);
        snprintf(s->reason, sizeof(s->reason), "%s", reason);
        retire(s);
    }
    return ended;
}
