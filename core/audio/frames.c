#include "audio/frames.h"

#include <string.h>

bool fa_mp3_frame(const uint8_t *p, size_t length, fa_sound_frame *f)
{
    static const uint16_t rates[] = {44100, 48000, 32000};
    static const uint16_t kilobits[2][16] = {{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0},
                                             {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0}};
    if (length < 4 || p[0] != 0xff || (p[1] & 0xe6) != 0xe2) /* layer III */
        return false;
    unsigned version = p[1] >> 3 & 3, rate = p[2] >> 2 & 3; /* 0: MPEG 2.5, 2: MPEG 2, 3: MPEG 1 */
    unsigned bits = kilobits[version != 3][p[2] >> 4];
    if (version == 1 || rate == 3 || bits == 0)
        return false;
    f->rate = rates[rate] >> (version == 3 ? 0 : version == 2 ? 1 : 2);
    f->channels = p[3] >> 6 == 3 ? 1 : 2;
    f->samples = version == 3 ? 1152 : 576;
    f->length = f->samples / 8 * bits * 1000 / f->rate + (p[2] >> 1 & 1);
    return true;
}

bool fa_aac_frame(const uint8_t *p, size_t length, fa_sound_frame *f)
{
    static const unsigned rates[] = {96000, 88200, 64000, 48000, 44100, 32000, 24000,
                                     22050, 16000, 12000, 11025, 8000,  7350};
    if (length < 7 || p[0] != 0xff || (p[1] & 0xf6) != 0xf0 || (p[2] >> 2 & 15) > 12)
        return false;
    f->rate = rates[p[2] >> 2 & 15];
    f->channels = (p[2] & 1u) << 2 | p[3] >> 6;
    f->samples = 1024 * ((p[6] & 3u) + 1);
    f->length = (size_t)(p[3] & 3) << 11 | (size_t)p[4] << 3 | p[5] >> 5;
    return f->length >= 7 && f->channels != 0;
}

size_t fa_id3_length(const uint8_t *p, size_t length)
{
    if (length < 10 || memcmp(p, "ID3", 3) != 0)
        return 0;
    size_t size = 10;
    for (int i = 6; i < 10; ++i)
        size += (size_t)(p[i] & 0x7f) << 7 * (9 - i);
    return size;
}
