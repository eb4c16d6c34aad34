/* Handles: what scripts hold instead of bytes.
 *
 * A handle is a slot number with a generation. The slot knows type, object, owner, the line that made it, and the line and
 * the reason of its end. Resolving a stale handle is an error value with that story, never a pointer. A slot whose scope ends goes
 * stale with it, whoever still holds the handle. Freed slots are reused oldest first, so that stories live long.
 *
 * Thread: a table and its handles belong to one worker.
 */
#ifndef FA_MEMORY_HANDLE_H
#define FA_MEMORY_HANDLE_H

#include "memory/scope.h"

typedef struct fa_handle {
    uint32_t index, generation; /* generation 0 is never given out */
} fa_handle;

/* One per type of object; static. The address is the type's identity. */
typedef struct fa_handle_type {
    const char *name; /* "buffer" */
    void (*release)(
        void *object); /* runs when a handle is released or its scope ends; NULL when the scope frees it anyway */
} fa_handle_type;

typedef struct fa_handle_table fa_handle_table;

/* owner: the scope that pays for the table and ends it (the worker's). maximum: live handles at once. NULL: no
 * memory. */
fa_handle_table *fa_handle_table_new(fa_scope *owner, uint32_t maximum);

/* object: borrowed until the handle is released. scope: the owner: the table's or one below it. label: copied ("tts
 * chunk 3"). FA_FULL at the maximum, FA_NO_MEMORY, FA_WRONG_STATE when the scope has ended. */
fa_result fa_handle_make(fa_handle_table *table, const fa_handle_type *type, void *object, fa_scope *scope,
                         const char *label, fa_origin made_at, fa_handle *handle);

/* Who knows the script line that is running now, asked when a scope ends that has handles and for which no line was noted
 * (fa_scope_end_noted); name NULL when no script runs. locate: may be NULL. Returns the one before, for whoever restores it. */
typedef struct fa_locator {
    fa_origin (*locate)(void *context);
    void *context;
} fa_locator;
fa_locator fa_handle_table_locate(fa_handle_table *table, fa_locator locator);

/* The object, or NULL with the story: "buffer #41 'tts chunk 3' of turn 7: used after release (made at
 * routes/voice.lua:31, released when turn 7 ended at routes/voice.lua:58: interrupted)". error: may be NULL. */
void *fa_handle_resolve(fa_handle_table *table, fa_handle handle, const fa_handle_type *type, fa_error *error);

/* Ends the handle now and runs its type's release. FA_INVALID with the story when it is stale or of another type. */
fa_result fa_handle_release(fa_handle_table *table, fa_handle handle, const fa_handle_type *type, fa_origin released_at,
                            fa_error *error);

/* The same for an object that has gone over to somebody else: the type's release does not run. */
fa_result fa_handle_give_up(fa_handle_table *table, fa_handle handle, const fa_handle_type *type, fa_origin given_at,
                            fa_error *error);

/* Moves the handle to another scope of the same thread; the caller moves the object. FA_INVALID, FA_WRONG_STATE. */
fa_result fa_handle_move(fa_handle_table *table, fa_handle handle, const fa_handle_type *type, fa_scope *scope,
                         fa_error *error);

/* What a handle says of itself in tostring and errors: "buffer #41 'tts chunk 3' of turn 7". */
void fa_handle_describe(fa_handle_table *table, fa_handle handle, char *out, size_t size);

/* For inventory.c: the same of the handle that hangs from a scope by `node`, and where it was made. */
fa_origin fa_handle_look(fa_list *node, char *out, size_t size);

/* For scope.c: every handle of the scope goes stale. Returns how many. */
size_t fa_handles_end_scope(fa_scope *scope, const char *reason);

#endif
