/* Where a script stands: the line that makes, releases or ends something. */
#include <string.h>

#include "script/internal.h"

/* The interned name of a chunk. A cache spares the ledger's list and its lock; source may be the address of an older chunk's name,
 * so the name itself is compared too. */
static const char *file_name(fa_script *script, const lua_Debug *info)
{
    size_t slot = ((uintptr_t)info->source >> 4) % (sizeof(script->sources) / sizeof(script->sources[0]));
    source_name *known = &script->sources[slot];
    if (known->source != info->source || strcmp(known->name, info->short_src) != 0) {
        known->source = info->source;
        known->name = fa_ledger_intern(fa_scope_ledger(script->scope), info->short_src);
    }
    return known->name;
}

/* The first line of a script's own file; the pieces of Lua that the server brings along ("=fitnessally") are not meant. */
static bool find_line(fa_script *script, lua_State *L, int level, fa_origin *origin)
{
    lua_Debug info;
    for (; lua_getstack(L, level, &info) && lua_getinfo(L, "Sl", &info); ++level) {
        if (info.currentline <= 0 || info.source[0] == '=')
            continue;
        *origin = (fa_origin){file_name(script, &info), (uint32_t)info.currentline};
        return true;
    }
    return false;
}

fa_origin fa_script_here(lua_State *L)
{
    fa_origin origin = {"(no script)", 0};
    fa_script *script = fa_script_of(L);
    if (!find_line(script, L, 1, &origin) && script->current != NULL && script->current->co != L)
        find_line(script, script->current->co, 0, &origin);
    return origin;
}

fa_origin fa_task_locate(void *context)
{
    fa_task *task = context;
    fa_origin origin = {NULL, 0};
    find_line(task->script, task->co, 0, &origin);
    return origin;
}
