-- What the server says about itself, and the one shape of its errors.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"
local voice = require "spec.support.voice"

local app

setup(function()
  app = server.start()
end)
teardown(function()
  app:stop()
end)

local function assert_error(answer, status, code)
  assert.are.equal(status, answer.status, answer.body)
  assert.are.equal(code, answer.json.error.code)
  assert.is_string(answer.json.error.message)
  assert.are.equal(answer.headers["x-request-id"], answer.json.error.requestId)
end

describe("GET /api/health", function()
  it("is OK, with version and uptime", function()
    local answer = http.get(app, "/api/health")
    assert.are.equal(200, answer.status)
    assert.are.equal("no-store", answer.headers["cache-control"])
    assert.are.equal("OK", answer.json.status)
    assert.is_truthy(answer.json.version:find("^%d+%.%d+%.%d+"))
    assert.is_true(answer.json.uptime >= 0 and answer.json.uptime < 600)
    assert.is_true(answer.json.timestamp > 1.7e12)
    assert.is_true(answer.json.connections >= 1)
    for _, state in ipairs { "live", "running", "resting" } do
      assert.is_number(answer.json.dialogues[state])
    end
  end)

  it("answers HEAD without a body", function()
    local answer = http.request(app, "HEAD", "/api/health")
    assert.are.equal(200, answer.status)
    assert.are.equal("", answer.body)
    assert.is_true(tonumber(answer.headers["content-length"]) > 50)
  end)
end)

describe("GET /api/health/memory", function()
  it("has the figures that were promised", function()
    local answer = http.get(app, "/api/health/memory")
    assert.are.equal(200, answer.status)
    assert.is_truthy(answer.body:find('"warnings":[]', 1, true))
    local report = answer.json
    assert.is_string(report.status)
    assert.is_true(report.memory.rss.bytes > 1e6)
    assert.is_true(math.abs(report.memory.rss.mb - report.memory.rss.bytes / 1048576) < 0.1)
    for _, figure in ipairs { "ours", "attributed", "residual", "cachedAndMapped", "inFlight", "scopes", "handles" } do
      assert.is_number(report.ledger[figure], figure)
    end
    for _, kind in ipairs { "dialogue", "turn", "request", "listener", "connection", "plugin", "cache", "worker" } do
      assert.is_number(report.ledger.byKind[kind].bytes, kind)
      assert.is_number(report.ledger.byKind[kind].count, kind)
    end
  end)

  it("does not count the asking request", function()
    local ledger = http.get(app, "/api/health/memory").json.ledger
    assert.are.equal(0, ledger.byKind.request.count)
    assert.are.equal(0, ledger.byKind.request.bytes)
  end)

  it("says the same of a quiet server again and again", function()
    local function steady()
      local ledger = http.get(app, "/api/health/memory").json.ledger
      return { ledger.scopes, ledger.handles, ledger.byKind.plugin.bytes, ledger.byKind.server.bytes }
    end
    http.get(app, "/api/records") -- answered after what the records are loaded with at the start has been given back
    local before = steady()
    for _ = 1, 20 do
      http.get(app, "/api/health")
    end
    assert.are.same(before, steady())
  end)
end)

describe("GET /api/health/memory in full", function()
  it("names what libraries hold by allocators of their own", function()
    voice.answer(app, "How do I do a plank?") -- whose id is hashed by OpenSSL
    local by = http.get(app, "/api/health/memory").json.ledger.attributedBy
    assert.is_true(by.openssl > 1000)
    assert.is_true(by.records > 1000)
    assert.is_true(by.lua > 1000)
  end)

  it("adds up", function()
    local report = http.get(app, "/api/health/memory").json
    local ledger = report.ledger
    local bytes, count = 0, 0
    for _, kind in pairs(ledger.byKind) do
      bytes, count = bytes + kind.bytes, count + kind.count
    end
    assert.are.equal(ledger.ours, bytes)
    assert.are.equal(ledger.scopes, count)
    local attributed = 0
    for _, by in pairs(ledger.attributedBy) do
      attributed = attributed + by
    end
    assert.are.equal(ledger.attributed, attributed)
    assert.are.equal(report.memory.lua.bytes, ledger.attributedBy.lua)
    assert.are.equal(report.process.workers, #report.memory.luaHeaps)
    assert.is_true(report.process.openFiles > 3 and report.process.threads > 1)
    assert.are.equal(report.process.workers, #report.snapshot)
    for _, snapshot in ipairs(report.snapshot) do
      assert.is_true(snapshot.ageMs <= 100)
    end
    assert.are.equal(0, report.dialogues.logBytes)
  end)

  it("is exact: asking changes nothing that it says", function()
    local function owned()
      local kinds = http.get(app, "/api/health/memory").json.ledger.byKind
      return { kinds.server.bytes, kinds.worker.bytes, kinds.plugin.bytes, kinds.cache.bytes, kinds.request.bytes }
    end
    local before = owned()
    for _ = 1, 10 do
      http.get(app, "/api/health/memory/analyze")
      http.get(app, "/api/health/memory/tracker")
    end
    assert.are.same(before, owned())
  end)
end)

describe("GET /api/health/memory/analyze", function()
  it("names owners by bytes and by age, and the places that made them, without the asking request", function()
    local analysis = http.get(app, "/api/health/memory/analyze").json
    assert.are.equal("table", type(analysis.byAge))
    local last = math.huge
    for _, owner in ipairs(analysis.byBytes) do
      assert.is_true(owner.bytes <= last and owner.total >= owner.bytes)
      assert.is_truthy(owner.madeAt:find("^[%w_/.]+:%d+$"), owner.madeAt)
      assert.are_not.equal("request", owner.kind)
      last = owner.bytes
    end
    local bytes = 0
    for _, origin in ipairs(analysis.byOrigin) do
      bytes = bytes + origin.bytes
    end
    assert.are.equal(analysis.count.bytes, bytes)
  end)
end)

describe("GET /api/health/memory/tracker", function()
  it("has samples, growth and alarms", function()
    local tracker = http.get(app, "/api/health/memory/tracker").json
    assert.is_true(tracker.enabled)
    assert.are.equal(5000, tracker.intervalMs)
    assert.is_true(#tracker.samples <= tracker.capacity)
    assert.is_number(tracker.growthPerMinute.rss)
    assert.is_number(tracker.growthPerMinute.residual)
    assert.is_number(tracker.growthPerMinute.byKind.dialogue)
    assert.are.equal("rss", tracker.alarms[1].on)
    assert.is_false(tracker.alarms[1].raised)
  end)

  it("says that it is switched off", function()
    local quiet = server.start { tracker = "false" }
    local tracker = http.get(quiet, "/api/health/memory/tracker").json
    local findings = http.get(quiet, "/api/health/memory/doctor").json.findings
    quiet:stop()
    assert.is_false(tracker.enabled)
    assert.is_nil(tracker.samples)
    assert.is_truthy(tracker.message:find("DISABLE_MEMORY_TRACKER"))
    assert.is_truthy(findings[1].text:find("the tracker is off"))
  end)
end)

describe("a memory alarm", function()
  -- Documents of 64 KB each kept in a table: a leak as scripts make them.
  local leak = [[
    local kept = {}
    app:get("/leak", function(req)
      for i = 1, 10 do
        kept[#kept + 1] = ("x"):rep(65536 - i) .. tostring(#kept)
      end
      req:reply { text = "kept" }
    end)
    app:get("/api/health/memory", function(req) req:reply { json = fitnessally.memory() } end)
    app:get("/doctor", function(req) req:reply { json = fitnessally.memory("doctor") } end)
  ]]

  it("is raised by a leak and told once", function()
    local folder = server.folder()
    server.write(folder .. "/app.lua", leak)
    local leaking = server.start { app = folder, plugins_enabled = "", tracker_interval = "50ms" }
    local warned = server.wait(30, function()
      http.get(leaking, "/leak")
      local report = http.get(leaking, "/api/health/memory").json
      return report.status == "warning" and report.warnings[1]
    end)
    local findings = http.get(leaking, "/doctor").json.findings
    local _, told = leaking:log():gsub("memory alarm: RSS", "")
    leaking:stop()
    server.remove(folder)
    assert.is_truthy(warned and warned:find("^RSS grows by"), tostring(warned))
    assert.are.equal(1, told)
    local lua = false
    for _, finding in ipairs(findings) do
      lua = lua or finding.text:find("The Lua heap of worker 0 grows by", 1, true) ~= nil
    end
    assert.is_true(lua, findings[1].text)
  end)
end)

describe("GET /metrics", function()
  it("gives each metric with HELP and TYPE before its values", function()
    local answer = http.get(app, "/metrics")
    assert.are.equal(200, answer.status)
    assert.is_truthy(answer.headers["content-type"]:find("^text/plain; version=0%.0%.4"))
    local helped, typed, count = {}, {}, 0
    for line in answer.body:gmatch("[^\n]+") do
      local what, name = line:match("^# (%u+) ([%w_]+) ")
      if what == "HELP" then
        assert.is_nil(helped[name], line)
        helped[name] = true
      elseif what == "TYPE" then
        typed[name] = true
      else
        name = line:match("^([%a_][%w_]*){?[^}]*}? %-?[%d.e+]+$")
        assert.is_truthy(name, line)
        assert.is_true(helped[name] and typed[name], line)
        count = count + 1
      end
    end
    assert.is_true(count > 30)
    assert.is_truthy(answer.body:find('fitnessally_ledger_bytes{kind="dialogue"} 0', 1, true))
  end)
end)

describe("errors", function()
  it("have one shape", function()
    assert_error(http.get(app, "/nothing/here"), 404, "not_found")
    assert_error(http.get(app, "/api/nothing"), 404, "not_found")
    local wrong = http.post(app, "/api/health", {})
    assert_error(wrong, 405, "method_not_allowed")
    assert.is_truthy(wrong.headers.allow:find("GET"))
  end)

  it("bear a new X-Request-Id each, as all answers do", function()
    local seen = {}
    for _, path in ipairs { "/", "/api/health", "/nothing", "/api/records", "/media/plank.gif" } do
      local id = http.get(app, path).headers["x-request-id"]
      assert.is_truthy(id, path)
      assert.is_nil(seen[id])
      seen[id] = true
    end
  end)
end)

describe("the page", function()
  it("is served at /, with what it needs", function()
    local page = http.get(app, "/")
    assert.are.equal(200, page.status)
    assert.is_truthy(page.headers["content-type"]:find("^text/html"))
    for file in page.body:gmatch('[sh][rre][cf]f?="([%w_.]+)"') do
      assert.are.equal(200, http.get(app, "/" .. file).status, file)
    end
  end)
end)
