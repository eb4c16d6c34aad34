-- Middleware of the library: for specs.
local auth = require "fitnessally.auth"
local cors = require "fitnessally.cors"
local gzip = require "fitnessally.gzip"
local keys = require "keys"
local ratelimit = require "fitnessally.ratelimit"

local crypto = fitnessally.crypto
local function tell(req) req:reply { text = "well" } end

app:group("/cors", function(group)
  group:use(cors { origins = { "https://app.example", "https://*.example:8443" }, methods = { "GET", "PUT" },
    headers = { "X-Token" }, expose = { "X-Count" }, credentials = true, max_age = 60 })
  group:get("/", tell)
  group:put("/", tell)
  group:get("/broken", function() error("on purpose") end)
  group:get("/refused", { use = function(req) req:fail(403, "no", "No.") end }, tell)
end)
app:get("/open", { use = cors { origins = "*" } }, tell)

local who = function(req) req:reply { text = req.locals.api_key or req.locals.claims.sub } end
app:get("/key", { use = auth.api_key {
  keys = { ada = "0123456789abcdef" }, hashed = { bob = crypto.sha256("fedcba9876543210") } } }, who)
app:get("/hs", { use = auth.jwt { algorithm = "HS256", secret = ("s"):rep(32), issuer = "here", audience = "me", leeway = 5,
  realm = "test" } }, who)
app:get("/rs", { use = auth.jwt { algorithm = "RS256", public_key = keys.rsa } }, who)
app:get("/es", { use = auth.jwt { algorithm = "ES256", public_key = keys.ec } }, who)

app:get("/limited", { use = ratelimit { limit = 3, per = "hour" } }, tell)
app:get("/keyed", { use = ratelimit { limit = 1, per = 3600, key = function(req) return req:query("k") end } }, tell)
app:get("/refilled", { use = ratelimit { limit = 20, per = "second", burst = 1 } }, tell)

app:group("/gzip", { use = gzip { min = 100 } }, function(group)
  group:get("/json", function(req)
    local list = {}
    for i = 1, 200 do list[i] = "number " .. i end
    if not req:fresh { etag = "v1" } then req:reply { json = { list = list } } end
  end)
  group:get("/small", function(req) req:reply { text = "small" } end)
  group:get("/image", function(req) req:reply { type = "image/png", text = ("x"):rep(1000) } end)
  group:get("/large", function(req) req:reply { text = ("x"):rep(300000) } end)
  group:get("/own", function(req)
    req:reply { text = ("x"):rep(1000), headers = { ["Content-Encoding"] = "br" } }
  end)
  group:get("/pieces", function(req) req:start { type = "text/plain" }:write(("x"):rep(1000)) end)
  group:get("/error", function(req) req:fail(400, "bad", ("long "):rep(60)) end)
end)

-- Tokens that nobody should make.
app:get("/token", function(req)
  local function part(value) return crypto.base64url(json.encode(value)) end
  local now = fitnessally.now() / 1000
  local number = function(name) return req:query(name) and now + tonumber(req:query(name)) end
  local claims = req:query("claims") or json.encode {
    sub = "ada", iss = req:query("iss") or "here", exp = number("exp"), nbf = number("nbf"),
    aud = { "other", req:query("aud") or "me" },
  }
  local data = part { alg = req:query("alg") or "HS256" } .. "." .. crypto.base64url(claims)
  local secret = req:query("secret") or ("s"):rep(32)
  req:reply { text = data .. "." .. (req:query("unsigned") and "" or crypto.base64url(
    crypto.hmac("sha256", secret, data, "raw"))) }
end)
app:get("/api/health/memory", function(req)
  req:reply { type = "application/json", text = assert(fitnessally.memory("report", "json")) }
end)
