#include "audio/cutter.h"

#include <string.h>

enum {
    ENOUGH_BYTES = 12,       /* to know what it is */
    LONGEST_TAG = 4 * 1024,  /* behind the last frame */
    LONGEST_FORMAT = 40,     /* of a WAV: WAVEFORMATEXTENSIBLE */
    SHORTEST_REST_PART = 50, /* of a second: so much follows a piece of samples, or it waits and goes along */
    UNKNOWN_FROM = 0x7fffffff
};

static unsigned le16(const uint8_t *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
    return le16(p) | (uint32_t)le16(p + 2) << 16;
}

static void put_le(uint8_t *p, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; ++i, value >>= 8)
        p[i] = (uint8_t)value;
}

void fa_cutter_init(fa_cutter *c, double piece_ms, unsigned pcm_rate)
{
    *c = (fa_cutter){.piece_ms = piece_ms, .pcm_rate = pcm_rate, .left = UINT64_MAX};
}

static fa_cut give(fa_cutter *c, fa_sound_piece *piece, const char *format, const char *mime, double samples)
{
    c->given = true;
    piece->sound = (fa_sound){format, mime, c->rate, c->channels, samples, samples * 1000 / c->rate};
    return FA_CUT_PIECE;
}

/* ---- what it is ---- */

static void begin_samples(fa_cutter *c, unsigned rate, unsigned channels, unsigned frame_size, const uint8_t *format,
                          size_t length)
{
    c->state = FA_CUTTER_SAMPLES;
    c->rate = rate;
    c->channels = channels;
    c->frame_size = frame_size;
    memcpy(c->head, "RIFF----WAVEfmt ", 16);
    put_le(c->head + 16, length, 4);
    memcpy(c->head + 20, format, length);
    memcpy(c->head + 20 + length, "data", 4);
    c->head_length = 20 + length + 8;
}

static void begin_pcm(fa_cutter *c)
{
    uint8_t format[16] = {1, 0, 1, 0};
    put_le(format + 4, c->pcm_rate, 4);
    put_le(format + 8, (uint64_t)c->pcm_rate * 2, 4);
    put_le(format + 12, 2, 2);
    put_le(format + 14, 16, 2);
    begin_samples(c, c->pcm_rate, 1, 2, format, sizeof(format));
}

/* Samples that stand by themselves: PCM in integers or floats, and the logarithmic ones of telephony. */
static bool is_cuttable(unsigned tag)
{
    return tag == 1 || tag == 3 || tag == 6 || tag == 7 || tag == 0xfffe;
}

/* The header of a WAV, up to its samples. */
static fa_cut begin_wav(fa_cutter *c, const uint8_t *p, size_t length)
{
    const uint8_t *format = NULL;
    size_t format_length = 0;
    for (size_t at = 12; length > at && length - at >= 8;) {
        size_t size = le32(p + at + 4), rest = length - at - 8;
        if (memcmp(p + at, "data", 4) == 0 && format != NULL) {
            c->left = size == 0 || size >= UNKNOWN_FROM ? UINT64_MAX : size; /* a stream does not know its length */
            c->start = at + 8;
            begin_samples(c, le32(format + 4), le16(format + 2), le16(format + 12), format, format_length);
            return c->rate != 0 && c->channels != 0 && c->frame_size != 0 ? FA_CUT_PIECE : FA_CUT_GARBAGE;
        }
        if (memcmp(p + at, "fmt ", 4) == 0 && size >= 16 && rest >= size) {
            format = p + at + 8;
            format_length = size;
            if (size > LONGEST_FORMAT || !is_cuttable(le16(format)))
                c->state = FA_CUTTER_WHOLE;
        }
        if (c->state == FA_CUTTER_WHOLE)
            return FA_CUT_PIECE;
        at += 8 + size + (size & 1);
    }
    return FA_CUT_MORE;
}

static bool begins(const uint8_t *p, size_t length, const char *with)
{
    return length >= 4 && memcmp(p, with, 4) == 0;
}

static fa_cut begin_frames(fa_cutter *c, const uint8_t *p, size_t length)
{
    fa_sound_frame frame;
    size_t tag = fa_id3_length(p, length);
    if (tag > length || (tag != 0 && length - tag < FA_FRAME_HEAD))
        return FA_CUT_MORE;
    if (fa_mp3_frame(p + tag, length - tag, &frame))
        c->read = fa_mp3_frame;
    else if (fa_aac_frame(p + tag, length - tag, &frame))
        c->read = fa_aac_frame;
    else
        return FA_CUT_GARBAGE;
    c->state = FA_CUTTER_FRAMES;
    c->rate = frame.rate;
    c->channels = frame.channels;
    c->at = tag;
    return FA_CUT_PIECE;
}

/* FA_CUT_PIECE: it is known. */
static fa_cut begin(fa_cutter *c, const uint8_t *p, size_t length, bool over)
{
    bool wav = begins(p, length, "RIFF") && length >= 12 && memcmp(p + 8, "WAVE", 4) == 0;
    if (length < ENOUGH_BYTES && !over)
        return FA_CUT_MORE;
    if (c->pcm_rate != 0 && !wav) {
        begin_pcm(c);
        return FA_CUT_PIECE;
    }
    if (c->piece_ms == 0 || begins(p, length, "fLaC") || begins(p, length, "OggS")) {
        c->state = FA_CUTTER_WHOLE;
        return FA_CUT_PIECE;
    }
    fa_cut cut = wav ? begin_wav(c, p, length) : begin_frames(c, p, length);
    return cut == FA_CUT_MORE && over ? FA_CUT_GARBAGE : cut;
}

/* ---- frames ---- */

static fa_cut give_frames(fa_cutter *c, size_t length, double samples, bool last, fa_sound_piece *piece)
{
    piece->length = length;
    piece->last = last;
    c->at = c->cut = 0;
    c->samples = 0;
    bool mp3 = c->read == fa_mp3_frame;
    return give(c, piece, mp3 ? "mp3" : "aac", mp3 ? "audio/mpeg" : "audio/aac", samples);
}

static fa_cut end_frames(fa_cutter *c, size_t length, fa_sound_piece *piece)
{
    bool sure = c->seen > 1 || c->at == length; /* any bytes look like a frame's header sometimes */
    if (c->samples > 0 && sure)
        return give_frames(c, c->at, c->samples, true, piece);
    return c->given ? FA_CUT_END : FA_CUT_GARBAGE;
}

static fa_cut next_frames(fa_cutter *c, const uint8_t *p, size_t length, bool over, fa_sound_piece *piece)
{
    fa_sound_frame frame;
    bool is_one = true;
    while (c->at < length && (is_one = c->read(p + c->at, length - c->at, &frame) && frame.rate == c->rate)) {
        if (frame.length > length - c->at)
            break; /* not whole yet */
        if (c->cut != 0)
            return give_frames(c, c->cut, c->cut_samples, false, piece);
        c->at += frame.length;
        c->samples += frame.samples;
        c->seen++;
        if (c->samples * 1000 >= c->piece_ms * c->rate) {
            c->cut = c->at;
            c->cut_samples = c->samples;
        }
    }
    if (over)
        return end_frames(c, length, piece);
    bool wrong = !is_one && length - c->at >= FA_FRAME_HEAD && (c->seen < 2 || length - c->at > LONGEST_TAG);
    return wrong ? FA_CUT_GARBAGE : FA_CUT_MORE;
}

/* ---- samples ---- */

static fa_cut give_samples(fa_cutter *c, size_t length, bool last, fa_sound_piece *piece)
{
    piece->skip = c->start;
    piece->length = length;
    piece->last = last;
    piece->head_length = c->head_length;
    memcpy(piece->head, c->head, c->head_length);
    put_le(piece->head + 4, c->head_length - 8 + length, 4);
    put_le(piece->head + c->head_length - 4, length, 4);
    size_t samples = length / c->frame_size;
    c->start = 0;
    c->left -= c->left != UINT64_MAX ? length : 0;
    return give(c, piece, "wav", "audio/wav", (double)samples);
}

static fa_cut next_samples(fa_cutter *c, size_t length, bool over, fa_sound_piece *piece)
{
    size_t waiting = length - c->start;
    if (waiting > c->left)
        waiting = (size_t)c->left;
    double samples = c->piece_ms * c->rate / 1000;
    double wanted = c->piece_ms != 0 ? (double)(uint64_t)(samples + 0.999) * c->frame_size : (double)UINT64_MAX;
    uint64_t shortest = c->rate / SHORTEST_REST_PART + 1;
    double rest = (double)shortest * c->frame_size;
    if ((double)waiting >= wanted + rest)
        return give_samples(c, (size_t)wanted, false, piece);
    if (!over)
        return FA_CUT_MORE;
    waiting -= waiting % c->frame_size;
    if (waiting == 0)
        return c->given ? FA_CUT_END : FA_CUT_GARBAGE;
    return give_samples(c, waiting, true, piece);
}

static fa_cut next_whole(fa_cutter *c, const uint8_t *p, size_t length, bool over, fa_sound_piece *piece)
{
    if (!over)
        return FA_CUT_MORE;
    if (c->given)
        return FA_CUT_END;
    if (!fa_sound_probe(p, length, &piece->sound))
        return FA_CUT_GARBAGE;
    c->given = true;
    piece->length = length;
    piece->last = true;
    return FA_CUT_PIECE;
}

fa_cut fa_cutter_next(fa_cutter *c, const uint8_t *bytes, size_t length, bool over, fa_sound_piece *piece)
{
    *piece = (fa_sound_piece){0};
    fa_cut cut = c->state == FA_CUTTER_BEGINS ? begin(c, bytes, length, over) : FA_CUT_PIECE;
    if (cut != FA_CUT_PIECE)
        return cut;
    if (c->state == FA_CUTTER_FRAMES)
        return next_frames(c, bytes, length, over, piece);
    if (c->state == FA_CUTTER_SAMPLES)
        return next_samples(c, length, over, piece);
    return next_whole(c, bytes, length, over, piece);
}
