/* Configuration files: whatever stands in one, it is read or refused with a reason, within its limits of time and memory, and leaves
 * nothing behind. */
#include "fuzzing.h"

#include <sys/mman.h>
#include <unistd.h>

#include "server/config.h"

static void read_again(const fa_config *config)
{
    for (const fa_config_key *key = fa_config_keys(); key->name != NULL; ++key) {
        const char *value = fa_config_written(config, key->name, NULL);
        fa_error error;
        EXPECT(value == NULL || fa_config_check(key, value, &error) == FA_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    fa_error error = {{0}};
    fa_scope *scope;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    EXPECT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    fa_ledger *ledger = fa_ledger_new(NULL);
    EXPECT(ledger != NULL && fa_scope_new(ledger, NULL, FA_KIND_SERVER, 0, "server", FA_HERE, &scope) == FA_OK);
    fa_config *config = fa_config_new(scope);
    EXPECT(config != NULL);
    fa_result result = fa_config_load(config, path, &error);
    EXPECT(result == FA_OK || error.text[0] != '\0');
    if (result == FA_OK)
        read_again(config);
    fa_scope_end(scope, "fuzz", NULL);
    fa_ledger_free(ledger);
    close(fd);
    return 0;
}
