/* What the kernel and the allocator say of this process. Thread: any. */
#ifndef FA_SERVER_PROCESS_H
#define FA_SERVER_PROCESS_H

#include <stddef.h>

/* Neither takes memory: the tracker calls them. */
size_t fa_process_resident(void); /* bytes; 0 when the kernel does not tell */

/* For reports. */
size_t fa_process_open_files(void);
size_t fa_process_threads(void);

/* Makes room in the kernel's table of descriptors for so many, or as many as may be open. The table doubles as it fills, and in a process
 * with threads each time waits for all processors to have passed a quiet point (RCU): some 10 ms, in which a worker answers nobody. 8 bytes
 * of the kernel's memory each. */
void fa_process_make_room(size_t descriptors);

#endif
