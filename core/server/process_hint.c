#include "server/process_hint.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { WORDS = 4096 };

static bool is_shown(const char *word)
{
    return strcmp(word, "--listen") == 0 || strcmp(word, "-c") == 0 || strcmp(word, "--config") == 0;
}

/* Words of a command line, each with a zero behind it. */
static void add_words(const char *words, size_t length, char *out, size_t size)
{
    const char *end = words + length, *before = "";
    size_t used = strlen(out);
    for (const char *word = words; word < end; before = word, word += strlen(word) + 1) {
        if (is_shown(before) && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s %s %s", strchr(out, ',') == NULL ? "," : "", before,
                                     word);
    }
}

void fa_process_hint(long pid, char *out, size_t size)
{
    char path[64], folder[PATH_MAX], words[WORDS + 1] = "";
    out[0] = '\0';
    snprintf(path, sizeof(path), "/proc/%ld/cwd", pid);
    ssize_t length = readlink(path, folder, sizeof(folder) - 1);
    if (length <= 0)
        return;
    folder[length] = '\0';
    snprintf(out, size, "in %s", folder);
    snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    size_t got = fread(words, 1, WORDS, file);
    fclose(file);
    add_words(words, got, out, size);
}
