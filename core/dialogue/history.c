#include "dialogue/history.h"

#include <string.h>

/* Entries lie one after the other: role, length, bytes. */
typedef struct entry_head {
    char role;
    uint16_t length;
} entry_head;

/* Grows up to its limit as it is used: most dialogues that only listen never say a word. */
struct fa_history {
    fa_scope *scope;
    size_t limit, capacity, used;
    uint8_t *bytes;
};

/* Text areas are not touched before they are used, so an empty table costs address space, not memory. */
typedef struct place {
    fa_digest id;
    uint64_t expires; /* 0: free */
    uint64_t next_seq;
    unsigned epoch;
    size_t used;
} place;

struct fa_resting {
    size_t places, limit;
    place *index;
    uint8_t *texts;
    fa_account *account;
    fa_scope_hook at_end;
};

fa_history *fa_history_new(fa_scope *scope, size_t limit)
{
    fa_history *history = fa_scope_allocate(scope, sizeof(*history));
    if (history != NULL) {
        history->scope = scope;
        history->limit = limit;
    }
    return history;
}

/* False: it keeps the room it has. */
static bool make_room(fa_history *history, size_t needed)
{
    size_t capacity = history->capacity * 2 > needed ? history->capacity * 2 : needed;
    if (needed <= history->capacity)
        return true;
    if (capacity > history->limit)
        capacity = history->limit;
    uint8_t *bytes = needed <= capacity ? fa_scope_allocate(history->scope, capacity) : NULL;
    if (bytes == NULL)
        return false;
    if (history->used > 0)
        memcpy(bytes, history->bytes, history->used);
    fa_scope_free(history->scope, history->bytes);
    history->bytes = bytes;
    history->capacity = capacity;
    return true;
}

static entry_head head_at(const uint8_t *bytes)
{
    entry_head head;
    memcpy(&head, bytes, sizeof(head));
    return head;
}

static void drop_oldest(fa_history *history)
{
    size_t size = sizeof(entry_head) + head_at(history->bytes).length;
    history->used -= size;
    memmove(history->bytes, history->bytes + size, history->used);
}

/* Cuts at the start of a UTF-8 sequence. */
static size_t cut(fa_text text, size_t limit)
{
    if (text.length <= limit)
        return text.length;
    while (limit > 0 && ((uint8_t)text.data[limit] & 0xc0) == 0x80)
        --limit;
    return limit;
}

void fa_history_add(fa_history *history, char role, fa_text text)
{
    size_t longest = history->limit / 2 > sizeof(entry_head) ? history->limit / 2 - sizeof(entry_head) : 0;
    entry_head head = {role, (uint16_t)cut(text, longest < UINT16_MAX ? longest : UINT16_MAX)};
    if (head.length == 0)
        return;
    while (history->limit - history->used < sizeof(head) + head.length)
        drop_oldest(history);
    if (!make_room(history, history->used + sizeof(head) + head.length)) /* no memory: what was said is forgotten */
        return;
    memcpy(history->bytes + history->used, &head, sizeof(head));
    memcpy(history->bytes + history->used + sizeof(head), text.data, head.length);
    history->used += sizeof(head) + head.length;
}

bool fa_history_get(const fa_history *history, size_t index, char *role, fa_text *text)
{
    size_t at = 0;
    for (; at < history->used; --index) {
        entry_head head = head_at(history->bytes + at);
        if (index == 0) {
            *role = head.role;
            *text = (fa_text){(const char *)history->bytes + at + sizeof(head), head.length};
            return true;
        }
        at += sizeof(head) + head.length;
    }
    return false;
}

static void free_texts(fa_scope_hook *hook)
{
    fa_resting *resting = FA_OBJECT(hook, fa_resting, at_end);
    fa_account_free(resting->account, resting->texts, resting->places * resting->limit);
}

fa_resting *fa_resting_new(fa_scope *scope, size_t places, size_t limit)
{
    void *texts;
    fa_resting *resting = fa_scope_allocate(scope, sizeof(*resting));
    place *index = fa_scope_allocate(scope, places * sizeof(place));
    if (resting == NULL || index == NULL ||
        fa_account_allocate(fa_scope_account(scope), places * limit, &texts) != FA_OK)
        return NULL; /* what was got goes with the scope */
    resting->places = places;
    resting->limit = limit;
    resting->index = index;
    resting->texts = texts;
    resting->account = fa_scope_account(scope);
    fa_scope_hook_add(scope, &resting->at_end, free_texts);
    return resting;
}

static place *find_place(fa_resting *resting, const fa_digest *id, uint64_t now)
{
    for (size_t i = 0; i < resting->places; ++i) {
        place *p = &resting->index[i];
        if (p->expires > now && memcmp(&p->id, id, sizeof(*id)) == 0)
            return p;
    }
    return NULL;
}

static place *place_to_use(fa_resting *resting, const fa_digest *id, uint64_t now)
{
    place *best = find_place(resting, id, now);
    for (size_t i = 0; best == NULL && i < resting->places; ++i) {
        if (resting->index[i].expires <= now)
            best = &resting->index[i];
    }
    if (best != NULL)
        return best;
    best = resting->index;
    for (size_t i = 1; i < resting->places; ++i) {
        if (resting->index[i].expires < best->expires)
            best = &resting->index[i];
    }
    return best;
}

static uint8_t *text_of(const fa_resting *resting, const place *p)
{
    return resting->texts + (size_t)(p - resting->index) * resting->limit;
}

void fa_resting_put(fa_resting *resting, const fa_digest *id, const fa_history *history, uint64_t next_seq,
                    unsigned epoch, uint64_t now, uint64_t expires)
{
    if (resting->places == 0)
        return;
    place *p = place_to_use(resting, id, now);
    *p = (place){*id, expires, next_seq, epoch, history->used < resting->limit ? history->used : resting->limit};
    if (p->used > 0)
        memcpy(text_of(resting, p), history->bytes, p->used);
}

bool fa_resting_has(fa_resting *resting, const fa_digest *id, uint64_t now)
{
    return find_place(resting, id, now) != NULL;
}

bool fa_resting_take(fa_resting *resting, const fa_digest *id, fa_history *history, uint64_t *next_seq, unsigned *epoch,
                     uint64_t now)
{
    place *p = find_place(resting, id, now);
    if (p == NULL)
        return false;
    if (history != NULL) {
        history->used = make_room(history, p->used) ? p->used : 0;
        if (history->used > 0)
            memcpy(history->bytes, text_of(resting, p), p->used);
        *next_seq = p->next_seq;
        *epoch = p->epoch;
    }
    p->expires = 0;
    return true;
}

size_t fa_resting_count(fa_resting *resting, uint64_t now)
{
    size_t count = 0;
    for (size_t i = 0; i < resting->places; ++i)
        count += resting->index[i].expires > now;
    return count;
}
