/* The declared keys. docs/configuration.md says the same; spec/unit/test_config.c compares the two. */
#include <string.h>

#include "base/nearest.h"
#include "server/config.h"

#define MS     1.0
#define SECOND 1000.0
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define KB     1024.0
#define MB     (1024 * KB)
#define GB     (1024 * MB)

#define KEY(name, type, fallback, minimum, maximum, doc)                                                               \
    {                                                                                                                  \
        name, FA_CONFIG_##type, fallback, minimum, maximum, doc, NULL                                                  \
    }
#define CHOICE(name, fallback, doc, choices)                                                                           \
    {                                                                                                                  \
        name, FA_CONFIG_TEXT, fallback, 0, 0, doc, choices                                                             \
    }

/* clang-format off */
static const fa_config_key keys[] = {
    /* where it listens and what it runs */
    KEY("listen", LIST, "127.0.0.1:3005", 0, 0,
        "addresses to listen on, as HOST:PORT or [IPV6]:PORT; port 0 picks a free one; with TLS behind https://"),
    CHOICE("tls_minimum", "1.2", "oldest version of TLS that is spoken", "1.2|1.3"),
    CHOICE("http2", "off", "offer HTTP/2 under TLS: only where every client is trusted, for docs/http.md says what it cannot stand",
        "off|trusted"),
    KEY("workers", NUMBER, "0", 0, 64, "threads that serve; 0: one for each core"),
    CHOICE("mode", "production",
        "dev tells errors of scripts to the client, production only to the log", "production|dev"),
    CHOICE("log_level", "info", "what is below it is not logged", "debug|info|warn|error"),
    CHOICE("access_log", "off", "one line for each answer, in this format", "off|combined|json"),
    KEY("access_log_file", TEXT, NULL, 0, 0, "where they go, opened anew on SIGUSR1; not set: standard output"),
    KEY("access_log_rate", NUMBER, "0", 0, 1e6,
        "lines a second, all workers together; more are dropped, and the log tells how many; 0: no limit"),
    KEY("access_log_buffer", SIZE, "256KB", 32 * KB, 64 * MB,
        "lines of each worker that wait to be written; more are dropped, and the log tells how many"),
    KEY("security_headers", LIST, "nosniff,sameorigin,referrer", 0, 0,
        "headers of every answer that has none of that name (docs/operating.md); off: none"),
    KEY("hsts", DURATION, "0", 0, 366 * 24 * HOUR,
        "how long browsers must use TLS only, told on connections with TLS (Strict-Transport-Security); 0: not told"),
    KEY("app", TEXT, "examples/coach", 1, 1, "folder of the application; its app.lua is run"),
    KEY("data", TEXT, NULL, 0, 0, "folder with exercises.json and media/; not set: the application's own data folder"),
    KEY("state_dir", TEXT, ".fitnessally", 1, 1,
        "folder the server writes to: imported records, reports, spooled bodies"),

    /* reload */
    CHOICE("generation_header", "dev",
        "whether answers of scripts say in X-Generation how often these have been loaded; dev: when mode is dev",
        "dev|always|never"),
    KEY("reload_drain", DURATION, "30s", 0, 1 * HOUR,
        "how long streams of events go on with replaced scripts before they are told to come again; not said and mode is dev: 1s"),
    KEY("reload_specs", LIST, NULL, 0, 0,
        "files and folders of specs, below that of the application, that must succeed before newer scripts serve; not set: none are run"),
    KEY("reload_specs_limit", DURATION, "1min", 100 * MS, 1 * HOUR, "how long they may take; then they have failed"),

    /* speech and words */
    KEY("tts", TEXT, "espeak", 0, 0, "plugin that speaks; not set: answers are text only"),
    KEY("tts_url", TEXT, NULL, 0, 0, "base address of the speaking service, for plugins that need one"),
    KEY("tts_fallback", TEXT, "espeak", 0, 0, "plugin that speaks when the one that tts names fails; not loaded or not set: that piece stays silent"),
    KEY("llm", TEXT, "extract", 0, 0, "what words the answers: extract quotes the records found, or a plugin"),
    KEY("llm_url", TEXT, NULL, 0, 0, "base address of the language model, for plugins that need one"),
    KEY("llm_prompt", TEXT, NULL, 0, 0, "what the language model is told before the records; not set: what the application says"),
    KEY("stt", TEXT, NULL, 0, 0, "plugin that understands speech; not set: questions come as text"),
    KEY("stt_url", TEXT, NULL, 0, 0, "base address of the listening service, for plugins that need one"),
    KEY("records", TEXT, "records", 0, 0, "plugin that finds records: records (SQLite), or elasticsearch"),
    KEY("plugins_enabled", LIST, "espeak,records", 0, 0, "plugins that are loaded at start"),
    KEY("plugin_path", LIST, NULL, 0, 0, "folders searched for plugins before the built-in ones"),

    /* media files */
    KEY("media_root", TEXT, NULL, 0, 0, "folder served under /media; not set: media/ in the data folder"),
    KEY("media_cache", SIZE, "32MB", 64 * KB, 64 * GB, "memory for media files that were asked for"),
    KEY("media_file_limit", SIZE, "8MB", 1 * KB, 1 * GB, "larger media files are streamed, not cached"),
    KEY("media_recheck", DURATION, "1s", 0, 1 * HOUR,
        "how long a cached media file is trusted before the disk is asked again"),
    KEY("mime_types", TEXT, "/etc/mime.types", 0, 0,
        "file with the types of extensions beyond the built-in table; need not exist"),

    /* how long a dialogue lives */
    KEY("first_listener_grace", DURATION, "10s", 0, 10 * MINUTE, "how long an answer waits for its first listener"),
    KEY("reconnect_grace", DURATION, "8s", 0, 10 * MINUTE, "how long a turn goes on after its last listener left"),
    KEY("linger", DURATION, "8s", 0, 10 * MINUTE,
        "how long a delivered answer is kept for a listener that lost its end"),
    KEY("linger_budget", SIZE, "16MB", 0, 4 * GB, "memory for all delivered answers that linger; the oldest go first"),
    KEY("turn_limit", DURATION, "5min", 100 * MS, 1 * HOUR, "longest turn; then it is cancelled as expired"),
    KEY("history_ttl", DURATION, "30min", 0, 24 * HOUR, "how long a dialogue is remembered without a turn"),
    KEY("history_limit", SIZE, "4KB", 0, 1 * MB, "text remembered of one dialogue; the oldest turns go first"),
    KEY("history_dialogues", NUMBER, "1000", 0, 1e6, "dialogues remembered between turns; the oldest go first"),
    KEY("finished_ttl", DURATION, "60s", 0, 1 * HOUR, "how long an ended dialogue is answered with 204 instead of 404"),
    KEY("finished_dialogues", NUMBER, "4096", 1, 1e6, "ended dialogues of which the id is remembered"),

    /* dialogues and their listeners */
    KEY("max_dialogues", NUMBER, "1000", 1, 1e6, "dialogues with a running turn; beyond it the answer is 503"),
    KEY("dialogue_budget", SIZE, "2MB", 16 * KB, 1 * GB, "memory for the events of one dialogue"),
    KEY("replay_window", SIZE, "640KB", 0, 1 * GB,
        "of it, what is kept for a listener that comes back though every listener has it; 0: all that fits"),
    KEY("turn_budget", SIZE, "16MB", 256 * KB, 1 * GB, "memory for the work of one turn: audio in the making, searches"),
    KEY("lookahead", NUMBER, "2", 1, 64, "audio chunks made ahead of what was sent"),
    KEY("max_listeners", NUMBER, "8", 1, 10000, "listeners of one dialogue; beyond it the answer is 429"),
    KEY("listener_queue", SIZE, "512KB", 4 * KB, 64 * MB, "bytes queued to the socket of one listener"),
    KEY("slow_listener_wait", DURATION, "2s", 0, 1 * MINUTE, "how long the others wait for the slowest listener"),
    KEY("listener_stall", DURATION, "20s", 100 * MS, 10 * MINUTE,
        "a listener that takes nothing for so long is dropped"),
    KEY("ping_interval", DURATION, "20s", 1 * SECOND, 30 * SECOND,
        "time between pings on a stream; below 15s only for tests"),
    KEY("duplicate_window", DURATION, "250ms", 0, 10 * SECOND,
        "equal questions without a key are one within it; 0: never"),
    KEY("idempotency_window", DURATION, "10min", 0, 24 * HOUR, "how long an Idempotency-Key is remembered"),
    KEY("idempotency_keys", NUMBER, "4096", 1, 1e6, "Idempotency-Keys remembered; the oldest go first"),

    /* limits of requests */
    KEY("script_heap", SIZE, "64MB", 4 * MB, 64 * GB,
        "Lua heap of one script state; beyond it the request that asks for more fails"),
    KEY("script_slice", DURATION, "100ms", 0, 1 * MINUTE,
        "processor time a script may take without waiting; beyond it the request fails; 0: no limit"),
    KEY("script_load", DURATION, "10s", 0, 10 * MINUTE, "the same while app.lua and its modules are loaded"),
    KEY("script_hard", DURATION, "10s", 0, 10 * MINUTE,
        "when a script cannot be stopped for so long the process is aborted, and the log says where; 0: never"),
    CHOICE("script_jit", "auto",
        "compile scripts: auto where loops can still be stopped; on: endless loops cannot be stopped", "auto|on|off"),
    KEY("store_budget", SIZE, "64MB", 0, 64 * GB,
        "memory for all stores of scripts (fitnessally.store) together; beyond it nothing more is put in; 0: no limit"),
    KEY("topic_budget", SIZE, "8MB", 0, 64 * GB,
        "memory that messages of topics keep until they are read; at it whoever has the most waiting loses its oldest; 0: no limit"),
    KEY("trusted", LIST, NULL, 0, 0,
        "modules of the application that get io, os, ffi, debug and the system's modules; \"app\" is app.lua"),
    KEY("max_tasks", NUMBER, "10000", 16, 1e6, "tasks of one script state; beyond it fitnessally.spawn is an error"),
    KEY("max_routes", NUMBER, "1000", 16, 100000, "routes that the application may declare; one more is an error of its load"),
    KEY("max_body", SIZE, "1MB", 1 * KB, 25 * MB,
        "largest request body of a route that says nothing of it; beyond it the answer is 413"),
    KEY("max_upload", SIZE, "25MB", 1 * KB, 1 * GB, "largest request body that a route may ask for"),
    KEY("max_json", SIZE, "1MB", 1 * KB, 1 * GB, "largest JSON body that is decoded; beyond it the answer is 413"),
    KEY("json_depth", NUMBER, "64", 1, 1000, "how deep arrays and objects may nest in JSON that is decoded"),
    KEY("max_form", SIZE, "1MB", 1 * KB, 1 * GB, "largest urlencoded body that is decoded"),
    KEY("form_fields", NUMBER, "1000", 1, 1e6, "fields of a form"),
    KEY("form_value", SIZE, "64KB", 16, 1 * GB, "longest name or value in a form"),
    KEY("multipart_parts", NUMBER, "100", 1, 10000, "parts of a multipart body"),
    KEY("multipart_field", SIZE, "64KB", 16, 1 * GB,
        "longest part of a multipart body that is no file; files have the limit of the body"),
    KEY("max_connections", NUMBER, "4096", 1, 1e6, "open connections of each worker; one more is answered 503"),
    KEY("max_connections_per_address", NUMBER, "0", 0, 1e6,
        "open connections of one address (IPv6: of one /64), all workers together; one more is answered 429; 0: no limit"),
    KEY("max_requests_per_connection", NUMBER, "10000", 0, 1e9, "then the connection is closed; 0: never"),
    KEY("accept_rate", NUMBER, "0", 0, 1e6,
        "new connections a second, all workers together; more wait in the kernel; 0: no limit"),
    KEY("max_head", SIZE, "16KB", 1 * KB, 256 * KB,
        "largest request head; beyond it the answer is 431, or 414 when it is the first line"),
    KEY("head_timeout", DURATION, "10s", 100 * MS, 1 * HOUR, "longest time for a request's head; then the answer is 408"),
    KEY("request_timeout", DURATION, "60s", 100 * MS, 1 * HOUR,
        "longest time for a request to arrive, head and body; then the answer is 408"),
    KEY("body_rate", SIZE, "512B", 0, 1 * GB,
        "bytes a second that a body must bring on the average, after head_timeout; else the answer is 408; 0: any rate"),
    KEY("idle_timeout", DURATION, "60s", 100 * MS, 1 * HOUR, "how long a connection is kept open between two requests"),
    KEY("send_stall", DURATION, "20s", 100 * MS, 10 * MINUTE,
        "a client that takes nothing of its answer for so long is cut"),
    KEY("answer_queue", SIZE, "256KB", 4 * KB, 64 * MB,
        "bytes of an answer made piece by piece that wait for their client; beyond it the script waits"),
    KEY("websocket_message", SIZE, "1MB", 1 * KB, 1 * GB,
        "largest message from a WebSocket's client; beyond it the connection is closed with 1009"),
    KEY("websocket_queue", SIZE, "256KB", 4 * KB, 64 * MB,
        "bytes each way that wait on one WebSocket; beyond it the script waits, and nothing more is read"),
    KEY("websocket_ping", DURATION, "20s", 0, 1 * HOUR,
        "a WebSocket's client that is silent for so long is pinged; 0: never"),
    KEY("websocket_pong", DURATION, "10s", 100 * MS, 1 * HOUR, "when nothing comes for so long after that, it is cut"),
    KEY("websocket_close", DURATION, "5s", 100 * MS, 1 * MINUTE, "how long closing a WebSocket waits for the other side"),
    KEY("drain", DURATION, "10s", 0, 10 * MINUTE, "how long a stopping server lets requests and turns finish"),
    KEY("spool_dir", TEXT, NULL, 0, 0, "folder for large request bodies on their way in; not set: spool/ in state_dir"),
    KEY("spool_threshold", SIZE, "256KB", 4 * KB, 25 * MB,
        "request bodies beyond it wait on disk instead of in memory"),
    KEY("spool_budget", SIZE, "512MB", 0, 1024 * GB,
        "disk for request bodies that are being handled; beyond it the answer is 503; 0: no limit"),
    KEY("memory_budget", SIZE, "512MB", 0, 1024 * GB,
        "memory the server may own; a question is answered 503 unless each running turn could have its dialogue_budget; 0: no limit"),
    KEY("request_budget", SIZE, "4MB", 0, 1 * GB,
        "memory for one request and its answer, beside spool_threshold for its body; beyond it the answer is 503; 0: no limit"),
    KEY("plugin_budget", SIZE, "128MB", 0, 1024 * GB,
        "memory one plugin may keep; plugins.NAME.memory_budget sets it for one; 0: no limit"),
    KEY("budget_plugins", SIZE, "0", 0, 1024 * GB, "memory all plugins may keep; 0: no limit, as for the following"),
    KEY("budget_caches", SIZE, "0", 0, 1024 * GB, "memory for caches together"),
    KEY("budget_connections", SIZE, "0", 0, 1024 * GB, "memory for open connections together; one more is closed"),
    KEY("budget_requests", SIZE, "0", 0, 1024 * GB, "memory for requests together; beyond it the answer is 503 over_budget"),
    KEY("budget_dialogues", SIZE, "0", 0, 1024 * GB,
        "memory for dialogues together; a question is answered 503 unless each running turn could have its dialogue_budget"),
    KEY("budget_turns", SIZE, "0", 0, 1024 * GB, "memory for the work of turns together; beyond it calls in a flow fail"),
    KEY("budget_listeners", SIZE, "0", 0, 1024 * GB, "memory for listeners together; beyond it the answer is 503"),
    KEY("budget_transfers", SIZE, "0", 0, 1024 * GB, "memory for requests to other services together"),
    KEY("budget_jobs", SIZE, "0", 0, 1024 * GB, "memory for jobs on the thread pool together; beyond it a file that is not cached is 503"),
    KEY("budget_scripts", SIZE, "0", 0, 1024 * GB, "memory for scopes that scripts open together"),
    KEY("pressure", LIST, "70,75,80,85,90,95", 0, 0,
        "percent of memory_budget where the six steps of docs/memory.md begin; 101: never"),
    KEY("pressure_relief", NUMBER, "5", 1, 50, "a step ends so many percent below where it began"),

    /* watching memory */
    KEY("tracker", FLAG, "true", 0, 0,
        "sample memory and raise alarms; false, or DISABLE_MEMORY_TRACKER=true in the environment: none of it runs"),
    KEY("tracker_interval", DURATION, "5s", 50 * MS, 10 * MINUTE, "time between two samples; 120 are kept"),
    KEY("alarm_growth", SIZE, "8MB", 0, 64 * GB, "growth of RSS in a minute that raises an alarm; half of it undoes it; 0: none"),
    KEY("alarm_residual_growth", SIZE, "4MB", 0, 64 * GB,
        "growth in a minute of memory that no owner has that raises an alarm; 0: none"),
    KEY("alarm_interval", DURATION, "5min", 0, 24 * HOUR, "shortest time between two log lines of one alarm"),
    KEY("control", FLAG, "true", 0, 0, "answer `fitnessally memory` on a unix socket that only this user can open"),
    KEY("repl", FLAG, "true", 0, 0, "let `fitnessally repl` run Lua in this server, for whoever can open that socket"),
    KEY("control_dir", TEXT, NULL, 0, 0,
        "folder of that socket; not set: fitnessally/ in XDG_RUNTIME_DIR, or /tmp/fitnessally-UID"),
    {NULL, FA_CONFIG_TEXT, NULL, 0, 0, NULL, NULL},
};
/* clang-format on */

const fa_config_key *fa_config_keys(void)
{
    return keys;
}

const char *fa_config_nearest(const char *name)
{
    fa_nearest nearest = fa_nearest_to(name);
    for (const fa_config_key *key = keys; key->name != NULL; ++key)
        fa_nearest_offer(&nearest, key->name);
    return nearest.found;
}
