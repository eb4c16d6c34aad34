/* What a browser shows of a failed request while one develops: the error, the lines around it, how it came there, the request, and what
 * was alive in it. Only in dev; in production a client gets nothing but the id. Values of headers that identify somebody are never
 * shown, nor is the query, nor any setting whose name says that it is a secret. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "memory/inventory.h"
#include "script/failure.h"
#include "script/internal.h"

enum { PAGE_SIZE = 32 * 1024, SECRET_LENGTH = 4 /* a shorter one is no secret, and would hide half the page */ };

const char fa_dev_style[] =
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222;background:#fff}"
    "h1{font-size:1.3em;color:#a11}h2{font-size:1em;margin:1.5em 0 "
    ".3em}pre{background:#f4f4f4;padding:.8em;overflow:auto}"
    "mark{background:#fbd5d5}td,th{text-align:left;padding:.1em 1em .1em "
    "0;vertical-align:top}th{font-weight:normal;color:#666}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#242424}mark{background:#611;"
    "color:#fff}"
    "h1{color:#f88}}";

typedef struct page {
    const fa_script *script;
    fa_buffer *out;
} page;

static void add(page *p, const char *text, size_t length)
{
    if (fa_buffer_length(p->out) + length <= PAGE_SIZE)
        fa_buffer_append(p->out, text, length); /* the room is there */
}

static void add_html(page *p, const char *html)
{
    add(p, html, strlen(html));
}

static bool sounds_secret(const char *name, size_t length)
{
    static const char *const words[] = {"auth", "cookie", "key", "secret", "token", "password", "passwd", "credential"};
    char lower[80];
    size_t used = length < sizeof(lower) - 1 ? length : sizeof(lower) - 1;
    for (size_t i = 0; i < used; ++i)
        lower[i] = (char)tolower((unsigned char)name[i]);
    lower[used] = '\0';
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); ++i) {
        if (strstr(lower, words[i]) != NULL)
            return true;
    }
    return false;
}

/* How long a configured secret is that begins at `text`; 0: none does. */
static size_t secret_at(const fa_script *script, const char *text, size_t length)
{
    for (const fa_setting *s = script->options.settings; s != NULL && s->name != NULL; ++s) {
        size_t own = s->type == FA_SETTING_TEXT && s->text != NULL ? strlen(s->text) : 0;
        if (own >= SECRET_LENGTH && own <= length && memcmp(text, s->text, own) == 0 &&
            sounds_secret(s->name, strlen(s->name)))
            return own;
    }
    return 0;
}

size_t fa_dev_piece(const fa_script *script, const char *text, size_t length, fa_text *piece)
{
    size_t secret = secret_at(script, text, length);
    if (secret > 0)
        *piece = FA_TEXT("(hidden)");
    else if (*text == '&')
        *piece = FA_TEXT("&amp;");
    else if (*text == '<')
        *piece = FA_TEXT("&lt;");
    else if (*text == '>')
        *piece = FA_TEXT("&gt;");
    else if (*text == '"')
        *piece = FA_TEXT("&quot;");
    else
        *piece = (fa_text){text, (unsigned char)*text >= ' ' || *text == '\n' || *text == '\t' ? 1 : 0};
    return secret > 0 ? secret : 1;
}

static void add_text(page *p, const char *text, size_t length)
{
    fa_text piece;
    for (size_t i = 0; i < length;) {
        i += fa_dev_piece(p->script, text + i, length - i, &piece);
        add(p, piece.data, piece.length);
    }
}

static void add_row(page *p, const char *name, size_t name_length, const char *text, size_t length)
{
    add_html(p, "<tr><th>");
    add_text(p, name, name_length);
    add_html(p, "</th><td>");
    add_text(p, text, length);
    add_html(p, "</td></tr>\n");
}

static void add_named(page *p, const char *name, const char *text)
{
    add_row(p, name, strlen(name), text, strlen(text));
}

/* The failing line is the one that begins with >. */
static void add_excerpt(page *p, const char *excerpt)
{
    add_html(p, "<pre class=\"excerpt\">");
    for (const char *line = excerpt; *line != '\0';) {
        const char *end = strchr(line, '\n');
        size_t length = end != NULL ? (size_t)(end - line) : strlen(line);
        add_html(p, *line == '>' ? "<mark>" : "");
        add_text(p, line + 1, length - 1);
        add_html(p, *line == '>' ? "</mark>\n" : "\n");
        line += length + (end != NULL);
    }
    add_html(p, "</pre>\n");
}

static void add_failure(page *p, const char *error)
{
    char title[900];
    fa_load_failure failure;
    fa_load_failure_read(&failure, error, p->script->options.app, p->script->options.library);
    if (failure.line != 0)
        snprintf(title, sizeof(title), "%s:%u: %s", failure.file, failure.line, failure.message);
    else
        snprintf(title, sizeof(title), "%s", failure.message);
    add_html(p, "<h1>");
    add_text(p, title, strlen(title));
    add_html(p, "</h1>\n");
    if (failure.excerpt[0] != '\0')
        add_excerpt(p, failure.excerpt);
    add_html(p, "<h2>How it came there</h2>\n<pre class=\"traceback\">");
    add_text(p, failure.traceback, strlen(failure.traceback));
    add_html(p, "</pre>\n");
}

static void add_request(page *p, const fa_exchange *exchange, const char *route)
{
    add_html(p, "<h2>The request</h2>\n<table class=\"request\">\n");
    add_row(p, "method", 6, exchange->method.data, exchange->method.length);
    add_row(p, "path", 4, exchange->path.data, exchange->path.length);
    add_named(p, "id", exchange->request_id);
    add_named(p, "route declared at", route);
    add_named(p, "scope that it broke", fa_scope_label(exchange->scope));
    for (size_t i = 0; i < exchange->header_count; ++i) {
        const fa_header *h = &exchange->headers[i];
        bool secret = sounds_secret(h->name.data, h->name.length);
        add_row(p, h->name.data, h->name.length, secret ? "(hidden)" : h->value.data, secret ? 8 : h->value.length);
    }
    add_html(p, "</table>\n");
}

static void add_alive(page *p, const fa_inventory *alive)
{
    char text[400];
    add_html(p, "<h2>Alive in its scope when it failed</h2>\n<ul class=\"alive\">\n");
    for (size_t i = 0; i < alive->count && i < FA_INVENTORY_ITEMS; ++i) {
        fa_item_text(&alive->items[i], text, sizeof(text));
        add_html(p, "<li>");
        add_text(p, text, strlen(text));
        add_html(p, "</li>\n");
    }
    add_html(p, alive->count == 0 ? "<li>nothing</li>\n</ul>\n" : "</ul>\n");
}

bool fa_dev_wants_html(const fa_exchange *exchange)
{
    char accept[200];
    fa_text value = fa_exchange_header(exchange, "accept");
    snprintf(accept, sizeof(accept), "%.*s", (int)(value.length < 199 ? value.length : 199), value.data);
    const char *html = strstr(accept, "text/html"), *json = strstr(accept, "json");
    return html != NULL && (json == NULL || html < json);
}

bool fa_dev_page_answer(const fa_script *script, fa_exchange *exchange, const char *error, const char *route)
{
    page p = {.script = script};
    fa_inventory alive = {0};
    fa_inventory_take(&alive, exchange->scope, NULL, true, fa_worker_index(script->worker)); /* without this page */
    if (exchange->status != 0 || exchange->gone || !fa_dev_wants_html(exchange) ||
        fa_buffer_new(exchange->scope, PAGE_SIZE, "dev page", FA_HERE, &p.out) != FA_OK)
        return false;
    add_html(&p, "<!doctype html>\n<meta charset=\"utf-8\">\n<title>500: a script failed</title>\n<style>");
    add_html(&p, fa_dev_style);
    add_html(&p, "</style>\n");
    add_failure(&p, error);
    add_request(&p, exchange, route);
    add_alive(&p, &alive);
    add_html(
        &p,
        "<p>This page is shown because of <code>mode = \"dev\"</code>; so is <a href=\"/api/dev/reload\">how the last "
        "reload went</a>.</p>\n");
    fa_buffer_seal(p.out);
    const fa_header headers[] = {{FA_TEXT("content-type"), FA_TEXT("text/html; charset=utf-8")},
                                 {FA_TEXT("cache-control"), FA_TEXT("no-store")}};
    if (fa_exchange_reply(exchange, 500, headers, 2, p.out) == FA_OK)
        return true;
    fa_buffer_release(p.out);
    return false;
}
