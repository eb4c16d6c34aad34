-- What the harness promises, seen from within. Run by spec/routes/spec_command_spec.lua.

local spec = require "fitnessally.testing"

local app

setup(function()
  app = spec.app { app = "spec/support/testing", plugins = {}, settings = { tts = "" } }
end)

describe("an answer", function()
  it("has status, headers and a body", function()
    local answer = app:get "/hello"
    assert.are.equal(200, answer.status)
    assert.are.equal("hello", answer.body)
    assert.is_truthy(answer.headers["content-type"]:find "text/plain")
    assert.is_true(answer.complete)
  end)

  it("is an error like any other when there is none", function()
    local answer = app:get "/nowhere"
    assert.are.equal(404, answer.status)
    assert.are.equal("not_found", answer:json().error.code)
  end)

  it("that waits for time is said to, with the line", function()
    local good, message = pcall(app.get, app, "/late")
    assert.is_false(good)
    assert.is_truthy(message:find("waits at app.lua:25", 1, true), message)
  end)

  it("comes when time has passed", function()
    local before, stream = app:now(), app:open "/late"
    app:advance "1999ms"
    assert.are.equal(0, stream:status())
    app:advance "1ms"
    assert.are.equal("late", stream:finish().body)
    assert.are.equal(2000, math.floor((app:now() - before) * 1000 + 0.5))
  end)
end)

describe("copies", function()
  it("are counted", function()
    assert.are.equal("abc", app:post("/copy", { text = "abc" }).body)
    assert.copies(1)
    assert.copies(app, 1)
    assert.is_false(pcall(assert.copies, 0))
  end)

  it("are those of this test", function()
    assert.are.equal("abc", app:post("/pass", { text = "abc" }).body)
    assert.copies(0)
    assert.no_leaks(app)
  end)
end)

describe("a stream", function()
  it("is events as they come", function()
    local stream = app:open "/events"
    assert.are.equal(1, #stream:events())
    app:advance "1s"
    assert.are.same({ name = "count", id = "2", text = '{"number":2}', data = { number = 2 } }, stream:events()[2])
    app:advance "2s"
    assert.are.equal(3, #stream:named "count")
    assert.is_true(stream:ended())
    assert.is_true(stream:complete())
  end)

  it("ends with its client", function()
    local stream = app:open "/events"
    assert.are_not.equal(0, app:ledger().request.count)
    stream:vanish()
    assert.are.equal(0, app:ledger().request.count)
    assert.is_false(stream:complete())
  end)

  it("is taken as the client likes", function()
    local stream = app:open("/large", { stepped = true })
    assert.are.equal(0, #stream:body())
    stream:take(100)
    assert.are.equal(100, #stream:body())
    assert.is_true(stream:waiting() > 0)
    stream:take()
    assert.are.equal(16 * 1024, #stream:body())
    assert.is_true(stream:complete())
  end)

  it("that is left open is the client's to leave", function()
    app:open "/events"
  end)
end)
