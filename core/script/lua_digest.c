/* fitnessally.sha256: of texts and buffers, for keys, names and persisted queries. */
#include <openssl/evp.h>

#include "memory/buffer.h"
#include "script/internal.h"

static int sha256(lua_State *L)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE];
    unsigned length = 0;
    size_t size;
    const fa_buffer *buffer = fa_lua_test(L, 1, &fa_type_buffer, FA_META_BUFFER);
    const void *data = buffer != NULL ? (const void *)fa_buffer_data(buffer) : luaL_checklstring(L, 1, &size);
    if (buffer != NULL)
        size = fa_buffer_length(buffer);
    if (EVP_Digest(data, size, digest, &length, EVP_sha256(), NULL) != 1)
        return luaL_error(L, "fitnessally.sha256: no memory");
    for (unsigned i = 0; i < length; ++i) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    lua_pushlstring(L, text, 2 * (size_t)length);
    return 1;
}

void fa_open_digest(lua_State *L)
{
    lua_getglobal(L, "fitnessally");
    lua_pushcfunction(L, sha256);
    lua_setfield(L, -2, "sha256");
    lua_pop(L, 1);
}
