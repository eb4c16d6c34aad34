/* What the annotations say of each function of scripts (lua/fitnessally/meta, and the modules of the library): that it is there, whether it
 * waits, and whether it copies. support/reference_app.lua calls each once and sees; reference_judge.lua compares. */
#include "origin.h"
#include "script/internal.h"
#include "script_world.h"

#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#define SUPPORT FA_SOURCE_HOME "/spec/unit/support/"

static lua_State *judge; /* of its own, with all of Lua; reference_judge.lua's table is at 1 */
static fa_memory_question *asked;

/* ---- the judge ---- */

static void check(int status)
{
    if (status != 0)
        fail_msg("%s", lua_tostring(judge, -1));
}

static void judge_begin(void)
{
    judge = luaL_newstate();
    luaL_openlibs(judge);
    check(luaL_loadfile(judge, SUPPORT "reference_judge.lua"));
    lua_pushstring(judge, FA_SOURCE_HOME);
    check(lua_pcall(judge, 1, 1, 0));
}

/* Calls one of its functions; what it gives is on the stack. */
static void tell(const char *function, const char *text, int native)
{
    lua_settop(judge, 1);
    lua_getfield(judge, 1, function);
    lua_pushstring(judge, text);
    lua_pushboolean(judge, native);
    check(lua_pcall(judge, 2, 1, 0));
}

/* ---- what a state has ---- */

/* The shell of wait.c has an upvalue of that name. */
static bool made_to_wait(lua_State *L, int function)
{
    bool made = false;
    for (int i = 1; !made; ++i) {
        const char *name = lua_getupvalue(L, function, i);
        if (name == NULL)
            break;
        made = strcmp(name, "settle") == 0;
        lua_pop(L, 1);
    }
    return made;
}

static bool is_text(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TSTRING;
}

/* The functions in the table on top, and in those within it; pops it. */
static void walk_table(lua_State *L, const char *name)
{
    char key[200];
    if (lua_type(L, -1) == LUA_TUSERDATA && luaL_getmetafield(L, -1, "__index")) /* a frozen face */
        lua_remove(L, -2);
    int table = lua_gettop(L);
    lua_pushnil(L);
    while (lua_istable(L, table) && lua_next(L, table) != 0) {
        if (is_text(L, -2) && strncmp(lua_tostring(L, -2), "__", 2) != 0) {
            snprintf(key, sizeof(key), "%s.%s", name, lua_tostring(L, -2));
            if (lua_isfunction(L, -1))
                tell("found", key, made_to_wait(L, lua_gettop(L)));
            else if (lua_istable(L, -1) || lua_type(L, -1) == LUA_TUSERDATA) {
                lua_pushvalue(L, -1);
                walk_table(L, key);
            }
        }
        lua_settop(L, table + 1);
    }
    if (lua_istable(L, table) && luaL_getmetafield(L, table, "__index"))
        walk_table(L, name);
    lua_settop(L, table - 1);
}

/* Methods: the index of the metatable on top is their table, or a function that has it. */
static void walk_metatable(lua_State *L, const char *name)
{
    lua_getfield(L, -1, "__index");
    int index = lua_gettop(L);
    if (lua_istable(L, index)) {
        walk_table(L, name);
        return;
    }
    for (int i = 1; lua_iscfunction(L, index) && lua_getupvalue(L, index, i) != NULL; ++i) {
        if (lua_istable(L, -1))
            walk_table(L, name);
        lua_settop(L, index);
    }
    lua_settop(L, index - 1);
}

static void walk_handles(lua_State *L)
{
    lua_pushnil(L);
    while (lua_next(L, LUA_REGISTRYINDEX) != 0) {
        if (is_text(L, -2) && lua_istable(L, -1) && strncmp(lua_tostring(L, -2), "fitnessally.", 12) == 0) {
            int top = lua_gettop(L);
            walk_metatable(L, lua_tostring(L, -2));
            lua_settop(L, top);
        }
        lua_pop(L, 1);
    }
}

/* What scripts see beside the language. */
static void walk_globals(lua_State *L)
{
    static const char language[] =
        " _G _VERSION assert bit coroutine error getmetatable ipairs math next os pairs pcall print rawequal rawget "
        "rawset select setmetatable string table tonumber tostring type unpack xpcall settings copies ";
    char name[100], word[100];
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.names");
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        const char *key = lua_tostring(L, -2);
        snprintf(word, sizeof(word), " %s ", key);
        snprintf(name, sizeof(name), strcmp(key, "fitnessally") == 0 ? "%s" : "fitnessally.%s", key);
        if (strstr(language, word) == NULL && lua_isfunction(L, -1))
            tell("found", key, made_to_wait(L, lua_gettop(L)));
        else if (strstr(language, word) == NULL) {
            lua_pushvalue(L, -1);
            walk_table(L, name);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* The app has loaded them. */
static void walk_modules(lua_State *L)
{
    char list[4000], name[100];
    int read;
    tell("modules", "", 0);
    snprintf(list, sizeof(list), "%s", lua_tostring(judge, -1));
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.names");
    for (const char *at = list; sscanf(at, "%99s\n%n", name, &read) == 1; at += read) {
        lua_getfield(L, -1, "require");
        lua_pushstring(L, name);
        if (lua_pcall(L, 1, 1, 0) != 0)
            fail_msg("%s", lua_tostring(L, -1));
        if (lua_isfunction(L, -1)) {
            tell("found", name, 0);
            lua_pop(L, 1);
        } else {
            walk_table(L, name);
        }
    }
    lua_pop(L, 1);
}

/* What a route of the app says; fails the test when it does not. */
static const char *ask(script_world *w, const char *what)
{
    const char *answer = script_ask(w, what);
    if (strncmp(answer, "200 ", 4) != 0)
        fail_msg("%s: %s\n%s", what, answer, w->logged);
    return answer + 4;
}

/* ---- the examples ---- */

static int copies(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)fa_script_of(L)->copies);
    return 1;
}

static fa_result take_question(void *context, fa_memory_question *question)
{
    (void)context;
    asked = question;
    return FA_OK;
}

static void answer_question(script_world *w)
{
    fa_buffer *json;
    fa_memory_question *question = asked;
    if (question == NULL)
        return;
    asked = NULL;
    assert_int_equal(fa_buffer_new(w->clients, 0, "answer", FA_HERE, &json), FA_OK);
    assert_int_equal(fa_buffer_append(json, "{\"a\":1}", 7), FA_OK);
    fa_buffer_seal(json);
    question->answered(question, FA_OK, json);
    fa_buffer_release(json);
}

static const char multipart[] = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--\r\n";

static asking asking_of(const char *kind, const char *what, const char *key, const char **headers)
{
    asking how = {.what = what, .headers = headers};
    size_t n = 0;
    headers[n++] = "idempotency-key"; /* else a second question of a dialogue is the first one's double */
    headers[n++] = key;
    headers[n++] = "content-type";
    headers[n++] = "application/json";
    if (strcmp(kind, "form") == 0) {
        headers[n - 1] = "application/x-www-form-urlencoded";
        how.body = "a=1";
    } else if (strcmp(kind, "multipart") == 0) {
        headers[n - 1] = "multipart/form-data; boundary=x";
        how.body = multipart;
    } else if (strcmp(kind, "post") == 0) {
        how.body = "{\"a\":1}";
    } else if (strcmp(kind, "websocket") == 0) {
        static const char *const upgrade[] = {"connection",
                                              "upgrade",
                                              "upgrade",
                                              "websocket",
                                              "sec-websocket-version",
                                              "13",
                                              "sec-websocket-key",
                                              "dGhlIHNhbXBsZSBub25jZQ=="};
        memcpy(&headers[n], upgrade, sizeof(upgrade));
        n += sizeof(upgrade) / sizeof(upgrade[0]);
    }
    headers[n] = NULL;
    return how;
}

static void run_example(script_world *w, const char *kind, const char *key)
{
    static const unsigned char said[] = {0x81, 0x82, 0, 0, 0, 0, 'h', 'i'}; /* a text, masked with zeros */
    const char *headers[20];
    char what[200];
    bool websocket = strcmp(kind, "websocket") == 0, again = false;
    bool get = websocket || strcmp(kind, "get") == 0;
    snprintf(what, sizeof(what), "%s /run/%s", get ? "GET" : "POST", key);
    fa_inprocess *client = script_start(w, asking_of(kind, what, key, headers));
    assert_non_null(client);
    const fa_inprocess_answer *answer = fa_inprocess_answered(client);
    if (websocket) {
        SCRIPT_UNTIL(w, answer->status != 0);
        assert_int_equal(fa_inprocess_feed(client, said, sizeof(said)), FA_OK);
    }
    for (uint64_t start = fa_now_ms(); !answer->ended && (!websocket || fa_script_tasks(w->script) > 0);) {
        if (fa_now_ms() - start > 20000)
            fail_msg("%s does not come to an end\n%s", key, w->logged);
        script_turn_loop(w);
        answer_question(w);
        if (websocket && !again && fa_buffer_length(answer->body) > 0)
            again = fa_inprocess_feed(client, said, sizeof(said)) == FA_OK;
    }
    fa_inprocess_free(client);
}

static void run_examples(script_world *w)
{
    char list[16000], kind[20], key[120];
    int read;
    snprintf(list, sizeof(list), "%s", ask(w, "GET /examples"));
    for (const char *at = list; sscanf(at, "%19s %119s\n%n", kind, key, &read) == 2; at += read)
        run_example(w, kind, key);
}

/* ---- the test ---- */

static void write_file(script_world *w, const char *name, const char *text)
{
    script_world_write(w, name, text, strlen(text));
}

static void write_app(script_world *w)
{
    static char text[64000];
    FILE *file = fopen(SUPPORT "reference_app.lua", "rb");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof(text), file);
    fclose(file);
    assert_in_range(length, 1, sizeof(text) - 1);
    script_world_write(w, "app.lua", text, length);
    write_file(w, "page.html", "{{ a }}");
    write_file(w, "waits.lua", "fitnessally.sleep(1) return {}");
}

static script_world *begin(const origin *service)
{
    fa_script_figures figures;
    script_world *w = script_world_new();
    write_app(w);
    w->settings[1] = (fa_setting){.name = "port", .type = FA_SETTING_NUMBER, .number = service->port};
    w->answer_queue = 2000;
    if (!script_world_try(w, NULL, WITH_ECHO | WITH_UPSTREAMS))
        fail_msg("%s", w->error.text);
    fa_script_set_memory(w->script, take_question, NULL);
    fa_script_read_figures(w->script, &figures);
    assert_int_equal(figures.copies, 1); /* a template's file; nothing else that is for the load copies */
    lua_State *L = w->script->lua;
    lua_getfield(L, LUA_REGISTRYINDEX, "fitnessally.names");
    lua_pushcfunction(L, copies);
    lua_setfield(L, -2, "copies");
    lua_pop(L, 1);
    return w;
}

static void the_reference_is_true(void **state)
{
    (void)state;
    static const char event[] = "data: {\"a\":1}\n\n";
    origin service = {.said = event, .said_length = sizeof(event) - 1, .said_piece = sizeof(event)};
    origin_begin(&service);
    script_world *w = begin(&service);
    judge_begin();
    walk_handles(w->script->lua);
    walk_globals(w->script->lua);
    walk_modules(w->script->lua);
    run_examples(w);
    tell("seen", ask(w, "GET /seen"), 0);
    tell("judge", "", 0);
    if (lua_objlen(judge, -1) != 0) {
        fprintf(stderr, "%s\n%s\n", w->logged, lua_tostring(judge, -1)); /* cmocka would cut it */
        fail();
    }
    lua_close(judge);
    script_world_end(w);
    origin_end(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_reference_is_true)};
    return cmocka_run_group_tests_name("scripts: the reference", tests, NULL, NULL);
}
