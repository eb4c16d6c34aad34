/* Who reloads: one thread, so that reloads come one after the other whoever asks for them: the command line and other threads, scripts, and
 * in dev mode the files themselves. The loops go on meanwhile: newer scripts are loaded on this thread.
 *
 * Those who ask while one is under way get the next one, all of them the same.
 */
#ifndef FA_SERVER_RELOADER_H
#define FA_SERVER_RELOADER_H

#include "server/reload_report.h"
#include "server/reload_specs.h"

typedef struct fa_reloader fa_reloader;

typedef struct fa_reloader_options {
    fa_scripts *scripts;
    const fa_log *log;
    unsigned workers;
    const fa_reload_specs
        *specs; /* that must succeed before newer scripts serve; borrowed, without its wake and stops; NULL: none */
    const char *const *watched; /* folders in which Lua files are looked after; NULL-terminated, borrowed; NULL: none */
} fa_reloader_options;

/* parent: the reloader's own scope pays from its account. Before the workers run. FA_NO_MEMORY, FA_IO. */
fa_result fa_reloader_start(const fa_scope *parent, const fa_reloader_options *options, fa_reloader **reloader,
                            fa_error *error);

typedef enum fa_wish_kind { FA_WISH_RELOAD, FA_WISH_STATUS } fa_wish_kind;

/* Something that is asked of it; the asker's memory. */
typedef struct fa_reload_wish {
    fa_list link;
    fa_wish_kind kind;
    bool text;                /* not JSON */
    bool marked;              /* a first line "ok" or "failed" */
    const char *certificates; /* why those stay as they were: then all is not well; borrowed; NULL: they do not */
    fa_buffer *out;           /* mutable; NULL: only the result is wanted */
    fa_result result;         /* of the reload; of the status FA_OK */
    fa_result written;
    char message[400];
    void (*done)(struct fa_reload_wish *wish); /* on the reloader's thread; the wish is the asker's again */
} fa_reload_wish;

/* done is called in any case, when the reloader stops first with FA_CANCELLED. Thread: any. */
void fa_reloader_ask(fa_reloader *reloader, fa_reload_wish *wish);
/* Waits for it. Thread: any but a worker's. */
fa_result fa_reloader_ask_and_wait(fa_reloader *reloader, fa_reload_wish *wish);

/* For scripts: answers "reload" and "generations". Thread: the question's worker. */
fa_result fa_reloader_answer(fa_reloader *reloader, fa_memory_question *question);

/* Ends the thread, while the workers still run. What is asked after it is answered with FA_CANCELLED. NULL is ignored. */
void fa_reloader_stop(fa_reloader *reloader);

/* After the workers have ended. NULL is ignored. */
void fa_reloader_free(fa_reloader *reloader);

#endif
