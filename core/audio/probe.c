#include "audio/probe.h"

#include <stdint.h>
#include <string.h>

#include "audio/frames.h"

/* Frames that must follow each other before bytes count as a sound of frames: any bytes look like a frame's header sometimes. */
enum { ENOUGH_FRAMES = 2 };

typedef struct bytes {
    const uint8_t *at;
    size_t length;
} bytes;

static unsigned le16(const uint8_t *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
    return le16(p) | (uint32_t)le16(p + 2) << 16;
}

static bool begins(bytes b, const char *with, size_t length)
{
    return b.length >= length && memcmp(b.at, with, length) == 0;
}

static bool settle(fa_sound *sound, const char *format, const char *mime, double samples)
{
    sound->format = format;
    sound->mime = mime;
    sound->samples = samples;
    sound->duration_ms = sound->sample_rate != 0 ? samples * 1000 / sound->sample_rate : 0;
    return sound->sample_rate != 0 && sound->channels != 0;
}

/* ---- WAV ---- */

static bool probe_wav(bytes b, fa_sound *sound)
{
    unsigned frame_size = 0;
    if (!begins(b, "RIFF", 4) || b.length < 12 || memcmp(b.at + 8, "WAVE", 4) != 0)
        return false;
    for (size_t at = 12; b.length - at >= 8;) {
        const uint8_t *chunk = b.at + at;
        size_t size = le32(chunk + 4), rest = b.length - at - 8;
        if (memcmp(chunk, "fmt ", 4) == 0 && size >= 16 && rest >= 16) {
            sound->channels = le16(chunk + 10);
            sound->sample_rate = le32(chunk + 12);
            frame_size = le16(chunk + 20);
        }
        if (memcmp(chunk, "data", 4) == 0) {
            size = size < rest ? size : rest;
            uint64_t samples = frame_size != 0 ? size / frame_size : 0;
            return frame_size != 0 && settle(sound, "wav", "audio/wav", (double)samples);
        }
        if (size > rest || rest - size < (size & 1))
            return false;
        at += 8 + size + (size & 1);
    }
    return false;
}

/* ---- FLAC ---- */

static bool probe_flac(bytes b, fa_sound *sound)
{
    if (!begins(b, "fLaC", 4) || b.length < 42 || (b.at[4] & 0x7f) != 0)
        return false;
    const uint8_t *p = b.at + 8 + 10; /* behind the sizes of blocks and frames */
    sound->sample_rate = (unsigned)p[0] << 12 | (unsigned)p[1] << 4 | p[2] >> 4;
    sound->channels = (p[2] >> 1 & 7u) + 1;
    uint64_t samples = (uint64_t)(p[3] & 15) << 32 | (uint64_t)p[4] << 24 | (uint64_t)p[5] << 16 | p[6] << 8 | p[7];
    return settle(sound, "flac", "audio/flac", (double)samples);
}

/* ---- Opus in Ogg ---- */

/* The length of the page at the beginning; 0: there is no whole one. */
static size_t ogg_page(bytes b)
{
    if (!begins(b, "OggS", 4) || b.length < 27 || b.length < 27u + b.at[26])
        return 0;
    size_t length = 27u + b.at[26];
    for (unsigned i = 0; i < b.at[26]; ++i)
        length += b.at[27 + i];
    return length <= b.length ? length : 0;
}

static bool probe_opus(bytes b, fa_sound *sound)
{
    size_t page = ogg_page(b), head = page != 0 ? 27u + b.at[26] : 0;
    double last = 0;
    if (page < head + 19 || memcmp(b.at + head, "OpusHead", 8) != 0)
        return false;
    unsigned skipped = le16(b.at + head + 10);
    sound->channels = b.at[head + 9];
    sound->sample_rate = 48000; /* whatever it was made from */
    for (; page != 0; page = ogg_page(b)) {
        uint32_t low = le32(b.at + 6), high = le32(b.at + 10);
        if (high < 0x80000000u) /* else: nothing ends on this page */
            last = (double)high * 4294967296.0 + low;
        b = (bytes){b.at + page, b.length - page};
    }
    return settle(sound, "opus", "audio/ogg; codecs=opus", last > skipped ? last - skipped : 0);
}

/* ---- MP3 and AAC ---- */

/* Frames one after the other from the beginning to the end, or to where they stop. What comes behind them may be a tag. */
static bool walk_frames(bytes b, bool (*read)(const uint8_t *p, size_t length, fa_sound_frame *f), fa_sound *sound,
                        double *samples)
{
    fa_sound_frame f;
    unsigned count = 0;
    size_t at = 0;
    *samples = 0;
    while (at < b.length && read(b.at + at, b.length - at, &f) && (count == 0 || f.rate == sound->sample_rate)) {
        sound->sample_rate = f.rate;
        sound->channels = f.channels;
        at += f.length;
        if (at <= b.length)
            *samples += f.samples;
        count++;
    }
    return count >= ENOUGH_FRAMES || (count == 1 && at == b.length);
}

static bool probe_frames(bytes b, fa_sound *sound)
{
    double samples;
    size_t tag = fa_id3_length(b.at, b.length);
    tag = tag <= b.length ? tag : 0;
    b = (bytes){b.at + tag, b.length - tag};
    if (walk_frames(b, fa_mp3_frame, sound, &samples))
        return settle(sound, "mp3", "audio/mpeg", samples);
    return walk_frames(b, fa_aac_frame, sound, &samples) && settle(sound, "aac", "audio/aac", samples);
}

bool fa_sound_probe(const void *data, size_t length, fa_sound *sound)
{
    bytes b = {data, length};
    *sound = (fa_sound){0};
    if (length < 4)
        return false;
    return probe_wav(b, sound) || probe_flac(b, sound) || probe_opus(b, sound) || probe_frames(b, sound);
}
