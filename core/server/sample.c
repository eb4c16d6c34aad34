#include "server/sample.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/cli.h"
#include "server/home.h"

enum { LONGEST_LINE = 1024, LONGEST_PATH = 4400 };

/* The folder and those above it. */
static int make_folder(const char *folder)
{
    struct stat info;
    char part[LONGEST_PATH];
    snprintf(part, sizeof(part), "%s", folder);
    for (char *slash = part + 1; (slash = strchr(slash, '/')) != NULL; ++slash) {
        *slash = '\0';
        mkdir(part, 0777);
        *slash = '/';
    }
    if (mkdir(part, 0777) == 0 || (errno == EEXIST && stat(part, &info) == 0 && S_ISDIR(info.st_mode)))
        return FA_EXIT_DONE;
    return fa_cli_failed("%s: %s", folder, strerror(errno));
}

static void write_line(FILE *out, const char *line, const char *word, const char *by)
{
    for (const char *at; (at = strstr(line, word)) != NULL; line = at + strlen(word))
        fprintf(out, "%.*s%s", (int)(at - line), line, by);
    fputs(line, out);
}

static int copy_file(const char *from, const char *to, const char *word, const char *by)
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
        write_line(out, line, word, by);
    bool failed = ferror(in) || ferror(out);
    fclose(in);
    if (fclose(out) != 0 || failed)
        return fa_cli_failed("%s cannot be written: %s", to, strerror(errno));
    printf("%s\n", to);
    return FA_EXIT_DONE;
}

/* The folder that a file of the copy lies in. */
static int make_place(const char *file)
{
    char folder[LONGEST_PATH];
    snprintf(folder, sizeof(folder), "%s", file);
    *strrchr(folder, '/') = '\0';
    return make_folder(folder);
}

int fa_sample_copy(const char *folder, const fa_sample_file *files, size_t count, const char *word, const char *by)
{
    char from[LONGEST_PATH], to[LONGEST_PATH];
    int status = FA_EXIT_DONE;
    for (size_t i = 0; i < count; ++i) {
        snprintf(to, sizeof(to), "%s/%s", folder, files[i].to);
        if (access(to, F_OK) == 0)
            return fa_cli_failed("%s: %s", to, strerror(EEXIST));
    }
    for (size_t i = 0; i < count && status == FA_EXIT_DONE; ++i) {
        snprintf(from, sizeof(from), "%s/lua/fitnessally/%s", fa_home(), files[i].from);
        snprintf(to, sizeof(to), "%s/%s", folder, files[i].to);
        status = make_place(to);
        if (status == FA_EXIT_DONE)
            status = copy_file(from, to, word, by);
    }
    return status;
}
