/* core/audio/cutter: sound that comes in any pieces goes in pieces that each are a sound, and together they are all of it. */
#include "testing.h"

#include <stdlib.h>

#include "audio/cutter.h"

enum { MOST = 256 * 1024, MOST_PIECES = 400, PIECE_MS = 100 };

typedef struct bytes {
    uint8_t at[MOST];
    size_t length;
} bytes;

/* What came of a cutter. */
typedef struct cuttings {
    bytes all, samples; /* the pieces in a row, and without the headers of WAVs */
    size_t count;
    fa_sound_piece pieces[MOST_PIECES];
    double duration_ms;
    fa_cut end;
} cuttings;

static bytes sound, waiting;
static cuttings made;

static void add(bytes *b, const void *more, size_t length)
{
    assert_true(b->length + length <= sizeof(b->at));
    memcpy(b->at + b->length, more, length);
    b->length += length;
}

static void add_le(bytes *b, uint64_t value, int count)
{
    for (int i = 0; i < count; ++i, value >>= 8)
        add(b, &(uint8_t){(uint8_t)value}, 1);
}

static void add_noise(bytes *b, size_t length)
{
    for (size_t i = 0; i < length; ++i)
        add(b, &(uint8_t){(uint8_t)(i * 7 + i / 251)}, 1);
}

/* 24 kHz, 64 kbit/s, mono: 192 bytes and 24 ms each. */
static void add_mp3(bytes *b, int frames)
{
    for (int i = 0; i < frames; ++i) {
        add(b, "\xff\xf3\x84\xc0", 4);
        add_noise(b, 188);
    }
}

/* 24 kHz, mono, 32 bytes and 42.67 ms each. */
static void add_aac(bytes *b, int frames)
{
    for (int i = 0; i < frames; ++i) {
        add(b, "\xff\xf1\x58\x40\x04\x1f\xfc", 7);
        add_noise(b, 25);
    }
}

/* A WAV whose header claims `claimed` bytes of samples, with another chunk before them. */
static void add_wav(bytes *b, unsigned tag, unsigned channels, unsigned bits, uint32_t claimed, size_t there)
{
    unsigned frame = channels * bits / 8;
    add(b, "RIFF\xff\xff\xff\xffWAVELIST\3\0\0\0abc\0fmt \x10\0\0\0", 32);
    add_le(b, tag, 2);
    add_le(b, channels, 2);
    add_le(b, 24000, 4);
    add_le(b, (uint64_t)24000 * frame, 4);
    add_le(b, frame, 2);
    add_le(b, bits, 2);
    add(b, "data", 4);
    add_le(b, claimed, 4);
    add_noise(b, there);
}

static void begin(void)
{
    sound.length = 0;
}

static void take(fa_sound_piece *piece)
{
    assert_true(made.count < MOST_PIECES);
    assert_true(piece->length > 0 && piece->skip + piece->length <= waiting.length);
    size_t from = made.all.length;
    add(&made.all, piece->head, piece->head_length);
    add(&made.all, waiting.at + piece->skip, piece->length);
    add(&made.samples, waiting.at + piece->skip, piece->length);
    fa_sound told;
    assert_true(fa_sound_probe(made.all.at + from, made.all.length - from, &told)); /* it stands by itself */
    assert_string_equal(told.format, piece->sound.format);
    assert_string_equal(told.mime, piece->sound.mime);
    assert_int_equal(told.sample_rate, piece->sound.sample_rate);
    assert_int_equal(told.channels, piece->sound.channels);
    assert_true(told.samples == piece->sound.samples);
    made.duration_ms += piece->sound.duration_ms;
    made.pieces[made.count++] = *piece;
    size_t gone = piece->skip + piece->length;
    waiting.length -= gone;
    memmove(waiting.at, waiting.at + gone, waiting.length);
}

/* The sound, coming in steps of at most `step` bytes; 0: of any size. */
static void cut(double piece_ms, unsigned pcm_rate, size_t step)
{
    fa_cutter cutter;
    fa_sound_piece piece;
    fa_cutter_init(&cutter, piece_ms, pcm_rate);
    memset(&made, 0, sizeof(made));
    waiting.length = 0;
    for (size_t at = 0; at < sound.length;) {
        size_t next = step != 0 ? step : (size_t)rand() % 3000 + 1;
        next = next < sound.length - at ? next : sound.length - at;
        add(&waiting, sound.at + at, next);
        at += next;
        while ((made.end = fa_cutter_next(&cutter, waiting.at, waiting.length, false, &piece)) == FA_CUT_PIECE) {
            assert_false(piece.last);
            take(&piece);
        }
        if (made.end == FA_CUT_GARBAGE)
            return;
        assert_int_equal(made.end, FA_CUT_MORE);
    }
    made.end = fa_cutter_next(&cutter, waiting.at, waiting.length, true, &piece);
    while (made.end == FA_CUT_PIECE && !piece.last) { /* it was the last that was asked for, or too few bytes to tell */
        take(&piece);
        made.end = fa_cutter_next(&cutter, waiting.at, waiting.length, true, &piece);
    }
    if (made.end == FA_CUT_PIECE)
        take(&piece);
}

/* All of it came: so many pieces of at least PIECE_MS but the last, and `length` bytes of the sound from `from` on. */
static void assert_whole(size_t count, double duration_ms, size_t from, size_t length)
{
    fa_sound told;
    assert_int_equal(made.end, FA_CUT_PIECE);
    assert_int_equal(made.count, count);
    assert_true(made.pieces[count - 1].last);
    assert_true(fa_sound_probe(sound.at, sound.length, &told));
    assert_true(made.duration_ms > duration_ms - 0.01 && made.duration_ms < duration_ms + 0.01);
    assert_true(told.duration_ms > duration_ms - 0.01 && told.duration_ms < duration_ms + 0.01);
    for (size_t i = 0; i + 1 < count; ++i)
        assert_true(made.pieces[i].sound.duration_ms >= PIECE_MS && made.pieces[i].sound.duration_ms < PIECE_MS + 50);
    assert_int_equal(made.samples.length, length);
    assert_memory_equal(made.samples.at, sound.at + from, length);
}

static const size_t steps[] = {1, 7, 191, 192, 193, 4096, MOST, 0, 0, 0};
#define EACH_STEP(i) for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); ++i)

static void frames_go_on_as_they_came(void **state)
{
    (void)state;
    EACH_STEP(i)
    {
        begin();
        add_mp3(&sound, 100);
        cut(PIECE_MS, 0, steps[i]);
        assert_whole(20, 2400, 0, 19200); /* five frames each */
        begin();
        add_aac(&sound, 90);
        cut(PIECE_MS, 0, steps[i]);
        assert_whole(30, 3840, 0, 2880); /* three frames each */
    }
}

static void a_tag_before_goes_along_and_what_stands_behind_is_left_out(void **state)
{
    (void)state;
    EACH_STEP(i)
    {
        begin();
        add(&sound, "ID3\4\0\0\0\0\1\x02", 10); /* 130 bytes */
        add_noise(&sound, 130);
        add_mp3(&sound, 12);
        add(&sound, "TAG", 3);
        add_noise(&sound, 125);
        cut(PIECE_MS, 0, steps[i]);
        assert_whole(3, 288, 0, 140 + 12 * 192);
        begin();
        add_mp3(&sound, 12);
        sound.length -= 50; /* cut off in a frame */
        cut(PIECE_MS, 0, steps[i]);
        assert_whole(3, 264, 0, 11 * 192);
    }
}

static void samples_get_a_header_each(void **state)
{
    static const uint32_t unknown[] = {0, 0xffffffff, 0x7fffffff, 48001};
    (void)state;
    EACH_STEP(i)
    {
        begin();
        add_wav(&sound, 1, 1, 16, 48000, 48000);
        cut(PIECE_MS, 0, steps[i]);
        assert_whole(10, 1000, 32 + 16 + 8, 48000);
        for (size_t k = 0; k < sizeof(unknown) / sizeof(unknown[0]); ++k) {
            begin();
            add_wav(&sound, 3, 2, 32, unknown[k], 100000); /* floats; longer than its header claims in the last case */
            cut(PIECE_MS, 0, steps[i]);
            assert_int_equal(made.end, FA_CUT_PIECE);
            assert_int_equal(made.samples.length, unknown[k] == 48001 ? 48000 : 100000);
            assert_memory_equal(made.samples.at, sound.at + 56, made.samples.length);
        }
        begin();
        add_noise(&sound, 48001); /* half a sample too much */
        cut(PIECE_MS, 24000, steps[i]);
        assert_int_equal(made.count, 10);
        assert_int_equal(made.samples.length, 48000);
        assert_memory_equal(made.samples.at, sound.at, 48000);
        assert_string_equal(made.pieces[0].sound.mime, "audio/wav");
        assert_true(made.duration_ms == 1000);
    }
}

static void a_last_piece_is_never_a_click(void **state)
{
    (void)state;
    for (size_t length = 2; length < 20000; length += 94) {
        begin();
        add_noise(&sound, length);
        cut(PIECE_MS, 24000, 1000);
        assert_int_equal(made.samples.length, length);
        assert_true(made.count == 1 || made.pieces[made.count - 1].sound.duration_ms >= 20);
    }
}

static void what_has_no_place_to_be_cut_is_one_piece(void **state)
{
    static const uint8_t page[] =
        "OggS\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x13OpusHead\1\1\x38\1\xc0\x5d\0\0\0\0";
    (void)state;
    EACH_STEP(i)
    {
        begin();
        add(&sound, page, sizeof(page));
        add_noise(&sound, 5000);
        cut(PIECE_MS, 0, steps[i]);
        assert_int_equal(made.count, 1);
        assert_true(made.pieces[0].last);
        assert_memory_equal(made.all.at, sound.at, sound.length);
        begin();
        add_wav(&sound, 0x11, 1, 16, 9000, 9000); /* ADPCM: blocks */
        cut(PIECE_MS, 0, steps[i]);
        assert_int_equal(made.count, 1);
        assert_memory_equal(made.all.at, sound.at, sound.length);
        begin();
        add_mp3(&sound, 100);
        cut(0, 0, steps[i]); /* wanted whole */
        assert_int_equal(made.count, 1);
        assert_memory_equal(made.all.at, sound.at, sound.length);
    }
}

static void what_is_no_sound_is_told_early(void **state)
{
    static const char *const texts[] = {"",
                                        "{\"error\":{\"message\":\"no\"}}",
                                        "<!doctype html><html></html>",
                                        "RIFF",
                                        "RIFF....WAVEdata\x10\0\0\0",
                                        "ID3",
                                        "\xff\xf3\x84\xc0",
                                        "\xff\xf3\x84\xc0 and then something else altogether"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i) {
        begin();
        add(&sound, texts[i], i == 4 ? 20 : strlen(texts[i]));
        cut(PIECE_MS, 0, 5);
        assert_int_equal(made.end, FA_CUT_GARBAGE);
        assert_int_equal(made.count, 0);
    }
    begin();
    add_noise(&sound, 100000); /* an endless one is not waited for */
    cut(PIECE_MS, 0, 1000);
    assert_int_equal(made.end, FA_CUT_GARBAGE);
    assert_true(waiting.length <= 1000);
}

static void a_sound_that_turns_into_something_else_is_told_and_what_was_one_is_kept(void **state)
{
    fa_sound_piece piece;
    fa_cutter cutter;
    (void)state;
    begin();
    add_mp3(&sound, 12);
    add(&sound, "<html>", 6);
    add_noise(&sound, 8000);
    fa_cutter_init(&cutter, PIECE_MS, 0);
    size_t given = 0;
    fa_cut end;
    while ((end = fa_cutter_next(&cutter, sound.at + given, sound.length - given, false, &piece)) == FA_CUT_PIECE)
        given += piece.length;
    assert_int_equal(end, FA_CUT_GARBAGE);
    assert_int_equal(given, 10 * 192);
    assert_int_equal(fa_cutter_next(&cutter, sound.at + given, sound.length - given, true, &piece), FA_CUT_PIECE);
    assert_true(piece.last);
    assert_int_equal(piece.length, 2 * 192);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_go_on_as_they_came),
        cmocka_unit_test(a_tag_before_goes_along_and_what_stands_behind_is_left_out),
        cmocka_unit_test(samples_get_a_header_each),
        cmocka_unit_test(a_last_piece_is_never_a_click),
        cmocka_unit_test(what_has_no_place_to_be_cut_is_one_piece),
        cmocka_unit_test(what_is_no_sound_is_told_early),
        cmocka_unit_test(a_sound_that_turns_into_something_else_is_told_and_what_was_one_is_kept),
    };
    srand(7);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
