#include "http/head_check.h"

#include <string.h>
#include <strings.h>

static fa_head_verdict refuse(fa_head *head, int status, const char *why)
{
    head->status = status;
    head->why = why;
    return FA_HEAD_REFUSED;
}

/* ---- letters ---- */

static bool is_token_char(unsigned char c)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr(others, c) != NULL);
}

static size_t token_length(const char *at, size_t length)
{
    size_t i = 0;
    while (i < length && is_token_char((unsigned char)at[i]))
        ++i;
    return i;
}

static bool is_control(unsigned char c)
{
    return (c < ' ' && c != '\t') || c == 0x7f;
}

static bool is(const char *at, size_t length, const char *literal)
{
    return length == strlen(literal) && strncasecmp(at, literal, length) == 0;
}

static bool begins_with(const char *at, size_t length, const char *literal)
{
    size_t needed = strlen(literal);
    return length >= needed && strncasecmp(at, literal, needed) == 0;
}

static fa_span span_of(const char *bytes, const char *at, size_t length)
{
    return (fa_span){(uint32_t)(at - bytes), (uint32_t)length};
}

/* ---- the request line ---- */

static const char *target_trouble(const char *target, size_t length)
{
    if (length == 0)
        return "the request has no target";
    bool query = false; /* where more is common than allowed, and harmless: "?search="push+up"" */
    for (size_t i = 0; i < length; ++i) {
        unsigned char c = (unsigned char)target[i];
        if (c <= ' ' || c >= 0x7f)
            return "the target has a byte that must be percent-encoded";
        if (c == '#' || (!query && (c == '"' || c == '<' || c == '>')))
            return "the target has a character that must be percent-encoded";
        query = query || c == '?';
    }
    return NULL;
}

/* Cuts "http://HOST/path?query" into its parts; "/path?query" has no authority. */
static fa_head_verdict split_target(fa_head *head, const char *bytes, const char *target, size_t length)
{
    const char *end = target + length, *at = target;
    size_t scheme = begins_with(target, length, "http://") ? 7 : begins_with(target, length, "https://") ? 8 : 0;
    if (scheme != 0) {
        at += scheme;
        size_t authority = 0;
        while (at + authority < end && at[authority] != '/' && at[authority] != '?')
            ++authority;
        if (!fa_host_is_plain(at, authority))
            return refuse(head, 400, "the target's authority is malformed");
        head->authority = span_of(bytes, at, authority);
        at += authority;
    } else if (length == 1 && *target == '*' && is(bytes + head->method.at, head->method.length, "OPTIONS")) {
        return FA_HEAD_MORE;
    } else if (*target != '/') {
        return refuse(head, 400, "the target is neither a path nor an absolute URL");
    }
    const char *question = memchr(at, '?', (size_t)(end - at));
    size_t path = (size_t)((question != NULL ? question : end) - at);
    head->path = span_of(bytes, at, path);
    const char *trouble = fa_path_trouble(at, path);
    return trouble != NULL ? refuse(head, 400, trouble) : FA_HEAD_MORE;
}

static fa_head_verdict take_version(fa_head *head, const char *version, size_t length)
{
    if (length != 8 || memcmp(version, "HTTP/", 5) != 0 || version[5] < '0' || version[5] > '9' || version[6] != '.' ||
        version[7] < '0' || version[7] > '9')
        return refuse(head, 400, "the request line is malformed");
    if (version[5] != '1' || version[7] > '1')
        return refuse(head, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    head->http_1_0 = version[7] == '0';
    return FA_HEAD_MORE;
}

static fa_head_verdict take_request_line(fa_head *head, const char *bytes, const char *line, size_t length)
{
    enum { LONGEST_METHOD = 32 };
    size_t method = token_length(line, length);
    if (method == 0 || method > LONGEST_METHOD || method == length || line[method] != ' ')
        return refuse(head, 400, "the request line is malformed");
    const char *target = line + method + 1, *end = line + length;
    const char *space = memchr(target, ' ', (size_t)(end - target));
    if (space == NULL)
        return refuse(head, 400, "the request line is malformed");
    head->method = span_of(bytes, line, method);
    head->target = span_of(bytes, target, (size_t)(space - target));
    fa_head_verdict verdict = take_version(head, space + 1, (size_t)(end - space - 1));
    if (verdict != FA_HEAD_MORE)
        return verdict;
    if (is(line, method, "CONNECT"))
        return refuse(head, 501, "this server is no proxy");
    const char *trouble = target_trouble(target, head->target.length);
    if (trouble != NULL)
        return refuse(head, 400, trouble);
    head->has_line = true;
    return split_target(head, bytes, target, head->target.length);
}

/* ---- fields ---- */

typedef struct field {
    const char *name, *value;
    size_t name_length, length;
} field;

static fa_head_verdict take_host(fa_head *head, const char *bytes, const field *f)
{
    if (head->has_host)
        return refuse(head, 400, "Host is given twice");
    if (!fa_host_is_plain(f->value, f->length))
        return refuse(head, 400, "Host is malformed");
    head->has_host = true;
    head->host = span_of(bytes, f->value, f->length);
    return FA_HEAD_MORE;
}

static fa_head_verdict take_content_length(fa_head *head, const field *f)
{
    enum { MOST_DIGITS = 15 };
    if (head->has_length)
        return refuse(head, 400, "Content-Length is given twice");
    if (f->length == 0 || f->length > MOST_DIGITS)
        return refuse(head, 400, "Content-Length is malformed");
    for (size_t i = 0; i < f->length; ++i) {
        if (f->value[i] < '0' || f->value[i] > '9')
            return refuse(head, 400, "Content-Length is malformed");
        head->body_length = head->body_length * 10 + (uint64_t)(f->value[i] - '0');
    }
    head->has_length = true;
    return FA_HEAD_MORE;
}

/* The next item of a comma-separated list, trimmed; empty ones are passed over. false: no more. */
static bool next_item(const char **at, const char *end, const char **item, size_t *length)
{
    while (*at < end && (**at == ',' || **at == ' ' || **at == '\t'))
        ++*at;
    if (*at == end)
        return false;
    const char *comma = memchr(*at, ',', (size_t)(end - *at));
    const char *stop = comma != NULL ? comma : end;
    *item = *at;
    *at = stop;
    while (stop > *item && (stop[-1] == ' ' || stop[-1] == '\t'))
        --stop;
    *length = (size_t)(stop - *item);
    return true;
}

static fa_head_verdict take_transfer_encoding(fa_head *head, const field *f)
{
    const char *at = f->value, *end = f->value + f->length, *item;
    size_t length;
    if (head->chunked || head->other_coding)
        return refuse(head, 400, "Transfer-Encoding is given twice");
    while (next_item(&at, end, &item, &length)) {
        if (head->chunked)
            return refuse(head, 400, "chunked must be the last transfer coding, and only once");
        if (is(item, length, "chunked"))
            head->chunked = true;
        else if (token_length(item, length) == length)
            head->other_coding = true;
        else
            return refuse(head, 400, "Transfer-Encoding is malformed");
    }
    if (!head->chunked)
        return refuse(head, 400, "chunked must be the last transfer coding");
    if (f->length != strlen("chunked") && !head->other_coding)
        return refuse(head, 400, "Transfer-Encoding is malformed"); /* ",chunked": others take that for unknown */
    return FA_HEAD_MORE;
}

/* What frames a message cannot be taken away on the way. */
static fa_head_verdict take_connection(fa_head *head, const field *f)
{
    const char *at = f->value, *end = f->value + f->length, *item;
    size_t length;
    while (next_item(&at, end, &item, &length)) {
        if (token_length(item, length) != length)
            return refuse(head, 400, "Connection is malformed");
        if (is(item, length, "close"))
            head->close = true;
        if (is(item, length, "host") || is(item, length, "content-length") || is(item, length, "transfer-encoding"))
            return refuse(head, 400, "Connection names a field that frames the message");
    }
    return FA_HEAD_MORE;
}

static fa_head_verdict take_expect(fa_head *head, const field *f)
{
    if (head->expects)
        return refuse(head, 400, "Expect is given twice");
    if (!is(f->value, f->length, "100-continue"))
        return refuse(head, 417, "only 100-continue can be expected");
    head->expects = true;
    return FA_HEAD_MORE;
}

static fa_head_verdict take_known(fa_head *head, const char *bytes, const field *f)
{
    switch (f->name_length) {
    case 4:
        if (is(f->name, 4, "host"))
            return take_host(head, bytes, f);
        break;
    case 6:
        if (is(f->name, 6, "expect"))
            return take_expect(head, f);
        break;
    case 7:
        head->upgrade = head->upgrade || is(f->name, 7, "upgrade");
        break;
    case 10:
        if (is(f->name, 10, "connection"))
            return take_connection(head, f);
        break;
    case 12:
        if (head->request_id.length == 0 && is(f->name, 12, "x-request-id"))
            head->request_id = span_of(bytes, f->value, f->length);
        break;
    case 14:
        if (is(f->name, 14, "content-length"))
            return take_content_length(head, f);
        break;
    case 17:
        if (is(f->name, 17, "transfer-encoding"))
            return take_transfer_encoding(head, f);
        break;
    default:
        break;
    }
    return FA_HEAD_MORE;
}

static fa_head_verdict take_field(fa_head *head, const char *bytes, const char *line, size_t length)
{
    if (line[0] == ' ' || line[0] == '\t')
        return refuse(head, 400, "folded header lines are not taken");
    if (++head->fields > FA_HEAD_MOST_FIELDS)
        return refuse(head, 431, "the request has too many header fields");
    size_t name = token_length(line, length);
    if (name == 0 || name == length || line[name] != ':')
        return refuse(head, 400, "a header name is malformed");
    const char *value = line + name + 1, *end = line + length;
    for (const char *at = value; at < end; ++at) {
        if (is_control((unsigned char)*at))
            return refuse(head, 400, "a header value has a control character");
    }
    while (value < end && (*value == ' ' || *value == '\t'))
        ++value;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        --end;
    field f = {line, value, name, (size_t)(end - value)};
    return take_known(head, bytes, &f);
}

/* ---- the whole ---- */

static fa_head_verdict take_end(fa_head *head, const char *bytes, size_t length)
{
    if (!head->has_host && !head->http_1_0)
        return refuse(head, 400, "Host is missing");
    if (head->authority.length != 0 &&
        (head->authority.length != head->host.length ||
         strncasecmp(bytes + head->authority.at, bytes + head->host.at, head->host.length) != 0))
        return refuse(head, 400, "the target's authority is not what Host says");
    if (head->chunked && head->has_length)
        return refuse(head, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (head->chunked && head->http_1_0)
        return refuse(head, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (head->other_coding)
        return refuse(head, 501, "chunked is the only transfer coding known here");
    head->length = (uint32_t)length;
    return FA_HEAD_COMPLETE;
}

static fa_head_verdict take_line(fa_head *head, const char *bytes, const char *line, size_t length)
{
    if (head->has_line)
        return length == 0 ? take_end(head, bytes, (size_t)(line + 2 - bytes)) : take_field(head, bytes, line, length);
    if (length != 0)
        return take_request_line(head, bytes, line, length);
    if (head->blank)
        return refuse(head, 400, "empty lines are no request");
    head->blank = true; /* some clients end a body with one too many (RFC 9112 2.2) */
    return FA_HEAD_MORE;
}

static fa_head_verdict too_long(fa_head *head)
{
    return head->has_line ? refuse(head, 431, "the request head is larger than this server takes")
                          : refuse(head, 414, "the request line is longer than this server takes");
}

fa_head_verdict fa_head_check(fa_head *head, const char *bytes, size_t length, size_t most)
{
    fa_head_verdict verdict = FA_HEAD_MORE;
    if (most > FA_HEAD_MOST_BYTES)
        most = FA_HEAD_MOST_BYTES;
    while (verdict == FA_HEAD_MORE) {
        const char *newline = length > head->seen ? memchr(bytes + head->seen, '\n', length - head->seen) : NULL;
        size_t end = newline != NULL ? (size_t)(newline - bytes) + 1 : length;
        if (end > most)
            return too_long(head);
        if (newline == NULL) {
            head->seen = (uint32_t)length;
            unsigned char first = length > head->line ? (unsigned char)bytes[head->line] : 'G';
            return !head->has_line && first != '\r' && !is_token_char(first) /* TLS, or another protocol */
                       ? refuse(head, 400, "the request line is malformed")
                       : FA_HEAD_MORE;
        }
        const char *line = bytes + head->line;
        if (newline == line || newline[-1] != '\r')
            return refuse(head, 400, "a line ends without CR");
        head->line = head->seen = (uint32_t)end;
        verdict = take_line(head, bytes, line, (size_t)(newline - 1 - line));
    }
    return verdict;
}
