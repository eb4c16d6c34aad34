-- cors, auth, ratelimit and gzip as clients meet them.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local keys = require "spec.support.policies.keys"
local server = require "spec.support.server"

local app
setup(function() app = server.start { app = server.root .. "/spec/support/policies", workers = "2" } end)
teardown(function() app:stop() end)
after_each(function() app:settle() end)

describe("cors", function()
  local function preflight(path, origin, method, headers)
    return http.request(app, "OPTIONS", path, { headers = { Origin = origin,
      ["Access-Control-Request-Method"] = method, ["Access-Control-Request-Headers"] = headers } })
  end
  local function allowed(answer) return answer.headers["access-control-allow-origin"] end

  it("lets declared pages ask, and tells caches that it depends", function()
    local answer = http.get(app, "/cors/", { Origin = "https://app.example" })
    assert.are.equal("well", answer.body)
    assert.are.equal("https://app.example", allowed(answer))
    assert.are.equal("true", answer.headers["access-control-allow-credentials"])
    assert.are.equal("X-Count", answer.headers["access-control-expose-headers"])
    assert.are.equal("Origin", answer.headers.vary)
    assert.are.equal("https://a.b.example:8443", allowed(http.get(app, "/cors/", { Origin = "https://a.b.example:8443" })))
  end)

  it("says nothing to others, who are answered all the same", function()
    for _, origin in ipairs { "https://evil.example", "http://app.example", "https://app.example.evil", "null",
      "https://example:8443", "https://evil/.example:8443", "https://app.example:8443.evil" } do
      local answer = http.get(app, "/cors/", { Origin = origin })
      assert.are.equal("well", answer.body)
      assert.is_nil(allowed(answer), origin)
      assert.is_nil(answer.headers["access-control-allow-credentials"])
      assert.are.equal("Origin", answer.headers.vary)
    end
    assert.is_nil(allowed(http.get(app, "/cors/")))
  end)

  it("answers the question before", function()
    local answer = preflight("/cors/", "https://app.example", "PUT", "x-token")
    assert.are.equal(204, answer.status)
    assert.are.equal("https://app.example", allowed(answer))
    assert.are.equal("GET, PUT", answer.headers["access-control-allow-methods"])
    assert.are.equal("X-Token", answer.headers["access-control-allow-headers"])
    assert.are.equal("60", answer.headers["access-control-max-age"])
    assert.is_nil(allowed(preflight("/cors/", "https://app.example", "PUT", "x-token, x-other")))
    assert.is_nil(allowed(preflight("/cors/", "https://evil.example", "PUT")))
    assert.is_nil(allowed(preflight("/cors/", "https://app.example", "DELETE")))
    assert.is_nil(allowed(preflight("/gzip/json", "https://app.example", "GET")))
  end)

  it("lets a page read errors, too", function()
    for path, status in pairs { ["/cors/broken"] = 500, ["/cors/refused"] = 403 } do
      local answer = http.get(app, path, { Origin = "https://app.example" })
      assert.are.equal(status, answer.status)
      assert.are.equal("https://app.example", allowed(answer))
    end
  end)

  it("may be open to everyone", function()
    local answer = http.get(app, "/open", { Origin = "https://any.where" })
    assert.are.equal("*", allowed(answer))
    assert.is_nil(answer.headers.vary)
  end)
end)

describe("auth.api_key", function()
  it("knows keys as they are and by their digest", function()
    assert.are.equal("ada", http.get(app, "/key", { ["X-Api-Key"] = "0123456789abcdef" }).body)
    assert.are.equal("bob", http.get(app, "/key", { ["X-Api-Key"] = "fedcba9876543210" }).body)
    local refused = http.get(app, "/key", { ["X-Api-Key"] = "0123456789abcdeg" })
    assert.are.equal(401, refused.status)
    assert.are.equal("wrong_key", refused.json.error.code)
    assert.are.equal('ApiKey realm="api"', refused.headers["www-authenticate"])
    assert.are.equal("missing_key", http.get(app, "/key").json.error.code)
  end)
end)

describe("auth.jwt", function()
  local function ask(path, token, scheme)
    return http.get(app, path, { Authorization = (scheme or "Bearer") .. " " .. token })
  end
  local function token(query) return http.get(app, "/token?" .. query).body end

  it("takes a good token", function()
    assert.are.equal("ada", ask("/hs", token("exp=60")).body)
    assert.are.equal("ada", ask("/hs", token("exp=60&nbf=3"), "bearer").body)
    assert.are.equal("ada", ask("/hs", token("exp=-3")).body) -- within the leeway
    assert.are.equal("ada", ask("/rs", keys.rs256).body)
    assert.are.equal("ada", ask("/es", keys.es256).body)
  end)

  it("says what is wrong with another one", function()
    for query, message in pairs {
      [""] = "The token does not say when it expires.",
      ["exp=-60"] = "The token has expired.",
      ["exp=60&nbf=30"] = "The token is not valid yet.",
      ["exp=60&iss=there"] = "The token is of another issuer.",
      ["exp=60&aud=you"] = "The token is for another audience.",
      ["claims=" .. '{"iss":"here","aud":"me","exp":1e400}'] = "Exp is no number.",
      ["claims=" .. '{"iss":"here","aud":"me","exp":"4102444800"}'] = "Exp is no number.",
      ["exp=60&secret=other"] = "The signature is wrong.",
      ["exp=60&alg=none"] = "The token is signed in another way.",
      ["exp=60&alg=HS512"] = "The token is signed in another way.",
      ["exp=60&alg=none&unsigned=1"] = "This is no signed token.",
    } do
      local answer = ask("/hs", token(query))
      assert.are.equal(401, answer.status)
      assert.are.equal(message, answer.json.error.message)
      assert.are.equal("invalid_token", answer.json.error.code)
      assert.is_truthy(answer.headers["www-authenticate"]:find('^Bearer realm="test", error="invalid_token"'))
    end
    assert.are.equal("This is no signed token.", ask("/hs", "nonsense").json.error.message)
    assert.are.equal("The token is too long.", ask("/hs", ("x"):rep(8193)).json.error.message)
    assert.are.equal("missing_token", http.get(app, "/hs").json.error.code)
    assert.are.equal('Bearer realm="test"', http.get(app, "/hs").headers["www-authenticate"])
  end)

  it("does not take one algorithm for another, nor a changed token", function()
    assert.are.equal(401, ask("/rs", keys.es256).status)
    assert.are.equal(401, ask("/es", keys.rs256).status)
    assert.are.equal(401, ask("/rs", token("exp=60&alg=RS256")).status)
    assert.are.equal(401, ask("/rs", (keys.rs256:gsub(".$", { A = "B" }):gsub("%.(.)", ".f", 1))).status)
    assert.are.equal(401, ask("/es", keys.es256 .. "AAAA").status)
  end)
end)

describe("ratelimit", function()
  it("is one for all workers, and says how it stands", function()
    for left = 2, 0, -1 do
      local answer = http.get(app, "/limited")
      assert.are.equal("well", answer.body)
      assert.are.equal("3", answer.headers["ratelimit-limit"])
      assert.are.equal(tostring(left), answer.headers["ratelimit-remaining"])
    end
    for _ = 1, 4 do
      local refused = http.get(app, "/limited")
      assert.are.equal(429, refused.status)
      assert.are.equal("too_many_requests", refused.json.error.code)
      local wait = tonumber(refused.headers["retry-after"])
      assert.is_true(wait > 1100 and wait <= 1200, refused.headers["retry-after"])
      assert.are.equal("0", refused.headers["ratelimit-remaining"])
    end
  end)

  it("counts for each key", function()
    assert.are.equal(200, http.get(app, "/keyed?k=a").status)
    assert.are.equal(429, http.get(app, "/keyed?k=a").status)
    assert.are.equal(200, http.get(app, "/keyed?k=b").status)
    assert.are.equal(200, http.get(app, "/keyed").status) -- by its address
    assert.are.equal(429, http.get(app, "/keyed").status)
  end)

  it("lets one in again in time", function()
    http.get(app, "/refilled")
    assert.is_truthy(server.wait(10, function() return http.get(app, "/refilled").status == 200 end))
  end)
end)

describe("gzip", function()
  local function get(path, accepts, headers)
    headers = headers or {}
    headers["Accept-Encoding"] = accepts
    return http.get(app, path, headers)
  end

  it("compresses what is text, for those who take it", function()
    local plain, small = get("/gzip/json"), get("/gzip/json", "br, gzip")
    assert.is_nil(plain.headers["content-encoding"])
    assert.are.equal("Accept-Encoding", plain.headers.vary)
    assert.are.equal("gzip", small.headers["content-encoding"])
    assert.are.equal("Accept-Encoding", small.headers.vary)
    assert.are.equal(tostring(#small.body), small.headers["content-length"])
    assert.is_true(#small.body < #plain.body / 4, #small.body .. " of " .. #plain.body)
    local folder = server.folder()
    server.write(folder .. "/body.gz", small.body)
    assert.are.equal(plain.body, (server.shell("gzip -dc " .. folder .. "/body.gz")))
    server.remove(folder)
    assert.are.equal('"v1"', plain.headers.etag)
    assert.are.equal('W/"v1"', small.headers.etag)
    assert.are.equal(304, get("/gzip/json", "gzip", { ["If-None-Match"] = 'W/"v1"' }).status)
  end)

  it("leaves the rest as it is", function()
    assert.are.equal("small", get("/gzip/small", "gzip").body)
    for path, length in pairs { ["/gzip/image"] = 1000, ["/gzip/large"] = 300000, ["/gzip/own"] = 1000,
      ["/gzip/pieces"] = 1000 } do
      local answer = get(path, "gzip")
      assert.are_not.equal("gzip", answer.headers["content-encoding"])
      assert.are.equal(length, #answer.body, path)
      assert.is_nil(answer.headers.vary)
    end
    for _, accepts in ipairs { "identity", "gzip;q=0", "br" } do
      assert.is_nil(get("/gzip/json", accepts).headers["content-encoding"])
    end
    assert.are.equal("gzip", get("/gzip/error", "gzip").headers["content-encoding"])
  end)
end)

describe("a policy that makes no sense", function()
  local folder
  setup(function() folder = server.folder() end)
  teardown(function() server.remove(folder) end)

  for code, message in pairs {
    ['require "fitnessally.cors" { origins = "*", credentials = true }'] = "would let every page act as the user",
    ['require "fitnessally.cors" { origins = { "app.example" } }'] = '"app.example" is no origin',
    ['require "fitnessally.cors" { origins = { "https://*" } }'] = "a star stands for what is before the first dot",
    ['require "fitnessally.cors" { colour = 1 }'] = "there is no option colour",
    ['require "fitnessally.auth".api_key { keys = { a = "short" } }'] = "a key has at least 16 characters",
    ['require "fitnessally.auth".api_key { keys = { a = nil } }'] = "none is there (an environment variable that is not set?)",
    ['require "fitnessally.auth".api_key { keys = { a = true } }'] = "the key a is a boolean, not a text",
    ['require "fitnessally.auth".jwt { algorithm = "none" }'] = "algorithm is HS256, HS384, HS512, RS256 or ES256",
    ['require "fitnessally.auth".jwt { algorithm = "HS256", secret = "x" }'] = "a secret of at least 32 bytes",
    ['require "fitnessally.auth".jwt { algorithm = "RS256", public_key = "x" }'] = "this is no public key in PEM",
    ['require "fitnessally.schema".text { mim = 1 }'] = "app.lua:1: schema.text: there is no option mim",
    ['require "fitnessally.schema".integer { min = 1 }'] = "app.lua:1: schema.integer: there is no option min",
    ['require "fitnessally.schema".object({}, { stict = true })'] = "app.lua:1: schema.object: there is no option stict",
    ['require "fitnessally.cors" { origins = { "https://a.example" }, headers = { "*" } }'] =
      "app.lua:1: cors: headers: they are named one by one, there is no *",
    ['require "fitnessally.cors" { origins = { "https://a.example" }, methods = { "put" } }'] =
      'app.lua:1: cors: methods: "put" is written PUT',
    ['require "fitnessally.cors" { origins = "https://a.example" }'] = "app.lua:1: cors: origins is \"*\" or a list",
    ['require "fitnessally.auth".api_key { key = "x" }'] = "app.lua:1: auth.api_key: there is no option key",
    ['require "fitnessally.auth".jwt()'] = "app.lua:1: jwt: options are a table, not a nil",
    ['require "fitnessally.auth".jwt { algorithm = "HS256", secret = ("x"):rep(32), audiance = "x" }'] =
      "app.lua:1: jwt: there is no option audiance",
    ['require "fitnessally.auth".jwt { algorithm = "HS256", secret = ("x"):rep(32), audience = { "x" } }'] =
      "app.lua:1: jwt: audience is a table, not a string",
    ['require "fitnessally.auth".jwt { algorithm = "HS512", secret = ("x"):rep(32) }'] =
      "app.lua:1: jwt: HS512 needs a secret of at least 64 bytes",
    ['require "fitnessally.jwt".reader { algorithm = "ES265" }'] = "app.lua:1: jwt: algorithm is HS256",
    ['require "fitnessally.auth".jwt { algorithm = "ES256", public_key = [[' .. keys.rsa .. ']] }'] =
      "jwt: public_key: this is no key for ES256, which takes one of the curve P-256",
    ['require "fitnessally.ratelimit" { limit = 1, seconds = 1 }'] = "app.lua:1: ratelimit: there is no option seconds",
    ['require "fitnessally.ratelimit" { limit = 1, burst = "5" }'] = "app.lua:1: ratelimit: burst is a string, not a number",
    ['require "fitnessally.gzip" { minimum = "1KB" }'] = "app.lua:1: gzip: there is no option minimum",
    ['require "fitnessally.gzip" { min = "1XB" }'] = 'app.lua:1: gzip: min: "1XB" is not a size',
    ['require "fitnessally.schema".text { max = "x" }'] = "app.lua:1: schema.text: max is a string, not a number",
    ['require "fitnessally.schema".text { pattern = "[a" }'] = "app.lua:1: schema.text: pattern: malformed pattern",
    ['require "fitnessally.schema".object()'] = "app.lua:1: schema.object: it takes a table",
    ['require "fitnessally.ratelimit" { limit = 0 }'] = "it takes { limit = 100",
    ['require "fitnessally.ratelimit" { limit = 1, per = "fortnight" }'] = "per is second, minute",
  } do
    it("is an error at load: " .. message, function()
      server.write(folder .. "/app.lua", code .. "\n")
      local output, status = server.command("check", "-c", server.root .. "/fitnessally.conf.lua", "--set",
        "app=" .. folder, "--set", "state_dir=" .. folder .. "/state")
      assert.are.equal(1, status)
      assert.is_truthy(output:find(message, 1, true), output)
    end)
  end
end)
