-- What the server says about itself.

local spec = require "fitnessally.testing"

local app

setup(function()
  app = spec.app { app = "examples/coach" }
end)

describe("GET /api/health", function()
  it("is OK, with version and uptime by the clock", function()
    local before = app:get "/api/health"
    assert.are.equal(200, before.status)
    assert.are.equal("no-store", before.headers["cache-control"])
    assert.are.equal("OK", before:json().status)
    app:advance "1h"
    local passed = app:get("/api/health"):json().uptime - before:json().uptime
    assert.are.equal(3600, math.floor(passed + 0.5))
  end)

  it("counts dialogues", function()
    local id = app:post("/api/voice/converse", { json = { text = "Hello!" } }):json().dialogueId
    assert.is_table(app:get("/api/health"):json().dialogues)
    assert.are.equal(204, app:delete("/api/voice/dialogues/" .. id).status)
  end)
end)

describe("GET /api/health/memory", function()
  it("has the figures that were promised, without the asking request", function()
    local report = app:get("/api/health/memory"):json()
    assert.is_true(report.memory.rss.bytes > 1e6)
    for _, figure in ipairs { "ours", "attributed", "residual", "cachedAndMapped", "inFlight", "scopes", "handles" } do
      assert.is_number(report.ledger[figure], figure)
    end
    assert.are.same({ 0, 0 }, { report.ledger.byKind.request.count, report.ledger.byKind.request.bytes })
  end)

  it("says the same of a quiet server again and again", function()
    local function steady()
      local ledger = app:get("/api/health/memory"):json().ledger
      return { ledger.scopes, ledger.handles, ledger.byKind.plugin.bytes, ledger.byKind.server.bytes }
    end
    local before = steady()
    for _ = 1, 20 do
      app:get "/api/health"
    end
    assert.are.same(before, steady())
  end)

  it("is an analysis, a history and a diagnosis, too", function()
    for _, what in ipairs { "analyze", "tracker", "doctor" } do
      assert.are.equal(200, app:get("/api/health/memory/" .. what).status, what)
    end
  end)
end)

describe("GET /metrics", function()
  it("is text for Prometheus", function()
    local answer = app:get "/metrics"
    assert.are.equal(200, answer.status)
    assert.is_truthy(answer.headers["content-type"]:find "^text/plain")
    assert.is_truthy(answer.body:find "\n# TYPE ")
  end)
end)

describe("errors", function()
  it("have one shape", function()
    local answer = app:get "/api/nowhere"
    assert.are.equal(404, answer.status)
    local problem = answer:json().error
    assert.are.equal("not_found", problem.code)
    assert.is_string(problem.message)
    assert.are.equal(answer.headers["x-request-id"], problem.requestId)
  end)
end)
