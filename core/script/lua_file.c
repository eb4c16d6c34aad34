/* req:file: a file from disk to the client through core/media, with no byte in Lua: its cache, its validators, its streams. */
#include <string.h>

#include "exchange/disposition.h"
#include "exchange/head.h"
#include "script/internal.h"

static fa_text text_at(lua_State *L, int index)
{
    fa_text text;
    text.data = luaL_checklstring(L, index, &text.length);
    return text;
}

static void note(lua_State *L, fa_exchange *exchange, fa_text name, fa_text value)
{
    fa_lua_check_answered(L, fa_exchange_add_header(exchange, FA_ADDED_CONTENT, name, value));
}

/* What download says: nothing, true for the file's own name, or a name. */
static void note_download(lua_State *L, fa_exchange *exchange, int index, fa_text path)
{
    char line[FA_DISPOSITION_SIZE];
    if (!lua_toboolean(L, index))
        return;
    fa_text name = path;
    if (lua_isstring(L, index)) {
        name = text_at(L, index);
    } else {
        const char *slash = path.length != 0 ? memrchr(path.data, '/', path.length) : NULL;
        if (slash != NULL)
            name = (fa_text){slash + 1, path.length - (size_t)(slash + 1 - path.data)};
    }
    size_t length = fa_disposition_write(line, name);
    note(L, exchange, FA_TEXT("content-disposition"), (fa_text){line, length});
}

/* In memory of the request, where the media floor wants it until the end. */
static const fa_media_mount *make_mount(lua_State *L, const fa_exchange *exchange, fa_text root, bool immutable)
{
    fa_media_mount *made = fa_scope_allocate(exchange->scope, sizeof(*made));
    if (made != NULL)
        made->root = fa_scope_copy_text(exchange->scope, root.data, root.length);
    if (made == NULL || made->root == NULL)
        luaL_error(L, "req:file: no memory");
    made->immutable = immutable;
    return made;
}

static const char *const file_options[] = {"path", "root", "type", "download", "immutable", NULL};

/* A text names a file below the app's folder; a table may say another root. */
static int request_file(lua_State *L)
{
    const fa_script *script = fa_script_of(L);
    fa_exchange *exchange = fa_lua_check_unanswered(L);
    if (!exchange->head_only && !fa_text_is(exchange->method, "GET"))
        return luaL_error(L, "req:file answers GET and HEAD only: send another request to it with req:redirect");
    luaL_argcheck(L, lua_isnoneornil(L, 3), 3,
                  "options stand in one table, beside path: req:file { path = ..., root = ... }");
    lua_settop(L, 2);
    if (!lua_istable(L, 2)) {
        luaL_checkstring(L, 2);
        lua_createtable(L, 0, 1);
        lua_insert(L, 2);
        lua_setfield(L, 2, "path");
    }
    fa_lua_check_options(L, 2, "req:file", file_options);
    lua_getfield(L, 2, "path");      /* 3 */
    lua_getfield(L, 2, "root");      /* 4 */
    lua_getfield(L, 2, "type");      /* 5 */
    lua_getfield(L, 2, "download");  /* 6 */
    lua_getfield(L, 2, "immutable"); /* 7 */
    fa_text path = text_at(L, 3), app = {script->options.app, strlen(script->options.app)};
    fa_text root = lua_isnil(L, 4) ? app : text_at(L, 4);
    if (memchr(root.data, '\0', root.length + 1) != root.data + root.length || root.length == 0)
        return luaL_error(L, "req:file: root is the name of a folder");
    if (!lua_isnil(L, 5))
        note(L, exchange, FA_TEXT("content-type"), text_at(L, 5));
    note_download(L, exchange, 6, path);
    const fa_media_mount *made = make_mount(L, exchange, root, lua_toboolean(L, 7));
    exchange->promised = true; /* the disk may be asked first */
    fa_media_serve(script->options.media, exchange, made, path);
    return 0;
}

void fa_open_file(lua_State *L)
{
    static const luaL_Reg methods[] = {{"file", request_file}, {NULL, NULL}};
    fa_lua_request_methods(L, methods, (const char *const[]){NULL});
}
