/* `fitnessally plugin new NAME`: a working plugin to begin with. It is a copy of lua/fitnessally/sample with another name. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/cli.h"
#include "server/sample.h"

enum { LONGEST_NAME = 39 };

#define SAMPLE "sample"

static bool good_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= LONGEST_NAME && *name >= 'a' && *name <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

static int make_plugin(const char *folder, const char *name)
{
    char spec[100];
    const fa_sample_file files[] = {
        {SAMPLE "/plugin.lua", "plugin.lua"},   {SAMPLE "/init.lua", "init.lua"},
        {SAMPLE "/README.md", "README.md"},     {SAMPLE "/spec/app/app.lua", "spec/app/app.lua"},
        {SAMPLE "/spec/sample_spec.lua", spec},
    };
    snprintf(spec, sizeof(spec), "spec/%s_spec.lua", name);
    return fa_sample_copy(folder, files, sizeof(files) / sizeof(files[0]), SAMPLE, name);
}

static int run(const fa_cli *cli)
{
    char folder[4000];
    if (cli->argument_count != 2 || strcmp(cli->arguments[0], "new") != 0)
        return fa_cli_misused("plugin", "plugin takes `new` and the name of one plugin");
    const char *name = cli->arguments[1], *parent = cli->folder != NULL ? cli->folder : "plugins";
    if (!good_name(name))
        return fa_cli_misused("plugin",
                              "\"%.60s\" is no name of a plugin: at most %d lower-case letters, digits, _ and -", name,
                              LONGEST_NAME);
    snprintf(folder, sizeof(folder), "%s/%s", parent, name);
    if (access(folder, F_OK) == 0)
        return fa_cli_failed("%s: File exists", folder);
    int status = make_plugin(folder, name);
    if (status == FA_EXIT_DONE)
        printf("try it: fitnessally spec %s/spec\n"
               "use it: fitnessally serve --set app=APP --set plugin_path=%s --set plugins_enabled=%s\n"
               "        or plugin_path = { \"%s\" } and plugins_enabled = { \"%s\" } in fitnessally.conf.lua\n"
               "call it: plugin[\"%s\"].greet { name = \"Ada\" } in a route of the application\n",
               folder, parent, name, parent, name, name);
    return status;
}

const fa_command fa_command_plugin = {
    .name = "plugin",
    .options = "D",
    .summary = "make a plugin to begin with",
    .help = "usage: fitnessally plugin new NAME [--dir DIR]\n"
            "\n"
            "Makes the folder DIR/NAME with a plugin that works: manifest, Lua half, README and specs. docs/plugins.md "
            "goes on "
            "from there.\n"
            "\n"
            "  --dir DIR            where it goes (default: plugins)\n",
    .run = run,
};
