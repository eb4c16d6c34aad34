/* Range headers: whatever is asked for, what is sent lies in the file. The first eight bytes of the input are the file's size. */
#include "fuzzing.h"

#include "media/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t file;
    fa_byte_range range;
    if (size < sizeof(file))
        return 0;
    memcpy(&file, data, sizeof(file));
    file >>= data[0] % 64; /* small files, too */
    char *text = fuzz_copy(data + sizeof(file), size - sizeof(file));
    fa_range_answer answer = fa_range_read((fa_text){text, size - sizeof(file)}, file, &range);
    EXPECT(range.first <= file && range.length <= file - range.first);
    EXPECT(range.length != 0 || file == 0);
    EXPECT(answer == FA_RANGE_PART || (range.first == 0 && range.length == file));
    EXPECT(answer != FA_RANGE_PART || file != 0);
    free(text);
    return 0;
}
