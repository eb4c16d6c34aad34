#include "server/config_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

enum { MAX_FILE = 64 * 1024 };

void fa_config_wrong(fa_config_reader *reader, fa_result result, int line, const char *format, ...)
{
    char text[sizeof(reader->error->text)];
    va_list args;
    if (reader->result != FA_OK && reader->wrong_line <= line)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    reader->result = result;
    reader->wrong_line = line;
    if (line > 0)
        fa_fail(reader->error, result, "%s:%d: %s", reader->path, line, text);
    else
        fa_fail(reader->error, result, "%s: %s", reader->path, text);
}

void fa_config_raise(const fa_config_reader *reader, lua_State *L)
{
    if (reader->result == FA_OK)
        return;
    lua_pushnil(L); /* what is wrong is in the reader already */
    lua_error(L);
}

void fa_config_push_chunk(const fa_config_reader *reader, lua_State *L)
{
    int status = luaL_loadbufferx(L, reader->source, reader->length, "=" FA_CONFIG_CHUNK, "t");
    if (status != 0)
        lua_error(L);
    fa_config_sandbox_helpers(L);
}

/* Argument: the reader. */
static int run(lua_State *L)
{
    fa_config_reader *reader = lua_touserdata(L, 1);
    fa_config_push_chunk(reader, L);
    fa_config_assign_environment(reader, L);
    lua_setfenv(L, -2);
    lua_call(L, 0, 1);
    fa_config_assign_returned(reader, L);
    return 0;
}

/* A message of Lua's own: "(config):3: what is wrong", or without a place. */
static void take_message(fa_config_reader *reader, const char *message)
{
    static const char prefix[] = FA_CONFIG_CHUNK ":";
    int line = reader->line;
    if (message == NULL) {
        message = "the file raised an error that is not a text";
    } else if (strncmp(message, prefix, strlen(prefix)) == 0) {
        char *end;
        long number = strtol(message + strlen(prefix), &end, 10);
        if (strncmp(end, ": ", 2) == 0) {
            message = end + 2;
            line = (int)number;
        }
    }
    fa_config_wrong(reader, FA_INVALID, line, "%s", message);
}

static void evaluate(fa_config_reader *reader, lua_CFunction how)
{
    lua_State *L = fa_config_sandbox_open(reader);
    if (L == NULL) {
        fa_config_wrong(reader, FA_NO_MEMORY, 0, "out of memory");
        return;
    }
    int status = lua_cpcall(L, how, reader);
    if (status == LUA_ERRMEM && reader->heap.refused)
        fa_config_wrong(reader, FA_INVALID, reader->line, "the file needs too much memory");
    else if (status == LUA_ERRMEM)
        fa_config_wrong(reader, FA_NO_MEMORY, 0, "out of memory");
    else if (status != 0 && reader->result == FA_OK)
        take_message(reader, lua_tostring(L, -1));
    fa_config_sandbox_close(reader, L);
}

/* Reads the file into `source`, which has room for one byte more than may be in it. */
static fa_result read_file(const char *path, char *source, size_t *length, fa_error *error)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return fa_fail(error, errno == ENOENT ? FA_NOT_FOUND : FA_IO, "%s: %s", path, strerror(errno));
    errno = 0;
    *length = fread(source, 1, MAX_FILE + 1, file);
    int failed = ferror(file) ? errno : 0;
    fclose(file);
    if (failed != 0)
        return fa_fail(error, FA_IO, "%s: %s", path, strerror(failed));
    if (*length > MAX_FILE)
        return fa_fail(error, FA_INVALID, "%s: larger than %d KB", path, MAX_FILE / 1024);
    if (*length > 0 && source[0] == '\x1b')
        return fa_fail(error, FA_INVALID, "%s:1: compiled Lua is not accepted, only text", path);
    return FA_OK;
}

fa_result fa_config_evaluate(fa_config_reader *reader, fa_scope *scope, lua_CFunction how)
{
    char *source = fa_scope_allocate(scope, MAX_FILE + 1);
    if (source == NULL)
        return fa_fail(reader->error, FA_NO_MEMORY, "%s: out of memory", reader->path);
    reader->source = source;
    reader->result = read_file(reader->path, source, &reader->length, reader->error);
    if (reader->result == FA_OK)
        evaluate(reader, how);
    fa_scope_free(scope, source);
    return reader->result;
}

fa_result fa_config_load(fa_config *config, const char *path, fa_error *error)
{
    fa_error ignored;
    fa_config_reader reader = {.config = config, .path = path, .error = error != NULL ? error : &ignored};
    return fa_config_evaluate(&reader, fa_config_scope(config), run);
}
