#include "script/failure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AROUND = 5, WIDEST = 160 };

static const char before_traceback[] = "\nstack traceback:";

/* "FILE:LINE:" at `text`: how long it is; 0: there is none. */
static size_t read_place(fa_load_failure *failure, const char *text)
{
    const char *colon = strstr(text, ".lua:"), *end = strpbrk(text, " \n\t\"'");
    if (colon == NULL || (end != NULL && end < colon))
        return 0;
    size_t length = (size_t)(colon - text) + 4;
    char *after;
    unsigned long line = strtoul(text + length + 1, &after, 10);
    if (line == 0 || *after != ':' || length >= sizeof(failure->file))
        return 0;
    memcpy(failure->file, text, length);
    failure->file[length] = '\0';
    failure->line = (unsigned)line;
    return (size_t)(after - text) + 1;
}

/* An error without a place of its own: the innermost line of a script on the way to it. */
static void read_place_on_the_way(fa_load_failure *failure)
{
    for (const char *at = failure->traceback; (at = strstr(at, "\n\t")) != NULL;) {
        at += 2;
        if (read_place(failure, at) != 0)
            return;
    }
}

static FILE *open_file(const char *file, const char *app, const char *library)
{
    char path[4600];
    const char *const roots[] = {app, library};
    if (*file == '/')
        return fopen(file, "r");
    for (size_t i = 0; i < 2; ++i) {
        if (roots[i] == NULL)
            continue;
        snprintf(path, sizeof(path), "%s/%s", roots[i], file);
        FILE *opened = fopen(path, "r");
        if (opened != NULL)
            return opened;
    }
    return NULL;
}

/* Reads a line without its end, cut at WIDEST. False at the end of the file. */
static int read_line(FILE *file, char line[WIDEST + 1])
{
    int c, length = 0, any = 0;
    while ((c = getc(file)) != EOF && c != '\n') {
        any = 1;
        if (length < WIDEST)
            line[length++] = (char)(c == '\t' || (unsigned char)c >= ' ' ? c : '?');
    }
    line[length] = '\0';
    return any || c == '\n';
}

static void read_excerpt(fa_load_failure *failure, FILE *file)
{
    char line[WIDEST + 1];
    size_t used = 0;
    for (unsigned number = 1; number <= failure->line + AROUND && read_line(file, line); ++number) {
        if (number + AROUND < failure->line || used >= sizeof(failure->excerpt))
            continue;
        used += (size_t)snprintf(failure->excerpt + used, sizeof(failure->excerpt) - used, "%c %4u | %s\n",
                                 number == failure->line ? '>' : ' ', number, line);
    }
    fclose(file);
}

void fa_load_failure_excerpt(fa_load_failure *failure, const char *path)
{
    FILE *file = failure->line != 0 ? fopen(path, "r") : NULL;
    if (file != NULL)
        read_excerpt(failure, file);
}

void fa_load_failure_read(fa_load_failure *failure, const char *text, const char *app, const char *library)
{
    memset(failure, 0, sizeof(*failure));
    text = text != NULL ? text : "an error that is not a text";
    const char *traceback = strstr(text, before_traceback);
    size_t place = read_place(failure, text);
    const char *message = text + place + strspn(text + place, " ");
    size_t length = traceback != NULL && traceback > message ? (size_t)(traceback - message) : strlen(message);
    snprintf(failure->message, sizeof(failure->message), "%.*s", (int)length, message);
    if (traceback != NULL)
        snprintf(failure->traceback, sizeof(failure->traceback), "%s", traceback + 1);
    if (place == 0)
        read_place_on_the_way(failure);
    FILE *file = failure->line != 0 ? open_file(failure->file, app, library) : NULL;
    if (file != NULL)
        read_excerpt(failure, file);
}

int fa_load_failure_text(const fa_load_failure *failure, char *out, size_t size)
{
    char place[300] = "";
    if (failure->line != 0)
        snprintf(place, sizeof(place), "%s:%u: ", failure->file, failure->line);
    return snprintf(out, size, "%s%s\n%s%s%s", place, failure->message, failure->excerpt, failure->traceback,
                    failure->traceback[0] != '\0' ? "\n" : "");
}
