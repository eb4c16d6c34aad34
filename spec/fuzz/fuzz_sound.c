/* What sound bytes are: never a look beyond the end; a length that is a number, and no longer than the bytes can be. */
#include "fuzzing.h"

#include "audio/probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fa_sound sound;
    char *bytes = fuzz_copy(data, size);
    if (fa_sound_probe(bytes, size, &sound)) {
        EXPECT(sound.format != NULL && sound.mime != NULL);
        EXPECT(sound.sample_rate > 0 && sound.channels > 0);
        EXPECT(sound.samples >= 0 && sound.duration_ms >= 0);
        EXPECT(strcmp(sound.format, "wav") != 0 || sound.samples <= (double)size);
        EXPECT(strcmp(sound.format, "mp3") != 0 || sound.samples <= 1152.0 * (double)size / 24);
    }
    free(bytes);
    return 0;
}
