-- The app of test_script_reference.c: an example call of each function that scripts have, measured. Whether it waited: a task that is
-- spawned before begins only when this one waits. Whether it copied: copies(), which the test adds. The test asks for the list, then
-- runs each as a request, then asks what was seen.
local example, how, seen = {}, {}, {}

-- ---- measuring -----------------------------------------------------------------------------------------------------

local function note(key, waited, copied)
  seen[key] = { waited = waited, copied = copied > 0 }
end

-- Calls fn(...), which is `key`, and gives what it gives.
local function run(key, fn, ...)
  local waited, ended = false, false
  local witness = fitnessally.spawn(function() waited = not ended end)
  local before = copies()
  local function finish(...)
    ended = true
    note(key, waited, copies() - before)
    pcall(witness.cancel, witness) -- it may have gone with the request
    return ...
  end
  return finish(fn(...))
end

-- The same again and again until it has waited, for what waits when a queue is full.
local function run_until(key, fn, make)
  for _ = 1, 1000 do
    run(key, fn, make())
    if seen[key].waited then
      return
    end
  end
end

local function bytes(text)
  local buffer = fitnessally.buffer()
  buffer:append(text or "some bytes")
  return buffer:seal()
end

local function later(fn)
  fitnessally.spawn(function()
    fitnessally.sleep(1)
    fn()
  end)
end

-- Examples of functions that take texts and give texts: { key, function, arguments ... }
local function plain(list)
  for _, call in ipairs(list) do
    example[call[1]] = function() run(call[1], call[2], unpack(call, 3, 9)) end
  end
end

-- ---- app: while it is loaded, when nothing can wait ----------------------------------------------------------------

local at_load = {}
local function loading(key, fn, ...)
  at_load[#at_load + 1] = key
  return fn(...)
end
local function nothing() end

for _, method in ipairs { "get", "post", "put", "patch", "delete", "head", "options", "any" } do
  loading("fitnessally.group." .. method, app[method], app, "/at-load", { host = method .. ".example" }, nothing)
end
loading("fitnessally.group.route", app.route, app, { "GET" }, "/route", nothing)
loading("fitnessally.group.host", app.host, app, "a.example", function(group)
  loading("fitnessally.group.use", group.use, group, loading("fitnessally.middleware", fitnessally.middleware, "named",
    function(req, next) return next(req) end))
  group:get("/hosted", nothing)
end)
loading("fitnessally.group.group", app.group, app, "/group", function(group) group:get("", { name = "grouped" }, nothing) end)
loading("fitnessally.group.static", app.static, app, "/files", { root = settings.app })
loading("fitnessally.group.websocket", app.websocket, app, "/socket", nothing)
loading("fitnessally.app.on_start", app.on_start, app, nothing)
loading("fitnessally.app.every", app.every, app, "1h", nothing)
loading("fitnessally.app.cron", app.cron, app, "@daily", nothing)
loading("fitnessally.upstream", fitnessally.upstream, "it", { url = "http://127.0.0.1:" .. settings.port })
loading("fitnessally.store", fitnessally.store, "store")

plain {
  { "fitnessally.group.url_for", app.url_for, app, "grouped" },
  { "fitnessally.group.routes", app.routes, app },
}

-- ---- requests ------------------------------------------------------------------------------------------------------

local function of_request(name, ...)
  local key, arguments, count = "fitnessally.request." .. name, { ... }, select("#", ...)
  example[key] = function(req) run(key, req[name], req, unpack(arguments, 1, count)) end
end
of_request("header", "content-type")
of_request("query", "a")
of_request("json")
of_request("form")
of_request("multipart")
of_request("reply", { json = { a = 1 } })
of_request("fail", 400, "wrong", "It is wrong.")
of_request("start", { type = "text/plain" })
of_request("events")
of_request("file", "app.lua")
of_request("download", "a.txt")
of_request("redirect", "/elsewhere")
of_request("add_header", "vary", "accept")
of_request("set_header", "x-a", "b")
of_request("cookie", "a")
of_request("set_cookie", "a", "b")
of_request("fresh", { etag = "x" })
how["fitnessally.request.form"] = "form"
how["fitnessally.request.multipart"] = "multipart"
how["fitnessally.request.file"] = "get"
how["fitnessally.request.fresh"] = "get"

example["fitnessally.stream.write"] = function(req)
  local out = req:start { type = "text/plain" }
  run_until("fitnessally.stream.write", out.write, function() return out, ("x"):rep(1000) end)
end
example["fitnessally.stream.finish"] = function(req)
  local out = req:start { type = "text/plain" }
  run("fitnessally.stream.finish", out.finish, out)
end
example["fitnessally.events.send"] = function(req)
  local events = req:events()
  run_until("fitnessally.events.send", events.send, function() return events, ("x"):rep(1000) end)
end
example["fitnessally.events.wait"] = function(req) -- from another task than the request's, which ends with its stream
  local events
  assert(voice.ask(req, { text = "why", flow = function() run("fitnessally.events.wait", events.wait, events) end }))
  events = req:events()
  fitnessally.sleep(5)
  events:finish()
end
example["fitnessally.events.finish"] = function(req)
  local events = req:events()
  run("fitnessally.events.finish", events.finish, events)
end

-- ---- WebSockets: the client says two messages, the second after the first has been answered -------------------------

local function of_websocket(name, fn)
  local key = "fitnessally.websocket." .. name
  how[key] = "websocket"
  app:websocket("/run/" .. key, { send_queue = "2KB", close_timeout = "10ms" }, function(ws) fn(key, ws) end)
end
of_websocket("receive", function(key, ws)
  ws:receive()
  ws:send(bytes()) -- now the client says the second
  run(key, ws.receive, ws)
end)
of_websocket("messages", function(key, ws)
  ws:receive()
  ws:send(bytes())
  run(key, function() for _ in ws:messages() do break end end)
end)
of_websocket("send", function(key, ws)
  run_until(key, ws.send, function() return ws, ("x"):rep(1000) end)
end)
of_websocket("close", function(key, ws) run(key, ws.close, ws, 1000, "enough") end)

-- ---- buffers, scopes, tasks ----------------------------------------------------------------------------------------

local function of_buffer(name, ...)
  local key, arguments = "fitnessally.buffer." .. name, { ... }
  example[key] = function()
    local buffer = bytes "[1]"
    run(key, buffer[name], buffer, unpack(arguments))
   end
end
of_buffer("len")
of_buffer("seal")
of_buffer("release")
of_buffer("slice", 1, 2)
of_buffer("copy", { max = 10 })
of_buffer("json")
of_buffer("sound")
plain { { "fitnessally.buffer", fitnessally.buffer } }
plain { { "fitnessally.sound_cutter", fitnessally.sound_cutter, {} } }
for name, argument in pairs { add = bytes, next = nothing, close = nothing } do
  local key = "fitnessally.sound_cutter." .. name
  example[key] = function()
    local cutter = fitnessally.sound_cutter {}
    run(key, cutter[name], cutter, argument())
  end
end
example["fitnessally.buffer.append"] = function()
  local buffer = fitnessally.buffer()
  run("fitnessally.buffer.append", buffer.append, buffer, "text")
end
example["fitnessally.buffer.transfer"] = function(req)
  fitnessally.scope("inner", nil, function()
    local buffer = bytes()
    run("fitnessally.buffer.transfer", buffer.transfer, buffer, req)
  end)
end
example["fitnessally.scope"] = function()
  run("fitnessally.scope", fitnessally.scope, "inner", nil, function() fitnessally.sleep(1) end)
end
example["fitnessally.scope.buffer"] = function()
  fitnessally.scope("inner", nil, function(scope) run("fitnessally.scope.buffer", scope.buffer, scope) end)
end
example["fitnessally.with"] = function()
  run("fitnessally.with", fitnessally.with, bytes(), function() fitnessally.sleep(1) end)
end
example["fitnessally.task.join"] = function()
  local task = fitnessally.spawn(function() fitnessally.sleep(1) end)
  run("fitnessally.task.join", task.join, task)
end
for _, name in ipairs { "cancel", "ended" } do
  local key = "fitnessally.task." .. name
  example[key] = function()
    local task = fitnessally.spawn(function() fitnessally.sleep(1) end)
    run(key, task[name], task)
  end
end
plain {
  { "fitnessally.spawn", fitnessally.spawn, nothing },
  { "fitnessally.all", fitnessally.all, { function() fitnessally.sleep(1) end } },
  { "fitnessally.race", fitnessally.race, { function() fitnessally.sleep(1) end } },
}

-- ---- stores and topics ---------------------------------------------------------------------------------------------

local function of_store(name, ...)
  local key, arguments = "fitnessally.store." .. name, { ... }
  example[key] = function()
    local store = fitnessally.store "store"
    store:put("there", bytes())
    run(key, store[name], store, unpack(arguments))
  end
end
of_store("put", "k", "text")
of_store("get", "there")
of_store("count", "n")
of_store("remove", "there")
of_store("figures")
plain {
  { "fitnessally.publish", fitnessally.publish, "topic", "text" },
  { "fitnessally.subscribe", fitnessally.subscribe, "topic" },
}
local function of_subscription(name, call)
  local key = "fitnessally.subscription." .. name
  example[key] = function()
    local subscription, message = fitnessally.subscribe "topic", bytes()
    later(function() fitnessally.publish("topic", message) end)
    run(key, call, subscription)
  end
end
of_subscription("receive", function(subscription) return subscription:receive() end)
of_subscription("messages", function(subscription) for _ in subscription:messages() do break end end)
of_subscription("close", function(subscription) subscription:close() end)

-- ---- upstreams -----------------------------------------------------------------------------------------------------

local sends = { path = "/echo", json = { a = 1 } }
for _, name in ipairs { "get", "head", "post", "put", "patch", "delete", "request", "stream" } do
  local key = "fitnessally.upstream." .. name
  example[key] = function()
    run(key, upstream.it[name], upstream.it, name == "request" and { method = "POST", path = "/echo", body = "text" } or sends)
  end
end
example["fitnessally.upstream.pipe"] = function(req)
  run("fitnessally.upstream.pipe", upstream.it.pipe, upstream.it, req, sends)
end
example["fitnessally.upstream.recycle"] = function()
  run("fitnessally.upstream.recycle", upstream.it.recycle, upstream.it)
end
example["fitnessally.upstream.stats"] = function() run("fitnessally.upstream.stats", upstream.it.stats, upstream.it) end
example["fitnessally.fetch"] = function() -- which the guard refuses
  run("fitnessally.fetch", fitnessally.fetch, { url = "http://127.0.0.1:1/", method = "POST", body = "text" })
end
local function of_reading(name, call)
  local key = "fitnessally.upstream_stream." .. name
  example[key] = function() -- ten bytes come, and then nothing until the deadline
    fitnessally.scope("reading", { deadline = "100ms" }, function()
      local stream = assert(upstream.it:stream { path = "/stall", format = "raw" })
      run(key, pcall, call, stream)
    end)
  end
end
of_reading("next", function(stream)
  stream:next():release()
  stream:next()
end)
of_reading("each", function(stream)
  for piece in stream:each() do
    piece:release()
  end
end)
of_reading("problem", function(stream) return stream:problem() end)
of_reading("close", function(stream) return stream:close() end)
example["fitnessally.upstream_event.json"] = function()
  local stream = assert(upstream.it:stream { path = "/say", body = bytes 'data: {"a":1}\n\n' })
  local event = assert(stream:next())
  run("fitnessally.upstream_event.json", event.json, event)
  stream:close()
end

-- ---- voice ---------------------------------------------------------------------------------------------------------

local last -- the dialogue of the example before, which is over
local function of_turn(key, fn)
  example[key] = function(req)
    if last then
      voice.delete(last)
    end
    local asked = assert(voice.ask(req, { text = "why", flow = function(turn) fn(turn, key) end }))
    last = asked.dialogueId
    voice.listen(req, asked.dialogueId)
  end
end
of_turn("fitnessally.turn.push", function(turn, key)
  run_until(key, turn.push, function() return turn, "words", json.encode(("x"):rep(9000)) end)
end)
local function audio()
  return bytes(("x"):rep(9000)), { text = "x" }
end
of_turn("fitnessally.turn.audio", function(turn, key)
  run_until(key, turn.audio, function() return turn, audio() end)
end)
of_turn("fitnessally.turn.room", function(turn, key)
  run_until(key, turn.room, function()
    turn:audio(audio())
    return turn
  end)
end)
of_turn("fitnessally.turn.said", function(turn, key) run(key, turn.said, turn, "this") end)
example["fitnessally.turn.history"] = function(req)
  local id = assert(voice.ask(req, { text = "why", flow = function(turn) turn:said "because" end })).dialogueId
  fitnessally.sleep(5)
  assert(voice.ask(req, { text = "and", dialogueId = id, flow = function(turn)
    run("fitnessally.turn.history", turn.history, turn)
  end }))
  voice.listen(req, id)
end
of_turn("fitnessally.flow.say", function(turn, key)
  local service = { synthesize = function() fitnessally.sleep(1) return { audio = bytes(), duration_ms = 5 } end }
  run(key, require("fitnessally.flow").say, turn, "A text.", require("fitnessally.tts").speaker(service, {}))
end)
local flow = require "fitnessally.flow"
of_turn("fitnessally.flow.teller", function(turn, key) run(key, flow.teller, turn) end)
of_turn("fitnessally.flow.teller.add", function(turn, key)
  local teller = flow.teller(turn)
  run_until(key, teller.add, function() return teller, ("This is a sentence. "):rep(400) end)
end)
of_turn("fitnessally.flow.teller.finish", function(turn, key)
  local teller = flow.teller(turn, function() fitnessally.sleep(1) return { audio = bytes(), duration_ms = 5 } end)
  teller:add "A text."
  run(key, teller.finish, teller)
end)
example["fitnessally.voice.ask"] = function(req)
  voice.delete(run("fitnessally.voice.ask", voice.ask, req, { text = "why", flow = nothing }).dialogueId)
end
local function of_dialogue(name, before)
  local key = "fitnessally.voice." .. name
  example[key] = function(req)
    local id = assert(voice.ask(req, { text = "why", flow = nothing })).dialogueId
    if before then
      run(key, voice[name], req, id)
    else
      run(key, voice[name], id)
      voice.delete(id)
    end
  end
end
of_dialogue("listen", true)
of_dialogue("delete")
of_dialogue("interrupt")

-- ---- the rest ------------------------------------------------------------------------------------------------------

example["fitnessally.plugin.FUNCTION"] = function() run("fitnessally.plugin.FUNCTION", plugin.echo.echo, { text = "text" }) end
plain { { "fitnessally.service", fitnessally.service, "none" }, { "fitnessally.plugins", fitnessally.plugins } }
example["fitnessally.json.encode"] = function() run("fitnessally.json.encode", json.encode, { a = 1 }) end
example["fitnessally.json.decode"] = function() run("fitnessally.json.decode", json.decode, "[1]") end
for _, level in ipairs { "debug", "info", "warn", "error" } do
  plain { { "fitnessally.log." .. level, log[level], "a line" } }
end
example["require"] = function() run("require", require, "waits") end
plain {
  { "fitnessally.sleep", fitnessally.sleep, 1 },
  { "fitnessally.memory", fitnessally.memory },
  { "fitnessally.reload", fitnessally.reload },
  { "fitnessally.generations", fitnessally.generations, "json" },
  { "fitnessally.recycle", fitnessally.recycle, "it" },
  { "fitnessally.status", fitnessally.status },
  { "fitnessally.now", fitnessally.now },
}
local crypto = fitnessally.crypto
plain {
  { "fitnessally.crypto.sha256", crypto.sha256, "text" },
  { "fitnessally.crypto.digest", crypto.digest, "sha1", "text" },
  { "fitnessally.crypto.hmac", crypto.hmac, "sha256", "key", "text" },
  { "fitnessally.crypto.random", crypto.random },
  { "fitnessally.crypto.equal", crypto.equal, "a", "b" },
  { "fitnessally.crypto.base64", crypto.base64, "text" },
  { "fitnessally.crypto.base64url", crypto.base64url, "text" },
  { "fitnessally.crypto.from_base64", crypto.from_base64, "aaaa" },
  { "fitnessally.crypto.from_base64url", crypto.from_base64url, "aaaa" },
  { "fitnessally.crypto.key", crypto.key, "none" },
  { "fitnessally.crypto.verify", function(...) return pcall(crypto.verify, ...) end, "RS256", nil, "data", "signature" },
}

-- ---- the library ---------------------------------------------------------------------------------------------------

local function of_module(name, calls)
  local module = require("fitnessally." .. name)
  for _, call in ipairs(calls) do
    local fn, key = call[1] and module[call[1]] or module, "fitnessally." .. name .. (call[1] and "." .. call[1] or "")
    assert(fn, key)
    example[key] = function(req)
      local arguments = { unpack(call, 2, 7) }
      for i, argument in pairs(arguments) do
        if argument == "REQ" then
          arguments[i] = req
        end
      end
      run(key, fn, unpack(arguments, 1, 6))
    end
  end
end
local schema = require "fitnessally.schema"
local anything = schema.object { text = schema.any { optional = true } }
of_module("auth", {
  { "api_key", { keys = { me = ("k"):rep(32) } } }, { "jwt", { algorithm = "HS256", secret = ("s"):rep(32) } },
})
of_module("body", {
  { "json", "REQ" }, { "optional_json", "REQ" }, { "is_multipart", "REQ" }, { "fields", "REQ" }, { "refuse", "REQ" },
})
of_module("boundaries", { { "find", "One. Two." } })
of_module("chunker", { { "split", "One. Two." }, { "stream" } })
local cutter = require("fitnessally.chunker").stream()
plain {
  { "fitnessally.chunker.stream.add", cutter.add, cutter, "One. Two." },
  { "fitnessally.chunker.stream.finish", cutter.finish, cutter },
}
of_module("llm", { { "connect" } })
local reply = { next = function() fitnessally.sleep(1) end, close = nothing }
of_module("llm", { { "tell", { chat = function() return reply end }, {}, nothing } })
local filter = require("fitnessally.thinking").filter()
of_module("thinking", { { "filter" }, { "add", filter, "text" }, { "finish", filter } })
of_module("client", {
  { "check_options", {}, {}, "a" }, { "problem", "status", "wrong", 404 }, { "members", "{}", "a" }, { "pauses" },
})
for name, arguments in pairs { upstream_name = { "it", "a" }, need = { "it", "a" } } do
  plain { { "fitnessally.client." .. name, require("fitnessally.client")[name], unpack(arguments) } }
end
of_module("cors", { { false, { origins = "*" } } })
of_module("cron", { { "parse", "@daily" } })
of_module("gzip", { { false, {} } })
of_module("jwt", { { "reader", { algorithm = "HS256", secret = ("s"):rep(32) } } })
of_module("metrics", { { "page" }, { "answer", "REQ" } })
of_module("prometheus", { { "new" } })
local page = require("fitnessally.prometheus").new()
plain {
  { "fitnessally.prometheus.page.add", page.add, page, "gauge", "a", "help", 1 },
  { "fitnessally.prometheus.page.text", page.text, page },
}
of_module("ratelimit", { { false, { limit = 1 } } })
of_module("schema", {
  { "text" }, { "number" }, { "integer" }, { "flag" }, { "choice", { "a" } }, { "any" }, { "list", schema.any() },
  { "object", {} }, { "check", anything, {} }, { "json", "REQ", anything }, { "body", "REQ", anything },
  { "query", "REQ", anything }, { "params", "REQ", anything },
})
of_module("template", { { "escape", "<a>" }, { "compile", "{{ a }}" } })
loading("fitnessally.template.load", require("fitnessally.template").load, "page.html") -- the one copy while the app is loaded
of_module("time", { { "now" }, { "monotonic" }, { "iso" }, { "parse_iso", "2026-11-29" }, { "http" }, { "parse_http", "x" } })
of_module("tts", { { "connect" }, { "spare" }, { "speaker", { synthesize = nothing }, {} }, { "either", nothing, nothing, {} } })
of_module("url", {
  { "encode", "a b" }, { "decode", "a" }, { "query", { a = 1 } }, { "parse_query", "a=1" }, { "parse", "/a" },
  { "build", { path = "/" } },
})
of_module("utf8", { { "is_valid", "text" } })
of_module("validate", {
  { "read", nothing }, { "text", {}, "a" }, { "number", {}, "a", 0, 1 }, { "flag", {}, "a" }, { "object", {}, "a" },
  { "query_number", "REQ", "b", 0, 1 }, { "query_text", "REQ", "b", 5 },
})
example["fitnessally.validate.fail"] = function()
  run("fitnessally.expression.compile", function() return require("fitnessally.expression").compile("a", {}, error) end)
  run("fitnessally.expression.text", function() return require("fitnessally.expression").text(1, error) end)
  run("fitnessally.options", function() return require "fitnessally.options"("it", { a = 1 }, { a = "number" }) end)
  run("fitnessally.validate.fail", function() return pcall(require("fitnessally.validate").fail, "field", "is wrong") end)
end

-- ---- what the test asks --------------------------------------------------------------------------------------------

app:any("/run/:key", function(req)
  example[req.params.key](req)
  if not req.status then
    pcall(req.reply, req, { text = "done" }) -- or it has begun
  end
end)

local function lines(req, list)
  table.sort(list)
  req:reply { text = table.concat(list, "\n") .. "\n" }
end

-- "METHOD key" for each; what is sent with it says the test.
app:get("/examples", function(req)
  local list = {}
  for key in pairs(example) do
    list[#list + 1] = (how[key] or "post") .. " " .. key
  end
  for key, kind in pairs(how) do
    if not example[key] then
      list[#list + 1] = kind .. " " .. key
    end
  end
  lines(req, list)
end)

-- "key waited copied", 0 or 1; or "key load".
app:get("/seen", function(req)
  local list = {}
  for key, what in pairs(seen) do
    list[#list + 1] = ("%s %d %d"):format(key, what.waited and 1 or 0, what.copied and 1 or 0)
  end
  for _, key in ipairs(at_load) do
    list[#list + 1] = key .. " load"
  end
  lines(req, list)
end)
