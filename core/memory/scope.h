/* Scopes: the ownership tree.
 *
 * A scope is a lifetime. It owns child scopes, plain memory, buffers, handles and whatever hooked itself to its end
 * (timers, exchanges, tasks). Ending it is the clean-up, in this order: its children end, newest first; its hooks run,
 * newest first; its handles go stale; its buffers are released; its memory is freed. There is no other clean-up pass
 * anywhere.
 *
 * Thread: a scope and all it owns belong to one thread; only its account may be touched from others.
 */
#ifndef FA_MEMORY_SCOPE_H
#define FA_MEMORY_SCOPE_H

#include <stdbool.h>

#include "base/list.h"
#include "memory/account.h"

typedef struct fa_scope fa_scope;

/* What ending a scope gave back, its children included. */
typedef struct fa_scope_summary {
    size_t bytes;     /* freed now; the account's own few bytes, which outlive the scope, are not in it */
    size_t in_flight; /* still held by leases */
    size_t buffers, handles, scopes;
} fa_scope_summary;

/* A piece of work for the scope's end, lying in the object that needs it. */
typedef struct fa_scope_hook {
    fa_list link;
    void (*run)(struct fa_scope_hook *hook); /* may free the hook's object */
} fa_scope_hook;

/* parent: the scope becomes its child; NULL makes a root. kind, budget (bytes, 0: none of its own), label (copied) as
 * for accounts. FA_NO_MEMORY, FA_OVER_BUDGET, FA_WRONG_STATE when the parent has ended. */
fa_result fa_scope_new(fa_ledger *ledger, fa_scope *parent, fa_kind kind, size_t budget, const char *label,
                       fa_origin made_at, fa_scope **scope);

/* The same for a scope that another thread is to fill before it becomes a child of `parent`: it pays from the parent's account from the
 * beginning, but hangs in no tree, and does not end with the parent, until fa_scope_attach. Thread: any, while the parent lives; the
 * scope belongs to that thread until it is attached. */
fa_result fa_scope_new_apart(fa_ledger *ledger, const fa_scope *parent, fa_kind kind, size_t budget, const char *label,
                             fa_origin made_at, fa_scope **scope);

/* Becomes a child of the parent that it was made for, and belongs to the parent's thread, the calling one. Once. */
void fa_scope_attach(fa_scope *scope, fa_scope *parent);

/* Ends it, now; the pointer is dead. reason: borrowed ("client vanished"), part of every late-use message. summary:
 * borrowed, may be NULL; figures are added to it. Calling it again from one of the scope's own hooks is ignored. A hook
 * may end any other scope too: when that is one above its own, whose end cannot be completed under the hook's feet, it
 * refuses everything new at once, its other children end at once, and the rest follows as soon as the hook's scope is
 * through. */
void fa_scope_end(fa_scope *scope, const char *reason, fa_scope_summary *summary);

/* Notes the line that decides the scope's end before it ends: the stories of its handles and of its children's tell it. */
void fa_scope_end_noted(fa_scope *scope, fa_origin at);

bool fa_scope_live(const fa_scope *scope);

/* Zeroed memory that is freed with the scope, or before by fa_scope_free. NULL when there is no memory or room, or when
 * the scope has ended. */
void *fa_scope_allocate(fa_scope *scope, size_t size);
void fa_scope_free(fa_scope *scope, void *block);

/* A copy of `length` bytes with a NUL behind them. */
char *fa_scope_copy_text(fa_scope *scope, const char *text, size_t length);

/* Runs at the end of the scope, unless unhooked before. One that is added while the scope ends runs too. */
void fa_scope_hook_add(fa_scope *scope, fa_scope_hook *hook, void (*run)(fa_scope_hook *hook));
void fa_scope_hook_remove(fa_scope_hook *hook);

/* The hook of the scope that runs `run`, or NULL: for whoever finds an object by its scope. */
fa_scope_hook *fa_scope_hook_find(fa_scope *scope, void (*run)(fa_scope_hook *hook));

fa_account *fa_scope_account(const fa_scope *scope);
fa_ledger *fa_scope_ledger(const fa_scope *scope);
fa_scope *fa_scope_parent(const fa_scope *scope);
fa_kind fa_scope_kind(const fa_scope *scope);
const char *fa_scope_label(const fa_scope *scope);
fa_origin fa_scope_made_at(const fa_scope *scope);
uint64_t fa_scope_born_ms(const fa_scope *scope); /* by the ledger's clock */

/* Walks a tree, owners before what they own: the scope after `at` in the tree of `root`, beginning with root itself for NULL; NULL at
 * the end. deeper: whether what hangs from `at` is visited too. The tree must not change meanwhile. */
fa_scope *fa_scope_walk(fa_scope *root, fa_scope *at, bool deeper);

/* The scopes of a ledger that have no parent, oldest first: the one after `root`, beginning with NULL; NULL at the end. For tests, with
 * nothing running. */
fa_scope *fa_scope_next_root(fa_ledger *ledger, const fa_scope *root);

/* While it ends: why. Borrowed until it has ended. */
const char *fa_scope_reason(const fa_scope *scope);

/* What was noted for its end, or for that of an ending scope above it; name NULL when nothing was. */
fa_origin fa_scope_ended_at(const fa_scope *scope);

/* For buffer.c and handle.c: the lists by which a scope holds what it owns. */
fa_list *fa_scope_buffers(fa_scope *scope);
fa_list *fa_scope_handles(fa_scope *scope);

#endif
