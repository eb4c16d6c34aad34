-- Who asks: API keys and signed tokens. Middleware; docs/middleware.md
-- Yields: no. Copies: no.

local check_options = require "fitnessally.options"
local jwt = require "fitnessally.jwt"

local crypto = fitnessally.crypto
local auth = {}

local function refuse(req, scheme, realm, code, message, detail)
  local challenge = ("%s realm=\"%s\""):format(scheme, realm)
  req:fail(401, code, message, { ["WWW-Authenticate"] = detail and challenge .. ", " .. detail or challenge })
end

local function check_realm(realm)
  realm = realm or "api"
  if type(realm) ~= "string" or realm:find("[%c\"\\]") then
    error("auth: realm is a text without quotes", 3)
  end
  return realm
end

-- Names to digests. Only those are kept, so that a dump of this process does not hold the keys.
local KEY_OPTIONS = { keys = "table", hashed = "table", header = "string", realm = "string" }

local function read_keys(options)
  local digests = {}
  for name, key in pairs(options.keys or {}) do
    if type(key) ~= "string" then
      error(("auth.api_key: the key %s is a %s, not a text (an environment variable that is not set?)"):format(tostring(name),
        type(key)), 3)
    end
    if #key < 16 then
      error("auth.api_key: a key has at least 16 characters", 3)
    end
    digests[tostring(name)] = crypto.sha256(key, "raw")
  end
  for name, hex in pairs(options.hashed or {}) do
    if type(hex) ~= "string" or #hex ~= 64 or hex:find("%X") then
      error("auth.api_key: hashed holds SHA-256 digests, 64 hex digits each", 3)
    end
    digests[tostring(name)] = hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
  end
  if not next(digests) then
    error("auth.api_key: it takes keys = { name = \"...\" } or hashed = { name = \"sha-256 in hex\" }, and none is " ..
      "there (an environment variable that is not set?)", 3)
  end
  return digests
end

---Lets those in who show a key. The name of the key is req.locals.api_key then.
---@param options {keys?: table<string, string>, hashed?: table<string, string>, header?: string, realm?: string}
---@return fitnessally.middleware
function auth.api_key(options)
  check_options("auth.api_key", options, KEY_OPTIONS)
  local digests, realm = read_keys(options), check_realm(options.realm)
  local header = (options.header or "x-api-key"):lower()
  return fitnessally.middleware("api_key", function(req, next)
    local key = req:header(header)
    if not key then
      return refuse(req, "ApiKey", realm, "missing_key", "This needs a key in the header " .. header .. ".")
    end
    local digest, found = crypto.sha256(key, "raw"), nil
    for name, known in pairs(digests) do -- all of them: the time does not tell which
      if crypto.equal(digest, known) then
        found = name
      end
    end
    if not found then
      return refuse(req, "ApiKey", realm, "wrong_key", "This key is not known.")
    end
    req.locals.api_key = found
    return next(req)
  end)
end

---Lets those in who bear a token (Authorization: Bearer). Its claims are req.locals.claims then.
---@param options {algorithm: string, secret?: string, public_key?: string, issuer?: string, audience?: string, leeway?: number, require_exp?: boolean, realm?: string}
---@return fitnessally.middleware
function auth.jwt(options)
  local read, realm = jwt.reader(options, 2), check_realm(options.realm)
  return fitnessally.middleware("jwt", function(req, next)
    local token = (req:header("authorization") or ""):match("^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+) *$")
    if not token then
      return refuse(req, "Bearer", realm, "missing_token", "This needs a bearer token.")
    end
    local claims, problem = read(token)
    if not claims then
      return refuse(req, "Bearer", realm, "invalid_token", problem:gsub("^%l", string.upper) .. ".",
        ("error=\"invalid_token\", error_description=\"%s\""):format(problem))
    end
    req.locals.claims = claims
    return next(req)
  end)
end

return auth
