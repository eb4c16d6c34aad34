-- Reads signed tokens (RFC 7519, compact form). The algorithm is the reader's choice, never the token's.
-- Yields: no. Copies: no.

local check_options = require "fitnessally.options"

local crypto = fitnessally.crypto

local LONGEST = 8192 -- bytes of a token
local HASHES = { HS256 = "sha256", HS384 = "sha384", HS512 = "sha512" }
local LEAST_SECRET = { HS256 = 32, HS384 = 48, HS512 = 64 } -- RFC 7518 3.2

local jwt = {}

local KNOWN = {
  algorithm = "string", secret = "string", public_key = "string", issuer = "string", audience = "string", leeway = "number",
  require_exp = "boolean", realm = "string", -- auth.jwt's
}

-- A function that says whether a signature is right. level: where the app's own line stands.
local function verifier(options, level)
  local algorithm = options.algorithm
  local hash = HASHES[algorithm]
  if hash then
    local secret = options.secret
    if type(secret) ~= "string" or #secret < LEAST_SECRET[algorithm] then
      error(("jwt: %s needs a secret of at least %d bytes"):format(algorithm, LEAST_SECRET[algorithm]), level)
    end
    return function(data, signature)
      return crypto.equal(crypto.hmac(hash, secret, data, "raw"), signature)
    end
  elseif algorithm == "RS256" or algorithm == "ES256" then
    local key, problem = crypto.key(options.public_key or "", algorithm)
    if not key then
      error("jwt: public_key: " .. problem, level)
    end
    return function(data, signature)
      return crypto.verify(algorithm, key, data, signature)
    end
  end
  error("jwt: algorithm is HS256, HS384, HS512, RS256 or ES256", level)
end

local function decode_part(text)
  local bytes = crypto.from_base64url(text)
  local value = bytes and json.decode(bytes)
  return type(value) == "table" and value or nil
end

local function has(list, wanted)
  if type(list) == "string" then
    return list == wanted
  end
  for _, item in ipairs(type(list) == "table" and list or {}) do
    if item == wanted then
      return true
    end
  end
  return false
end

-- What is wrong with the claims at this time (seconds), or nil.
local function check_claims(claims, options, now)
  local leeway = options.leeway or 0
  for _, name in ipairs { "exp", "nbf" } do
    local at = claims[name]
    if at ~= nil and (type(at) ~= "number" or math.abs(at) == math.huge) then
      return name .. " is no number"
    end
  end
  if claims.exp == nil and options.require_exp ~= false then
    return "the token does not say when it expires"
  elseif claims.exp and now >= claims.exp + leeway then
    return "the token has expired"
  elseif claims.nbf and now < claims.nbf - leeway then
    return "the token is not valid yet"
  elseif options.issuer and claims.iss ~= options.issuer then
    return "the token is of another issuer"
  elseif options.audience and not has(claims.aud, options.audience) then
    return "the token is for another audience"
  end
  return nil
end

---A function that reads a token: its claims, or nil and what is wrong with it.
---@param options {algorithm: string, secret?: string, public_key?: string, issuer?: string, audience?: string, leeway?: number, require_exp?: boolean}
---@param level? integer whom an error blames, as in error(); for those who call this on somebody's behalf
---@return fun(token: string): table?, string?
function jwt.reader(options, level)
  level = (level or 1) + 1
  local is_signed = verifier(check_options("jwt", options, KNOWN, level), level + 1)
  return function(token)
    if #token > LONGEST then
      return nil, "the token is too long"
    end
    local head, body, signature = token:match("^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
    local header = head and decode_part(head)
    if not header then
      return nil, "this is no signed token"
    elseif header.alg ~= options.algorithm or header.crit ~= nil then
      return nil, "the token is signed in another way"
    end
    local bytes = crypto.from_base64url(signature)
    if not bytes or not is_signed(head .. "." .. body, bytes) then
      return nil, "the signature is wrong"
    end
    local claims = decode_part(body)
    if not claims then
      return nil, "the token holds no claims"
    end
    local problem = check_claims(claims, options, fitnessally.now() / 1000)
    if problem then
      return nil, problem
    end
    return claims
  end
end

return jwt
