#include "dialogue/directory.h"

#include <pthread.h>
#include <string.h>

enum {
    LEAST_RESTING = 16
}; /* for those on their way from one home to another, where histories are not kept otherwise */

struct fa_directory {
    fa_dialogue_options options;
    pthread_mutex_t lock; /* guards all below but the counters */
    fa_list *buckets;
    size_t bucket_count;
    fa_fixed_table *finished;   /* id -> nothing */
    fa_fixed_table *idempotent; /* key or double -> dialogue id */
    fa_resting *resting;
    fa_scope_hook at_end;
    _Atomic size_t live, running, travelling;
    void (*on_quiet)(void *context);
    void *on_quiet_context;
};

static void on_end(fa_scope_hook *hook)
{
    pthread_mutex_destroy(&FA_OBJECT(hook, fa_directory, at_end)->lock);
}

fa_directory *fa_directory_new(fa_scope *scope, const fa_dialogue_options *options)
{
    fa_directory *directory = fa_scope_allocate(scope, sizeof(*directory));
    void *finished = fa_scope_allocate(scope, fa_fixed_table_size(options->finished_dialogues, 0));
    void *idempotent = fa_scope_allocate(scope, fa_fixed_table_size(options->idempotency_keys, FA_DIALOGUE_ID_SIZE));
    size_t bucket_count = options->max_dialogues < 64 ? 64 : options->max_dialogues;
    fa_list *buckets = fa_scope_allocate(scope, bucket_count * sizeof(fa_list));
    size_t resting_places = options->history_dialogues > 0 ? options->history_dialogues : LEAST_RESTING;
    fa_resting *resting = fa_resting_new(scope, resting_places, options->history_limit);
    if (directory == NULL || finished == NULL || idempotent == NULL || buckets == NULL || resting == NULL)
        return NULL; /* what was got goes with the scope */
    directory->options = *options;
    directory->buckets = buckets;
    directory->bucket_count = bucket_count;
    directory->resting = resting;
    directory->finished = fa_fixed_table_init(finished, options->finished_dialogues, 0);
    directory->idempotent = fa_fixed_table_init(idempotent, options->idempotency_keys, FA_DIALOGUE_ID_SIZE);
    for (size_t i = 0; i < bucket_count; ++i)
        fa_list_init(&buckets[i]);
    pthread_mutex_init(&directory->lock, NULL);
    fa_scope_hook_add(scope, &directory->at_end, on_end);
    return directory;
}

/* ---- those on their way ---- */

void fa_directory_on_quiet(fa_directory *directory, void (*on_quiet)(void *context), void *context)
{
    directory->on_quiet = on_quiet;
    directory->on_quiet_context = context;
}

size_t fa_directory_travelling(const fa_directory *directory)
{
    return directory->travelling;
}

void fa_directory_depart(fa_directory *directory)
{
    directory->travelling++;
}

void fa_directory_arrive(fa_directory *directory)
{
    void (*tell)(void *) = directory->on_quiet; /* before the count falls: the directory may go with the last one */
    void *context = directory->on_quiet_context;
    if (--directory->travelling == 0 && tell != NULL)
        tell(context);
}

/* ---- who is at home where ---- */

static fa_list *bucket_of(fa_directory *directory, const fa_digest *id)
{
    uint64_t hash;
    memcpy(&hash, id->bytes, sizeof(hash));
    return &directory->buckets[hash % directory->bucket_count];
}

static fa_directory_entry *find(fa_directory *directory, const fa_digest *id)
{
    fa_list *bucket = bucket_of(directory, id);
    FA_LIST_EACH(node, bucket)
    {
        fa_directory_entry *entry = FA_OBJECT(node, fa_directory_entry, link);
        if (memcmp(&entry->id, id, sizeof(*id)) == 0)
            return entry;
    }
    return NULL;
}

fa_result fa_directory_enter(fa_directory *directory, fa_directory_entry *entry, const fa_digest *id,
                             fa_dialogues *home)
{
    fa_result result = FA_OK;
    pthread_mutex_lock(&directory->lock);
    if (find(directory, id) != NULL) {
        result = FA_CONFLICT;
    } else if (directory->live >= directory->options.max_dialogues) {
        result = FA_FULL;
    } else {
        entry->id = *id;
        entry->home = home;
        fa_list_append(bucket_of(directory, id), &entry->link);
        directory->live++;
    }
    pthread_mutex_unlock(&directory->lock);
    return result;
}

fa_dialogues *fa_directory_home(fa_directory *directory, const fa_digest *id)
{
    pthread_mutex_lock(&directory->lock);
    const fa_directory_entry *entry = find(directory, id);
    fa_dialogues *home = entry != NULL ? entry->home : NULL;
    pthread_mutex_unlock(&directory->lock);
    return home;
}

bool fa_directory_knows(fa_directory *directory, const fa_digest *id, uint64_t now)
{
    pthread_mutex_lock(&directory->lock);
    bool known = find(directory, id) != NULL || fa_resting_has(directory->resting, id, now);
    pthread_mutex_unlock(&directory->lock);
    return known;
}

void fa_directory_leave(fa_directory *directory, fa_directory_entry *entry, const fa_history *history,
                        uint64_t next_seq, unsigned epoch, uint64_t now)
{
    pthread_mutex_lock(&directory->lock);
    fa_list_remove(&entry->link);
    directory->live--;
    if (history != NULL)
        fa_resting_put(directory->resting, &entry->id, history, next_seq, epoch, now,
                       now + directory->options.history_ttl_ms);
    else
        fa_fixed_table_put(directory->finished, &entry->id, now, now + directory->options.finished_ttl_ms);
    pthread_mutex_unlock(&directory->lock);
}

/* ---- what rests, and what has ended ---- */

bool fa_directory_rests(fa_directory *directory, const fa_digest *id, uint64_t now)
{
    pthread_mutex_lock(&directory->lock);
    bool rests = fa_resting_has(directory->resting, id, now);
    pthread_mutex_unlock(&directory->lock);
    return rests;
}

bool fa_directory_wake(fa_directory *directory, const fa_digest *id, fa_history *history, uint64_t *next_seq,
                       unsigned *epoch, uint64_t now)
{
    pthread_mutex_lock(&directory->lock);
    bool woken = fa_resting_take(directory->resting, id, history, next_seq, epoch, now);
    pthread_mutex_unlock(&directory->lock);
    return woken;
}

bool fa_directory_forget(fa_directory *directory, const fa_digest *id, uint64_t now)
{
    pthread_mutex_lock(&directory->lock);
    bool rested = fa_resting_take(directory->resting, id, NULL, NULL, NULL, now);
    if (rested)
        fa_fixed_table_put(directory->finished, id, now, now + directory->options.finished_ttl_ms);
    pthread_mutex_unlock(&directory->lock);
    return rested;
}

bool fa_directory_finished(fa_directory *directory, const fa_digest *id, uint64_t now)
{
    pthread_mutex_lock(&directory->lock);
    bool finished = fa_fixed_table_get(directory->finished, id, now) != NULL;
    pthread_mutex_unlock(&directory->lock);
    return finished;
}

/* ---- the same question twice ---- */

static bool has_finished(fa_directory *directory, const char *id, uint64_t now)
{
    fa_digest digest = fa_digest_of((const void *const[]){id}, (const size_t[]){strlen(id)}, 1);
    return fa_fixed_table_get(directory->finished, &digest, now) != NULL;
}

bool fa_directory_claim(fa_directory *directory, const fa_digest *key, bool weak, char id[FA_DIALOGUE_ID_SIZE],
                        uint64_t now, uint64_t expires)
{
    pthread_mutex_lock(&directory->lock);
    const char *first = fa_fixed_table_get(directory->idempotent, key, now);
    bool is_first = first == NULL || (weak && has_finished(directory, first, now));
    if (is_first)
        memcpy(fa_fixed_table_put(directory->idempotent, key, now, expires), id, FA_DIALOGUE_ID_SIZE);
    else
        memcpy(id, first, FA_DIALOGUE_ID_SIZE);
    pthread_mutex_unlock(&directory->lock);
    return is_first;
}

void fa_directory_unclaim(fa_directory *directory, const fa_digest *key)
{
    pthread_mutex_lock(&directory->lock);
    fa_fixed_table_remove(directory->idempotent, key);
    pthread_mutex_unlock(&directory->lock);
}

/* ---- turns ---- */

bool fa_directory_admit_turn(fa_directory *directory, fa_account *account)
{
    fa_ledger *ledger = fa_account_ledger(account);
    size_t running = ++directory->running; /* first, so that two workers do not both take the last place */
    size_t theirs = fa_ledger_kind(ledger, FA_KIND_DIALOGUE)->bytes + fa_ledger_kind(ledger, FA_KIND_TURN)->bytes;
    size_t needed = running * directory->options.dialogue_budget, room = fa_account_room(account),
           of_kind = fa_ledger_room(ledger, FA_KIND_DIALOGUE);
    if ((room == SIZE_MAX || room + theirs >= needed) &&
        (of_kind == SIZE_MAX || of_kind + fa_ledger_kind(ledger, FA_KIND_DIALOGUE)->bytes >= needed))
        return true;
    directory->running--;
    return false;
}

void fa_directory_turn_over(fa_directory *directory)
{
    directory->running--;
}

size_t fa_directory_live(const fa_directory *directory)
{
    return directory->live;
}

size_t fa_directory_running(const fa_directory *directory)
{
    return directory->running;
}

size_t fa_directory_resting(fa_directory *directory, uint64_t now)
{
    pthread_mutex_lock(&directory->lock);
    size_t count = fa_resting_count(directory->resting, now);
    pthread_mutex_unlock(&directory->lock);
    return count;
}
