/* How a crossing is dealt with.
 *
 * It may happen on several threads at once, and inside of one another (what is told may charge or free something). One
 * thread looks; the others only leave a note that there is more to see, and the one who looks does so again. So nobody
 * ever waits in the midst of an allocation, but for the moment in which a list of a few subscribers is walked. */
#include "memory/pressure.h"

#include <pthread.h>
#include <string.h>

#include "base/units.h"

struct fa_pressure {
    fa_account_watch watch;
    fa_scope *scope;
    fa_account *account;
    const fa_log *log;
    size_t enter[FA_PRESSURE_LEVELS], leave[FA_PRESSURE_LEVELS]; /* bytes */
    _Atomic unsigned level;
    _Atomic unsigned crossings; /* not looked at yet; whoever makes it more than 0 looks */
    pthread_mutex_t lock;       /* guards subscribers, and keeps them there while they are told */
    fa_list subscribers;
};

const char *fa_pressure_name(fa_pressure_level level)
{
    static const char *const names[FA_PRESSURE_LEVELS] = {
        "none",         "refuse new dialogues",      "pause upstream reads", "shrink caches",
        "pause speech", "drop the slowest listener", "refuse connections"};
    return (unsigned)level < FA_PRESSURE_LEVELS ? names[level] : "unknown";
}

static unsigned level_for(const fa_pressure *pressure, unsigned level, size_t total)
{
    while (level + 1 < FA_PRESSURE_LEVELS && total >= pressure->enter[level + 1])
        ++level;
    while (level > 0 && total < pressure->leave[level])
        --level;
    return level;
}

static void set_marks(fa_pressure *pressure, unsigned level)
{
    fa_account_marks(pressure->account, level > 0 ? pressure->leave[level] : 0,
                     level + 1 < FA_PRESSURE_LEVELS ? pressure->enter[level + 1] : SIZE_MAX);
}

static void tell_subscribers(fa_pressure *pressure)
{
    pthread_mutex_lock(&pressure->lock);
    FA_LIST_EACH(node, &pressure->subscribers)
    {
        fa_pressure_subscriber *subscriber = FA_OBJECT(node, fa_pressure_subscriber, link);
        subscriber->changed(subscriber);
    }
    pthread_mutex_unlock(&pressure->lock);
}

/* One line a step: what is done now or not any more, and who holds most. */
static void tell_log(const fa_pressure *pressure, unsigned from, unsigned to, size_t total, const fa_account *by)
{
    char have[16], budget[16], most[16];
    fa_ledger *ledger = fa_account_ledger(pressure->account);
    fa_kind largest = fa_ledger_largest(ledger);
    if (pressure->log == NULL)
        return;
    fa_format_size(total, have);
    fa_format_size(fa_account_budget(pressure->account), budget);
    fa_format_size(fa_ledger_kind(ledger, largest)->bytes, most);
    for (unsigned level = from + 1; level <= to; ++level)
        fa_log_write(pressure->log, FA_LOG_WARN,
                     "memory pressure %u, %s: %s of %s are in use, most by owners of kind %s (%s); '%s' asked last",
                     level, fa_pressure_name(level), have, budget, fa_kind_name(largest), most, fa_account_label(by));
    for (unsigned level = from; level > to; --level)
        fa_log_write(pressure->log, FA_LOG_INFO,
                     "memory pressure %u is over, no longer %s: %s of %s are in use, most by owners of kind %s (%s)",
                     level, fa_pressure_name(level), have, budget, fa_kind_name(largest), most);
}

static void look(fa_pressure *pressure, const fa_account *by)
{
    unsigned before = pressure->level, level = before;
    size_t total;
    do {
        total = fa_account_total(pressure->account);
        level = level_for(pressure, level, total);
        set_marks(pressure, level);
        /* A charge that came before the marks may have made them wrong already, and it saw the old ones. */
    } while (level_for(pressure, level, fa_account_total(pressure->account)) != level);
    if (level == before)
        return;
    pressure->level = level;
    tell_subscribers(pressure);
    tell_log(pressure, before, level, total, by);
}

static void on_crossing(fa_account_watch *watch, const fa_account *by)
{
    fa_pressure *pressure = FA_OBJECT(watch, fa_pressure, watch);
    unsigned seen = 1;
    if (pressure->crossings++ != 0)
        return; /* somebody is at it, and will look again */
    do {
        look(pressure, by);
    } while (!atomic_compare_exchange_strong(&pressure->crossings, &seen, 0));
}

fa_pressure *fa_pressure_new(fa_scope *scope, const fa_pressure_options *options, const fa_log *log)
{
    fa_pressure *pressure = fa_scope_allocate(scope, sizeof(*pressure));
    if (pressure == NULL)
        return NULL;
    pressure->watch.crossed = on_crossing;
    pressure->scope = scope;
    pressure->account = fa_scope_account(scope);
    pressure->log = log;
    pthread_mutex_init(&pressure->lock, NULL);
    fa_list_init(&pressure->subscribers);
    const size_t budget = fa_account_budget(pressure->account);
    for (int level = 1; level < FA_PRESSURE_LEVELS; ++level) {
        double end = options->enter[level] - options->relief;
        pressure->enter[level] = (size_t)((double)budget * options->enter[level] / 100);
        pressure->leave[level] = end > 0 ? (size_t)((double)budget * end / 100) : 0;
    }
    if (budget != 0) {
        fa_account_watch_set(pressure->account, &pressure->watch);
        on_crossing(&pressure->watch, pressure->account); /* sets the marks for what is there already */
    }
    return pressure;
}

void fa_pressure_free(fa_pressure *pressure)
{
    if (pressure == NULL)
        return;
    fa_account_marks(pressure->account, 0, SIZE_MAX);
    pthread_mutex_destroy(&pressure->lock);
    fa_scope_free(pressure->scope, pressure);
}

fa_pressure_level fa_pressure_now(fa_pressure *pressure)
{
    return (fa_pressure_level)pressure->level;
}

void fa_pressure_subscribe(fa_pressure *pressure, fa_pressure_subscriber *subscriber,
                           void (*changed)(fa_pressure_subscriber *subscriber))
{
    subscriber->changed = changed;
    pthread_mutex_lock(&pressure->lock);
    fa_list_append(&pressure->subscribers, &subscriber->link);
    pthread_mutex_unlock(&pressure->lock);
}

void fa_pressure_unsubscribe(fa_pressure *pressure, fa_pressure_subscriber *subscriber)
{
    pthread_mutex_lock(&pressure->lock);
    fa_list_remove(&subscriber->link);
    pthread_mutex_unlock(&pressure->lock);
}
