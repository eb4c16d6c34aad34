/* Lua patterns, matched so that they can be interrupted: a pattern may take time that grows with any power of its subject's length, and
 * LuaJIT's own functions do not come back before they are through. */
#ifndef FA_SCRIPT_PATTERN_H
#define FA_SCRIPT_PATTERN_H

#include <stddef.h>

#include "script/internal.h"

enum { FA_PATTERN_CAPTURES = 32 };

typedef struct fa_match {
    lua_State *L;
    fa_script *script;
    const char *subject, *subject_end, *pattern_end;
    int depth, count; /* of captures */
    struct {
        const char *at;
        ptrdiff_t length; /* or one of those in pattern.c */
    } captures[FA_PATTERN_CAPTURES];
} fa_match;

void fa_match_init(fa_match *m, lua_State *L, const char *subject, size_t length, size_t pattern_length,
                   const char *pattern);
/* The end of the match that begins at `at`, or NULL. Raises on a malformed pattern, and when the time is over. */
const char *fa_match_at(fa_match *m, const char *at, const char *pattern);
/* Pushes the captures; without any, the whole match, when whole is set. Returns how many. */
int fa_match_push(fa_match *m, const char *from, const char *to, bool whole);
/* Pushes one capture, counted from 0. */
void fa_match_push_one(fa_match *m, int index, const char *from, const char *to);

#endif
