/* The command line: what its commands share. command_line.c picks the command, cli_options.c reads its options, and
 * each command has a file of its own. All of it is for the main thread of the `fitnessally` process. */
#ifndef FA_SERVER_CLI_H
#define FA_SERVER_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "fitnessally/fitnessally.h"

enum { FA_EXIT_DONE = 0, FA_EXIT_FAILED = 1, FA_EXIT_USAGE = 2 };

typedef struct fa_cli fa_cli;

typedef struct fa_command {
    const char *name;
    const char *options; /* letters of the options it takes, see cli_options.c */
    const char *summary; /* one line for `help` */
    const char *help;
    int (*run)(const fa_cli *cli); /* returns the exit status */
} fa_command;

/* A command with its options read. */
struct fa_cli {
    const fa_command *command;
    const char *file; /* -c; NULL: look for one */
    bool json, help, watch, coverage, supervise, status, no_types;
    const char *pid, *socket;    /* which running server; NULL: not said */
    const char *output, *filter; /* of specs; NULL: not said */
    const char *folder;          /* --dir; NULL: not said */
    const char *worker;          /* --worker; NULL: not said */
    char **overrides;            /* "key=value" for fa_server_configure, in the order given */
    size_t override_count;
    char **arguments; /* what is no option; borrowed from argv */
    int argument_count;
    char **argv; /* of main, the whole command line; NULL at its end */
};

/* Reads the options of cli->command; argv[0] is its name. FA_EXIT_DONE, or what is wrong was said. The strings are
 * freed by fa_cli_free in any case. */
int fa_cli_parse(fa_cli *cli, int argc, char **argv);
void fa_cli_free(fa_cli *cli);

/* Says on standard error what is wrong with the usage, and where help is; returns FA_EXIT_USAGE. */
int fa_cli_misused(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says what failed; returns FA_EXIT_FAILED. */
int fa_cli_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The configuration file to read: -c, FITNESSALLY_CONFIG, fitnessally.conf.lua here, or the shipped one; NULL: none.
 * Valid until the next call. */
const char *fa_cli_file(const fa_cli *cli);

/* The control socket of the running server that is meant (--pid, --socket, or the only one), or what is wrong was said. path: FA_CONTROL_PATH
 * bytes. */
int fa_cli_find_server(const fa_cli *cli, char *path);

/* On standard error: which process it was that fa_cli_find_server found, when the command line did not say it. */
void fa_cli_name_found(const fa_cli *cli, const char *path);

/* For commands that show page after page: interrupts (SIGINT, SIGTERM) are held from now on; a pause, false when one has come; a page, on a
 * terminal in the place of the one before. */
void fa_cli_hold_interrupts(void);
bool fa_cli_pause(unsigned milliseconds);
int fa_cli_show_page(const char *text);

/* A server configured with the file and the options, or what is wrong was said. The caller destroys it. */
int fa_cli_configure(const fa_cli *cli, fa_server **server);

extern const fa_command fa_command_serve, fa_command_check, fa_command_records, fa_command_memory, fa_command_routes,
    fa_command_upgrade, fa_command_reload, fa_command_doctor, fa_command_recycle, fa_command_spec, fa_command_new,
    fa_command_plugin, fa_command_repl, fa_command_top;

#endif
