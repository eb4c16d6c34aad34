/* The header of a self-contained 16-bit mono WAV. */
#ifndef ESPEAK_WAV_H
#define ESPEAK_WAV_H

#include <stdint.h>

enum { WAV_HEADER = 44 };

/* data_bytes: length of the samples that follow, in bytes. */
void wav_header(uint8_t header[WAV_HEADER], uint32_t sample_rate, uint32_t data_bytes);

#endif
