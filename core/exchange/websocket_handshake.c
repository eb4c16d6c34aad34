#include "exchange/websocket_handshake.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#include "exchange/head.h"

enum { KEY_LENGTH = 24, NONCE_LENGTH = 16 };

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same_letters(fa_text a, fa_text b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; ++i) {
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    }
    return true;
}

static fa_text text_of(const char *text)
{
    return (fa_text){text, strlen(text)};
}

/* ---- lists in headers ---- */

/* The next of "a, b, c"; false at the end. */
static bool next_of_list(fa_text *list, fa_text *item)
{
    const char *comma = list->length != 0 ? memchr(list->data, ',', list->length) : NULL;
    size_t length = comma != NULL ? (size_t)(comma - list->data) : list->length;
    if (list->length == 0)
        return false;
    *item = (fa_text){list->data, length};
    list->data += length + (comma != NULL);
    list->length -= length + (comma != NULL);
    while (item->length != 0 && (*item->data == ' ' || *item->data == '\t')) {
        item->data++;
        item->length--;
    }
    while (item->length != 0 && (item->data[item->length - 1] == ' ' || item->data[item->length - 1] == '\t'))
        item->length--;
    return true;
}

/* Over all headers of that name: a list may come in several. */
static bool lists(const fa_exchange *exchange, const char *name, fa_text wanted, bool any_case)
{
    for (size_t i = 0; i < exchange->header_count; ++i) {
        fa_text item, list = exchange->headers[i].value;
        while (fa_text_is(exchange->headers[i].name, name) && next_of_list(&list, &item)) {
            if (any_case ? same_letters(item, wanted)
                         : item.length == wanted.length && memcmp(item.data, wanted.data, wanted.length) == 0)
                return true;
        }
    }
    return false;
}

static size_t count_of(const fa_exchange *exchange, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < exchange->header_count; ++i)
        count += fa_text_is(exchange->headers[i].name, name);
    return count;
}

/* ---- whose page asks ---- */

/* "https://a.example:8443" is {https, a.example:8443}; false for "null" and whatever else is no origin of a page. */
static bool split_origin(fa_text origin, fa_text *scheme, fa_text *host)
{
    const char *colon = origin.length > 3 ? memmem(origin.data, origin.length, "://", 3) : NULL;
    if (colon == NULL)
        return false;
    *scheme = (fa_text){origin.data, (size_t)(colon - origin.data)};
    *host = (fa_text){colon + 3, origin.length - scheme->length - 3};
    return scheme->length != 0 && host->length != 0;
}

/* A port that the scheme has anyway is as good as none. */
static fa_text without_default_port(fa_text host, fa_text scheme)
{
    fa_text port = fa_text_is(scheme, "https") ? FA_TEXT(":443") : FA_TEXT(":80");
    if (host.length > port.length && memcmp(host.data + host.length - port.length, port.data, port.length) == 0)
        host.length -= port.length;
    return host;
}

static bool is_own_page(const fa_exchange *exchange, fa_text origin)
{
    fa_text scheme, host, asked = fa_exchange_header(exchange, "host");
    return split_origin(origin, &scheme, &host) &&
           same_letters(without_default_port(host, scheme), without_default_port(asked, scheme));
}

static bool may_connect(const fa_exchange *exchange, const fa_websocket_policy *policy)
{
    fa_text origin = fa_exchange_header(exchange, "origin");
    if (count_of(exchange, "origin") == 0)
        return true;
    if (count_of(exchange, "origin") > 1)
        return false;
    if (policy->origins == NULL)
        return is_own_page(exchange, origin);
    for (const char *const *allowed = policy->origins; *allowed != NULL; ++allowed) {
        if (strcmp(*allowed, "*") == 0 || same_letters(origin, text_of(*allowed)))
            return true;
    }
    return false;
}

/* ---- the rest of the verdict ---- */

/* Base64 of sixteen bytes. */
static bool key_is_good(fa_text key)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (key.length != KEY_LENGTH || memcmp(key.data + KEY_LENGTH - 2, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < KEY_LENGTH - 2; ++i) {
        if (memchr(digits, key.data[i], sizeof(digits) - 1) == NULL)
            return false;
    }
    return strchr("AQgw", key.data[KEY_LENGTH - 3]) != NULL; /* its last four bits are nobody's */
}

static void answer_key(fa_text key, char accept[FA_WEBSOCKET_ACCEPT_SIZE])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, section 1.3 */
    unsigned char text[KEY_LENGTH + sizeof(guid)], digest[SHA_DIGEST_LENGTH];
    memcpy(text, key.data, KEY_LENGTH);
    memcpy(text + KEY_LENGTH, guid, sizeof(guid) - 1);
    SHA1(text, KEY_LENGTH + sizeof(guid) - 1, digest);
    EVP_EncodeBlock((unsigned char *)accept, digest, sizeof(digest)); /* 28 characters and a NUL */
}

static const char *choose_protocol(const fa_exchange *exchange, const fa_websocket_policy *policy)
{
    for (const char *const *ours = policy->protocols; ours != NULL && *ours != NULL; ++ours) {
        if (lists(exchange, "sec-websocket-protocol", text_of(*ours), false))
            return *ours;
    }
    return NULL;
}

static bool asks_for_it(const fa_exchange *exchange)
{
    return lists(exchange, "upgrade", FA_TEXT("websocket"), true) &&
           lists(exchange, "connection", FA_TEXT("upgrade"), true);
}

static void refusal(fa_websocket_handshake *handshake, int status, const char *code, const char *message)
{
    handshake->status = status;
    handshake->code = code;
    handshake->message = message;
}

void fa_websocket_judge(const fa_exchange *exchange, const fa_websocket_policy *policy,
                        fa_websocket_handshake *handshake)
{
    fa_text key = fa_exchange_header(exchange, "sec-websocket-key");
    *handshake = (fa_websocket_handshake){.status = 101};
    if (!asks_for_it(exchange)) {
        refusal(handshake, 426, "websocket_wanted", "This path speaks WebSocket only.");
    } else if (!fa_text_is(fa_exchange_header(exchange, "sec-websocket-version"), "13") ||
               count_of(exchange, "sec-websocket-version") != 1) {
        refusal(handshake, 426, "websocket_version", "The WebSocket version spoken here is 13.");
        handshake->extra = (fa_header){FA_TEXT("sec-websocket-version"), FA_TEXT("13")};
    } else if (count_of(exchange, "sec-websocket-key") != 1 || !key_is_good(key)) {
        refusal(handshake, 400, "websocket_key", "Sec-WebSocket-Key must be 16 bytes in base64, once.");
    } else if (exchange->body != NULL) {
        refusal(handshake, 400, "websocket_body", "A request for a WebSocket has no body.");
    } else if (!may_connect(exchange, policy)) {
        refusal(handshake, 403, "origin_refused", "Pages of this origin may not connect here.");
    } else {
        answer_key(key, handshake->accept);
        handshake->protocol = choose_protocol(exchange, policy);
    }
}

void fa_websocket_refuse(fa_exchange *exchange, const fa_websocket_handshake *handshake)
{
    if (handshake->status == 426) /* which has to say to what; without memory it goes without */
        fa_exchange_add_header(exchange, FA_ADDED_LINE, FA_TEXT("upgrade"), FA_TEXT("websocket"));
    fa_exchange_fail(exchange, handshake->status, handshake->code, handshake->message,
                     handshake->extra.name.length != 0 ? &handshake->extra : NULL);
}

size_t fa_websocket_headers(const fa_websocket_handshake *handshake, fa_header headers[FA_WEBSOCKET_HEADERS])
{
    headers[0] = (fa_header){FA_TEXT("upgrade"), FA_TEXT("websocket")};
    headers[1] = (fa_header){FA_TEXT("sec-websocket-accept"), text_of(handshake->accept)};
    if (handshake->protocol == NULL)
        return 2;
    headers[2] = (fa_header){FA_TEXT("sec-websocket-protocol"), text_of(handshake->protocol)};
    return 3;
}
