#include "memory/handle.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "memory/census.h"

/* KEPT_PAGES are made with the table and stay: the stories of the last thousand late uses, and a table that stands where it
 * stood once nothing is alive. */
enum { SLOTS_PER_PAGE = 64, KEPT_PAGES = 16 };

typedef struct slot {
    fa_list link; /* while live: in its scope; else among the free ones, oldest first */
    struct page *page;
    const fa_handle_type *type;
    void *object;
    uint32_t index, generation;
    bool live;
    fa_origin made_at, released_at;
    bool ended; /* with its scope, for `reason`, and not by itself */
    char label[40], owner[FA_LABEL_SIZE], reason[FA_REASON_SIZE];
} slot;

/* Slots never move: scopes link to them. */
typedef struct page {
    fa_handle_table *table;
    uint32_t number, live;
    slot slots[SLOTS_PER_PAGE];
} page;

struct fa_handle_table {
    fa_scope *owner;
    uint32_t maximum, live, free_count;
    uint32_t
        last_generation; /* given out; starts differently from table to table, so that one's handles do not fit another */
    fa_list free;        /* oldest first */
    uint32_t page_limit;
    page **pages; /* NULL where there is none (any more) */
    fa_locator locator;
};

static fa_result add_page(fa_handle_table *table, uint32_t number)
{
    page *fresh = fa_scope_allocate(table->owner, sizeof(*fresh));
    if (fresh == NULL)
        return FA_NO_MEMORY;
    fresh->table = table;
    fresh->number = number;
    for (uint32_t i = SLOTS_PER_PAGE; i-- > 0;) { /* at the front: a page is used from its first moment on */
        fresh->slots[i].page = fresh;
        fresh->slots[i].index = number * SLOTS_PER_PAGE + i;
        fa_list_prepend(&table->free, &fresh->slots[i].link);
    }
    table->pages[number] = fresh;
    table->free_count += SLOTS_PER_PAGE;
    return FA_OK;
}

static fa_result add_any_page(fa_handle_table *table)
{
    for (uint32_t number = KEPT_PAGES; number < table->page_limit; ++number) {
        if (table->pages[number] == NULL)
            return add_page(table, number);
    }
    return FA_FULL;
}

/* A page beyond those that are kept goes with its last live handle. */
static void drop_page(page *old)
{
    fa_handle_table *table = old->table;
    for (uint32_t i = 0; i < SLOTS_PER_PAGE; ++i)
        fa_list_remove(&old->slots[i].link);
    table->free_count -= SLOTS_PER_PAGE;
    table->pages[old->number] = NULL;
    fa_scope_free(table->owner, old);
}

fa_handle_table *fa_handle_table_new(fa_scope *owner, uint32_t maximum)
{
    fa_handle_table *table = fa_scope_allocate(owner, sizeof(*table));
    if (table == NULL)
        return NULL;
    table->owner = owner;
    table->maximum = maximum;
    table->page_limit = (maximum + SLOTS_PER_PAGE - 1) / SLOTS_PER_PAGE;
    table->last_generation = (uint32_t)((uintptr_t)table >> 4) * UINT32_C(2654435761);
    fa_list_init(&table->free);
    table->pages = fa_scope_allocate(owner, table->page_limit * sizeof(page *));
    fa_result result = table->pages != NULL ? FA_OK : FA_NO_MEMORY;
    for (uint32_t i = table->page_limit < KEPT_PAGES ? table->page_limit : KEPT_PAGES; result == FA_OK && i > 0; --i)
        result = add_page(table, i - 1);
    if (result == FA_OK)
        return table;
    for (uint32_t i = 0; table->pages != NULL && i < table->page_limit; ++i)
        fa_scope_free(owner, table->pages[i]);
    fa_scope_free(owner, table->pages);
    fa_scope_free(owner, table);
    return NULL;
}

static slot *take_free(fa_handle_table *table)
{
    slot *s = FA_OBJECT(fa_list_first(&table->free), slot, link);
    fa_list_remove(&s->link);
    table->free_count--;
    if (++table->last_generation == 0)
        table->last_generation = 1;
    s->generation = table->last_generation;
    return s;
}

fa_locator fa_handle_table_locate(fa_handle_table *table, fa_locator locator)
{
    fa_locator before = table->locator;
    table->locator = locator;
    return before;
}

fa_result fa_handle_make(fa_handle_table *table, const fa_handle_type *type, void *object, fa_scope *scope,
                         const char *label, fa_origin made_at, fa_handle *handle)
{
    if (!fa_scope_live(scope))
        return FA_WRONG_STATE;
    if (table->live == table->maximum)
        return FA_FULL;
    /* Keep a page of stale slots before one is reused: the story of a late use is worth 16 KB. */
    if (table->free_count < SLOTS_PER_PAGE) {
        fa_result result = add_any_page(table);
        if (result != FA_OK && table->free_count == 0)
            return result;
    }
    slot *s = take_free(table);
    s->type = type;
    s->object = object;
    s->live = true;
    s->made_at = made_at;
    s->released_at = (fa_origin){NULL, 0};
    s->ended = false;
    fa_label_copy(s->label, sizeof(s->label), label);
    fa_label_copy(s->owner, sizeof(s->owner), fa_scope_label(scope));
    fa_list_append(fa_scope_handles(scope), &s->link);
    s->page->live++;
    table->live++;
    (*fa_ledger_handles(fa_scope_ledger(table->owner)))++;
    *handle = (fa_handle){s->index, s->generation};
    return FA_OK;
}

/* The slot while it tells of this handle; NULL when it tells of another one since, or of none. */
static slot *find_slot(const fa_handle_table *table, fa_handle handle)
{
    uint32_t number = handle.index / SLOTS_PER_PAGE;
    if (number >= table->page_limit || table->pages[number] == NULL)
        return NULL;
    slot *s = &table->pages[number]->slots[handle.index % SLOTS_PER_PAGE];
    return s->generation == handle.generation && handle.generation != 0 ? s : NULL;
}

static void describe(const slot *s, char *out, size_t size)
{
    snprintf(out, size, "%s #%u '%s' of %s", s->type->name, (unsigned)s->index, s->label, s->owner);
}

static void tell_story(const slot *s, fa_error *error)
{
    char what[160], made[80], released[80];
    char where[90] = "";
    describe(s, what, sizeof(what));
    fa_origin_text(s->made_at, made, sizeof(made));
    if (s->released_at.name != NULL)
        snprintf(where, sizeof(where), " at %s", fa_origin_text(s->released_at, released, sizeof(released)));
    if (s->ended)
        fa_fail(error, FA_INVALID, "%s: used after release (made at %s, released when %s ended%s: %s)", what, made,
                s->owner, where, s->reason);
    else
        fa_fail(error, FA_INVALID, "%s: used after release (made at %s, released%s)", what, made, where);
}

static slot *resolve(const fa_handle_table *table, fa_handle handle, const fa_handle_type *type, fa_error *error)
{
    slot *s = find_slot(table, handle);
    if (s == NULL && (handle.generation == 0 || handle.index / SLOTS_PER_PAGE >= table->page_limit)) {
        fa_fail(error, FA_INVALID, "%s handle expected, got none", type->name);
        return NULL;
    }
    if (s == NULL) {
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
static void forget(slot *s)
{
    page *home = s->page;
    fa_handle_table *table = home->table;
    s->live = false;
    s->object = NULL;
    fa_list_remove(&s->link);
    fa_list_append(&table->free, &s->link);
    table->free_count++;
    table->live--;
    (*fa_ledger_handles(fa_scope_ledger(table->owner)))--;
    if (--home->live == 0 && home->number >= KEPT_PAGES)
        drop_page(home);
}

static void retire(slot *s)
{
    const fa_handle_type *type = s->type;
    void *object = s->object;
    forget(s);
    if (type->release != NULL)
        type->release(object);
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

fa_result fa_handle_give_up(fa_handle_table *table, fa_handle handle, const fa_handle_type *type, fa_origin given_at,
                            fa_error *error)
{
    slot *s = resolve(table, handle, type, error);
    if (s == NULL)
        return FA_INVALID;
    s->released_at = given_at;
    forget(s);
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
    fa_list_remove(&s->link);
    fa_list_append(fa_scope_handles(scope), &s->link);
    fa_label_copy(s->owner, sizeof(s->owner), fa_scope_label(scope));
    return FA_OK;
}

void fa_handle_describe(fa_handle_table *table, fa_handle handle, char *out, size_t size)
{
    const slot *s = find_slot(table, handle);
    if (s == NULL)
        snprintf(out, size, "handle #%u (released, its slot reused)", (unsigned)handle.index);
    else
        describe(s, out, size);
}

fa_origin fa_handle_look(fa_list *node, char *out, size_t size)
{
    const slot *s = FA_OBJECT(node, slot, link);
    describe(s, out, size);
    return s->made_at;
}

size_t fa_handles_end_scope(fa_scope *scope, const char *reason)
{
    size_t ended = 0;
    fa_origin at = fa_scope_ended_at(scope);
    for (fa_list *node; (node = fa_list_first(fa_scope_handles(scope))) != NULL; ++ended) {
        slot *s = FA_OBJECT(node, slot, link);
        const fa_locator *locator = &s->page->table->locator;
        if (at.name == NULL && locator->locate != NULL)
            at = locator->locate(locator->context);
        s->ended = true;
        s->released_at = at;
        fa_label_copy(s->reason, sizeof(s->reason), reason);
        retire(s);
    }
    return ended;
}
