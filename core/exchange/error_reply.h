/* The one shape of every error answer: {"error":{"code":"...","message":"...","requestId":"..."}}. Also for back ends
 * whose library answers on its own before an exchange exists. Thread: any. */
#ifndef FA_EXCHANGE_ERROR_REPLY_H
#define FA_EXCHANGE_ERROR_REPLY_H

#include <stddef.h>

enum { FA_ERROR_JSON_SIZE = 1024 };

/* Writes it, with a NUL, and returns its length. What does not fit of code and message is cut between characters; bytes
 * that are no UTF-8 become U+FFFD. Any NUL-terminated texts will do. */
size_t fa_error_json(char out[FA_ERROR_JSON_SIZE], const char *code, const char *message, const char *request_id);

/* "not_found" for 404 and so on: for errors that know nothing but their status. */
const char *fa_status_code_name(int status);

#endif
