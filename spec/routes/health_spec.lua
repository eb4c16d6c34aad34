-- What the server says about itself, and the one shape of its errors.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"

local app

setup(function()
  app = server.start()
end)
teardown(function()
  app:stop()
end)
after_each(function()
  app:settle()
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
