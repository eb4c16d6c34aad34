/* Why scripts could not be loaded, for people: the file, the line, what it says, what stands around it, and how it came there. */
#ifndef FA_SCRIPT_FAILURE_H
#define FA_SCRIPT_FAILURE_H

#include <stddef.h>

typedef struct fa_load_failure {
    char file[256];       /* as scripts call it: "routes/voice.lua"; empty when it cannot be told */
    unsigned line;        /* 0: cannot be told */
    char message[600];    /* without file and line */
    char excerpt[2000];   /* the line, marked, and its neighbours; empty when the file cannot be read */
    char traceback[3000]; /* empty where there is none (a syntax error) */
} fa_load_failure;

/* Reads what Lua says: "routes/voice.lua:31: message", perhaps with a traceback behind it. app, library: the folders in which the file
 * may be. */
void fa_load_failure_read(fa_load_failure *failure, const char *text, const char *app, const char *library);

/* The excerpt from the file at `path`, of a failure whose line is known. */
void fa_load_failure_excerpt(fa_load_failure *failure, const char *path);

/* All of it as text of several lines, ending with a newline. Returns its length, as snprintf does. */
int fa_load_failure_text(const fa_load_failure *failure, char *out, size_t size);

#endif
