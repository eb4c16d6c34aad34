#include "base/clock.h"

void fa_clock_init(fa_clock *clock)
{
    uint64_t now_ms = fa_now_ms();
    clock->now_ms = now_ms;
    clock->wall_offset_ms = fa_wall_ms() - now_ms;
    fa_list_init(&clock->alarms);
}

void fa_clock_set_alarm(fa_clock *clock, fa_clock_alarm *alarm, uint64_t delay_ms)
{
    fa_list *before;
    uint64_t now_ms = clock->now_ms;
    fa_clock_unset_alarm(alarm);
    alarm->due_ms = delay_ms < UINT64_MAX - now_ms ? now_ms + delay_ms : UINT64_MAX;
    /* From the end: of the same time, whoever was set first comes first. */
    for (before = clock->alarms.prev; before != &clock->alarms; before = before->prev) {
        if (FA_OBJECT(before, fa_clock_alarm, link)->due_ms <= alarm->due_ms)
            break;
    }
    fa_list_insert_after(before, &alarm->link);
}

void fa_clock_unset_alarm(fa_clock_alarm *alarm)
{
    if (alarm->link.next != NULL)
        fa_list_remove(&alarm->link);
}

bool fa_clock_ring_next(fa_clock *clock, uint64_t until_ms)
{
    fa_list *first = fa_list_first(&clock->alarms);
    fa_clock_alarm *alarm = first != NULL ? FA_OBJECT(first, fa_clock_alarm, link) : NULL;
    bool is_due = alarm != NULL && alarm->due_ms <= until_ms;
    uint64_t at_ms = is_due ? alarm->due_ms : until_ms;
    if (at_ms > clock->now_ms)
        clock->now_ms = at_ms;
    if (is_due) {
        fa_list_remove(&alarm->link);
        alarm->ring(alarm);
    }
    return is_due;
}
