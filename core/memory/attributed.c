#include "memory/attributed.h"

void fa_attributed_add(fa_ledger *ledger, fa_attributed *source, const char *name, size_t (*read)(void *context),
                       void *context)
{
    fa_attributed_sources *sources = fa_ledger_attributed(ledger);
    source->name = name;
    source->read = read;
    source->context = context;
    pthread_mutex_lock(&sources->lock);
    fa_list_append(&sources->list, &source->link);
    pthread_mutex_unlock(&sources->lock);
}

void fa_attributed_remove(fa_ledger *ledger, fa_attributed *source)
{
    fa_attributed_sources *sources = fa_ledger_attributed(ledger);
    if (source->read == NULL)
        return;
    pthread_mutex_lock(&sources->lock);
    fa_list_remove(&source->link);
    pthread_mutex_unlock(&sources->lock);
    source->read = NULL;
}

size_t fa_attributed_read(fa_ledger *ledger, void (*each)(void *context, const char *name, size_t bytes), void *context)
{
    fa_attributed_sources *sources = fa_ledger_attributed(ledger);
    size_t sum = 0;
    pthread_mutex_lock(&sources->lock);
    FA_LIST_EACH(node, &sources->list)
    {
        const fa_attributed *source = FA_OBJECT(node, fa_attributed, link);
        size_t bytes = source->read(source->context);
        if (each != NULL)
            each(context, source->name, bytes);
        sum += bytes;
    }
    pthread_mutex_unlock(&sources->lock);
    return sum;
}
