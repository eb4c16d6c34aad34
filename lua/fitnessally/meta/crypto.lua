---@meta

--| ## crypto
--|
--| `fitnessally.crypto`, by OpenSSL. Bytes are Lua strings; `format` is `"hex"` (default), `"raw"`, `"base64"` or `"base64url"`.

---@alias fitnessally.format "hex"|"raw"|"base64"|"base64url"

---@class fitnessally.crypto Yields: no. Copies: no.
local crypto = {}
fitnessally.crypto = crypto
---A digest.
---@param data string
---@param format? fitnessally.format
---@return string
function crypto.sha256(data, format) end
---A digest by name.
---@param name "sha256"|"sha384"|"sha512"|"sha1"
---@param data string
---@param format? fitnessally.format
---@return string
function crypto.digest(name, data, format) end
---An HMAC.
---@param name "sha256"|"sha384"|"sha512"|"sha1"
---@param key string
---@param data string
---@param format? fitnessally.format
---@return string
function crypto.hmac(name, key, data, format) end
---Bytes that nobody can guess, 1 to 1024.
---@param bytes? integer 16
---@param format? fitnessally.format
---@return string
function crypto.random(bytes, format) end
---Whether two texts are the same, in time that tells only their lengths.
---@param a string
---@param b string
---@return boolean
function crypto.equal(a, b) end
---Base64, also as it is written in addresses.
---@param data string
---@return string
function crypto.base64(data) end
---@param data string
---@return string
function crypto.base64url(data) end
---And back, strictly: nil and a message for what is none.
---@param text string
---@return string? data, string? message
function crypto.from_base64(text) end
---@param text string
---@return string? data, string? message
function crypto.from_base64url(text) end
---A public key; nil and a message for what is none.
---@param pem string
---@return userdata? key, string? message
function crypto.key(pem) end
---Whether a signature, as in JWT, is right.
---@param algorithm "RS256"|"ES256"
---@param key userdata
---@param data string
---@param signature string
---@return boolean
function crypto.verify(algorithm, key, data, signature) end
