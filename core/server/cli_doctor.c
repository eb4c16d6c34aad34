/* `fitnessally doctor`: what this machine, this build and this configuration make of a server, in plain words. */
#include <dlfcn.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include <luajit.h>

#include "base/allocator.h"
#include "base/units.h"
#include "http/http.h"
#include "memory/buffer.h"
#include "script/script.h"
#include "server/cli.h"
#include "server/json_writer.h"
#include "server/server.h"

enum { MOST = 32, OTHER_FILES = 64 /* beside connections: logs, plugins, the spool */, SOON_DAYS = 14 };

typedef enum state { FINE, WORTH_KNOWING, WRONG } state;

typedef struct finding {
    state state;
    const char *name;
    char text[500];
} finding;

typedef struct doctor {
    finding findings[MOST];
    size_t count;
} doctor;

__attribute__((format(printf, 4, 5))) static void find(doctor *d, state how, const char *name, const char *format, ...)
{
    va_list arguments;
    if (d->count == MOST)
        return;
    finding *f = &d->findings[d->count++];
    f->state = how;
    f->name = name;
    va_start(arguments, format);
    vsnprintf(f->text, sizeof(f->text), format, arguments);
    va_end(arguments);
}

/* ---- what is looked at ---- */

static void look_at_versions(doctor *d)
{
    char allocator[FA_ALLOCATOR_NAME_SIZE];
    const char *(*curl)(void) = NULL;
    *(void **)&curl = dlsym(RTLD_DEFAULT, "curl_version");
    find(d, FINE, "version", "fitnessally %s", fa_version());
    find(d, FINE, "allocator", "%s", fa_allocator_name(allocator));
    find(d, FINE, "libh2o", "%s", fa_http_library_version());
    find(d, FINE, "libuv", "%s", uv_version_string());
    find(d, FINE, "LuaJIT", "%s", LUAJIT_VERSION);
    find(d, FINE, "OpenSSL", "%s", OpenSSL_version(OPENSSL_VERSION));
    find(d, FINE, "curl", "%s", curl != NULL ? curl() : "not linked");
}

static fa_result probe(const fa_log *log, bool *interruptible, fa_error *error)
{
    fa_scope *scope;
    fa_watchdog *dog = NULL;
    fa_ledger *ledger = fa_ledger_new(NULL);
    if (ledger == NULL || fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "doctor", FA_HERE, &scope) != FA_OK) {
        fa_ledger_free(ledger);
        return fa_fail(error, FA_NO_MEMORY, "no memory");
    }
    fa_result result = fa_watchdog_new(scope, log, 20, 0, &dog, error);
    if (result == FA_OK)
        result = fa_jit_probe(dog, interruptible, error);
    fa_watchdog_free(dog);
    fa_scope_end(scope, "done", NULL);
    fa_ledger_free(ledger);
    return result;
}

static void look_at_compiler(doctor *d, const fa_server *server)
{
    bool interruptible = false;
    fa_error error = {{0}};
    const char *jit = fa_config_text(fa_server_config(server), "script_jit");
    if (probe(fa_server_log(server), &interruptible, &error) != FA_OK)
        find(d, WRONG, "compiler", "whether compiled scripts can be stopped could not be tried: %s", error.text);
    else if (strcmp(jit, "off") == 0)
        find(d, FINE, "compiler", "off for scripts (script_jit = \"off\")");
    else if (interruptible)
        find(d, FINE, "compiler", "on for scripts: this LuaJIT lets compiled loops be stopped");
    else if (strcmp(jit, "on") == 0)
        find(d, WRONG, "compiler",
             "on for scripts (script_jit = \"on\"), but this LuaJIT does not let compiled loops be stopped: an endless "
             "loop holds its worker until script_hard. Use script_jit = \"auto\".");
    else
        find(d, FINE, "compiler",
             "off for scripts: this LuaJIT does not let compiled loops be stopped. One built with "
             "LUAJIT_ENABLE_CHECKHOOK would.");
}

static void look_at_limits(doctor *d, const fa_config *c)
{
    static const char *const names[] = {"script_slice", "script_load", "script_hard", "script_heap", "memory_budget"};
    struct rlimit files;
    double workers = fa_config_number(c, "workers");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); ++i) {
        const char *value = fa_config_written(c, names[i], NULL);
        bool none = strcmp(value, "0") == 0;
        find(d, none && i != 2 ? WORTH_KNOWING : FINE, names[i], "%s%s", value, none ? ": no limit" : "");
    }
    double connections =
        fa_config_number(c, "max_connections") * (workers > 0 ? workers : (double)uv_available_parallelism());
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        find(d, WRONG, "open files", "the limit of open files cannot be read");
    else if (files.rlim_cur != RLIM_INFINITY && (double)files.rlim_cur < connections + OTHER_FILES)
        find(
            d, WORTH_KNOWING, "open files",
            "%llu may be open (ulimit -n), fewer than the %.0f connections that max_connections lets in: the last ones "
            "would be refused by the kernel. Raise the one or lower the other.",
            (unsigned long long)files.rlim_cur, connections);
    else
        find(d, FINE, "open files", "%llu may be open (ulimit -n), enough for %.0f connections",
             (unsigned long long)files.rlim_cur, connections);
}

static void on_plugin_problem(void *context, const char *name, const char *problem)
{
    find(context, WORTH_KNOWING, "plugin", "%s would be left out: %s", name, problem);
}

/* Whether a plugin is among the findings from `first` on. */
static bool is_said(const doctor *d, size_t first, const char *name)
{
    size_t length = strlen(name);
    for (size_t i = first; i < d->count; ++i) {
        if (strncmp(d->findings[i].text, name, length) == 0 && d->findings[i].text[length] == ' ')
            return true;
    }
    return false;
}

/* Loads what a start would load. */
static bool is_here(const char *url)
{
    static const char *const hosts[] = {"http://127.", "http://localhost", "http://[::1]", NULL};
    for (const char *const *host = hosts; *host != NULL; ++host) {
        if (strncasecmp(url, *host, strlen(*host)) == 0)
            return true;
    }
    return false;
}

/* What is wrong with one is said where the application is looked at: it would not start. */
static void look_at_upstreams(doctor *d, const fa_config *c)
{
    static const char group[] = "upstreams";
    const char *name;
    size_t count = 0;
    for (; (name = fa_config_named_name(c, group, count)) != NULL; ++count) {
        const char *url = fa_config_named(c, group, name, "url", NULL);
        const char *verify = fa_config_named(c, group, name, "tls_verify", NULL);
        bool secret = fa_config_named(c, group, name, "token", NULL) != NULL ||
                      fa_config_named(c, group, name, "token_env", NULL) != NULL ||
                      fa_config_named(c, group, name, "token_file", NULL) != NULL;
        if (verify != NULL && strcmp(verify, "false") == 0)
            find(d, WORTH_KNOWING, "upstreams", "%s: nobody looks at its certificate (tls_verify = false)", name);
        if (secret && url != NULL && strncasecmp(url, "http:", 5) == 0 && !is_here(url))
            find(d, WORTH_KNOWING, "upstreams", "%s: its secret goes over the network in the clear (http)", name);
    }
    find(d, FINE, "upstreams", "%zu in the configuration", count);
}

/* What cannot be read is said where the application is looked at. */
static void look_at_certificate(doctor *d, const char *name, const char *file)
{
    int days = 0, seconds = 0;
    char date[32] = "";
    struct tm end = {0};
    BIO *bio = BIO_new_file(file, "r");
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    if (certificate != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1 &&
        ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) == 1) {
        bool over = days < 0 || seconds < 0;
        strftime(date, sizeof(date), "%Y-%m-%d", &end);
        find(d,
             over               ? WRONG
             : days < SOON_DAYS ? WORTH_KNOWING
                                : FINE,
             "certificate", over ? "tls.%s: %s has expired, on %s: clients refuse it" : "tls.%s: %s is good until %s",
             name, file, date);
    }
    X509_free(certificate);
}

static void look_at_certificates(doctor *d, const fa_config *c)
{
    static const char group[] = "tls";
    const char *name;
    for (size_t i = 0; (name = fa_config_named_name(c, group, i)) != NULL; ++i) {
        const char *file = fa_config_named(c, group, name, "certificate", NULL);
        if (file != NULL)
            look_at_certificate(d, name, file);
    }
}

static void look_at_application(doctor *d, fa_server *server)
{
    fa_error error = {{0}};
    const fa_config *c = fa_server_config(server);
    const char *const *plugins;
    size_t count = fa_config_list(c, "plugins_enabled", &plugins), before = d->count;
    fa_server_on_plugin_problem(server, on_plugin_problem, d);
    if (fa_server_check(server, &error) != FA_OK) {
        find(d, WRONG, "application", "a server would not start: %s", error.text);
        return;
    }
    find(d, FINE, "application", "%s loads", fa_config_text(c, "app"));
    for (size_t i = 0; i < count; ++i) {
        if (!is_said(d, before, plugins[i]))
            find(d, FINE, "plugin", "%s loads", plugins[i]);
    }
}

/* ---- what is said ---- */

static void print_text(const doctor *d)
{
    static const char *const marks[] = {"ok   ", "note ", "WRONG"};
    for (size_t i = 0; i < d->count; ++i)
        printf("%s  %-13s %s\n", marks[d->findings[i].state], d->findings[i].name, d->findings[i].text);
}

static int print_json(const doctor *d, bool well)
{
    static const char *const states[] = {"ok", "note", "wrong"};
    fa_scope *scope;
    fa_json json = {0};
    fa_ledger *ledger = fa_ledger_new(NULL);
    if (ledger == NULL || fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "doctor", FA_HERE, &scope) != FA_OK) {
        fa_ledger_free(ledger);
        return fa_cli_failed("no memory");
    }
    json.result = fa_buffer_new(scope, 16 * 1024, "report", FA_HERE, &json.out);
    if (json.result == FA_OK) {
        fa_json_open(&json, NULL, '{');
        fa_json_text(&json, "status", well ? "ok" : "wrong");
        fa_json_open(&json, "findings", '[');
        for (size_t i = 0; i < d->count; ++i) {
            fa_json_open(&json, NULL, '{');
            fa_json_text(&json, "name", d->findings[i].name);
            fa_json_text(&json, "state", states[d->findings[i].state]);
            fa_json_text(&json, "text", d->findings[i].text);
            fa_json_close(&json, '}');
        }
        fa_json_close(&json, ']');
        fa_json_close(&json, '}');
    }
    if (json.result == FA_OK)
        printf("%.*s\n", (int)fa_buffer_length(json.out), (const char *)fa_buffer_data(json.out));
    fa_scope_end(scope, "printed", NULL);
    fa_ledger_free(ledger);
    return json.result == FA_OK ? FA_EXIT_DONE : fa_cli_failed("no memory");
}

static int run(const fa_cli *cli)
{
    fa_server *server;
    doctor d = {.count = 0};
    bool well = true;
    if (cli->argument_count > 0)
        return fa_cli_misused("doctor", "doctor takes no argument \"%s\"", cli->arguments[0]);
    int status = fa_cli_configure(cli, &server);
    if (status != FA_EXIT_DONE)
        return status;
    look_at_versions(&d);
    find(&d, FINE, "configuration", "%s", fa_cli_file(cli) != NULL ? fa_cli_file(cli) : "defaults only: no file");
    look_at_compiler(&d, server);
    look_at_limits(&d, fa_server_config(server));
    look_at_certificates(&d, fa_server_config(server));
    look_at_upstreams(&d, fa_server_config(server));
    look_at_application(&d, server);
    fa_server_destroy(server);
    for (size_t i = 0; i < d.count; ++i)
        well = well && d.findings[i].state != WRONG;
    if (!cli->json)
        print_text(&d);
    else if (print_json(&d, well) != FA_EXIT_DONE)
        return FA_EXIT_FAILED;
    return well ? FA_EXIT_DONE : FA_EXIT_FAILED;
}

const fa_command fa_command_doctor = {
    .name = "doctor",
    .options = "clwdsj",
    .summary = "say what this machine, build and configuration make of a server",
    .help = "usage: fitnessally doctor [options]\n"
            "\n"
            "Versions of what it is built on, whether scripts can be compiled (docs/limits.md), limits, open files, "
            "certificates, and "
            "whether configuration,\n"
            "plugins and scripts load. Exits with 1 when something is wrong. What holds the memory of a running server "
            "is `memory doctor`.\n"
            "\n"
            "  -c, --config FILE    configuration (default: fitnessally.conf.lua here, else the shipped one)\n"
            "  --listen, --workers, --data, --set   as for serve\n"
            "  --json               as JSON: {status, findings: [{name, state, text}]}\n",
    .run = run,
};
