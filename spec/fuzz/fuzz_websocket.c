/* WebSocket frames of a client: cut anywhere they say the same as in one piece, and what is said keeps to the rules: pieces of a message
 * within its cap, texts that are UTF-8, control frames that fit, nothing after a fault. The first two bytes choose cap and cuts. */
#include "fuzzing.h"

#include "base/utf8.h"
#include "exchange/websocket_frames.h"

enum { MOST_TOLD = 64 * 1024 };

/* What was told, as text that can be compared: pieces of one message count as one. */
typedef struct story {
    char text[MOST_TOLD];
    size_t used;
    fa_utf8 utf8;
    size_t message;
    bool inside, ended;
} story;

static void tell(story *s, const void *bytes, size_t length)
{
    EXPECT(length <= sizeof(s->text) - s->used);
    if (length != 0)
        memcpy(s->text + s->used, bytes, length);
    s->used += length;
}

static void take_piece(story *s, const fa_frame *frame, size_t most)
{
    if (!s->inside) {
        tell(s, frame->text ? "T" : "B", 1);
        s->message = 0;
        s->utf8 = (fa_utf8){0};
    }
    s->message += frame->length;
    EXPECT(s->message <= most);
    if (frame->text)
        EXPECT(fa_utf8_take(&s->utf8, frame->data, frame->length));
    if (frame->text && frame->final)
        EXPECT(fa_utf8_complete(&s->utf8));
    tell(s, frame->data, frame->length);
    if (frame->final)
        tell(s, ".", 1);
    s->inside = !frame->final;
}

static void take(story *s, const fa_frame *frame, size_t most)
{
    char line[160];
    EXPECT(!s->ended);
    if (frame->kind == FA_FRAME_DATA) {
        take_piece(s, frame, most);
        return;
    }
    s->ended = frame->kind == FA_FRAME_BAD;
    if (s->inside && !s->ended)
        return; /* where between two pieces it is told depends on the cut */
    EXPECT(s->ended || frame->length <= FA_FRAME_CONTROL_SIZE);
    EXPECT(frame->kind != FA_FRAME_CLOSE || frame->code == FA_WEBSOCKET_NO_STATUS ||
           fa_websocket_code_allowed(frame->code));
    EXPECT(!s->ended || (frame->why != NULL && fa_websocket_code_allowed(frame->code)));
    if (s->ended) /* of a text that is wrong, how much was told before depends on the cut */
        s->used = 0;
    int length = snprintf(line, sizeof(line), "<%d %u>", (int)frame->kind, frame->code);
    tell(s, line, (size_t)length);
    if (!s->ended)
        tell(s, frame->data, frame->length);
}

static void read_all(fa_scope *scope, size_t most, size_t step, const uint8_t *data, size_t size, story *s)
{
    fa_frames *frames;
    EXPECT(fa_frames_new(scope, most, &frames) == FA_OK);
    memset(s, 0, sizeof(*s));
    for (size_t at = 0; at < size && !s->ended; at += step) {
        size_t length = step < size - at ? step : size - at;
        char *copy = fuzz_copy(data + at, length);
        fa_frames_feed(frames, (const uint8_t *)copy, length);
        for (fa_frame frame; (frame = fa_frames_next(frames)).kind != FA_FRAME_NONE;)
            take(s, &frame, most);
        EXPECT(fa_frames_left(frames) == 0);
        free(copy);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static story whole, pieces;
    fa_scope *scope;
    if (size < 2)
        return 0;
    size_t most = (size_t)data[0] * 16, step = (size_t)data[1] + 1;
    fa_ledger *ledger = fa_ledger_new(NULL);
    EXPECT(ledger != NULL);
    EXPECT(fa_scope_new(ledger, NULL, FA_KIND_REQUEST, 0, "fuzz", FA_HERE, &scope) == FA_OK);
    read_all(scope, most, size, data + 2, size - 2, &whole);
    read_all(scope, most, step, data + 2, size - 2, &pieces);
    EXPECT(whole.ended == pieces.ended);
    EXPECT(whole.used == pieces.used && memcmp(whole.text, pieces.text, whole.used) == 0);
    fa_scope_end(scope, "over", NULL);
    fa_ledger_free(ledger);
    return 0;
}
