#include "memory/census.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory/buffer.h"

bool fa_kind_lasts(fa_kind kind)
{
    return kind == FA_KIND_SERVER || kind == FA_KIND_WORKER || kind == FA_KIND_PLUGIN || kind == FA_KIND_CACHE;
}

/* ---- the largest and the oldest: short lists in order, the last one falls off ---- */

static bool is_larger(const fa_census_owner *a, const fa_census_owner *b)
{
    return a->own > b->own;
}

static bool is_older(const fa_census_owner *a, const fa_census_owner *b)
{
    return a->age_ms > b->age_ms;
}

static void insert(fa_census_owner *list, size_t *count, const fa_census_owner *owner,
                   bool (*before)(const fa_census_owner *a, const fa_census_owner *b))
{
    size_t at = *count;
    while (at > 0 && before(owner, &list[at - 1]))
        --at;
    if (at == FA_CENSUS_OWNERS)
        return;
    if (*count < FA_CENSUS_OWNERS)
        ++*count;
    memmove(&list[at + 1], &list[at], (*count - 1 - at) * sizeof(*list));
    list[at] = *owner;
}

static void rank(fa_census *census, const fa_census_owner *owner)
{
    insert(census->largest, &census->largest_count, owner, is_larger);
    if (!fa_kind_lasts(owner->kind))
        insert(census->oldest, &census->oldest_count, owner, is_older);
}

void fa_census_add_owner(fa_census *census, const fa_scope *scope, unsigned worker, uint64_t now_ms)
{
    fa_census_owner owner = {.kind = fa_scope_kind(scope), .worker = worker, .made_at = fa_scope_made_at(scope)};
    const fa_account *account = fa_scope_account(scope);
    owner.own = fa_account_bytes(account);
    owner.total = fa_account_total(account);
    owner.in_flight = fa_account_leased(account);
    owner.budget = fa_account_budget(account);
    owner.age_ms = now_ms > fa_scope_born_ms(scope) ? now_ms - fa_scope_born_ms(scope) : 0;
    snprintf(owner.label, sizeof(owner.label), "%s", fa_account_label(account));
    rank(census, &owner);
}

/* ---- places ---- */

static bool is_same_place(fa_origin a, fa_origin b)
{
    return a.line == b.line && (a.name == b.name || strcmp(a.name, b.name) == 0);
}

static fa_census_place *place_of(fa_census *census, fa_origin at)
{
    if (at.name == NULL)
        return &census->other;
    for (size_t i = 0; i < census->place_count; ++i) {
        if (is_same_place(census->places[i].at, at))
            return &census->places[i];
    }
    if (census->place_count == FA_CENSUS_PLACES)
        return &census->other;
    fa_census_place *place = &census->places[census->place_count++];
    *place = (fa_census_place){.at = at};
    return place;
}

static void count_place(fa_census *census, fa_origin at, size_t bytes, size_t scopes, size_t buffers)
{
    fa_census_place *place = place_of(census, at);
    place->bytes += bytes;
    place->scopes += scopes;
    place->buffers += buffers;
}

static void count_scope(fa_census *census, fa_scope *scope)
{
    size_t own = fa_account_bytes(fa_scope_account(scope)), in_buffers = 0;
    FA_LIST_EACH(node, fa_scope_buffers(scope))
    {
        const fa_buffer *buffer = fa_buffer_of_node(node);
        size_t cost = fa_buffer_cost(buffer);
        count_place(census, fa_buffer_made_at(buffer), cost, 0, 1);
        census->buffers++;
        census->in_flight_buffers += fa_buffer_leased(buffer);
        in_buffers += cost;
    }
    FA_LIST_EACH(node, fa_scope_handles(scope))
    census->handles++;
    /* A plugin may be charging its caller's account just now: what has no buffer yet counts for the scope. */
    count_place(census, fa_scope_made_at(scope), own > in_buffers ? own - in_buffers : 0, 1, 0);
    census->scopes++;
    census->bytes += own;
}

void fa_census_take(fa_census *census, fa_scope *root, const fa_scope *except, unsigned worker, uint64_t now_ms)
{
    for (fa_scope *at = fa_scope_walk(root, NULL, true); at != NULL; at = fa_scope_walk(root, at, at != except)) {
        if (at == except)
            continue;
        count_scope(census, at);
        fa_census_add_owner(census, at, worker, now_ms);
    }
}

void fa_census_merge(fa_census *into, const fa_census *from)
{
    into->scopes += from->scopes;
    into->buffers += from->buffers;
    into->handles += from->handles;
    into->bytes += from->bytes;
    into->in_flight_buffers += from->in_flight_buffers;
    for (size_t i = 0; i < from->largest_count; ++i)
        insert(into->largest, &into->largest_count, &from->largest[i], is_larger);
    for (size_t i = 0; i < from->oldest_count; ++i)
        insert(into->oldest, &into->oldest_count, &from->oldest[i], is_older);
    for (size_t i = 0; i < from->place_count; ++i) {
        const fa_census_place *place = &from->places[i];
        count_place(into, place->at, place->bytes, place->scopes, place->buffers);
    }
    into->other.bytes += from->other.bytes;
    into->other.scopes += from->other.scopes;
    into->other.buffers += from->other.buffers;
}

static int by_bytes(const void *a, const void *b)
{
    size_t left = ((const fa_census_place *)a)->bytes, right = ((const fa_census_place *)b)->bytes;
    return left < right ? 1 : left > right ? -1 : 0;
}

void fa_census_sort(fa_census *census)
{
    qsort(census->places, census->place_count, sizeof(census->places[0]), by_bytes);
}

char *fa_origin_text(fa_origin origin, char *out, size_t size)
{
    const char *name = origin.name != NULL ? origin.name : "(unknown)", *in_source = NULL;
    for (const char *at = name; (at = strstr(at, "/core/")) != NULL; ++at)
        in_source = at + 1;
    snprintf(out, size, "%s:%u", in_source != NULL ? in_source : name, (unsigned)origin.line);
    return out;
}
