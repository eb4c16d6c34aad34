#include "memory/scope.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "memory/buffer.h"
#include "memory/handle.h"

enum { SCOPE_MAGIC = 0x5c09e, BLOCK_MAGIC = 0xb10c };

struct fa_scope {
    unsigned magic;
    bool live;
    bool waiting; /* ended, but for a child whose own end is under way further up the stack */
    char waiting_reason[FA_REASON_SIZE];
    fa_scope *parent;
    fa_account *account;
    fa_list in_parent;
    fa_list children, hooks, handles, buffers, blocks;
    fa_origin made_at, ended_at;
    const char *reason; /* while it ends; borrowed */
    uint64_t born_ms;
};

/* Stands before every block of plain memory. */
typedef struct block {
    fa_list link;
    size_t size;
    size_t magic;
    max_align_t data[];
} block;

/* Without a place in any list. */
static fa_result make(fa_ledger *ledger, fa_account *payer, fa_kind kind, size_t budget, const char *label,
                      fa_origin made_at, fa_scope **out)
{
    fa_account *account;
    void *memory;
    fa_result result = fa_account_open_with(ledger, payer, kind, budget, label, sizeof(fa_scope), &memory, &account);
    if (result != FA_OK)
        return result;
    fa_scope *scope = memset(memory, 0, sizeof(fa_scope));
    scope->magic = SCOPE_MAGIC;
    scope->live = true;
    scope->account = account;
    scope->made_at = made_at;
    scope->born_ms = fa_clock_now_ms(fa_ledger_clock(ledger));
    fa_list_init(&scope->in_parent);
    fa_list_init(&scope->children);
    fa_list_init(&scope->hooks);
    fa_list_init(&scope->handles);
    fa_list_init(&scope->buffers);
    fa_list_init(&scope->blocks);
    fa_ledger_kind(ledger, kind)->count++;
    *out = scope;
    return FA_OK;
}

fa_result fa_scope_new(fa_ledger *ledger, fa_scope *parent, fa_kind kind, size_t budget, const char *label,
                       fa_origin made_at, fa_scope **out)
{
    if (parent != NULL && !parent->live)
        return FA_WRONG_STATE;
    fa_result result = make(ledger, parent != NULL ? parent->account : NULL, kind, budget, label, made_at, out);
    if (result != FA_OK)
        return result;
    (*out)->parent = parent;
    if (parent != NULL)
        fa_list_prepend(&parent->children, &(*out)->in_parent);
    else
        fa_ledger_add_root(ledger, &(*out)->in_parent);
    return FA_OK;
}

fa_result fa_scope_new_apart(fa_ledger *ledger, const fa_scope *parent, fa_kind kind, size_t budget, const char *label,
                             fa_origin made_at, fa_scope **out)
{
    fa_result result = make(ledger, parent->account, kind, budget, label, made_at, out);
    if (result == FA_OK)
        fa_ledger_add_root(ledger, &(*out)->in_parent);
    return result;
}

void fa_scope_attach(fa_scope *scope, fa_scope *parent)
{
    assert(scope->parent == NULL && parent->live);
    fa_ledger_remove_root(fa_scope_ledger(scope), &scope->in_parent);
    scope->parent = parent;
    fa_list_prepend(&parent->children, &scope->in_parent);
}

static void free_block(fa_scope *scope, block *b)
{
    assert(b->magic == BLOCK_MAGIC);
    b->magic = 0;
    fa_list_remove(&b->link);
    fa_account_free(scope->account, b, b->size);
}

/* The newest child that is not ending already, or NULL. */
static fa_scope *newest_live_child(fa_scope *scope)
{
    FA_LIST_EACH(node, &scope->children)
    {
        fa_scope *child = FA_OBJECT(node, fa_scope, in_parent);
        if (child->live)
            return child;
    }
    return NULL;
}

static void end_children(fa_scope *scope, const char *reason, fa_scope_summary *summary)
{
    for (fa_scope *child; (child = newest_live_child(scope)) != NULL;)
        fa_scope_end(child, reason, summary);
}

static void run_hooks(fa_scope *scope)
{
    for (fa_list *node; (node = fa_list_first(&scope->hooks)) != NULL;) {
        fa_list_remove(node);
        fa_scope_hook *hook = FA_OBJECT(node, fa_scope_hook, link);
        hook->run(hook);
    }
}

static void release_buffers(fa_scope *scope)
{
    for (fa_list *node; (node = fa_list_first(&scope->buffers)) != NULL;)
        fa_buffer_release(fa_buffer_of_node(node));
}

/* How much it was; to be discharged: once for all of them, for it is done on every level, with locked instructions. */
static size_t release_blocks(fa_scope *scope)
{
    size_t released = 0;
    for (fa_list *node; (node = fa_list_first(&scope->blocks)) != NULL;) {
        block *b = FA_OBJECT(node, block, link);
        assert(b->magic == BLOCK_MAGIC);
        b->magic = 0;
        released += b->size;
        fa_list_remove(&b->link);
        fa_ledger_release(fa_scope_ledger(scope), b);
    }
    return released;
}

/* All that a scope without children still owns, and the scope itself. */
static void clean_up(fa_scope *scope, const char *reason, fa_scope_summary *summary)
{
    fa_account *account = scope->account;
    size_t before = fa_account_bytes(account);
    FA_LIST_EACH(node, &scope->buffers)
    summary->buffers++;
    run_hooks(scope);
    summary->handles += fa_handles_end_scope(scope, reason);
    run_hooks(scope); /* of what a handle's release put there */
    release_buffers(scope);
    size_t released = release_blocks(scope);
    summary->scopes++;

    fa_kind_counters *counters = fa_ledger_kind(fa_account_ledger(account), fa_account_kind(account));
    if (scope->parent != NULL)
        fa_list_remove(&scope->in_parent);
    else
        fa_ledger_remove_root(fa_account_ledger(account), &scope->in_parent);
    scope->magic = 0;
    fa_ledger_release(fa_account_ledger(account), scope);
    fa_account_discharge(account, released + sizeof(*scope));
    size_t left = fa_account_bytes(account);
    if (left < before) /* another thread may have charged the account meanwhile */
        summary->bytes += before - left;
    summary->in_flight += fa_account_leased(account);
    counters->count--;
    counters->ended++;
    fa_account_unref(account);
}

void fa_scope_end(fa_scope *scope, const char *reason, fa_scope_summary *summary)
{
    fa_scope_summary mine = {0};
    assert(scope->magic == SCOPE_MAGIC);
    if (!scope->live)
        return;
    scope->live = false; /* nothing new comes in from here on */
    scope->reason = reason;
    end_children(scope, reason, summary != NULL ? summary : &mine);
    if (!fa_list_empty(&scope->children)) { /* a hook of such a child called us: it finishes us when it is through */
        scope->waiting = true;
        snprintf(scope->waiting_reason, sizeof(scope->waiting_reason), "%s", reason);
        scope->reason = scope->waiting_reason;
        return;
    }
    fa_scope *parent = scope->parent;
    clean_up(scope, reason, summary != NULL ? summary : &mine);
    while (parent != NULL && parent->waiting && fa_list_empty(&parent->children)) {
        scope = parent;
        parent = scope->parent;
        clean_up(scope, scope->waiting_reason, &mine);
    }
}

void fa_scope_end_noted(fa_scope *scope, fa_origin at)
{
    scope->ended_at = at;
}

const char *fa_scope_reason(const fa_scope *scope)
{
    return scope->reason;
}

fa_origin fa_scope_ended_at(const fa_scope *scope)
{
    while (scope->ended_at.name == NULL && scope->parent != NULL && !scope->parent->live)
        scope = scope->parent;
    return scope->ended_at;
}

bool fa_scope_live(const fa_scope *scope)
{
    assert(scope->magic == SCOPE_MAGIC);
    return scope->live;
}

void *fa_scope_allocate(fa_scope *scope, size_t size)
{
    void *memory;
    assert(scope->magic == SCOPE_MAGIC);
    if (!scope->live || size > SIZE_MAX / 4 ||
        fa_account_allocate(scope->account, sizeof(block) + size, &memory) != FA_OK)
        return NULL;
    block *b = memset(memory, 0, sizeof(block) + size);
    b->size = sizeof(block) + size;
    b->magic = BLOCK_MAGIC;
    fa_list_append(&scope->blocks, &b->link);
    return b->data;
}

void fa_scope_free(fa_scope *scope, void *memory)
{
    if (memory != NULL)
        free_block(scope, FA_OBJECT(memory, block, data));
}

char *fa_scope_copy_text(fa_scope *scope, const char *text, size_t length)
{
    char *copy = length < SIZE_MAX ? fa_scope_allocate(scope, length + 1) : NULL;
    if (copy != NULL && length != 0)
        memcpy(copy, text, length);
    return copy;
}

void fa_scope_hook_add(fa_scope *scope, fa_scope_hook *hook, void (*run)(fa_scope_hook *hook))
{
    hook->run = run;
    fa_list_prepend(&scope->hooks, &hook->link);
}

void fa_scope_hook_remove(fa_scope_hook *hook)
{
    fa_list_remove(&hook->link);
}

fa_scope_hook *fa_scope_hook_find(fa_scope *scope, void (*run)(fa_scope_hook *hook))
{
    FA_LIST_EACH(node, &scope->hooks)
    {
        if (FA_OBJECT(node, fa_scope_hook, link)->run == run)
            return FA_OBJECT(node, fa_scope_hook, link);
    }
    return NULL;
}

fa_account *fa_scope_account(const fa_scope *scope)
{
    return scope->account;
}

fa_ledger *fa_scope_ledger(const fa_scope *scope)
{
    return fa_account_ledger(scope->account);
}

fa_scope *fa_scope_parent(const fa_scope *scope)
{
    return scope->parent;
}

fa_kind fa_scope_kind(const fa_scope *scope)
{
    return fa_account_kind(scope->account);
}

const char *fa_scope_label(const fa_scope *scope)
{
    return fa_account_label(scope->account);
}

fa_origin fa_scope_made_at(const fa_scope *scope)
{
    return scope->made_at;
}

uint64_t fa_scope_born_ms(const fa_scope *scope)
{
    return scope->born_ms;
}

fa_scope *fa_scope_next_root(fa_ledger *ledger, const fa_scope *root)
{
    fa_list *node = fa_ledger_next_root(ledger, root != NULL ? &root->in_parent : NULL);
    return node != NULL ? FA_OBJECT(node, fa_scope, in_parent) : NULL;
}

fa_scope *fa_scope_walk(fa_scope *root, fa_scope *at, bool deeper)
{
    if (at == NULL)
        return root;
    fa_list *child = deeper ? fa_list_first(&at->children) : NULL;
    if (child != NULL)
        return FA_OBJECT(child, fa_scope, in_parent);
    for (; at != root; at = at->parent) {
        if (at->in_parent.next != &at->parent->children)
            return FA_OBJECT(at->in_parent.next, fa_scope, in_parent);
    }
    return NULL;
}

fa_list *fa_scope_buffers(fa_scope *scope)
{
    return &scope->buffers;
}

fa_list *fa_scope_handles(fa_scope *scope)
{
    return &scope->handles;
}
