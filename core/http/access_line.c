/* What a line of the access log looks like. Whatever a client sent is cut, escaped and, where it may be a secret, left out. */
#include <string.h>
#include <time.h>

#include "exchange/escape.h"
#include "http/access_log.h"

enum { MOST_TARGET = 1024, MOST_REFERER = 512, MOST_AGENT = 256, MOST_NAME = 64 };

/* ---- secrets ---- */

static const char *const secrets[] = {
    "access_token", "api_key", "apikey",    "auth", "authorization", "client_secret", "code",  "credential",
    "id_token",     "jwt",     "key",       "pass", "passwd",        "password",      "pwd",   "refresh_token",
    "secret",       "session", "sessionid", "sid",  "sig",           "signature",     "token",
};

/* Decoded, in small letters, with "-" as "_". False when it is longer than any of ours. */
static bool plain_name(fa_text name, char plain[MOST_NAME])
{
    const char *end = name.data + name.length;
    size_t length = 0;
    for (const char *at = name.data; at < end; ++at) {
        int byte = *at == '%' ? fa_escaped_byte(at, end) : (unsigned char)*at;
        if (*at == '%' && byte >= 0)
            at += 2;
        if (length == MOST_NAME - 1)
            return false;
        if (byte >= 'A' && byte <= 'Z')
            byte += 'a' - 'A';
        plain[length++] = (char)(byte == '-' ? '_' : byte);
    }
    plain[length] = '\0';
    return true;
}

bool fa_access_is_secret(fa_text name)
{
    char plain[MOST_NAME];
    if (!plain_name(name, plain))
        return false;
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); ++i) {
        if (strcmp(plain, secrets[i]) == 0)
            return true;
    }
    return false;
}

/* ---- writing ---- */

typedef struct pen {
    char *line;
    size_t used;
    bool json;
} pen;

/* By hand throughout: every answer has a line, and strftime and snprintf were a third of what one took. */

/* Room for all fields is there: FA_ACCESS_LINE_SIZE is more than their escaped sum. The last byte is the newline's. */
static inline void put(pen *p, const char *bytes, size_t length)
{
    size_t room = FA_ACCESS_LINE_SIZE - 1 - p->used;
    length = length < room ? length : room;
    if (length != 0) /* then there may be no bytes at all */
        memcpy(p->line + p->used, bytes, length);
    p->used += length;
}

#define PUT(p, literal) put(p, "" literal, sizeof(literal) - 1)

static void put_text(pen *p, const char *text)
{
    put(p, text, strlen(text));
}

static void put_number(pen *p, uint64_t number)
{
    char digits[24];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
    } while ((number /= 10) != 0);
    put(p, digits + at, sizeof(digits) - at);
}

static void put_digits(pen *p, unsigned number, int count)
{
    char digits[4];
    for (int i = count; i-- > 0; number /= 10)
        digits[i] = (char)('0' + number % 10);
    put(p, digits, (size_t)count);
}

static void put_clock(pen *p, const struct tm *utc)
{
    put_digits(p, (unsigned)utc->tm_hour, 2);
    PUT(p, ":");
    put_digits(p, (unsigned)utc->tm_min, 2);
    PUT(p, ":");
    put_digits(p, (unsigned)utc->tm_sec, 2);
}

/* Milliseconds with three decimals. */
static void put_ms(pen *p, uint64_t us)
{
    char decimals[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10), (char)('0' + us % 10)};
    put_number(p, us / 1000);
    put(p, decimals, sizeof(decimals));
}

static void put_escaped(pen *p, const char *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    size_t plain = 0;
    for (size_t i = 0; i < length; ++i) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\')
            continue;
        char escape[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
        put(p, bytes + plain, i - plain);
        if (p->json)
            put(p, escape, 6);
        else
            put(p, (char[4]){'\\', 'x', escape[4], escape[5]}, 4);
        plain = i + 1;
    }
    put(p, bytes + plain, length - plain);
}

static void put_client_text(pen *p, fa_text text, size_t most)
{
    put_escaped(p, text.data, text.length < most ? text.length : most);
}

/* A URL: of its query, what is secret by name is left out. */
static void put_url(pen *p, fa_text url, size_t most)
{
    const char *query = url.length != 0 ? memchr(url.data, '?', url.length) : NULL;
    fa_text rest = url;
    if (query == NULL) {
        put_client_text(p, url, most);
        return;
    }
    size_t head = (size_t)(query + 1 - url.data), begin = p->used;
    put_client_text(p, (fa_text){url.data, head}, most);
    rest.data += head;
    rest.length -= head;
    while (rest.length != 0 && p->used - begin < most) {
        const char *next = memchr(rest.data, '&', rest.length);
        size_t length = next != NULL ? (size_t)(next - rest.data) + 1 : rest.length, room = most - (p->used - begin);
        const char *equals = memchr(rest.data, '=', length);
        bool secret = equals != NULL && fa_access_is_secret((fa_text){rest.data, (size_t)(equals - rest.data)});
        put_client_text(p, (fa_text){rest.data, secret ? (size_t)(equals - rest.data) + 1 : length}, room);
        if (secret)
            put_text(p, next != NULL ? "[redacted]&" : "[redacted]");
        rest.data += length;
        rest.length -= length;
    }
}

/* ---- stages: since the first byte of the request ---- */

typedef struct stages {
    uint64_t parsed, queued, handler, first, last; /* us */
} stages;

static uint64_t since(uint64_t begin, uint64_t at)
{
    return at > begin ? at - begin : 0;
}

static stages stages_of(const fa_access_entry *entry)
{
    const fa_exchange_story *s = entry->story;
    uint64_t parsed = s->parsed_us != 0 ? s->parsed_us : entry->ended_us;
    uint64_t began = s->began_us != 0 ? s->began_us : parsed;
    uint64_t handler = s->handler_us != 0 ? s->handler_us : parsed;
    uint64_t first = s->first_us != 0 ? s->first_us : entry->ended_us;
    return (stages){since(began, parsed), since(parsed, handler), since(began, handler), since(began, first),
                    since(began, entry->ended_us)};
}

static int shown_status(const fa_access_entry *entry)
{
    return entry->status != 0 ? entry->status : 499;
}

static const char *version_of(const fa_access_entry *entry)
{
    return entry->story->version == 10 ? "HTTP/1.0" : entry->story->version == 20 ? "HTTP/2" : "HTTP/1.1";
}

/* ---- JSON ---- */

/* keys: text and length of ,"key": */
#define KEY(name) ",\"" name "\":", sizeof(",\"" name "\":") - 1

static void put_string(pen *p, const char *key, size_t key_length, const char *value)
{
    if (value == NULL || *value == '\0')
        return;
    put(p, key, key_length);
    PUT(p, "\"");
    put_escaped(p, value, strlen(value));
    PUT(p, "\"");
}

static void put_client_string(pen *p, const char *key, size_t key_length, fa_text value, size_t most, bool url)
{
    if (value.length == 0)
        return;
    put(p, key, key_length);
    PUT(p, "\"");
    if (url)
        put_url(p, value, most);
    else
        put_client_text(p, value, most);
    PUT(p, "\"");
}

static void put_count(pen *p, const char *key, size_t key_length, uint64_t value)
{
    put(p, key, key_length);
    put_number(p, value);
}

static void put_stage(pen *p, const char *text, uint64_t us)
{
    put_text(p, text);
    put_ms(p, us);
}

static void put_stages(pen *p, const fa_access_entry *entry)
{
    stages s = stages_of(entry);
    PUT(p, ",\"ms\":{\"parsed\":");
    put_ms(p, s.parsed);
    PUT(p, ",\"queued\":");
    put_ms(p, s.queued);
    PUT(p, ",\"handler\":");
    put_ms(p, s.handler);
    PUT(p, ",\"firstByte\":");
    put_ms(p, s.first);
    PUT(p, ",\"lastByte\":");
    put_ms(p, s.last);
    PUT(p, "}");
}

static void put_json_time(pen *p, const struct tm *utc, unsigned ms)
{
    PUT(p, "{\"time\":\"");
    put_digits(p, (unsigned)utc->tm_year + 1900, 4);
    PUT(p, "-");
    put_digits(p, (unsigned)utc->tm_mon + 1, 2);
    PUT(p, "-");
    put_digits(p, (unsigned)utc->tm_mday, 2);
    PUT(p, "T");
    put_clock(p, utc);
    PUT(p, ".");
    put_digits(p, ms, 3);
    PUT(p, "Z\"");
}

static void put_json(pen *p, const fa_access_entry *entry, const struct tm *utc)
{
    const fa_exchange_story *story = entry->story;
    put_json_time(p, utc, (unsigned)(entry->wall_ms % 1000));
    put_client_string(p, KEY("remote"), entry->remote, MOST_NAME, false);
    put_client_string(p, KEY("method"), entry->method, MOST_NAME, false);
    put_client_string(p, KEY("target"), entry->target, MOST_TARGET, true);
    put_string(p, KEY("protocol"), version_of(entry));
    put_count(p, KEY("status"), (uint64_t)shown_status(entry));
    put_count(p, KEY("bytesIn"), story->bytes_in);
    put_count(p, KEY("bytesOut"), entry->bytes_out);
    put_string(p, KEY("requestId"), entry->request_id);
    put_string(p, KEY("traceId"), entry->trace_id);
    put_string(p, KEY("dialogueId"), story->dialogue_id);
    put_string(p, KEY("route"), story->route);
    if (story->generation != 0)
        put_count(p, KEY("generation"), story->generation);
    put_count(p, KEY("worker"), entry->worker);
    put_stages(p, entry);
    put_string(p, KEY("end"), entry->end);
    put_client_string(p, KEY("referer"), entry->referer, MOST_REFERER, true);
    put_client_string(p, KEY("userAgent"), entry->user_agent, MOST_AGENT, false);
    PUT(p, "}");
}

/* ---- combined ---- */

static void put_quoted_url(pen *p, const char *before, fa_text url, size_t most)
{
    put_text(p, before);
    if (url.length == 0)
        PUT(p, "-");
    else
        put_url(p, url, most);
}

static void put_pair(pen *p, const char *key, const char *value)
{
    if (value == NULL || *value == '\0')
        return;
    put_text(p, key);
    put_escaped(p, value, strlen(value));
}

static void put_request_line(pen *p, const fa_access_entry *entry)
{
    PUT(p, "\"");
    if (entry->method.length == 0) {
        PUT(p, "-");
        return;
    }
    put_client_text(p, entry->method, MOST_NAME);
    put_quoted_url(p, " ", entry->target, MOST_TARGET);
    put_text(p, " ");
    put_text(p, version_of(entry));
}

static void put_combined_time(pen *p, const struct tm *utc)
{
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    PUT(p, " - - [");
    put_digits(p, (unsigned)utc->tm_mday, 2);
    PUT(p, "/");
    put(p, months[utc->tm_mon], 3);
    PUT(p, "/");
    put_digits(p, (unsigned)utc->tm_year + 1900, 4);
    PUT(p, ":");
    put_clock(p, utc);
    PUT(p, " +0000] ");
}

/* The combined format as everybody knows it, and behind it our own fields as key=value. */
static void put_combined(pen *p, const fa_access_entry *entry, const struct tm *utc)
{
    const fa_exchange_story *story = entry->story;
    stages s = stages_of(entry);
    put_client_text(p, entry->remote, MOST_NAME);
    put_combined_time(p, utc);
    put_request_line(p, entry);
    put_text(p, "\" ");
    put_number(p, (uint64_t)shown_status(entry));
    PUT(p, " ");
    put_number(p, entry->bytes_out);
    put_quoted_url(p, " \"", entry->referer, MOST_REFERER);
    put_text(p, "\" \"");
    put_client_text(p, entry->user_agent.length != 0 ? entry->user_agent : FA_TEXT("-"), MOST_AGENT);
    put_text(p, "\" in=");
    put_number(p, story->bytes_in);
    put_stage(p, " parsed=", s.parsed);
    put_stage(p, " queued=", s.queued);
    put_stage(p, " handler=", s.handler);
    put_stage(p, " first=", s.first);
    put_stage(p, " last=", s.last);
    put_pair(p, " id=", entry->request_id);
    put_pair(p, " trace=", entry->trace_id);
    put_pair(p, " dialogue=", story->dialogue_id);
    put_pair(p, " route=", story->route);
    if (story->generation != 0) {
        put_text(p, " generation=");
        put_number(p, story->generation);
    }
}

size_t fa_access_line(fa_access_format format, const fa_access_entry *entry, char line[FA_ACCESS_LINE_SIZE])
{
    struct tm utc;
    time_t seconds = (time_t)(entry->wall_ms / 1000);
    pen p = {.line = line, .json = format == FA_ACCESS_JSON};
    gmtime_r(&seconds, &utc);
    if (p.json)
        put_json(&p, entry, &utc);
    else
        put_combined(&p, entry, &utc);
    line[p.used++] = '\n';
    return p.used;
}
