/* What the kernel and the allocator say of this process. Thread: any. */
#ifndef FA_SERVER_PROCESS_H
#define FA_SERVER_PROCESS_H

#include <stddef.h>

/* Bytes that malloc has given out and has kept back. */
typedef struct fa_heap_figures {
    size_t in_use;
    size_t retained; /* freed, and not given back to the system */
} fa_heap_figures;

/* Neither takes memory: the tracker calls them. */
size_t fa_process_resident(void); /* bytes; 0 when the kernel does not tell */
fa_heap_figures fa_process_heap(void);

/* For reports. */
size_t fa_process_open_files(void);
size_t fa_process_threads(void);

#endif
