/* `fitnessally new FOLDER`: a working application to begin with. It is a copy of lua/fitnessally/beginning. */
#include <stdio.h>
#include <string.h>

#include "server/cli.h"
#include "server/home.h"
#include "server/sample.h"

static int run(const fa_cli *cli)
{
    static const fa_sample_file files[] = {
        {"beginning/app.lua", "app.lua"},
        {"beginning/fitnessally.conf.lua", "fitnessally.conf.lua"},
        {"beginning/public/index.html", "public/index.html"},
        {"beginning/spec/app_spec.lua", "spec/app_spec.lua"},
        {"beginning/luarc.json", ".luarc.json"},
    };
    if (cli->argument_count != 1)
        return fa_cli_misused("new", "new takes the name of one folder");
    const char *folder = cli->arguments[0];
    if (*folder == '\0' || strlen(folder) > 4000)
        return fa_cli_misused("new", "\"%.60s\" is no name of a folder", folder);
    int status = fa_sample_copy(folder, files, sizeof(files) / sizeof(files[0]), "HOME", fa_home());
    if (status == FA_EXIT_DONE && strcmp(folder, ".") != 0)
        printf("go there: cd %s\n", folder);
    if (status == FA_EXIT_DONE)
        fputs("try it:   fitnessally spec\n"
              "run it:   fitnessally serve, and open http://127.0.0.1:3005/\n"
              "change it: what is saved runs; docs/writing-routes.md goes on from here\n",
              stdout);
    return status;
}

const fa_command fa_command_new = {
    .name = "new",
    .options = "",
    .summary = "make an application to begin with",
    .help = "usage: fitnessally new FOLDER\n"
            "\n"
            "Makes the folder (. is the one you are in) with an application that works: routes, a dialogue that is "
            "spoken, a page "
            "to talk to it,\n"
            "a configuration, and specs. Nothing that is there is written over.\n",
    .run = run,
};
