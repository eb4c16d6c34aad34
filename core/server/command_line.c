#include <stdio.h>
#include <string.h>

#include "base/allocator.h"
#include "base/nearest.h"
#include "server/cli.h"

static int run_version(const fa_cli *cli);
static int run_help(const fa_cli *cli);

static const fa_command version_command = {
    .name = "version",
    .options = "j",
    .summary = "print the version, and which allocator runs",
    .help = "usage: fitnessally version [--json]\n",
    .run = run_version,
};

static const fa_command help_command = {
    .name = "help",
    .options = "",
    .summary = "say what a command does",
    .help = "usage: fitnessally help [COMMAND]\n",
    .run = run_help,
};

static const fa_command *const commands[] = {
    &fa_command_serve,   &fa_command_check,   &fa_command_doctor, &fa_command_routes,
    &fa_command_memory,  &fa_command_top,     &fa_command_reload, &fa_command_records,
    &fa_command_upgrade, &fa_command_recycle, &fa_command_spec,   &fa_command_repl,
    &fa_command_new,     &fa_command_plugin,  &version_command,   &help_command,
};

static const fa_command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); ++i) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static int no_such_command(const char *name)
{
    fa_nearest nearest = fa_nearest_to(name);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); ++i)
        fa_nearest_offer(&nearest, commands[i]->name);
    if (nearest.found != NULL)
        return fa_cli_misused("", "there is no command \"%s\"; did you mean \"%s\"?", name, nearest.found);
    return fa_cli_misused("", "there is no command \"%s\"", name);
}

static void print_overview(FILE *to)
{
    fputs("usage: fitnessally COMMAND [options]\n\n", to);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); ++i)
        fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    fputs("\n`fitnessally COMMAND --help` says more.\n", to);
}

static int run_version(const fa_cli *cli)
{
    if (cli->argument_count > 0)
        return fa_cli_misused("version", "version takes no argument \"%s\"", cli->arguments[0]);
    char allocator[FA_ALLOCATOR_NAME_SIZE];
    printf(cli->json ? "{\"version\":\"%s\",\"allocator\":\"%s\"}\n" : "fitnessally %s on %s\n", fa_version(),
           fa_allocator_name(allocator));
    return FA_EXIT_DONE;
}

static int run_help(const fa_cli *cli)
{
    if (cli->argument_count == 0) {
        print_overview(stdout);
        return FA_EXIT_DONE;
    }
    const fa_command *command = find_command(cli->arguments[0]);
    if (command == NULL)
        return no_such_command(cli->arguments[0]);
    fputs(command->help, stdout);
    return FA_EXIT_DONE;
}

static int run_command(const fa_command *command, int argc, char **argv)
{
    fa_cli cli = {.command = command, .argv = argv - 1};
    int status = fa_cli_parse(&cli, argc, argv);
    if (status == FA_EXIT_DONE && cli.help)
        fputs(command->help, stdout);
    else if (status == FA_EXIT_DONE)
        status = command->run(&cli);
    fa_cli_free(&cli);
    if (fflush(stdout) != 0 && status == FA_EXIT_DONE) /* a full disk behind a pipe */
        status = fa_cli_failed("standard output cannot be written");
    return status;
}

int fa_command_line(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (argc < 2) {
        print_overview(stderr);
        return FA_EXIT_USAGE;
    }
    if (strcmp(name, "-h") == 0 || strcmp(name, "--help") == 0)
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    const fa_command *command = find_command(name);
    if (command == NULL)
        return no_such_command(name);
    return run_command(command, argc - 1, argv + 1);
}
