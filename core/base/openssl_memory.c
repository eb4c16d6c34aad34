#include "base/openssl_memory.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/crypto.h>

#include "fitnessally/fitnessally.h"

static struct {
    _Atomic bool counted;
    _Atomic size_t bytes;
} openssl;

static void *allocate(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    void *block = size != 0 ? malloc(size) : NULL; /* as OpenSSL's own */
    if (block != NULL)
        atomic_fetch_add_explicit(&openssl.bytes, malloc_usable_size(block), memory_order_relaxed);
    return block;
}

static void release(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    if (block != NULL)
        atomic_fetch_sub_explicit(&openssl.bytes, malloc_usable_size(block), memory_order_relaxed);
    free(block);
}

static void *resize(void *block, size_t size, const char *file, int line)
{
    if (block == NULL)
        return allocate(size, file, line);
    if (size == 0) {
        release(block, file, line);
        return NULL;
    }
    size_t before = malloc_usable_size(block);
    void *moved = realloc(block, size);
    if (moved != NULL) {
        atomic_fetch_add_explicit(&openssl.bytes, malloc_usable_size(moved), memory_order_relaxed);
        atomic_fetch_sub_explicit(&openssl.bytes, before, memory_order_relaxed);
    }
    return moved;
}

fa_result fa_count_openssl_memory(void)
{
    if (openssl.counted)
        return FA_OK;
    if (CRYPTO_set_mem_functions(allocate, resize, release) != 1)
        return FA_WRONG_STATE;
    openssl.counted = true;
    return FA_OK;
}

bool fa_openssl_memory_is_counted(void)
{
    return openssl.counted;
}

size_t fa_openssl_memory_read(void *context)
{
    (void)context;
    return openssl.bytes;
}
