/* What libcurl allocates, counted.
 *
 * libcurl is initialised once a process, with counting functions over malloc, so that its bytes are *attributed* in the memory report
 * and no residual. There is no header before a block: a block that somebody gives to free() by himself is only counted too long.
 * A program that embeds us may have initialised libcurl before: its functions stand then, nothing is counted, and
 * fa_curl_memory_counted says so. The other way round, whatever else uses libcurl in the process is counted here too.
 *
 * OpenSSL's memory is not in it. Thread: any.
 */
#ifndef FA_UPSTREAM_CURL_MEMORY_H
#define FA_UPSTREAM_CURL_MEMORY_H

#include <stdbool.h>

#include "fitnessally/result.h"

/* Initialises libcurl; again is harmless. It stays until the process ends: a resolver's thread may be under way. FA_NO_MEMORY. */
fa_result fa_curl_begin(void);

size_t fa_curl_memory(void); /* bytes now, as malloc rounds them */
bool fa_curl_memory_counted(void);

/* Of them, those that this thread has taken and not given back; less than 0 when it frees what others took. For telling what one
 * call gave back. */
long long fa_curl_memory_here(void);

/* For tests: the n-th allocation from now on fails, on any thread, and, when `all`, every one after it; 0: none. */
void fa_curl_memory_fail_at(size_t n, bool all);

#endif
