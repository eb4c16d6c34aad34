-- The parts of the library that requests use: for specs.
local schema = require "fitnessally.schema"
local template = require "fitnessally.template"
local time = require "fitnessally.time"
local url = require "fitnessally.url"

local note = schema.object {
  title = schema.text { min = 1, max = 20 },
  tags = schema.list(schema.text { max = 5 }, { max = 3, default = {} }),
  size = schema.integer { from = 1, to = 9, optional = true },
}
local page = template.load("views/page.html")

app:post("/json", function(req)
  local value = schema.json(req, note)
  if value then req:reply { json = { title = value.title, tags = #value.tags, size = value.size } } end
end)
app:post("/body", function(req)
  local value = schema.body(req, note)
  if value then req:reply { json = { title = value.title, tags = #value.tags, size = value.size } } end
end)
app:get("/query/:id", function(req)
  local wanted = schema.query(req, schema.object { limit = schema.integer { from = 1, to = 5, default = 2 } })
  local named = wanted and schema.params(req, schema.object { id = schema.integer {} })
  if named then req:reply { text = named.id .. " " .. wanted.limit } end
end)
app:get("/page", function(req)
  req:reply { type = "text/html; charset=utf-8", text = page { title = req:query("title"), list = { 1, 2 } } }
end)
app:get("/late", function(req)
  local fine, problem = pcall(template.load, "views/page.html")
  req:reply { text = tostring(fine) .. " " .. problem }
end)
app:get("/time", function(req)
  local ms = 784111777000
  assert(time.parse_http(time.http(ms)) == ms and time.parse_http("Sunday, 06-Nov-94 08:49:37 GMT") == ms)
  assert(time.parse_http("never") == nil and time.monotonic() > 0 and time.now() > ms)
  req:reply { text = time.http(ms) .. " " .. time.iso(ms) .. " " .. url.build(url.parse("http://A/b?c")) }
end)
app:get("/digests", function(req)
  local crypto = fitnessally.crypto
  assert(crypto.sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  assert(crypto.digest("sha1", "abc", "base64") == "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=")
  assert(crypto.hmac("sha256", "Jefe", "what do ya want for nothing?") ==
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
  assert(crypto.from_base64(crypto.base64("a\0b")) == "a\0b" and crypto.from_base64("!") == nil)
  assert(crypto.equal("a", "a") and not crypto.equal("a", "b") and not crypto.equal("a", "ab"))
  assert(#crypto.random() == 32 and crypto.random() ~= crypto.random() and #crypto.random(20, "raw") == 20)
  assert(not pcall(crypto.random, 0) and not pcall(crypto.digest, "md5", "x") and crypto.key("x") == nil)
  req:reply {}
end)
app:get("/api/health/memory", function(req)
  req:reply { type = "application/json", text = assert(fitnessally.memory("report", "json")) }
end)
