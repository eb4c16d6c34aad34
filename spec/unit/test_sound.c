/* core/audio: what encoded sound is. */
#include "testing.h"

#include <stdlib.h>

#include "audio/probe.h"

typedef struct sample {
    uint8_t bytes[8192];
    size_t length;
} sample;

static void add(sample *s, const void *bytes, size_t length)
{
    assert_true(s->length + length <= sizeof(s->bytes));
    memcpy(s->bytes + s->length, bytes, length);
    s->length += length;
}

static void pad(sample *s, size_t length)
{
    static const uint8_t zeros[1024];
    add(s, zeros, length);
}

static void add_le(sample *s, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; ++i, value >>= 8)
        add(s, &(uint8_t){(uint8_t)value}, 1);
}

/* `claimed` bytes of 24 kHz, 16 bit, mono; so many are there. */
static sample wav(uint32_t claimed, size_t there)
{
    sample s = {{0}, 0};
    add(&s, "RIFF", 4);
    add_le(&s, claimed + 36, 4);
    add(&s, "WAVELIST", 8);
    add_le(&s, 3, 4);
    add(&s, "abc", 4);
    add(&s, "fmt ", 4);
    add_le(&s, 16, 4);
    add_le(&s, 1, 2);
    add_le(&s, 1, 2);
    add_le(&s, 24000, 4);
    add_le(&s, 48000, 4);
    add_le(&s, 2, 2);
    add_le(&s, 16, 2);
    add(&s, "data", 4);
    add_le(&s, claimed, 4);
    for (size_t i = 0; i < there; i += 480)
        pad(&s, there - i < 480 ? there - i : 480);
    return s;
}

/* 24 kHz, 64 kbit/s, mono: 192 bytes and 24 ms each. */
static sample mp3(int frames)
{
    sample s = {{0}, 0};
    for (int i = 0; i < frames; ++i) {
        add(&s, "\xff\xf3\x84\xc0", 4);
        pad(&s, 188);
    }
    return s;
}

/* 24 kHz, mono, 32 bytes each. */
static sample aac(int frames)
{
    sample s = {{0}, 0};
    for (int i = 0; i < frames; ++i) {
        add(&s, "\xff\xf1\x58\x40\x04\x1f\xfc", 7);
        pad(&s, 25);
    }
    return s;
}

static void add_page(sample *s, uint64_t granule, const void *body, size_t length)
{
    add(s, "OggS\0\0", 6);
    add_le(s, granule, 8);
    pad(s, 12);
    add_le(s, 1, 1);
    add_le(s, length, 1);
    add(s, body, length);
}

static sample opus(void)
{
    sample s = {{0}, 0};
    add_page(&s, 0, "OpusHead\1\1\x38\1\xc0\x5d\0\0\0\0\0", 19);
    add_page(&s, 0, "OpusTags", 8);
    add_page(&s, 48000 + 312, "sound", 5);
    add_page(&s, UINT64_MAX, "still the same packet", 21);
    return s;
}

static sample flac(void)
{
    sample s = {{0}, 0};
    add(&s, "fLaC\0\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x05\xdc\x02\xf0\0\0\x5d\xc0",
        26); /* 24 kHz, 2 channels, 24,000 samples */
    pad(&s, 16);
    return s;
}

static void assert_sound(sample s, const char *format, unsigned rate, unsigned channels, double ms)
{
    fa_sound sound;
    assert_true(fa_sound_probe(s.bytes, s.length, &sound));
    assert_string_equal(sound.format, format);
    assert_int_equal(sound.sample_rate, rate);
    assert_int_equal(sound.channels, channels);
    assert_true(sound.duration_ms > ms - 0.01 && sound.duration_ms < ms + 0.01);
}

static void formats_are_known_by_their_bytes(void **state)
{
    (void)state;
    assert_sound(wav(4800, 4800), "wav", 24000, 1, 100);
    assert_sound(wav(0xffffffff, 4800), "wav", 24000, 1, 100); /* a stream does not know its length */
    assert_sound(mp3(10), "mp3", 24000, 1, 240);
    assert_sound(aac(6), "aac", 24000, 1, 256);
    assert_sound(opus(), "opus", 48000, 1, 1000);
    assert_sound(flac(), "flac", 24000, 2, 1000);
}

static void an_mp3_may_begin_with_a_tag_and_end_in_the_middle(void **state)
{
    (void)state;
    sample s = {{0}, 0}, frames = mp3(10);
    add(&s, "ID3\4\0\0\0\0\1\x02", 10); /* 130 bytes */
    pad(&s, 130);
    add(&s, frames.bytes, frames.length - 100);
    assert_sound(s, "mp3", 24000, 1, 216);
}

static void what_is_no_sound_is_told(void **state)
{
    static const char *const texts[] = {
        "", "{\"error\":{\"message\":\"no\"}}", "<!doctype html><html></html>", "RIFF", "OggS", "ID3"};
    fa_sound sound;
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); ++i)
        assert_false(fa_sound_probe(texts[i], strlen(texts[i]), &sound));
    assert_false(fa_sound_probe("\xff\xf3\x84\xc0 and then something else altogether", 43, &sound));
}

/* Cut anywhere and changed anywhere: never a look beyond the end, which the sanitizer sees, and never a length that is none. */
static void any_bytes_can_be_looked_at(void **state)
{
    sample samples[] = {wav(300, 300), mp3(3), aac(3), opus(), flac()};
    (void)state;
    srand(11);
    for (int i = 0; i < 20000; ++i) {
        const sample *s = &samples[i % 5];
        size_t length = (size_t)rand() % (s->length + 1);
        uint8_t *exact = malloc(length > 0 ? length : 1);
        assert_non_null(exact);
        memcpy(exact, s->bytes, length);
        for (int j = rand() % 4; j > 0 && length > 0; --j)
            exact[(size_t)rand() % length] = (uint8_t)rand();
        fa_sound sound;
        if (fa_sound_probe(exact, length, &sound))
            assert_true(sound.duration_ms >= 0 && sound.sample_rate > 0 && sound.format != NULL);
        free(exact);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_known_by_their_bytes),
        cmocka_unit_test(an_mp3_may_begin_with_a_tag_and_end_in_the_middle),
        cmocka_unit_test(what_is_no_sound_is_told),
        cmocka_unit_test(any_bytes_can_be_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
