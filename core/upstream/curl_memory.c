#include "upstream/curl_memory.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

static _Atomic size_t live;
static _Atomic size_t fail_at, fail_count;
static _Atomic bool fail_all;
static _Thread_local long long here;

static bool refused(void)
{
    size_t at = atomic_load_explicit(&fail_at, memory_order_relaxed);
    if (at == 0)
        return false;
    size_t n = ++fail_count;
    return n == at || (n > at && fail_all);
}

static void *count(void *block)
{
    size_t size = block != NULL ? malloc_usable_size(block) : 0;
    atomic_fetch_add_explicit(&live, size, memory_order_relaxed);
    here += (long long)size;
    return block;
}

static void uncount(size_t size)
{
    atomic_fetch_sub_explicit(&live, size, memory_order_relaxed);
    here -= (long long)size;
}

static void *counted_malloc(size_t size)
{
    return refused() ? NULL : count(malloc(size));
}

static void *counted_calloc(size_t items, size_t size)
{
    return refused() ? NULL : count(calloc(items, size));
}

static void *counted_realloc(void *block, size_t size)
{
    size_t old = block != NULL ? malloc_usable_size(block) : 0;
    void *fresh = refused() ? NULL : realloc(block, size);
    if (fresh == NULL)
        return NULL;
    uncount(old);
    return count(fresh);
}

static void counted_free(void *block)
{
    if (block != NULL)
        uncount(malloc_usable_size(block));
    free(block);
}

static char *counted_strdup(const char *text)
{
    size_t length = strlen(text) + 1;
    char *copy = counted_malloc(length);
    return copy != NULL ? memcpy(copy, text, length) : NULL;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode began;
static bool counted;

static void begin(void)
{
    began = curl_global_init_mem(CURL_GLOBAL_DEFAULT, counted_malloc, counted_free, counted_realloc, counted_strdup,
                                 counted_calloc);
    long long before = here;
    struct curl_slist *probe = began == CURLE_OK ? curl_slist_append(NULL, "probe") : NULL;
    counted = here != before; /* else somebody came first, with functions of his own */
    curl_slist_free_all(probe);
}

fa_result fa_curl_begin(void)
{
    pthread_once(&once, begin);
    return began == CURLE_OK ? FA_OK : FA_NO_MEMORY;
}

size_t fa_curl_memory(void)
{
    return atomic_load_explicit(&live, memory_order_relaxed);
}

bool fa_curl_memory_counted(void)
{
    return counted;
}

long long fa_curl_memory_here(void)
{
    return here;
}

void fa_curl_memory_fail_at(size_t n, bool all)
{
    fail_count = 0;
    fail_all = all;
    fail_at = n;
}
