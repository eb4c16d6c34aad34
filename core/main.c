/* The `fitnessally` command: the library's command line, and how this process uses malloc. */
#include <malloc.h>

#include "fitnessally/fitnessally.h"

/* glibc's defaults keep what a burst needed: an arena for each thread, and thresholds that grow with the largest block
 * freed. Setting any of these fixes them. Two arenas are enough for a loop and its helpers; audio and bodies (64 KB and
 * more) are mapped, and go back to the system the moment they are freed; so does a free top of the heap. Ours to set
 * here, not in the library: an embedder's process is the embedder's. */
static void keep_memory_flat(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 64 * 1024);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
}

int main(int argc, char **argv)
{
    keep_memory_flat();
    return fa_command_line(argc, argv);
}
