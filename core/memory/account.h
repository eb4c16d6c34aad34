/* Accounts: the counters of an owner, which outlive it.
 *
 * A scope has one account; bytes that are still in flight when the scope ends keep the account alive, and whoever drops
 * the last of them subtracts there, on whatever thread. Accounts form a chain to the root: a charge counts at every
 * level, and for the account's kind in the ledger, and is refused when any of them has no room. Thread: any, all of it.
 */
#ifndef FA_MEMORY_ACCOUNT_H
#define FA_MEMORY_ACCOUNT_H

#include <string.h>

#include "memory/ledger.h"

enum { FA_LABEL_SIZE = 64, FA_REASON_SIZE = 48 };

/* Cut to fit. A quarter of what snprintf takes, and every scope, buffer and handle has a label. */
static inline void fa_label_copy(char *out, size_t size, const char *text)
{
    size_t length = strnlen(text, size - 1);
    memcpy(out, text, length);
    out[length] = '\0';
}

typedef struct fa_account fa_account;

/* parent: shared (a reference is taken), NULL for a root. budget: bytes for this account and all below it, 0 for no
 * limit of its own. label: copied, cut to fit. The caller owns one reference. FA_NO_MEMORY; FA_OVER_BUDGET when the
 * account itself does not fit, in its own budget or above. */
fa_result fa_account_open(fa_ledger *ledger, fa_account *parent, fa_kind kind, size_t budget, const char *label,
                          fa_account **account);

/* The same, and a block of `size` bytes that it pays for, charged together; to be freed like one of fa_account_allocate. */
fa_result fa_account_open_with(fa_ledger *ledger, fa_account *parent, fa_kind kind, size_t budget, const char *label,
                               size_t size, void **block, fa_account **account);

/* The same for whom it is enough to know that there is none: NULL. */
fa_account *fa_account_new(fa_ledger *ledger, fa_account *parent, fa_kind kind, size_t budget, const char *label);

fa_account *fa_account_ref(fa_account *account);
void fa_account_unref(fa_account *account); /* the last one frees it; its bytes must be gone by then */

/* FA_OK, or FA_OVER_BUDGET with nothing charged. No total is ever above its budget, not even for a moment. */
fa_result fa_account_charge(fa_account *account, size_t bytes);
void fa_account_discharge(fa_account *account, size_t bytes);

/* Bytes charged to `from` are charged to `to` instead. What both stand under, their kind included, does not change and
 * is not asked: moving up or sideways inside a full budget works. FA_OVER_BUDGET with nothing changed. */
fa_result fa_account_move(fa_account *from, fa_account *to, size_t bytes);

/* Memory charged to the account. The size is given back at free: there is no header. allocate: uninitialised;
 * FA_NO_MEMORY, FA_OVER_BUDGET. resize: on failure the old block stands. */
fa_result fa_account_allocate(fa_account *account, size_t size, void **block);
fa_result fa_account_resize(fa_account *account, void **block, size_t old_size, size_t new_size);
void fa_account_free(fa_account *account, void *block, size_t size);

/* A buffer of `bytes` came into or went out of somebody's lease. */
void fa_account_in_flight(fa_account *account, size_t bytes);
void fa_account_landed(fa_account *account, size_t bytes);

fa_ledger *fa_account_ledger(const fa_account *account);
fa_kind fa_account_kind(const fa_account *account);
const char *fa_account_label(const fa_account *account);
size_t fa_account_bytes(const fa_account *account);  /* its own */
size_t fa_account_total(const fa_account *account);  /* with all below it */
size_t fa_account_peak(const fa_account *account);   /* of the total */
size_t fa_account_leased(const fa_account *account); /* bytes in flight */
size_t fa_account_budget(const fa_account *account); /* its own; 0: none */
size_t fa_account_room(const fa_account *account);   /* bytes that a charge could still take; SIZE_MAX without limit */

/* Somebody who wants to hear when an account's total reaches a mark or falls below one (memory/pressure.h). crossed is
 * called on whatever thread charged or discharged, in the midst of that: it must not wait, and what it may not do is
 * charge or discharge under a lock that it needs itself. by: borrowed for the call, the account that was charged. */
typedef struct fa_account_watch {
    void (*crossed)(struct fa_account_watch *watch, const fa_account *by);
} fa_account_watch;

/* watch: borrowed, one an account. Set before other threads use the account. With marks (0, SIZE_MAX), as they are at
 * first, nobody is called. marks: called from then on whenever the total is at least `high` after a charge, or less
 * than `low` after a discharge. Whoever sets marks looks at the total again after that: a charge that came in between
 * saw the old ones. */
void fa_account_watch_set(fa_account *account, fa_account_watch *watch);
void fa_account_marks(fa_account *account, size_t low, size_t high);

#endif
