#include "memory/account.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum { ACCOUNT_MAGIC = 0xacc0 };

struct fa_account {
    unsigned magic;
    fa_kind kind;
    _Atomic unsigned references;
    fa_ledger *ledger;
    fa_account *parent;
    size_t budget;
    _Atomic size_t bytes, total, peak, leased;
    _Atomic size_t high, low; /* marks: at `high` and above, or below `low`, the watch is called */
    fa_account_watch *watch;
    char label[FA_LABEL_SIZE];
};

static void raise_peak(_Atomic size_t *peak, size_t value)
{
    size_t seen = *peak;
    while (value > seen && !atomic_compare_exchange_weak(peak, &seen, value)) {
    }
}

/* Takes `bytes` off `from` and all above it, up to but not including `end`. Without a watch, `low` is 0. */
static void subtract_total(fa_account *from, const fa_account *end, size_t bytes)
{
    for (fa_account *level = from; level != end; level = level->parent) {
        size_t total = atomic_fetch_sub(&level->total, bytes) - bytes;
        if (total < level->low)
            level->watch->crossed(level->watch, from);
    }
}

/* Whether the level had room for `bytes`, which are then counted. Never above the budget, not even for a moment: a
 * refused charge must not make another thread's small one fail. */
static bool add_to_level(fa_account *level, size_t bytes)
{
    if (level->budget == 0) {
        level->total += bytes;
        return true;
    }
    size_t total = level->total;
    do {
        if (bytes > level->budget - total)
            return false;
    } while (!atomic_compare_exchange_weak(&level->total, &total, total + bytes));
    return true;
}

/* Adds `bytes` to `from` and all above it, up to but not including `end`: everywhere or nowhere. */
static bool add_total(fa_account *from, const fa_account *end, size_t bytes)
{
    for (fa_account *level = from; level != end; level = level->parent) {
        if (!add_to_level(level, bytes)) {
            subtract_total(from, level, bytes);
            return false;
        }
    }
    return true;
}

/* Only now that all of it is charged: a refused charge leaves no mark, and the watch may look at what is true. */
static void note_totals(fa_account *from, const fa_account *end)
{
    for (fa_account *level = from; level != end; level = level->parent) {
        size_t total = level->total;
        raise_peak(&level->peak, total);
        if (total >= level->high) /* without a watch it is SIZE_MAX, which no total reaches */
            level->watch->crossed(level->watch, from);
    }
}

/* Whether the account's kind had room too. As for levels: never above the budget. */
static bool count_own(fa_account *account, size_t bytes)
{
    fa_kind_counters *counters = fa_ledger_kind(account->ledger, account->kind);
    size_t budget = counters->budget, now = counters->bytes;
    do {
        if (budget != 0 && (now > budget || bytes > budget - now))
            return false;
    } while (!atomic_compare_exchange_weak(&counters->bytes, &now, now + bytes));
    raise_peak(&counters->peak_bytes, now + bytes);
    account->bytes += bytes;
    return true;
}

static void uncount_own(fa_account *account, size_t bytes)
{
    assert(account->magic == ACCOUNT_MAGIC && account->bytes >= bytes);
    account->bytes -= bytes;
    fa_ledger_kind(account->ledger, account->kind)->bytes -= bytes;
}

/* What is charged stays under one kind: only the account changes. */
static void count_same_kind(fa_account *from, fa_account *to, size_t bytes)
{
    assert(from->magic == ACCOUNT_MAGIC && from->bytes >= bytes);
    to->bytes += bytes;
    from->bytes -= bytes;
}

fa_result fa_account_charge(fa_account *account, size_t bytes)
{
    if (bytes > SIZE_MAX / 4 || !add_total(account, NULL, bytes)) /* a total must not wrap */
        return FA_OVER_BUDGET;
    if (!count_own(account, bytes)) {
        subtract_total(account, NULL, bytes);
        return FA_OVER_BUDGET;
    }
    note_totals(account, NULL);
    return FA_OK;
}

void fa_account_discharge(fa_account *account, size_t bytes)
{
    uncount_own(account, bytes);
    subtract_total(account, NULL, bytes);
}

/* The lowest account that `a` and `b` both are or stand under; NULL when there is none. */
static const fa_account *common_level(const fa_account *a, const fa_account *b)
{
    for (; a != NULL; a = a->parent) {
        for (const fa_account *level = b; level != NULL; level = level->parent) {
            if (level == a)
                return a;
        }
    }
    return NULL;
}

fa_result fa_account_move(fa_account *from, fa_account *to, size_t bytes)
{
    const fa_account *common = common_level(to, from);
    if (!add_total(to, common, bytes))
        return FA_OVER_BUDGET;
    if (to->kind == from->kind) {
        count_same_kind(from, to, bytes);
    } else if (count_own(to, bytes)) {
        uncount_own(from, bytes);
    } else {
        subtract_total(to, common, bytes);
        return FA_OVER_BUDGET;
    }
    note_totals(to, common);
    subtract_total(from, common, bytes);
    return FA_OK;
}

/* Pays for itself and for `more` bytes. */
static fa_result open_paying(fa_ledger *ledger, fa_account *parent, fa_kind kind, size_t budget, const char *label,
                             size_t more, fa_account **out)
{
    fa_account *account = fa_ledger_allocate(ledger, sizeof(*account));
    if (account == NULL)
        return FA_NO_MEMORY;
    memset(account, 0, sizeof(*account));
    account->magic = ACCOUNT_MAGIC;
    account->kind = kind;
    account->references = 1;
    account->ledger = ledger;
    account->parent = parent;
    account->budget = budget;
    account->high = SIZE_MAX;
    fa_label_copy(account->label, sizeof(account->label), label);
    if (fa_account_charge(account, sizeof(*account) + more) != FA_OK) {
        fa_ledger_release(ledger, account);
        return FA_OVER_BUDGET;
    }
    if (parent != NULL)
        fa_account_ref(parent);
    *out = account;
    return FA_OK;
}

fa_result fa_account_open(fa_ledger *ledger, fa_account *parent, fa_kind kind, size_t budget, const char *label,
                          fa_account **out)
{
    return open_paying(ledger, parent, kind, budget, label, 0, out);
}

fa_result fa_account_open_with(fa_ledger *ledger, fa_account *parent, fa_kind kind, size_t budget, const char *label,
                               size_t size, void **block, fa_account **out)
{
    fa_account *account;
    fa_result result = open_paying(ledger, parent, kind, budget, label, size, &account);
    if (result != FA_OK)
        return result;
    if ((*block = fa_ledger_allocate(ledger, size)) == NULL) {
        fa_account_discharge(account, size);
        fa_account_unref(account);
        return FA_NO_MEMORY;
    }
    *out = account;
    return FA_OK;
}

fa_account *fa_account_new(fa_ledger *ledger, fa_account *parent, fa_kind kind, size_t budget, const char *label)
{
    fa_account *account;
    return fa_account_open(ledger, parent, kind, budget, label, &account) == FA_OK ? account : NULL;
}

fa_account *fa_account_ref(fa_account *account)
{
    account->references++;
    return account;
}

void fa_account_unref(fa_account *account)
{
    while (account != NULL && --account->references == 0) {
        fa_account *parent = account->parent;
        fa_account_discharge(account, sizeof(*account));
        assert(account->bytes == 0 && account->total == 0 && account->leased == 0);
        account->magic = 0;
        fa_ledger_release(account->ledger, account);
        account = parent;
    }
}

fa_result fa_account_allocate(fa_account *account, size_t size, void **block)
{
    fa_result result = fa_account_charge(account, size);
    if (result != FA_OK)
        return result;
    if ((*block = fa_ledger_allocate(account->ledger, size)) == NULL) {
        fa_account_discharge(account, size);
        return FA_NO_MEMORY;
    }
    return FA_OK;
}

fa_result fa_account_resize(fa_account *account, void **block, size_t old_size, size_t new_size)
{
    if (new_size > old_size) {
        fa_result result = fa_account_charge(account, new_size - old_size);
        if (result != FA_OK)
            return result;
    }
    void *moved = fa_ledger_resize(account->ledger, *block, new_size);
    if (moved == NULL) {
        if (new_size > old_size)
            fa_account_discharge(account, new_size - old_size);
        return FA_NO_MEMORY;
    }
    if (new_size < old_size)
        fa_account_discharge(account, old_size - new_size);
    *block = moved;
    return FA_OK;
}

void fa_account_free(fa_account *account, void *block, size_t size)
{
    fa_ledger_release(account->ledger, block);
    fa_account_discharge(account, size);
}

void fa_account_in_flight(fa_account *account, size_t bytes)
{
    fa_kind_counters *counters = fa_ledger_kind(account->ledger, account->kind);
    account->leased += bytes;
    counters->in_flight_bytes += bytes;
    counters->in_flight_count++;
}

void fa_account_landed(fa_account *account, size_t bytes)
{
    fa_kind_counters *counters = fa_ledger_kind(account->ledger, account->kind);
    account->leased -= bytes;
    counters->in_flight_bytes -= bytes;
    counters->in_flight_count--;
}

fa_ledger *fa_account_ledger(const fa_account *account)
{
    return account->ledger;
}

fa_kind fa_account_kind(const fa_account *account)
{
    return account->kind;
}

const char *fa_account_label(const fa_account *account)
{
    return account->label;
}

size_t fa_account_bytes(const fa_account *account)
{
    return account->bytes;
}

size_t fa_account_total(const fa_account *account)
{
    return account->total;
}

size_t fa_account_peak(const fa_account *account)
{
    return account->peak;
}

size_t fa_account_leased(const fa_account *account)
{
    return account->leased;
}

size_t fa_account_budget(const fa_account *account)
{
    return account->budget;
}

void fa_account_watch_set(fa_account *account, fa_account_watch *watch)
{
    account->watch = watch;
}

void fa_account_marks(fa_account *account, size_t low, size_t high)
{
    account->low = low;
    account->high = high;
}

size_t fa_account_room(const fa_account *account)
{
    size_t room = fa_ledger_room(account->ledger, account->kind);
    for (const fa_account *level = account; level != NULL; level = level->parent) {
        if (level->budget == 0)
            continue;
        size_t total = level->total;
        size_t here = total < level->budget ? level->budget - total : 0;
        if (here < room)
            room = here;
    }
    return room;
}
