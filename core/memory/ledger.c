#include "memory/ledger.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "memory/attributed.h"

enum { MAX_NAMES = 1024 };

struct fa_ledger {
    fa_allocator allocator;
    fa_clock *clock; /* NULL: real time */
    fa_kind_counters kinds[FA_KIND_COUNT];
    _Atomic size_t handles;
    _Atomic size_t mapped, mapped_limit;
    fa_attributed_sources attributed;
    pthread_mutex_t names_lock; /* guards all below */
    fa_list roots;
    size_t name_count;
    char *names[MAX_NAMES];
};

const char *fa_kind_name(fa_kind kind)
{
    static const char *const names[FA_KIND_COUNT] = {"server",     "worker",   "plugin",   "cache",
                                                     "connection", "request",  "dialogue", "turn",
                                                     "listener",   "transfer", "job",      "script"};
    return names[kind];
}

static void *system_allocate(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void *system_resize(void *context, void *block, size_t size)
{
    (void)context;
    return realloc(block, size);
}

static void system_release(void *context, void *block)
{
    (void)context;
    free(block);
}

fa_ledger *fa_ledger_new(const fa_allocator *allocator)
{
    static const fa_allocator system = {system_allocate, system_resize, system_release, NULL};
    if (allocator == NULL)
        allocator = &system;
    fa_ledger *ledger = allocator->allocate(allocator->context, sizeof(*ledger));
    if (ledger == NULL)
        return NULL;
    memset(ledger, 0, sizeof(*ledger));
    ledger->allocator = *allocator;
    pthread_mutex_init(&ledger->names_lock, NULL);
    fa_list_init(&ledger->roots);
    pthread_mutex_init(&ledger->attributed.lock, NULL);
    fa_list_init(&ledger->attributed.list);
    return ledger;
}

void fa_ledger_free(fa_ledger *ledger)
{
    if (ledger == NULL)
        return;
    for (size_t i = 0; i < ledger->name_count; ++i)
        fa_ledger_release(ledger, ledger->names[i]);
    pthread_mutex_destroy(&ledger->names_lock);
    pthread_mutex_destroy(&ledger->attributed.lock);
    ledger->allocator.release(ledger->allocator.context, ledger);
}

void fa_ledger_set_clock(fa_ledger *ledger, fa_clock *clock)
{
    ledger->clock = clock;
}

fa_clock *fa_ledger_clock(const fa_ledger *ledger)
{
    return ledger->clock;
}

void *fa_ledger_allocate(fa_ledger *ledger, size_t size)
{
    return ledger->allocator.allocate(ledger->allocator.context, size);
}

void *fa_ledger_resize(fa_ledger *ledger, void *block, size_t size)
{
    return ledger->allocator.resize(ledger->allocator.context, block, size);
}

void fa_ledger_release(fa_ledger *ledger, void *block)
{
    ledger->allocator.release(ledger->allocator.context, block);
}

fa_kind_counters *fa_ledger_kind(fa_ledger *ledger, fa_kind kind)
{
    return &ledger->kinds[kind];
}

void fa_ledger_limit(fa_ledger *ledger, fa_kind kind, size_t bytes)
{
    ledger->kinds[kind].budget = bytes;
}

size_t fa_ledger_room(fa_ledger *ledger, fa_kind kind)
{
    const fa_kind_counters *counters = &ledger->kinds[kind];
    size_t budget = counters->budget, bytes = counters->bytes;
    if (budget == 0)
        return SIZE_MAX;
    return bytes < budget ? budget - bytes : 0;
}

void fa_ledger_add_root(fa_ledger *ledger, fa_list *node)
{
    pthread_mutex_lock(&ledger->names_lock);
    fa_list_append(&ledger->roots, node);
    pthread_mutex_unlock(&ledger->names_lock);
}

void fa_ledger_remove_root(fa_ledger *ledger, fa_list *node)
{
    pthread_mutex_lock(&ledger->names_lock);
    fa_list_remove(node);
    pthread_mutex_unlock(&ledger->names_lock);
}

fa_list *fa_ledger_next_root(fa_ledger *ledger, const fa_list *node)
{
    pthread_mutex_lock(&ledger->names_lock);
    fa_list *next = node != NULL ? node->next : ledger->roots.next;
    pthread_mutex_unlock(&ledger->names_lock);
    return next != &ledger->roots ? next : NULL;
}

fa_result fa_ledger_map(fa_ledger *ledger, size_t bytes)
{
    size_t limit = ledger->mapped_limit, before = ledger->mapped;
    do {
        if (limit != 0 && (before > limit || bytes > limit - before))
            return FA_OVER_BUDGET;
    } while (!atomic_compare_exchange_weak(&ledger->mapped, &before, before + bytes));
    return FA_OK;
}

void fa_ledger_unmap(fa_ledger *ledger, size_t bytes)
{
    ledger->mapped -= bytes;
}

size_t fa_ledger_mapped(fa_ledger *ledger)
{
    return ledger->mapped;
}

void fa_ledger_limit_mapped(fa_ledger *ledger, size_t bytes)
{
    ledger->mapped_limit = bytes;
}

fa_kind fa_ledger_largest(fa_ledger *ledger)
{
    fa_kind largest = FA_KIND_SERVER;
    size_t most = 0;
    for (int kind = 0; kind < FA_KIND_COUNT; ++kind) {
        size_t bytes = ledger->kinds[kind].bytes;
        if (bytes > most) {
            most = bytes;
            largest = (fa_kind)kind;
        }
    }
    return largest;
}

_Atomic size_t *fa_ledger_handles(fa_ledger *ledger)
{
    return &ledger->handles;
}

fa_attributed_sources *fa_ledger_attributed(fa_ledger *ledger)
{
    return &ledger->attributed;
}

size_t fa_ledger_bytes(fa_ledger *ledger)
{
    size_t sum = 0;
    for (int kind = 0; kind < FA_KIND_COUNT; ++kind)
        sum += ledger->kinds[kind].bytes;
    return sum;
}

size_t fa_ledger_in_flight(fa_ledger *ledger)
{
    size_t sum = 0;
    for (int kind = 0; kind < FA_KIND_COUNT; ++kind)
        sum += ledger->kinds[kind].in_flight_bytes;
    return sum;
}

size_t fa_ledger_scopes(fa_ledger *ledger)
{
    size_t sum = 0;
    for (int kind = 0; kind < FA_KIND_COUNT; ++kind)
        sum += ledger->kinds[kind].count;
    return sum;
}

static const char *intern_locked(fa_ledger *ledger, const char *name)
{
    for (size_t i = 0; i < ledger->name_count; ++i) {
        if (strcmp(ledger->names[i], name) == 0)
            return ledger->names[i];
    }
    if (ledger->name_count == MAX_NAMES)
        return NULL;
    size_t size = strlen(name) + 1;
    char *copy = fa_ledger_allocate(ledger, size);
    if (copy == NULL)
        return NULL;
    ledger->names[ledger->name_count++] = memcpy(copy, name, size);
    return copy;
}

const char *fa_ledger_intern(fa_ledger *ledger, const char *name)
{
    pthread_mutex_lock(&ledger->names_lock);
    const char *interned = intern_locked(ledger, name);
    pthread_mutex_unlock(&ledger->names_lock);
    return interned != NULL ? interned : "(unnamed script)";
}
