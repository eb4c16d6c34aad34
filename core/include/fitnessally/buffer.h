/* Buffers: bytes that the core owns.
 *
 * A buffer has exactly one owner (a scope, or for the time in between the code that holds it) and is mutable until it is
 * sealed. A sealed buffer never changes and may be leased: a lease keeps the bytes past the owner's end for a stated reason
 * (they are on their way into a socket) and is counted as *in flight*. When the owner has let go and the last lease is
 * returned, the bytes are freed where that happens, on whatever thread.
 *
 * Thread: a mutable buffer belongs to the thread that works on it; leases of a sealed one may be taken and returned anywhere.
 */
#ifndef FITNESSALLY_BUFFER_H
#define FITNESSALLY_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fitnessally/result.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct fa_buffer fa_buffer;

/* Adds bytes at the end. data: borrowed for the call. FA_WRONG_STATE when sealed, FA_NO_MEMORY, FA_OVER_BUDGET; on failure the
 * buffer is as it was. */
fa_result fa_buffer_append(fa_buffer *buffer, const void *data, size_t length);

/* Makes room for `length` more bytes and gives the place to write them to; fa_buffer_commit then says how many were written
 * (at most the room asked for). *space is valid until the next call on this buffer. Errors as for append. */
fa_result fa_buffer_reserve(fa_buffer *buffer, size_t length, void **space);
void fa_buffer_commit(fa_buffer *buffer, size_t length);

/* Overwrites bytes that are there already (a header whose lengths are known at the end). FA_INVALID outside of them,
 * FA_WRONG_STATE when sealed. */
fa_result fa_buffer_patch(fa_buffer *buffer, size_t offset, const void *data, size_t length);

/* From now on the bytes never change. Gives unused room back. Sealing twice is harmless. */
void fa_buffer_seal(fa_buffer *buffer);
bool fa_buffer_sealed(const fa_buffer *buffer);

/* Borrowed: valid while the owner or a lease holds the buffer (and, when mutable, until the next append). */
const uint8_t *fa_buffer_data(const fa_buffer *buffer);
size_t fa_buffer_length(const fa_buffer *buffer);

/* A counted hold on a sealed buffer, and its return. FA_WRONG_STATE when it is not sealed. */
fa_result fa_buffer_lease(fa_buffer *buffer);
void fa_buffer_return(fa_buffer *buffer);

/* The owner lets go: the bytes are freed now, or with the last lease. The pointer is dead for the caller. */
void fa_buffer_release(fa_buffer *buffer);

#ifdef __cplusplus
}
#endif
#endif
