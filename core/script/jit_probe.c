/* Whether compiled code can be interrupted. Stock LuaJIT does not look at hooks in a loop that it has compiled; one built with
 * LUAJIT_ENABLE_CHECKHOOK does. Which one this is can only be tried: a loop that is compiled, and ends by itself, is interrupted as the
 * watchdog would do it. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "script/internal.h"

/* Some 40 ms. Code that was compiled without a look at hooks comes to the hook too, but only behind the loop. */
static const char loop[] = "local x = 0\nfor i = 1, 3e7 do x = x + i % 7 end\nx = x + 1\nreturn x";

enum { LINE_OF_LOOP = 2 };

static void stop(lua_State *L, lua_Debug *at)
{
    lua_getinfo(L, "l", at);
    lua_pushboolean(L, at->currentline == LINE_OF_LOOP);
    lua_error(L);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is fa_interrupt */
static void interrupt(void *context, char *tell)
{
    (void)tell;
    lua_sethook(context, stop, LUA_MASKCOUNT, 1);
}

/* The signal comes to this thread, once it has worked for 2 ms. */
static fa_result run_loop(lua_State *L, fa_watchdog *dog, bool *stopped, fa_error *error)
{
    timer_t timer;
    fa_watched watched = {.dog = dog};
    fa_turn_outside outside;
    struct itimerspec soon = {.it_value.tv_nsec = 2000000};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = fa_watchdog_signal(dog)};
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0)
        return fa_fail(error, FA_IO, "no timer: %s", strerror(errno));
    fa_watched_begin(&watched, 0, interrupt, L, &outside);
    atomic_store(&watched.overdue, atomic_load(&watched.turn));
    timer_settime(timer, 0, &soon, NULL);
    *stopped = lua_pcall(L, 0, 0, 0) != 0 && lua_toboolean(L, -1);
    fa_watched_end(&watched, &outside);
    timer_delete(timer);
    return FA_OK;
}

fa_result fa_jit_probe(fa_watchdog *dog, bool *interruptible, fa_error *error)
{
    lua_State *L = luaL_newstate();
    if (L == NULL)
        return fa_fail(error, FA_NO_MEMORY, "no memory to try the compiler");
    lua_pushcfunction(L, luaopen_jit);
    lua_call(L, 0, 0);
    fa_result result = luaL_loadstring(L, loop) == 0 ? run_loop(L, dog, interruptible, error)
                                                     : fa_fail(error, FA_NO_MEMORY, "no memory to try the compiler");
    lua_close(L);
    return result;
}
