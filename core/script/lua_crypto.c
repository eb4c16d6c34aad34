/* fitnessally.crypto: digests, base64, random bytes, and signatures that others have made. OpenSSL does the work. */
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <string.h>

#include "base/base64.h"
#include "script/internal.h"

enum { MOST_RANDOM = 1024, MOST_SIGNATURE = 1024 };

#define META_KEY "fitnessally.key"

static fa_text text_at(lua_State *L, int index)
{
    fa_text text;
    text.data = luaL_checklstring(L, index, &text.length);
    return text;
}

/* ---- how bytes are given ---- */

static void push_base64(lua_State *L, fa_base64_kind kind, fa_text bytes)
{
    char *out = lua_newuserdata(L, FA_BASE64_SIZE(bytes.length) + 1);
    lua_pushlstring(L, out, fa_base64_encode(kind, bytes.data, bytes.length, out));
    lua_remove(L, -2);
}

static void push_hex(lua_State *L, fa_text bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *out = lua_newuserdata(L, 2 * bytes.length + 1);
    for (size_t i = 0; i < bytes.length; ++i) {
        out[2 * i] = digits[(uint8_t)bytes.data[i] >> 4];
        out[2 * i + 1] = digits[(uint8_t)bytes.data[i] & 15];
    }
    lua_pushlstring(L, out, 2 * bytes.length);
    lua_remove(L, -2);
}

/* The format at `index`: "hex" when nothing is said. */
static int push_as(lua_State *L, int index, fa_text bytes)
{
    static const char *const formats[] = {"hex", "raw", "base64", "base64url", NULL};
    switch (luaL_checkoption(L, index, "hex", formats)) {
    case 0:
        push_hex(L, bytes);
        break;
    case 1:
        lua_pushlstring(L, bytes.data, bytes.length);
        break;
    case 2:
        push_base64(L, FA_BASE64, bytes);
        break;
    default:
        push_base64(L, FA_BASE64_URL, bytes);
    }
    return 1;
}

static int base64(lua_State *L)
{
    push_base64(L, FA_BASE64, text_at(L, 1));
    return 1;
}

static int base64url(lua_State *L)
{
    push_base64(L, FA_BASE64_URL, text_at(L, 1));
    return 1;
}

static int decode(lua_State *L, fa_base64_kind kind)
{
    size_t written;
    fa_text text = text_at(L, 1);
    char *out = lua_newuserdata(L, FA_BASE64_DECODED(text.length));
    if (!fa_base64_decode(kind, text.data, text.length, out, &written)) {
        lua_pushnil(L);
        lua_pushliteral(L, "this is no base64");
        return 2;
    }
    lua_pushlstring(L, out, written);
    return 1;
}

static int from_base64(lua_State *L)
{
    return decode(L, FA_BASE64);
}

static int from_base64url(lua_State *L)
{
    return decode(L, FA_BASE64_URL);
}

/* ---- digests ---- */

static const EVP_MD *digest_at(lua_State *L, int index)
{
    static const char *const names[] = {"sha256", "sha384", "sha512", "sha1", NULL};
    const EVP_MD *const digests[] = {EVP_sha256(), EVP_sha384(), EVP_sha512(), EVP_sha1()};
    return digests[luaL_checkoption(L, index, NULL, names)];
}

static int digest(lua_State *L, const EVP_MD *kind, int data, int format)
{
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned length;
    fa_text text = text_at(L, data);
    if (EVP_Digest(text.data, text.length, out, &length, kind, NULL) != 1)
        return luaL_error(L, "no memory for a digest");
    return push_as(L, format, (fa_text){(const char *)out, length});
}

static int sha256(lua_State *L)
{
    return digest(L, EVP_sha256(), 1, 2);
}

static int any_digest(lua_State *L)
{
    return digest(L, digest_at(L, 1), 2, 3);
}

static int hmac(lua_State *L)
{
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned length;
    const EVP_MD *kind = digest_at(L, 1);
    fa_text key = text_at(L, 2), data = text_at(L, 3);
    if (HMAC(kind, key.data, (int)key.length, (const unsigned char *)data.data, data.length, out, &length) == NULL)
        return luaL_error(L, "no memory for an hmac");
    return push_as(L, 4, (fa_text){(const char *)out, length});
}

static int random_bytes(lua_State *L)
{
    unsigned char out[MOST_RANDOM];
    lua_Integer count = luaL_optinteger(L, 1, 16);
    if (count < 1 || count > MOST_RANDOM)
        return luaL_error(L, "crypto.random gives 1 to %d bytes", MOST_RANDOM);
    if (RAND_bytes(out, (int)count) != 1)
        return luaL_error(L, "there is no randomness");
    return push_as(L, 2, (fa_text){(const char *)out, (size_t)count});
}

/* In time that depends on the lengths only. */
static int equal(lua_State *L)
{
    fa_text a = text_at(L, 1), b = text_at(L, 2);
    lua_pushboolean(L, a.length == b.length && CRYPTO_memcmp(a.data, b.data, a.length) == 0);
    return 1;
}

/* ---- public keys and signatures ---- */

static int free_key(lua_State *L)
{
    EVP_PKEY **key = luaL_checkudata(L, 1, META_KEY);
    EVP_PKEY_free(*key);
    *key = NULL;
    return 0;
}

/* Whether the key can check signatures of this algorithm at all. */
static bool key_fits(EVP_PKEY *key, bool ecdsa)
{
    char group[32] = "";
    if (!ecdsa)
        return EVP_PKEY_is_a(key, "RSA");
    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

/* key(pem[, algorithm]): a public key, one for RS256 or ES256 when that is said; nil and a message. */
static int read_key(lua_State *L)
{
    fa_text pem = text_at(L, 1);
    const char *algorithm = luaL_optstring(L, 2, NULL);
    EVP_PKEY **key = lua_newuserdata(L, sizeof(EVP_PKEY *));
    *key = NULL;
    luaL_getmetatable(L, META_KEY);
    lua_setmetatable(L, -2);
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.length);
    if (bio != NULL)
        *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    ERR_clear_error();
    bool ecdsa = algorithm != NULL && strcmp(algorithm, "ES256") == 0;
    if (*key != NULL && (algorithm == NULL || key_fits(*key, ecdsa)))
        return 1;
    lua_pushnil(L);
    if (*key == NULL)
        lua_pushliteral(L, "this is no public key in PEM (BEGIN PUBLIC KEY)");
    else
        lua_pushfstring(L, "this is no key for %s, which takes one of %s", algorithm,
                        ecdsa ? "the curve P-256" : "RSA");
    return 2;
}

/* A JWT's ES256 is two numbers of 32 bytes; OpenSSL wants them as DER, which is pushed. False: not of that length. */
static bool push_der(lua_State *L, fa_text signature)
{
    unsigned char *der = NULL;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    if (signature.length != 64 || pair == NULL) {
        ECDSA_SIG_free(pair);
        return false;
    }
    const unsigned char *bytes = (const unsigned char *)signature.data;
    BIGNUM *r = BN_bin2bn(bytes, 32, NULL), *s = BN_bin2bn(bytes + 32, 32, NULL);
    int length = r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1 ? i2d_ECDSA_SIG(pair, &der) : -1;
    ECDSA_SIG_free(pair);
    if (length > 0 && length <= MOST_SIGNATURE)
        lua_pushlstring(L, (const char *)der, (size_t)length);
    OPENSSL_free(der);
    return length > 0 && length <= MOST_SIGNATURE;
}

static bool is_signed(EVP_PKEY *key, fa_text data, fa_text signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestVerify(context, (const unsigned char *)signature.data, signature.length,
                                 (const unsigned char *)data.data, data.length) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good;
}

/* verify(algorithm, key, data, signature): RS256 with an RSA key, ES256 with one of P-256; anything else is false. */
static int verify(lua_State *L)
{
    static const char *const names[] = {"RS256", "ES256", NULL};
    bool ecdsa = luaL_checkoption(L, 1, NULL, names) == 1;
    EVP_PKEY *key = *(EVP_PKEY **)luaL_checkudata(L, 2, META_KEY);
    fa_text data = text_at(L, 3), signature = text_at(L, 4);
    bool good = false;
    if (ecdsa && key_fits(key, true) && push_der(L, signature))
        good = is_signed(key, data, text_at(L, -1));
    else if (!ecdsa && key_fits(key, false))
        good = is_signed(key, data, signature);
    lua_pushboolean(L, good);
    return 1;
}

void fa_open_crypto(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"sha256", sha256},
        {"digest", any_digest},
        {"hmac", hmac},
        {"random", random_bytes},
        {"equal", equal},
        {"base64", base64},
        {"base64url", base64url},
        {"from_base64", from_base64},
        {"from_base64url", from_base64url},
        {"key", read_key},
        {"verify", verify},
        {NULL, NULL},
    };
    luaL_newmetatable(L, META_KEY);
    lua_pushcfunction(L, free_key);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_getglobal(L, "fitnessally");
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_setfield(L, -2, "crypto");
    lua_pop(L, 2);
}
