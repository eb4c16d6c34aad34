/* `fitnessally plugin new NAME`: a working plugin to begin with. It is a copy of lua/fitnessally/sample with another name. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/cli.h"
#include "server/home.h"

enum { LONGEST_NAME = 39, LONGEST_LINE = 1024 };

#define SAMPLE "sample"

static bool good_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= LONGEST_NAME && *name >= 'a' && *name <= 'z' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
}

/* The folder and those above it. */
static int make_folder(const char *path)
{
    char part[4096];
    snprintf(part, sizeof(part), "%s", path);
    for (char *slash = part + 1; (slash = strchr(slash, '/')) != NULL; ++slash) {
        *slash = '\0';
        mkdir(part, 0777);
        *slash = '/';
    }
    if (mkdir(part, 0777) != 0)
        return fa_cli_failed("%s: %s", path, strerror(errno));
    return FA_EXIT_DONE;
}

/* The line with the name in place of the sample's. */
static void write_line(FILE *out, const char *line, const char *name)
{
    for (const char *at; (at = strstr(line, SAMPLE)) != NULL; line = at + strlen(SAMPLE))
        fprintf(out, "%.*s%s", (int)(at - line), line, name);
    fputs(line, out);
}

static int copy_file(const char *from, const char *to, const char *name)
{
    char line[LONGEST_LINE];
    FILE *in = fopen(from, "re");
    FILE *out = in != NULL ? fopen(to, "wxe") : NULL;
    if (out == NULL) {
        int status = fa_cli_failed("%s: %s", in != NULL ? to : from, strerror(errno));
        if (in != NULL)
            fclose(in);
        return status;
    }
    while (fgets(line, sizeof(line), in) != NULL)
        write_line(out, line, name);
    bool failed = ferror(in) || ferror(out);
    fclose(in);
    if (fclose(out) != 0 || failed)
        return fa_cli_failed("%s cannot be written: %s", to, strerror(errno));
    printf("%s\n", to);
    return FA_EXIT_DONE;
}

static int make_plugin(const char *folder, const char *name)
{
    static const char *const files[] = {"plugin.lua", "init.lua", "README.md", "spec/app/app.lua",
                                        "spec/sample_spec.lua"};
    char from[4200], to[4200], spec[4200];
    snprintf(spec, sizeof(spec), "%s/spec/app", folder);
    int status = make_folder(folder);
    if (status == FA_EXIT_DONE)
        status = make_folder(spec);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && status == FA_EXIT_DONE; ++i) {
        snprintf(from, sizeof(from), "%s/lua/fitnessally/" SAMPLE "/%s", fa_home(), files[i]);
        snprintf(to, sizeof(to), "%s/%s", folder, files[i]);
        if (i == sizeof(files) / sizeof(files[0]) - 1)
            snprintf(to, sizeof(to), "%s/spec/%s_spec.lua", folder, name);
        status = copy_file(from, to, name);
    }
    return status;
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
