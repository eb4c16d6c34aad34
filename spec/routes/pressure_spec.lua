-- Budgets and memory pressure on a running server: each step's answer, and that it is undone.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"
local socket = require "socket"
local voice = require "spec.support.voice"

local function said(app, words)
  return server.wait(10, function() return app:log():find(words, 1, true) end)
end

describe("memory pressure", function()
  it("refuses new dialogues and answers everything else", function()
    local app = server.start { memory_budget = "64MB", pressure = "2,101,101,101,101,101", pressure_relief = "1" }
    assert.is_truthy(said(app, "memory pressure 1, refuse new dialogues: "))
    local answer = server.wait(5, function()
      local it = http.post(app, "/api/voice/converse", { text = "How do I do a plank?" })
      return it.status == 503 and it
    end)
    assert.is_truthy(answer)
    assert.are.equal("over_budget", answer.json.error.code)
    assert.is_truthy(answer.headers["retry-after"])
    assert.are.equal(200, http.get(app, "/api/records?search=plank").status)
    app:stop()
  end)

  it("shrinks the cache, and lets it grow again when there is room", function()
    local data = server.folder()
    server.shell("mkdir " .. data .. "/media; cp " .. server.root .. "/examples/coach/data/exercises.json " .. data)
    for i = 1, 30 do
      server.write(("%s/media/%d.gif"):format(data, i), string.char(i):rep(1024 * 1024))
    end
    local app = server.start({ memory_budget = "64MB", pressure = "36,36,36,101,101,101" }, data)
    for i = 1, 30 do
      local answer = http.get(app, ("/media/%d.gif"):format(i))
      assert.are.equal(200, answer.status)
      assert.are.equal(string.char(i):rep(1024 * 1024), answer.body)
    end
    assert.is_truthy(said(app, "memory pressure 3, shrink caches: "))
    assert.is_true(app:logged "most by owners of kind cache")
    assert.is_truthy(said(app, "memory pressure 3 is over"))
    assert.is_truthy(said(app, "memory pressure 1 is over"))
    local cache = http.get(app, "/api/health/memory").json.ledger.byKind.cache
    assert.is_true(cache.bytes < 0.36 * 64 * 1024 * 1024)
    assert.is_true(cache.peakBytes < 26 * 1024 * 1024)
    local id = voice.ask(app, "How do I do a plank?")
    local events = voice.hear(app, id)
    assert.are.equal("completed", events[#events].data.status)
    app:stop()
    server.remove(data)
  end)

  it("refuses connections last", function()
    local app = server.start { memory_budget = "64MB", pressure = "2,2,2,2,2,2", pressure_relief = "1" }
    assert.is_truthy(said(app, "memory pressure 6, refuse connections: "))
    local answer = server.wait(5, function()
      local it = http.get(app, "/api/records?search=plank")
      return it.status == 503 and it
    end)
    assert.is_truthy(answer)
    assert.are.equal("over_budget", answer.json.error.code)
    assert.are.equal("5", answer.headers["retry-after"])
    app:stop()
  end)

  it("has steps that must make sense", function()
    for _, steps in ipairs { "70,60,80,85,90,95", "70,75", "4,75,80,85,90,95", "70,75,80,85,90,many" } do
      local ok, problem = pcall(server.start, { pressure = steps })
      assert.is_false(ok)
      assert.is_truthy(tostring(problem):find("pressure: ", 1, true), problem)
    end
  end)
end)

describe("a plugin's budget", function()
  it("is its own key or the one for all, and reaching it is the plugin's matter", function()
    local app = server.start { ["plugins.records.memory_budget"] = "20KB" }
    assert.is_truthy(said(app, "plugin records: "))
    assert.is_true(app:logged "no memory for the")
    assert.are.equal(200, http.get(app, "/api/health/memory").status)
    app:stop()
    local ok, problem = pcall(server.start, { plugin_budget = "1KB" })
    assert.is_false(ok)
    assert.is_truthy(tostring(problem):find("no memory", 1, true), problem)
    ok, problem = pcall(server.start, { ["plugins.records.memory_budget"] = "lots" })
    assert.is_false(ok)
    assert.is_truthy(tostring(problem):find("plugins.records.memory_budget: ", 1, true), problem)
  end)
end)

-- Each is set so low that the first who needs it meets it, and everything else is as ever.
describe("the budget of a kind of owner", function()
  local folder = server.folder()
  server.write(folder .. "/app.lua", [[
local kept, said = fitnessally.store "kept", fitnessally.store "said"
app:get("/plain", function(req) req:reply { text = "fine" } end)
app:get("/keep", function(req)
  local done, problem = kept:put("a", ("x"):rep(400000))
  req:reply { text = done and "kept" or problem }
end)
app:get("/scope", function(req)
  fitnessally.scope("work", {}, function(scope)
    local made, problem = scope:buffer { capacity = 8000 }
    req:reply { text = made and "made" or problem }
  end)
end)
app:get("/fetch", function(req)
  local _, problem = upstream.nowhere:get "/"
  req:reply { text = problem.kind }
end)
app:get("/ask", function(req)
  local asked, code, message = voice.ask(req, { text = "Hello.", flow = function()
    local made, problem = fitnessally.buffer { capacity = 40000 }
    said:put("turn", made and "made" or problem)
  end })
  if not asked then return req:fail(503, code, message, { ["Retry-After"] = "5" }) end
  req:reply { text = asked.dialogueId }
end)
app:get("/said", function(req) req:reply { body = said:get "turn" } end)
app:get("/listen", function(req) voice.listen(req, req:query "id") end)
app:static("/files", { root = settings.app .. "/files" })
]])
  server.shell("mkdir " .. folder .. "/files")
  server.write(folder .. "/files/a.bin", ("a"):rep(20000))
  teardown(function() server.remove(folder) end)

  local function with(key, budget, try)
    it(key .. " has its answer", function()
      local app = server.start { app = folder, plugins_enabled = "", tts = "", workers = "1", [key] = budget,
        ["upstreams.nowhere.url"] = "http://127.0.0.1:9" }
      try(app)
      app:stop()
    end)
  end
  local function fine(app)
    assert.are.equal("fine", http.get(app, "/plain").body)
  end
  local function refused(answer, code)
    assert.are.equal(503, answer.status)
    assert.are.equal(code, answer.json.error.code)
    assert.is_truthy(answer.headers["retry-after"])
  end

  with("budget_caches", "200KB", function(app)
    assert.is_truthy(http.get(app, "/keep").body:find("budget", 1, true), http.get(app, "/keep").body)
    assert.are.equal(20000, #http.get(app, "/files/a.bin").body)
  end)
  with("budget_connections", "1KB", function(app)
    local client = assert(socket.tcp())
    assert(client:connect(app.host, app.port))
    client:send("GET /plain HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.is_nil((client:receive("*l")))
    client:close()
  end)
  with("budget_requests", "1KB", function(app)
    refused(http.get(app, "/plain"), "over_budget")
  end)
  with("budget_dialogues", "1KB", function(app)
    refused(http.get(app, "/ask"), "over_budget")
    fine(app)
  end)
  with("budget_turns", "1KB", function(app)
    assert.are.equal(200, http.get(app, "/ask").status)
    assert.is_truthy(server.wait(5, function()
      return http.get(app, "/said").body:find("over budget", 1, true)
    end))
    fine(app)
  end)
  with("budget_listeners", "200B", function(app)
    local id = http.get(app, "/ask").body
    refused(http.get(app, "/listen?id=" .. id), "over_budget")
    fine(app)
  end)
  with("budget_transfers", "1KB", function(app)
    assert.are.equal("memory", http.get(app, "/fetch").body)
    fine(app)
  end)
  with("budget_jobs", "300B", function(app)
    refused(http.get(app, "/files/a.bin"), "unavailable")
    fine(app)
  end)
  with("budget_scripts", "1KB", function(app)
    assert.is_truthy(http.get(app, "/scope").body:find("over budget", 1, true))
    fine(app)
  end)
  it("budget_plugins has its answer", function()
    local ok, problem = pcall(server.start, { budget_plugins = "1KB" })
    assert.is_false(ok)
    assert.is_truthy(tostring(problem):find("no memory", 1, true), problem)
  end)
end)
