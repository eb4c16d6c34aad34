-- Budgets and memory pressure on a running server: each step's answer, and that it is undone.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"
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
