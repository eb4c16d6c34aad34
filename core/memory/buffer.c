#include "memory/buffer.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER_MAGIC = 0xb0ff };

/* Of a buffer that shows a file. */
typedef struct mapping {
    void *at;
    size_t length;  /* as mapped, from the beginning of a page */
    size_t counted; /* with the ledger: what the file takes */
} mapping;

struct fa_buffer {
    unsigned magic;
    bool sealed;
    fa_list in_scope;
    fa_scope *owner;
    fa_account *account;
    _Atomic unsigned references; /* the owner's and every lease */
    _Atomic unsigned leases;
    struct fa_buffer *source; /* of a slice: what it shows, leased; data points into it and capacity is 0 */
    mapping *map;             /* of one that shows a file; capacity is 0 */
    uint8_t *data;
    size_t length, capacity;
    fa_origin made_at;
    char label[FA_LABEL_SIZE];
};

static size_t footprint(const fa_buffer *buffer)
{
    return sizeof(*buffer) + buffer->capacity + (buffer->map != NULL ? sizeof(*buffer->map) : 0);
}

fa_result fa_buffer_new_detached(fa_account *account, size_t capacity, const char *label, fa_origin made_at,
                                 fa_buffer **out)
{
    fa_ledger *ledger = fa_account_ledger(account);
    fa_result result =
        capacity > SIZE_MAX / 8 ? FA_OVER_BUDGET : fa_account_charge(account, sizeof(fa_buffer) + capacity);
    if (result != FA_OK)
        return result;
    void *block = fa_ledger_allocate(ledger, sizeof(fa_buffer));
    void *data = block != NULL && capacity != 0 ? fa_ledger_allocate(ledger, capacity) : NULL;
    if (block == NULL || (data == NULL && capacity != 0)) {
        if (block != NULL)
            fa_ledger_release(ledger, block);
        fa_account_discharge(account, sizeof(fa_buffer) + capacity);
        return FA_NO_MEMORY;
    }
    fa_buffer *buffer = memset(block, 0, sizeof(*buffer));
    buffer->magic = BUFFER_MAGIC;
    fa_list_init(&buffer->in_scope);
    buffer->account = fa_account_ref(account);
    buffer->references = 1;
    buffer->data = data;
    buffer->capacity = capacity;
    buffer->made_at = made_at;
    fa_label_copy(buffer->label, sizeof(buffer->label), label);
    *out = buffer;
    return FA_OK;
}

static void link_to(fa_scope *scope, fa_buffer *buffer)
{
    buffer->owner = scope;
    fa_list_append(fa_scope_buffers(scope), &buffer->in_scope);
}

fa_result fa_buffer_new(fa_scope *scope, size_t capacity, const char *label, fa_origin made_at, fa_buffer **out)
{
    if (!fa_scope_live(scope))
        return FA_WRONG_STATE;
    fa_result result = fa_buffer_new_detached(fa_scope_account(scope), capacity, label, made_at, out);
    if (result == FA_OK)
        link_to(scope, *out);
    return result;
}

fa_result fa_buffer_slice(fa_scope *scope, fa_buffer *buffer, size_t offset, size_t length, fa_origin made_at,
                          fa_buffer **out)
{
    if (!buffer->sealed)
        return FA_WRONG_STATE;
    if (offset > buffer->length || length > buffer->length - offset)
        return FA_INVALID;
    fa_result result = fa_buffer_new(scope, 0, buffer->label, made_at, out);
    if (result != FA_OK)
        return result;
    fa_buffer *slice = *out;
    slice->sealed = true;
    if (length == 0)
        return FA_OK; /* nothing to hold */
    slice->source = buffer->source != NULL ? buffer->source : buffer;
    slice->data = buffer->data + offset;
    slice->length = length;
    return fa_buffer_lease(slice->source);
}

/* ---- files ---- */

static fa_result map_file(fa_ledger *ledger, int fd, size_t offset, size_t length, mapping *map)
{
    struct stat info;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), start = offset / page * page;
    if (fstat(fd, &info) != 0)
        return FA_IO;
    if (offset > (size_t)info.st_size || length > (size_t)info.st_size - offset)
        return FA_INVALID;
    map->counted = (size_t)info.st_size;
    map->length = length + (offset - start);
    fa_result result = fa_ledger_map(ledger, map->counted);
    if (result != FA_OK)
        return result;
    map->at = mmap(NULL, map->length, PROT_READ, MAP_SHARED, fd, (off_t)start);
    if (map->at != MAP_FAILED)
        return FA_OK;
    fa_ledger_unmap(ledger, map->counted);
    return FA_IO;
}

static void unmap_file(fa_account *account, mapping *map)
{
    munmap(map->at, map->length);
    fa_ledger_unmap(fa_account_ledger(account), map->counted);
    fa_account_free(account, map, sizeof(*map));
}

fa_result fa_buffer_map(fa_scope *scope, int fd, size_t offset, size_t length, const char *label, fa_origin made_at,
                        fa_buffer **out)
{
    void *block;
    fa_buffer *buffer;
    fa_result result = length != 0 ? fa_buffer_new(scope, 0, label, made_at, &buffer) : FA_INVALID;
    if (result != FA_OK)
        return result;
    result = fa_account_allocate(buffer->account, sizeof(mapping), &block);
    if (result == FA_OK && (result = map_file(fa_scope_ledger(scope), fd, offset, length, block)) != FA_OK)
        fa_account_free(buffer->account, block, sizeof(mapping));
    if (result != FA_OK) {
        fa_buffer_release(buffer);
        return result;
    }
    buffer->map = block;
    buffer->data = (uint8_t *)buffer->map->at + (buffer->map->length - length);
    buffer->length = length;
    buffer->sealed = true;
    *out = buffer;
    return FA_OK;
}

bool fa_buffer_mapped(const fa_buffer *buffer)
{
    return buffer->map != NULL || (buffer->source != NULL && buffer->source->map != NULL);
}

/* ---- owners ---- */

static fa_result move_charge(fa_buffer *buffer, fa_account *to)
{
    fa_account *from = buffer->account;
    if (to == from)
        return FA_OK;
    /* Not `leases`: whoever returns the last one on another thread still has to subtract from the account after that. */
    if (buffer->references != 1)
        return FA_WRONG_STATE;
    fa_result result = fa_account_move(from, to, footprint(buffer));
    if (result != FA_OK)
        return result;
    buffer->account = fa_account_ref(to);
    fa_account_unref(from);
    return FA_OK;
}

fa_result fa_buffer_adopt(fa_scope *scope, fa_buffer *buffer)
{
    if (!fa_scope_live(scope))
        return FA_WRONG_STATE;
    fa_result result = move_charge(buffer, fa_scope_account(scope));
    if (result != FA_OK)
        return result;
    fa_list_remove(&buffer->in_scope);
    link_to(scope, buffer);
    return FA_OK;
}

fa_result fa_buffer_detach(fa_account *account, fa_buffer *buffer)
{
    if (buffer->source != NULL || buffer->map != NULL)
        return FA_UNSUPPORTED;
    if (buffer->references != 1)
        return FA_WRONG_STATE;
    fa_result result = move_charge(buffer, account);
    if (result != FA_OK)
        return result;
    fa_list_remove(&buffer->in_scope);
    buffer->owner = NULL;
    return FA_OK;
}

static fa_result change_capacity(fa_buffer *buffer, size_t capacity)
{
    void *data = buffer->data;
    fa_result result = fa_account_resize(buffer->account, &data, buffer->capacity, capacity);
    if (result != FA_OK)
        return result;
    buffer->data = data;
    buffer->capacity = capacity;
    return FA_OK;
}

fa_result fa_buffer_reserve(fa_buffer *buffer, size_t length, void **space)
{
    assert(buffer->magic == BUFFER_MAGIC);
    if (buffer->sealed)
        return FA_WRONG_STATE;
    if (length > SIZE_MAX / 4 - buffer->length)
        return FA_NO_MEMORY;
    if (buffer->capacity - buffer->length < length) {
        size_t wanted = buffer->length + length, doubled = buffer->capacity * 2;
        fa_result result = change_capacity(buffer, doubled > wanted ? doubled : wanted);
        if (result != FA_OK && doubled > wanted) /* doubling is a comfort, the bytes asked for are not */
            result = change_capacity(buffer, wanted);
        if (result != FA_OK)
            return result;
    }
    *space = buffer->length != 0 ? buffer->data + buffer->length : buffer->data;
    return FA_OK;
}

void fa_buffer_commit(fa_buffer *buffer, size_t length)
{
    assert(!buffer->sealed && length <= buffer->capacity - buffer->length);
    buffer->length += length;
}

fa_result fa_buffer_append(fa_buffer *buffer, const void *data, size_t length)
{
    void *space;
    if (length == 0)
        return buffer->sealed ? FA_WRONG_STATE : FA_OK;
    fa_result result = fa_buffer_reserve(buffer, length, &space);
    if (result != FA_OK)
        return result;
    memcpy(space, data, length);
    fa_buffer_commit(buffer, length);
    return FA_OK;
}

fa_result fa_buffer_patch(fa_buffer *buffer, size_t offset, const void *data, size_t length)
{
    if (buffer->sealed)
        return FA_WRONG_STATE;
    if (offset > buffer->length || length > buffer->length - offset)
        return FA_INVALID;
    if (length != 0)
        memcpy(buffer->data + offset, data, length);
    return FA_OK;
}

void fa_buffer_seal(fa_buffer *buffer)
{
    if (buffer->sealed)
        return;
    buffer->sealed = true;
    if (buffer->length == 0 && buffer->capacity != 0) {
        fa_account_free(buffer->account, buffer->data, buffer->capacity);
        buffer->data = NULL;
        buffer->capacity = 0;
    } else if (buffer->length < buffer->capacity) {
        change_capacity(buffer, buffer->length); /* when that fails the room stays, and stays charged */
    }
}

bool fa_buffer_sealed(const fa_buffer *buffer)
{
    return buffer->sealed;
}

const uint8_t *fa_buffer_data(const fa_buffer *buffer)
{
    return buffer->data;
}

size_t fa_buffer_length(const fa_buffer *buffer)
{
    return buffer->length;
}

static void drop_reference(fa_buffer *buffer)
{
    if (--buffer->references != 0)
        return;
    fa_account *account = buffer->account;
    size_t released = sizeof(*buffer);
    buffer->magic = 0;
    if (buffer->source != NULL)
        fa_buffer_return(buffer->source); /* which shows nothing itself: no deeper than this */
    else if (buffer->map != NULL)
        unmap_file(account, buffer->map);
    else if (buffer->data != NULL) {
        fa_ledger_release(fa_account_ledger(account), buffer->data);
        released += buffer->capacity;
    }
    fa_account_free(account, buffer, released); /* at once: each level is counted with a locked instruction */
    fa_account_unref(account);
}

fa_result fa_buffer_lease(fa_buffer *buffer)
{
    if (!buffer->sealed)
        return FA_WRONG_STATE;
    buffer->references++;
    if (buffer->leases++ == 0)
        fa_account_in_flight(buffer->account, footprint(buffer));
    return FA_OK;
}

void fa_buffer_return(fa_buffer *buffer)
{
    assert(buffer->magic == BUFFER_MAGIC && buffer->leases != 0);
    if (--buffer->leases == 0)
        fa_account_landed(buffer->account, footprint(buffer));
    drop_reference(buffer);
}

void fa_buffer_release(fa_buffer *buffer)
{
    assert(buffer->magic == BUFFER_MAGIC);
    fa_list_remove(&buffer->in_scope);
    buffer->owner = NULL;
    drop_reference(buffer);
}

const char *fa_buffer_label(const fa_buffer *buffer)
{
    return buffer->label;
}

fa_origin fa_buffer_made_at(const fa_buffer *buffer)
{
    return buffer->made_at;
}

fa_scope *fa_buffer_owner(const fa_buffer *buffer)
{
    return buffer->owner;
}

bool fa_buffer_leased(const fa_buffer *buffer)
{
    return buffer->leases != 0;
}

size_t fa_buffer_cost(const fa_buffer *buffer)
{
    return footprint(buffer);
}

size_t fa_buffer_pinned(const fa_buffer *buffer)
{
    const fa_buffer *shown = buffer->source != NULL ? buffer->source : buffer;
    size_t mapped = shown->map != NULL ? shown->map->length : 0;
    return footprint(shown) + mapped + (shown != buffer ? footprint(buffer) : 0);
}

fa_buffer *fa_buffer_of_node(fa_list *node)
{
    return FA_OBJECT(node, fa_buffer, in_scope);
}
