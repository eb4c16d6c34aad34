/* Buffers as the core makes them: see fitnessally/buffer.h for what they are. */
#ifndef FA_MEMORY_BUFFER_H
#define FA_MEMORY_BUFFER_H

#include "fitnessally/buffer.h"
#include "memory/account.h"
#include "memory/scope.h"

/* A mutable buffer owned by `scope` and charged to it; it ends with the scope at the latest. capacity: bytes of room at
 * once, 0 for none. label: copied, for reports ("tts chunk 3"). Thread: the scope's. */
fa_result fa_buffer_new(fa_scope *scope, size_t capacity, const char *label, fa_origin made_at, fa_buffer **buffer);

/* The same with no scope yet: the caller is the owner until fa_buffer_adopt or fa_buffer_release. account: shared.
 * Thread: any (a plugin's thread makes its results this way). */
fa_result fa_buffer_new_detached(fa_account *account, size_t capacity, const char *label, fa_origin made_at,
                                 fa_buffer **buffer);

/* A sealed buffer of `scope` that shows `length` bytes of another from `offset` on, without a copy. It holds a lease on that
 * other (of a slice: on what that one shows): the bytes stay charged where they are, count as in flight there, and go with
 * the last that shows them. FA_WRONG_STATE when the other is not sealed or the scope has ended, FA_INVALID outside of it,
 * FA_NO_MEMORY, FA_OVER_BUDGET for the slice's own few bytes. */
fa_result fa_buffer_slice(fa_scope *scope, fa_buffer *buffer, size_t offset, size_t length, fa_origin made_at,
                          fa_buffer **slice);

/* A sealed buffer of `scope` that shows `length` bytes of a file from `offset` on, mapped read-only: nothing is copied, and the
 * bytes are charged to nobody (what the file takes is counted by fa_ledger_map while the buffer lives). It may be leased,
 * sliced and adopted as any other. fd: borrowed for the call; a file that nobody else can write to or shorten, with its blocks
 * allocated, for a page that cannot be had is a SIGBUS: unlinked, ours, and no longer written to. FA_INVALID outside of the
 * file, FA_WRONG_STATE when the scope has ended, FA_OVER_BUDGET at the ledger's limit, FA_IO, FA_NO_MEMORY. */
fa_result fa_buffer_map(fa_scope *scope, int fd, size_t offset, size_t length, const char *label, fa_origin made_at,
                        fa_buffer **buffer);
bool fa_buffer_mapped(const fa_buffer *buffer); /* or a slice of such a one */

/* `scope` becomes the owner. The bytes are charged to the scope's account from now on; refused, with nothing changed,
 * when there is no room (FA_OVER_BUDGET), when the scope has ended or when the buffer is in flight under another
 * account (FA_WRONG_STATE). What both scopes stand under is not charged again. Works on detached buffers and, as a
 * transfer, on those of another scope of the same thread. */
fa_result fa_buffer_adopt(fa_scope *scope, fa_buffer *buffer);

/* Nobody's scope owns it any more: the caller does, and `account` is charged. For what is to outlive its scope, on whatever thread.
 * FA_WRONG_STATE when somebody else holds it too (it is leased); FA_UNSUPPORTED when its bytes are not its own (a slice, a mapped file);
 * FA_OVER_BUDGET; nothing has changed then. */
fa_result fa_buffer_detach(fa_account *account, fa_buffer *buffer);

const char *fa_buffer_label(const fa_buffer *buffer);
fa_origin fa_buffer_made_at(const fa_buffer *buffer);
fa_scope *fa_buffer_owner(const fa_buffer *buffer); /* borrowed, NULL when detached */
bool fa_buffer_leased(const fa_buffer *buffer);
size_t fa_buffer_cost(const fa_buffer *buffer); /* bytes it is charged for */

/* Bytes that stay for as long as somebody holds it, whoever is charged: of a slice all that it is one of, of a mapped file what is mapped. */
size_t fa_buffer_pinned(const fa_buffer *buffer);

/* For core/memory/scope.c: the list node by which a scope holds its buffers. */
fa_buffer *fa_buffer_of_node(fa_list *node);

#endif
