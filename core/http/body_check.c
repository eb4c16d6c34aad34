#include "http/body_check.h"

#include <string.h>

enum { MOST_EXTRA = 4096, MOST_DIGITS = 15 };

enum state {
    SIZE,
    EXTENSION,
    SIZE_END,
    DATA,
    DATA_CR,
    DATA_END,
    TRAILER_BEGIN,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_END,
    LAST_END
};

void fa_body_begin(fa_body_check *check, bool chunked, uint64_t length, uint64_t most)
{
    *check =
        (fa_body_check){.chunked = chunked, .left = chunked ? 0 : length, .most = most, .state = chunked ? SIZE : DATA};
    check->done = !chunked && length == 0;
}

static void refuse(fa_body_check *check, int status, const char *why)
{
    check->status = status;
    check->why = why;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_text(char c)
{
    return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f);
}

/* Extensions and trailers are read and dropped: there is no use for more than a few of them. */
static void count_extra(fa_body_check *check)
{
    if (++check->extra > MOST_EXTRA)
        refuse(check, 431, "the chunk extensions or trailers are larger than this server takes");
}

static void take_size(fa_body_check *check, char c)
{
    int digit = hex_digit(c);
    if (digit >= 0 && check->digits < MOST_DIGITS) {
        check->left = check->left * 16 + (uint64_t)digit;
        check->digits++;
    } else if (check->digits != 0 && c == ';') {
        check->state = EXTENSION;
    } else if (check->digits != 0 && c == '\r') {
        check->state = SIZE_END;
    } else {
        refuse(check, 400, "a chunk size is malformed");
    }
}

/* Before any of it has come: the size alone says that it is too much. */
static void end_size(fa_body_check *check)
{
    if (check->left > check->most - check->received)
        refuse(check, 413, "the request body is larger than this server takes");
    check->state = check->left != 0 ? DATA : TRAILER_BEGIN;
    check->digits = 0;
}

static void take_trailer_begin(fa_body_check *check, char c)
{
    if (c == '\r')
        check->state = LAST_END;
    else if (is_name_char(c))
        check->state = TRAILER_NAME;
    else
        refuse(check, 400, "a trailer is malformed");
}

static void take_trailer_name(fa_body_check *check, char c)
{
    if (c == ':')
        check->state = TRAILER_VALUE;
    else if (!is_name_char(c))
        refuse(check, 400, "a trailer is malformed");
}

static void expect(fa_body_check *check, char c, char wanted, uint8_t next)
{
    if (c != wanted)
        refuse(check, 400, "a chunk is not where its size says, or a line ends without CR LF");
    check->state = next;
}

static void take_line_char(fa_body_check *check, char c, uint8_t next)
{
    if (c == '\r')
        check->state = next;
    else if (!is_text(c))
        refuse(check, 400, "a chunk extension or trailer has a control character");
}

static void take_one(fa_body_check *check, char c)
{
    if (check->state == EXTENSION || check->state >= TRAILER_BEGIN)
        count_extra(check);
    switch (check->state) {
    case SIZE:
        take_size(check, c);
        break;
    case EXTENSION:
        take_line_char(check, c, SIZE_END);
        break;
    case SIZE_END:
        expect(check, c, '\n', SIZE);
        if (check->status == 0)
            end_size(check);
        break;
    case DATA_CR:
        expect(check, c, '\r', DATA_END);
        break;
    case DATA_END:
        expect(check, c, '\n', SIZE);
        break;
    case TRAILER_BEGIN:
        take_trailer_begin(check, c);
        break;
    case TRAILER_NAME:
        take_trailer_name(check, c);
        break;
    case TRAILER_VALUE:
        take_line_char(check, c, TRAILER_END);
        break;
    case TRAILER_END:
        expect(check, c, '\n', TRAILER_BEGIN);
        break;
    default: /* LAST_END */
        expect(check, c, '\n', LAST_END);
        check->done = check->status == 0;
        break;
    }
}

static size_t take_data(fa_body_check *check, size_t length)
{
    size_t taken = check->left < length ? (size_t)check->left : length;
    check->left -= taken;
    check->received += taken;
    if (check->left == 0) {
        check->state = DATA_CR;
        check->done = !check->chunked;
    }
    return taken;
}

size_t fa_body_take(fa_body_check *check, const char *bytes, size_t length)
{
    size_t at = 0;
    while (at < length && !check->done && check->status == 0) {
        if (check->state == DATA)
            at += take_data(check, length - at);
        else
            take_one(check, bytes[at++]);
    }
    return at;
}
