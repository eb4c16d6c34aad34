/* The opening handshake of a WebSocket (RFC 6455, section 4) from the server's side: whether a request asks for one, may have it,
 * and the head of the answer. Sends nothing itself. Thread: the worker's. */
#ifndef FA_EXCHANGE_WEBSOCKET_HANDSHAKE_H
#define FA_EXCHANGE_WEBSOCKET_HANDSHAKE_H

#include "exchange/exchange.h"

/* What a path takes. All borrowed; lists end with NULL, and may be NULL. */
typedef struct fa_websocket_policy {
    const char *const
        *origins; /* whose pages may connect, as browsers say it ("https://a.example"); "*": anybody's; NULL: those
                                     of the host that was asked. A request without Origin comes from no page, and may. */
    const char *const *protocols; /* sub-protocols that are spoken here, the preferred ones first */
} fa_websocket_policy;

enum { FA_WEBSOCKET_ACCEPT_SIZE = 29, FA_WEBSOCKET_HEADERS = 3 };

typedef struct fa_websocket_handshake {
    int status;       /* 101, or that of the refusal */
    const char *code; /* of the refusal, static; for fa_exchange_fail */
    const char *message;
    fa_header extra;      /* that belongs to the refusal; its name may be empty */
    const char *protocol; /* the one that both speak, of the policy's; NULL without */
    char accept[FA_WEBSOCKET_ACCEPT_SIZE];
} fa_websocket_handshake;

/* The verdict: 426 when no WebSocket is asked for, or one of another version; 400 for a malformed request, 403 for another's page. A
 * client that offers sub-protocols none of which is spoken here gets a connection without one, as the RFC has it: most close then. */
void fa_websocket_judge(const fa_exchange *exchange, const fa_websocket_policy *policy,
                        fa_websocket_handshake *handshake);

/* Answers with the refusal. */
void fa_websocket_refuse(fa_exchange *exchange, const fa_websocket_handshake *handshake);

/* The headers of the 101; they borrow from the handshake. Returns how many. */
size_t fa_websocket_headers(const fa_websocket_handshake *handshake, fa_header headers[FA_WEBSOCKET_HEADERS]);

#endif
