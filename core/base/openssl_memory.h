/* How much OpenSSL holds: TLS sessions, certificates, random numbers; also what libcurl and others of the process use it for.
 *
 * OpenSSL has one set of allocation functions for the whole process, which can be replaced only before it has allocated anything. So
 * only a program may do that, in the first line of its main: fa_count_openssl_memory (fitnessally.h), which core/main.c calls. A library
 * that did it on its own would do it to its embedder. The counter is the process's for the same reason. Thread: any. */
#ifndef FA_BASE_OPENSSL_MEMORY_H
#define FA_BASE_OPENSSL_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

bool fa_openssl_memory_is_counted(void);

/* Bytes that malloc has given out to it, what malloc rounded up included. context: not used (memory/attributed.h). */
size_t fa_openssl_memory_read(void *context);

#endif
