/* What a server is made of, for the files of this folder that are one with server.c: server_questions.c, server_memory.c, server_reload.c. */
#ifndef FA_SERVER_SERVER_INTERNAL_H
#define FA_SERVER_SERVER_INTERNAL_H

#include "memory/attributed.h"
#include "server/control.h"
#include "server/listening.h"
#include "server/logs.h"
#include "server/memory_report.h"
#include "server/reload_asked.h"
#include "server/reloader.h"
#include "server/repls.h"
#include "server/runtime.h"
#include "server/server.h"
#include "server/tracker.h"

struct fa_server {
    fa_ledger *ledger;
    fa_scope *root;    /* holds this and the configuration */
    fa_scope *running; /* everything that runs; ends when it stops */
    fa_config *config;
    fa_log log;
    fa_logs logs; /* its threads, while it runs */
    bool configured;
    fa_pressure *pressure;
    fa_plugins plugins;
    void (*plugin_problem)(void *context, const char *name, const char *problem); /* NULL: nobody asks */
    void *plugin_problem_context;
    fa_media *media;
    fa_runtime *runtime;
    fa_tracker *tracker; /* NULL: switched off */
    fa_control *control; /* NULL: there is none */
    fa_repls *repls;     /* NULL: nobody may have one */
    fa_reloader *reloader;
    fa_reload_specs specs; /* program NULL: nobody can run them */
    fa_reload_soon soon;   /* reloader NULL: none runs */
    const char *watched[FA_MAX_PLUGINS + 3];
    char own_library[4200];
    fa_memory_sources memory;
    fa_attributed openssl, curl;
    fa_listening listening;
    fa_successor_starter start_successor;
    void *successor_context;
    bool has_successor;
    const fa_line_listener *lines; /* of a spec that wants to know what is covered; NULL: nobody */
};

/* server_memory.c: the tracker and what a report reads. Before the workers run. */
fa_result fa_server_watch_memory(fa_server *server, fa_error *error);

/* server_questions.c: what scripts ask of the rest of the server; context: the server. Thread: a worker's. */
fa_result fa_server_answer_script(void *context, fa_memory_question *question);

/* The control socket, once everything runs. A server without one serves all the same. */
void fa_server_open_control(fa_server *server);

/* server_reload.c: from then on scripts can be reloaded; in dev mode saving a file is enough. Before the workers run. */
fa_result fa_server_start_reloader(fa_server *server, fa_error *error);

#endif
