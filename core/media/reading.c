#include "media/reading.h"

void fa_readings_init(fa_readings *readings)
{
    pthread_mutex_init(&readings->lock, NULL);
    pthread_cond_init(&readings->over, NULL);
    fa_list_init(&readings->under_way);
}

void fa_readings_destroy(fa_readings *readings)
{
    pthread_cond_destroy(&readings->over);
    pthread_mutex_destroy(&readings->lock);
}

static bool is_read(const fa_readings *readings, const fa_media_key *key)
{
    FA_LIST_EACH(node, &readings->under_way)
    {
        if (fa_media_key_same(FA_OBJECT(node, fa_reading, link)->key, key))
            return true;
    }
    return false;
}

void fa_reading_begin(fa_readings *readings, fa_reading *reading, const fa_media_key *key)
{
    reading->key = key;
    pthread_mutex_lock(&readings->lock);
    while (is_read(readings, key))
        pthread_cond_wait(&readings->over, &readings->lock);
    fa_list_append(&readings->under_way, &reading->link);
    pthread_mutex_unlock(&readings->lock);
}

void fa_reading_end(fa_readings *readings, fa_reading *reading)
{
    pthread_mutex_lock(&readings->lock);
    fa_list_remove(&reading->link);
    pthread_cond_broadcast(&readings->over);
    pthread_mutex_unlock(&readings->lock);
}
