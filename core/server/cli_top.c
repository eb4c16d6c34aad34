/* `fitnessally top`: what a running server does now, and who holds what. It asks for the memory report twice and shows what came between; how
 * is lua/fitnessally/tools/top.lua's. */
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "server/cli.h"
#include "server/control.h"
#include "server/home.h"

enum { FIRST_MS = 500, REDRAW_MS = 2000 };

typedef struct sample {
    char *report; /* of malloc */
    uint64_t at_ms;
} sample;

typedef struct pages {
    const char *path; /* of the control socket */
    bool json;
    sample before;
    int status;
} pages;

static bool take(const char *path, sample *out)
{
    fa_error error = {{0}};
    if (fa_control_ask(path, "memory report", &out->report, &error) != FA_OK) {
        fa_cli_failed("%s", error.text);
        return false;
    }
    out->at_ms = fa_now_ms();
    return true;
}

/* The function is on top, and stays. */
static int show(lua_State *L, const pages *p, const sample *now)
{
    lua_pushvalue(L, -1);
    lua_pushstring(L, now->report);
    lua_pushstring(L, p->before.report);
    lua_pushnumber(L, (double)(now->at_ms - p->before.at_ms) / 1000);
    lua_pushboolean(L, p->json);
    lua_call(L, 4, 1);
    const char *page = luaL_checkstring(L, -1);
    int status = FA_EXIT_DONE;
    if (p->json) {
        puts(page);
        status = fflush(stdout) == 0 ? FA_EXIT_DONE : FA_EXIT_FAILED;
    } else {
        status = fa_cli_show_page(page);
    }
    lua_pop(L, 1);
    return status;
}

/* Until interrupted, or until the server goes: that is told, and no success. */
static int run_pages(lua_State *L)
{
    char file[PATH_MAX];
    pages *p = lua_touserdata(L, 1);
    luaL_openlibs(L);
    snprintf(file, sizeof(file), "%s/lua/fitnessally/tools/top.lua", fa_home());
    if (luaL_loadfile(L, file) != 0)
        return lua_error(L);
    lua_call(L, 0, 1);
    for (unsigned pause = FIRST_MS; fa_cli_pause(pause); pause = REDRAW_MS) {
        sample now;
        if (!take(p->path, &now)) {
            p->status = FA_EXIT_FAILED;
            return 0;
        }
        p->status = show(L, p, &now);
        free(p->before.report);
        p->before = now;
        if (p->status != FA_EXIT_DONE)
            return 0;
    }
    return 0;
}

static int run(const fa_cli *cli)
{
    char path[FA_CONTROL_PATH];
    if (cli->argument_count > 0)
        return fa_cli_misused("top", "top takes no argument \"%s\"", cli->arguments[0]);
    int status = fa_cli_find_server(cli, path);
    if (status != FA_EXIT_DONE)
        return status;
    pages p = {.path = path, .json = cli->json};
    fa_cli_hold_interrupts();
    if (!take(path, &p.before))
        return FA_EXIT_FAILED;
    lua_State *L = luaL_newstate();
    if (L == NULL || lua_cpcall(L, run_pages, &p) != 0)
        p.status = fa_cli_failed("%s", L != NULL ? lua_tostring(L, -1) : "out of memory");
    if (L != NULL)
        lua_close(L);
    free(p.before.report);
    return p.status;
}

const fa_command fa_command_top = {
    .name = "top",
    .options = "jpu",
    .summary = "show what a running server does, again and again",
    .help = "usage: fitnessally top [options]\n"
            "\n"
            "What a running server of this user does now, every 2 seconds until interrupted: how many connections, "
            "requests, "
            "dialogues,\n"
            "turns, listeners, transfers and jobs there are and how many end in a second, what they hold and how that "
            "changes, "
            "and who holds\n"
            "most. `fitnessally memory` says more of memory at one moment, `fitnessally memory doctor` what it means.\n"
            "\n"
            "  --json               one line of JSON each time\n"
            "  --pid PID            the server of that process; without it the only one of this user\n"
            "  --socket PATH        the server that listens on that control socket\n",
    .run = run,
};
