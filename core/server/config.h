/* The configuration: a Lua file evaluated in a restricted state, checked against a declared schema.
 *
 *     listen = { "127.0.0.1:3005" }       -- every key is declared in config_schema.c, with type and default
 *     linger = "8s"                       -- durations and sizes carry their unit
 *     plugins.espeak = { voice = "en" }   -- a plugin's keys are checked against its manifest later
 *
 * The file may also return a table of the keys. Later sources win: defaults, the file, FITNESSALLY_<KEY> of the
 * environment (dots become underscores), overrides "key=value". Sources are read in that order, before anybody asks for
 * values; after a failure the configuration is half changed and fit only to be thrown away. Thread: one while it is
 * filled, then any.
 */
#ifndef FA_SERVER_CONFIG_H
#define FA_SERVER_CONFIG_H

#include "memory/scope.h"

typedef enum fa_config_type {
    FA_CONFIG_TEXT,
    FA_CONFIG_NUMBER,
    FA_CONFIG_FLAG,
    FA_CONFIG_SIZE,
    FA_CONFIG_DURATION,
    FA_CONFIG_LIST
} fa_config_type;

/* One declared key. */
typedef struct fa_config_key {
    const char *name; /* "first_listener_grace" */
    fa_config_type type;
    const char *fallback;    /* as written in a file: "10s"; lists: items separated by commas; NULL: not set */
    double minimum, maximum; /* numbers, sizes (bytes), durations (ms); both 0: any. Texts: both 1: it must be set */
    const char *doc;         /* one line for humans */
    const char *choices;     /* the only values that are allowed, "debug|info"; NULL: any */
} fa_config_key;

typedef struct fa_config fa_config;

/* All defaults. Everything lives in `scope`. NULL: no memory. */
fa_config *fa_config_new(fa_scope *scope);

/* Evaluates `path` in a Lua state without io, os, ffi, require or debug, with a time and memory limit; the state is
 * gone when this returns. An unknown key, a wrong type, a wrong unit or a value out of range is FA_INVALID with
 * "FILE:LINE: ..." and, for an unknown key, the nearest known one; of several mistakes in one table the first of the
 * file. FA_NOT_FOUND when there is no such file, FA_IO, FA_NO_MEMORY. Relative paths in the keys that name files stay
 * relative to the process. */
fa_result fa_config_load(fa_config *config, const char *path, fa_error *error);

/* FITNESSALLY_LINGER=2s and the like; FITNESSALLY_PLUGINS_ESPEAK_VOICE is plugins.espeak.voice (a plugin with an
 * underscore in its name cannot be reached so). An unknown FITNESSALLY_ variable is ignored (they are used by others
 * too). */
fa_result fa_config_environment(fa_config *config, char *const *environment, fa_error *error);

/* "key=value"; lists take commas; "plugins.NAME.KEY=value" goes to that plugin. */
fa_result fa_config_override(fa_config *config, const char *assignment, fa_error *error);

/* What all of these come down to. where: copied; names the source in messages ("fitnessally.conf.lua:12") and
 * afterwards. The empty text means "not set" for texts and lists. FA_INVALID with "WHERE: NAME: ...", FA_NO_MEMORY,
 * FA_FULL. */
fa_result fa_config_set(fa_config *config, const char *name, const char *value, const char *where, fa_error *error);

/* Values by declared name. An undeclared name is a programming error (abort). Texts are borrowed, valid as long as the
 * config. text: NULL when not set. */
const char *fa_config_text(const fa_config *config, const char *name);
double fa_config_number(const fa_config *config, const char *name);
bool fa_config_flag(const fa_config *config, const char *name);
uint64_t fa_config_size(const fa_config *config, const char *name);
uint64_t fa_config_duration(const fa_config *config, const char *name);
size_t fa_config_list(const fa_config *config, const char *name, const char *const **items);

/* Any declared key as it was written ("8s"; lists with commas), NULL when not set. where: may be NULL; gets the source:
 * "default", "fitnessally.conf.lua:12", "FITNESSALLY_LINGER", "--set". */
const char *fa_config_written(const fa_config *config, const char *name, const char **where);

/* Keys of things with a name of their own, GROUP.NAME.KEY (config_named.h has the groups): what was written, as text (lists with
 * commas), and where (as above; may be NULL); NULL when nothing was. */
const char *fa_config_named(const fa_config *config, const char *group, const char *name, const char *key,
                            const char **where);
/* The i-th key written for it, so that unknown ones can be reported; NULL at the end. */
const char *fa_config_named_key(const fa_config *config, const char *group, const char *name, size_t index,
                                const char **where);
/* The i-th name of a group for which something was written; NULL at the end. */
const char *fa_config_named_name(const fa_config *config, const char *group, size_t index);

/* The same for the group "plugins". */
const char *fa_config_plugin(const fa_config *config, const char *plugin, const char *key, const char **where);
const char *fa_config_plugin_key(const fa_config *config, const char *plugin, size_t index, const char **where);
const char *fa_config_plugin_name(const fa_config *config, size_t index);

/* Checks one value's text against a key (also used for plugin manifests): FA_INVALID with a sentence. */
fa_result fa_config_check(const fa_config_key *key, const char *value, fa_error *error);

/* The declared keys, for `check` and the documentation; the last has name NULL. */
const fa_config_key *fa_config_keys(void);

/* The declared key nearest to a misspelt one, or NULL when none is near. */
const char *fa_config_nearest(const char *name);

/* Where the configuration lives. */
fa_scope *fa_config_scope(const fa_config *config);

#endif
