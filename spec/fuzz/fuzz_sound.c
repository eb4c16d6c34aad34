/* What sound bytes are: never a look beyond the end; a length that is a number, and no longer than the bytes can be. */
#include "fuzzing.h"

#include "audio/cutter.h"

/* Cut into pieces: they lie behind each other in the bytes, each is a sound, and after the last one there is nothing. */
static void cut(const uint8_t *bytes, size_t size, size_t step, unsigned pcm_rate)
{
    fa_cutter cutter;
    fa_sound_piece piece;
    fa_cut end = FA_CUT_MORE;
    size_t from = 0, given = 0;
    fa_cutter_init(&cutter, 50, pcm_rate);
    for (size_t to = 0; end == FA_CUT_MORE || end == FA_CUT_PIECE;) {
        bool over = end == FA_CUT_MORE && to == size;
        if (end == FA_CUT_MORE)
            to = size - to > step ? to + step : size;
        uint8_t *exact = (uint8_t *)fuzz_copy(bytes + from, to - from);
        end = fa_cutter_next(&cutter, exact, to - from, over, &piece);
        free(exact);
        if (end != FA_CUT_PIECE && over)
            return;
        if (end != FA_CUT_PIECE)
            continue;
        EXPECT(piece.length > 0 && piece.skip + piece.length <= to - from);
        EXPECT(piece.sound.sample_rate > 0 && piece.sound.samples >= 0 && piece.sound.duration_ms >= 0);
        EXPECT(piece.head_length <= sizeof(piece.head));
        EXPECT(!piece.last || over);
        from += piece.skip + piece.length;
        EXPECT(++given <= size);
        if (piece.last)
            return;
    }
}

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
    size_t step = size > 0 ? data[size - 1] % 64u * 8 + 1 : 1;
    cut((const uint8_t *)bytes, size, step, 0);
    cut((const uint8_t *)bytes, size, step, 8000);
    free(bytes);
    return 0;
}
