/* The `fitnessally` command: the library's command line, and which malloc this process runs on. That is chosen here and not in
 * the library: an embedder's process is the embedder's. */
#include <malloc.h>

#include "fitnessally/fitnessally.h"

#ifdef FA_JEMALLOC
/* jemalloc reads it before main. What was freed goes back to the system within a second, by a thread of its own: without that
 * thread it goes only when somebody allocates, and a server at rest would keep what its last burst needed. The figures that
 * chose it are in docs/measuring.md. The variable MALLOC_CONF of the environment wins over this. */
extern const char *malloc_conf;
const char *malloc_conf = "background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0";
#endif

/* glibc's defaults keep what a burst needed: an arena for each thread, and thresholds that grow with the largest block
 * freed. Setting any of these fixes them. Two arenas are enough for a loop and its helpers; audio and bodies (64 KB and
 * more) are mapped, and go back to the system the moment they are freed; so does a free top of the heap. Small blocks in between
 * do not, which is why this is the second best. Without effect on other allocators. */
static void keep_glibc_flat(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 64 * 1024);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
}

int main(int argc, char **argv)
{
    keep_glibc_flat();
    fa_count_openssl_memory(); /* OpenSSL has allocated nothing yet */
    return fa_command_line(argc, argv);
}
