#include "wav.h"

#include <string.h>

static void little(uint8_t *to, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; ++i)
        to[i] = (uint8_t)(value >> (8 * i));
}

void wav_header(uint8_t header[WAV_HEADER], uint32_t sample_rate, uint32_t data_bytes)
{
    memcpy(header, "RIFF....WAVEfmt ....................data....", WAV_HEADER);
    little(header + 4, WAV_HEADER - 8 + data_bytes, 4);
    little(header + 16, 16, 4); /* length of the format part */
    little(header + 20, 1, 2);  /* PCM */
    little(header + 22, 1, 2);  /* channels */
    little(header + 24, sample_rate, 4);
    little(header + 28, sample_rate * 2, 4); /* bytes a second */
    little(header + 32, 2, 2);               /* bytes a frame */
    little(header + 34, 16, 2);              /* bits a sample */
    little(header + 40, data_bytes, 4);
}
