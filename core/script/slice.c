/* How long a script may run without waiting.
 *
 * While control is in Lua the worker's watchdog counts (worker/watchdog.h). When the slice is over, the signal's handler sets a hook, as
 * luajit does for Ctrl-C; the hook raises at every instruction until control is back in C, so that a script which catches the error is
 * stopped all the same. What it held is cleaned up by the ends of its scopes.
 *
 * Code that LuaJIT has compiled never looks at hooks, in the builds that everybody has. So the compiler is on for scripts only where
 * fa_jit_probe has seen it give way.
 */
#include <stdio.h>
#include <string.h>

#include "script/internal.h"

void fa_lua_place(lua_State *L, char *out, size_t size)
{
    lua_Debug at;
    for (int level = 0; lua_getstack(L, level, &at) && lua_getinfo(L, "Sl", &at); ++level) {
        if (at.currentline > 0 && at.source[0] != '=') {
            snprintf(out, size, "%s:%d", at.short_src, at.currentline);
            return;
        }
    }
    snprintf(out, size, "(no script)");
}

/* A script that catches the error is stopped further out, again and again. What is told is where it was first, and how it came there. */
static void push_over(lua_State *L, const fa_script *script)
{
    uint64_t limit = script->loading && script->current == NULL ? script->options.load_ms : script->options.slice_ms;
    lua_pushfstring(L, "%s: the script ran for more than %d ms without waiting", script->over_at, (int)limit);
}

void fa_slice_over(lua_State *L)
{
    fa_script *script = fa_script_of(L);
    if (script->over_at[0] != '\0') {
        push_over(L, script);
        lua_error(L);
    }
    fa_lua_place(L, script->over_at, sizeof(script->over_at));
    push_over(L, script);
    fa_lua_push_traceback(L, L, lua_tostring(L, -1), 0);
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.traceback");
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, "fitnessally.raised");
    lua_error(L);
}

static void on_instruction(lua_State *L, lua_Debug *at)
{
    (void)at;
    fa_slice_over(L);
}

static void on_line(lua_State *L, lua_Debug *at)
{
    const fa_line_listener *lines = fa_script_of(L)->options.lines;
    if (lua_getinfo(L, "S", at))
        lines->on_line(lines->context, at->source, at->currentline);
}

/* What is hooked while nobody is to be stopped. */
void fa_script_tell_lines(fa_script *script)
{
    bool wanted = script->options.lines != NULL;
    lua_sethook(script->lua, wanted ? on_line : NULL, wanted ? LUA_MASKLINE : 0, 0);
}

/* In a signal handler, on the worker's own thread, while `script` is in Lua or in a function that Lua has called. */
static void interrupt(void *context, char *tell)
{
    fa_script *script = context;
    if (tell == NULL) {
        script->armed = 1;
        lua_sethook(script->lua, on_instruction, LUA_MASKCOUNT, 1);
        return;
    }
    char place[LUA_IDSIZE + 16];
    const fa_task *task = script->current;
    bool request = task != NULL && task->exchange != NULL && task->scope != NULL;
    fa_lua_place(task != NULL ? task->co : script->lua, place, sizeof(place));
    snprintf(tell, FA_WATCHED_TOLD, "%s%.40s at %s", request ? "request " : "a task",
             request ? task->exchange->request_id : "", place);
}

void fa_slice_begin(fa_script *script, fa_slice *slice)
{
    bool load = script->loading && script->current == NULL;
    slice->strict = fa_heap_strict(script, true);
    script->over_at[0] = '\0';
    slice->stack_base = script->stack_base;
    if (script->stack_base == NULL)
        script->stack_base = (const char *)slice;
    slice->watched = load && script->options.loads != NULL ? script->options.loads : fa_worker_watched(script->worker);
    fa_watched_begin(slice->watched, load ? script->options.load_ms : script->options.slice_ms, interrupt, script,
                     &slice->outside);
}

void fa_slice_end(fa_script *script, const fa_slice *slice)
{
    bool overdue_outside = fa_watched_end(slice->watched, &slice->outside);
    if (script->armed) {
        fa_script_tell_lines(script);
        script->armed = 0;
    }
    if (overdue_outside)
        slice->outside.interrupt(slice->outside.context, NULL);
    script->stack_base = slice->stack_base;
    fa_json_forget(script);
    fa_heap_strict(script, slice->strict);
}

int fa_script_call_apart(fa_script *script, int arguments, int results, int handler)
{
    fa_slice slice;
    fa_slice_begin(script, &slice);
    fa_watched_apart(slice.watched);
    int status = lua_pcall(script->lua, arguments, results, handler);
    fa_slice_end(script, &slice);
    return status;
}

int fa_script_call(fa_script *script, int arguments, int results, int handler)
{
    fa_slice slice;
    fa_slice_begin(script, &slice);
    int status = lua_pcall(script->lua, arguments, results, handler);
    fa_slice_end(script, &slice);
    return status;
}
