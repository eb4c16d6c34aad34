/* What the kernel and the allocator say of this process. Thread: any. */
#ifndef FA_SERVER_PROCESS_H
#define FA_SERVER_PROCESS_H

#include <stddef.h>

/* Neither takes memory: the tracker calls them. */
size_t fa_process_resident(void); /* bytes; 0 when the kernel does not tell */

/* For reports. */
size_t fa_process_open_files(void);
size_t fa_process_threads(void);

#endif
