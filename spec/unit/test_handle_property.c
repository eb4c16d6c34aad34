/* core/memory: a million random operations on handles of every type, with a simple model beside them: whatever is done with a handle, in
 * whatever order, of whatever table, is either what the model says or an error with a story.
 *
 * FA_SEED=n repeats a run, FA_OPERATIONS=n makes it longer or shorter. */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>

#include "memory/buffer.h"
#include "memory/handle.h"

enum { SCOPES = 24, ITEMS = 300, TYPES = 4, TABLES = 2, BYTES = 64 };

static unsigned long long seed, random_state;
static unsigned releases[TYPES];

static unsigned pick(unsigned below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 11) % below);
}

static void release_buffer(void *object)
{
    fa_buffer_release(object);
    releases[0]++;
}

static void release_one(void *object)
{
    ++*(unsigned *)object;
}

static const fa_handle_type types[TYPES] = {
    {"buffer", release_buffer}, {"request", NULL}, {"turn", release_one}, {"scope", release_one}};

/* The model. */
typedef struct item {
    bool used, live;
    unsigned type, table, scope;
    fa_handle handle;
    void *object;
    bool sealed;
    size_t length;
    uint8_t bytes[BYTES];
} item;

typedef struct place {
    fa_scope *scope; /* NULL: ended */
    int parent;      /* -1: the table's own scope */
} place;

typedef struct world {
    fa_failing memory;
    fa_ledger *ledger;
    fa_scope *root;
    fa_handle_table *tables[TABLES];
    place places[SCOPES];
    item items[ITEMS];
    size_t live, stale_errors, successes;
} world;

static void end_place(world *w, unsigned number)
{
    for (unsigned i = 0; i < SCOPES; ++i) {
        if (w->places[i].scope != NULL && w->places[i].parent == (int)number && i != number)
            end_place(w, i);
    }
    fa_scope_end(w->places[number].scope, "property", NULL);
    w->places[number].scope = NULL;
    for (unsigned i = 0; i < ITEMS; ++i) {
        item *it = &w->items[i];
        if (it->used && it->live && it->scope == number) {
            it->live = false;
            w->live--;
        }
    }
}

static void begin_or_end_place(world *w)
{
    unsigned number = pick(SCOPES), above = pick(SCOPES);
    if (w->places[number].scope != NULL) {
        end_place(w, number);
        return;
    }
    bool top = w->places[above].scope == NULL;
    w->places[number].parent = top ? -1 : (int)above;
    assert_ok(fa_scope_new(w->ledger, top ? w->root : w->places[above].scope, FA_KIND_SCRIPT, 0, "place", FA_HERE,
                           &w->places[number].scope));
}

static int live_place(const world *w)
{
    unsigned from = pick(SCOPES);
    for (unsigned i = 0; i < SCOPES; ++i) {
        if (w->places[(from + i) % SCOPES].scope != NULL)
            return (int)((from + i) % SCOPES);
    }
    return -1;
}

static void record(world *w, unsigned type, unsigned table, unsigned scope, void *object, item model)
{
    item *it = &w->items[pick(ITEMS)];
    if (it->used && it->live) { /* the model forgets it only when it is gone */
        assert_ok(fa_handle_release(w->tables[it->table], it->handle, &types[it->type], FA_HERE, NULL));
        w->live--;
    }
    *it = model;
    it->used = it->live = true;
    it->type = type;
    it->table = table;
    it->scope = scope;
    it->object = object;
    fa_result result =
        fa_handle_make(w->tables[table], &types[type], object, w->places[scope].scope, "thing", FA_HERE, &it->handle);
    assert_ok(result);
    w->live++;
}

static unsigned counted[TYPES];

static void make_item(world *w)
{
    int scope = live_place(w);
    unsigned type = pick(TYPES), table = pick(TABLES);
    if (scope < 0)
        return;
    void *object = &counted[type];
    if (type == 0)
        assert_ok(fa_buffer_new(w->places[scope].scope, pick(2) * 16, "thing", FA_HERE, (fa_buffer **)&object));
    record(w, type, table, (unsigned)scope, object, (item){.length = 0});
}

/* Any handle at all: a known one, perhaps stale, perhaps asked in another table or as another type, perhaps made up. */
static item *resolve_any(world *w, fa_buffer **buffer)
{
    fa_error error;
    item *it = &w->items[pick(ITEMS)];
    unsigned type = pick(8) == 0 ? pick(TYPES) : it->type, table = pick(8) == 0 ? pick(TABLES) : it->table;
    fa_handle handle = it->used ? it->handle : (fa_handle){pick(70000), pick(UINT32_MAX)};
    bool forged = pick(16) == 0;
    if (forged)
        handle.generation ^= 1 + pick(1000);
    bool good = it->used && it->live && !forged && type == it->type && table == it->table;
    strcpy(error.text, "");
    void *object = fa_handle_resolve(w->tables[table], handle, &types[type], &error);
    if (!good) {
        if (forged || !it->used ||
            table != it->table) { /* it may hit another live one: that is what made it up wanted */
            if (object != NULL)
                return NULL;
        }
        assert_null(object);
        if (strstr(error.text, "used after release") == NULL && strstr(error.text, "handle expected") == NULL)
            fail_msg("no story: %s", error.text);
        if (pick(4) == 0)
            assert_int_equal(fa_handle_release(w->tables[table], handle, &types[type], FA_HERE, &error), FA_INVALID);
        w->stale_errors++;
        return NULL;
    }
    assert_ptr_equal(object, it->object);
    w->successes++;
    *buffer = type == 0 ? object : NULL;
    return it;
}

static void release_item(world *w, item *it)
{
    fa_error error;
    assert_ok(fa_handle_release(w->tables[it->table], it->handle, &types[it->type], FA_HERE, NULL));
    assert_int_equal(fa_handle_release(w->tables[it->table], it->handle, &types[it->type], FA_HERE, &error),
                     FA_INVALID);
    assert_non_null(strstr(error.text, "released at "));
    it->live = false;
    w->live--;
}

static void move_item(world *w, item *it, fa_buffer *buffer)
{
    int to = live_place(w);
    fa_result adopted = buffer != NULL ? fa_buffer_adopt(w->places[to].scope, buffer) : FA_OK;
    if (adopted != FA_OK) {
        assert_int_equal(adopted, FA_WRONG_STATE); /* slices show it */
        return;
    }
    assert_ok(fa_handle_move(w->tables[it->table], it->handle, &types[it->type], w->places[to].scope, NULL));
    it->scope = (unsigned)to;
}

static void append_to(item *it, fa_buffer *buffer)
{
    uint8_t bytes[8];
    unsigned count = pick(9);
    memset(bytes, (int)pick(256), sizeof(bytes));
    if (it->length + count > BYTES)
        return;
    assert_int_equal(fa_buffer_append(buffer, bytes, count), it->sealed ? FA_WRONG_STATE : FA_OK);
    if (it->sealed)
        return;
    memcpy(it->bytes + it->length, bytes, count);
    it->length += count;
}

static void slice_of(world *w, const item *it, fa_buffer *buffer)
{
    fa_buffer *slice;
    int scope = live_place(w);
    size_t offset = pick((unsigned)it->length + 2), length = pick((unsigned)it->length + 2);
    fa_result result = fa_buffer_slice(w->places[scope].scope, buffer, offset, length, FA_HERE, &slice);
    if (!it->sealed || offset + length > it->length) {
        assert_int_equal(result, it->sealed ? FA_INVALID : FA_WRONG_STATE);
        return;
    }
    assert_ok(result);
    item model = {.sealed = true, .length = length};
    memcpy(model.bytes, it->bytes + offset, length);
    record(w, 0, pick(TABLES), (unsigned)scope, slice, model);
}

static void use_item(world *w)
{
    fa_buffer *buffer = NULL;
    item *it = resolve_any(w, &buffer);
    unsigned what = pick(16);
    if (it == NULL)
        return;
    if (what == 0)
        release_item(w, it);
    else if (what == 1)
        move_item(w, it, buffer);
    else if (buffer != NULL && what < 8)
        append_to(it, buffer);
    else if (buffer != NULL && what < 10)
        slice_of(w, it, buffer);
    else if (buffer != NULL && what == 10) {
        fa_buffer_seal(buffer);
        it->sealed = true;
    } else if (buffer != NULL) {
        assert_int_equal(fa_buffer_length(buffer), it->length);
        if (it->length > 0)
            assert_memory_equal(fa_buffer_data(buffer), it->bytes, it->length);
        if (it->sealed && what == 11) { /* released in flight: the bytes stay until the lease comes back */
            assert_ok(fa_buffer_lease(buffer));
            release_item(w, it);
            if (it->length > 0)
                assert_memory_equal(fa_buffer_data(buffer), it->bytes, it->length);
            fa_buffer_return(buffer);
        }
    }
}

static unsigned long operations(unsigned long usual)
{
    const char *wanted = getenv("FA_OPERATIONS");
    return wanted != NULL ? strtoul(wanted, NULL, 10) : usual;
}

static void a_value_or_a_story(void **state)
{
    const char *given = getenv("FA_SEED");
    (void)state;
    world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    seed = given != NULL ? strtoull(given, NULL, 10) : 20261124;
    random_state = seed * 2 + 1;
    print_message("FA_SEED=%llu\n", seed);
    w->ledger = fa_test_ledger(&w->memory);
    assert_ok(fa_scope_new(w->ledger, NULL, FA_KIND_WORKER, 0, "worker", FA_HERE, &w->root));
    for (int i = 0; i < TABLES; ++i)
        assert_non_null(w->tables[i] = fa_handle_table_new(w->root, 1000));
    size_t at_rest = fa_ledger_bytes(w->ledger);
    for (unsigned long i = operations(1000000); i > 0; --i) {
        unsigned what = pick(64);
        if (what == 0)
            begin_or_end_place(w);
        else if (what < 12)
            make_item(w);
        else
            use_item(w);
        if (i % 4096 == 0)
            assert_int_equal(*fa_ledger_handles(w->ledger), w->live);
    }
    assert_true(w->stale_errors > 0 && w->successes > 0);
    for (unsigned i = 0; i < SCOPES; ++i) {
        if (w->places[i].scope != NULL)
            end_place(w, i);
    }
    assert_int_equal(w->live, 0);
    assert_int_equal(*fa_ledger_handles(w->ledger), 0);
    assert_int_equal(fa_ledger_in_flight(w->ledger), 0);
    assert_int_equal(fa_ledger_bytes(w->ledger), at_rest);
    print_message("%zu values, %zu stories, %u buffers released\n", w->successes, w->stale_errors, releases[0]);
    fa_scope_end(w->root, "test", NULL);
    fa_test_ledger_free(&w->memory, w->ledger);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_value_or_a_story)};
    return cmocka_run_group_tests_name("handles: property", tests, NULL, NULL);
}
