/* One read at a time of one file: when two workers want the same file that nobody has in memory, the second waits for
 * the first's bytes instead of reading them again. It waits on the pool, where it would have waited for the disk.
 *
 * Thread: the pool's, never a loop. */
#ifndef FA_MEDIA_READING_H
#define FA_MEDIA_READING_H

#include "media/cache.h"

typedef struct fa_readings {
    pthread_mutex_t lock;
    pthread_cond_t over;
    fa_list under_way;
} fa_readings;

/* Lies on the reader's stack. */
typedef struct fa_reading {
    fa_list link;
    const fa_media_key *key;
} fa_reading;

void fa_readings_init(fa_readings *readings);
void fa_readings_destroy(fa_readings *readings); /* nobody reads any more */

/* Waits until nobody else reads this file. key: borrowed until the end. */
void fa_reading_begin(fa_readings *readings, fa_reading *reading, const fa_media_key *key);
void fa_reading_end(fa_readings *readings, fa_reading *reading);

#endif
