/* Plugins that have a Lua state of their own: guests of the state that has them enabled (guest.c), and what goes between the two
 * (lua_guest.c). Thread: that of the host. */
#ifndef FA_SCRIPT_GUEST_H
#define FA_SCRIPT_GUEST_H

#include <string.h>

#include "script/internal.h"

/* Each guest of the host, in the order of plugins_enabled. */
static inline fa_script *fa_guest_from(const fa_script *host, size_t *at)
{
    while (*at < host->half_count && host->halves[*at].guest == NULL)
        ++*at;
    return *at < host->half_count ? host->halves[*at].guest : NULL;
}
#define FA_GUEST_EACH(guest, host)                                                                                     \
    for (size_t at_ = 0; at_ < (host)->half_count; ++at_)                                                              \
        for (fa_script *guest = fa_guest_from(host, &at_), *once_ = guest; once_ != NULL; once_ = NULL)

/* Makes the state of a plugin and loads its half there. 0: what the half would have returned is on top of the host's stack: functions
 * and phases that go over to the guest. Else the problem is on top, and there is no guest. */
int fa_guest_load(fa_script *host, const fa_script_plugin *plugin, fa_half *half);

/* For state.c, while a guest is made: what reaches beyond it goes. */
void fa_guest_withhold(lua_State *L);

void fa_guests_attach(fa_script *host);
void fa_guests_start(fa_script *host); /* what they gave to app:on_start */
void fa_guests_stop(fa_script *host);
void fa_guests_free(fa_script *host); /* no task of the host's is left */

void fa_guests_retire(fa_script *host);
void fa_guests_cut(fa_script *host, const char *reason);
bool fa_guests_idle(const fa_script *host);

void fa_guests_read_left(const fa_script *host, fa_script_left *left);
void fa_guests_add_figures(const fa_script *host, fa_script_figures *figures);
void fa_guests_take_inventory(const fa_script *host, fa_inventory *inventory, const fa_scope *except);

/* ---- lua_guest.c ---- */

/* In the guest: keeps what its half has given where calls find it. 0, or the problem is on top of its stack. */
int fa_guest_enter(fa_script *guest);
/* What lies on top of the guest's stack after a call that failed, as a text with its line; borrowed from there. */
const char *fa_guest_problem(fa_script *guest, int status);
/* In the host: pushes what `take` gets. 0, or the problem is on top. */
int fa_guest_push_half(fa_script *host, fa_half *half);

#endif
