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

  it("takes less than 200 microseconds", function()
    local count, limit = 500, 200e-6 * tonumber(os.getenv "FA_SLOW" or "1")
    app:get "/hello"
    local start = os.clock() -- processor time: whoever else is busy here does not count
    for _ = 1, count do
      app:get "/hello"
    end
    assert.is_true((os.clock() - start) / count < limit)
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

describe("a body", function()
  it("may be a form with files", function()
    local parts = app:post("/parts", { multipart = {
      { name = "title", text = "a \"b\"\r\n--c" },
      { name = "file", body = "\0\1\r\n", filename = 'a "b".wav', type = "audio/wav" },
    } }):json()
    assert.are.same({ { name = "title", bytes = "a \"b\"\r\n--c" },
      { name = "file", bytes = "\0\1\r\n", filename = 'a "b".wav', type = "audio/wav" } }, parts)
  end)

  it("that is none is told at its line", function()
    local good, problem = pcall(app.post, app, "/parts", { multipart = { { name = "file" } } })
    assert.is_false(good)
    assert.is_truthy(tostring(problem):find("multipart[1] must have a name, and text or body", 1, true))
  end)
end)

describe("copies", function()
  it("are counted", function()
    assert.are.equal("abc", app:post("/copy", { text = "abc" }).body)
    assert.copies(2) -- out of the body, and into the answer
    assert.copies(app, 2)
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

describe("an upstream", function()
  local llm

  before_each(function()
    llm = app:upstream "llm"
  end)

  it("answers as the spec says, and tells what it was asked", function()
    llm:reply { status = 201, json = { because = "so" } }
    local answer = app:get "/ask"
    assert.are.equal(201, answer.status)
    assert.are.same({ because = "so" }, answer:json())
    local request = llm.requests[1]
    assert.are.equal("POST", request.method)
    assert.are.equal("/v1/chat?a=1", request.path)
    assert.are.equal("Bearer secret", request.headers.authorization)
    assert.are.same({ question = "why" }, spec.json(request.body))
    assert.copies(1) -- the question; the answer passes as it is
  end)

  it("takes its time, by the app's clock", function()
    llm:reply { after = "3s", text = "at last" }
    local stream = app:open "/ask"
    app:advance "2999ms"
    assert.are.equal(0, stream:status())
    app:advance "1ms"
    assert.are.equal("at last", stream:finish().body)
  end)

  it("fails in all the ways there are", function()
    for how, kind in pairs { refused = "refused", dns = "dns", tls = "tls", timeout = "timeout" } do
      llm:fail(how)
      local answer = app:get "/ask"
      assert.are.equal(502, answer.status)
      assert.are.equal(kind, answer:json().error.code)
    end
    llm:fail "silent"
    local stream = app:open "/ask"
    app:advance "5s"
    assert.are.equal("timeout", stream:finish():json().error.code)
  end)

  it("speaks in pieces, each at its time", function()
    llm:stream {
      { data = "data: one\n" }, { after = "10ms", data = "\ndata: two\n\n" }, { after = "10ms", json = { n = 3 } },
    }
    local stream = app:open "/tokens"
    assert.are.equal(0, #stream:named "token")
    app:advance "10ms"
    assert.are.same({ "one", "two" }, { stream:events()[1].text, stream:events()[2].text })
    app:advance "10ms"
    assert.are.same({ n = 3 }, stream:events()[3].data)
    assert.are.same({ problem = "none" }, stream:events()[4].data)
  end)

  it("is cut in the midst of a word", function()
    llm:stream { { data = "data: one\n\nda" }, { after = "10ms", cut = true } }
    local stream = app:open "/tokens"
    app:advance "10ms"
    assert.are.same({ problem = "cut" }, stream:named("over")[1].data)
  end)

  it("is left when the client vanishes", function()
    llm:stream { { data = "data: one\n\n" }, { after = "1s", data = "data: two\n\n" } }
    local stream = app:open "/tokens"
    assert.are.equal(1, app:ledger().transfer.count)
    stream:vanish()
    assert.are.equal(0, app:ledger().transfer.count)
  end)

  it("is slowed down by a slow client", function()
    llm:reply { body = ("x"):rep(2000000), type = "application/octet-stream" }
    local stream = app:open("/pass-on", { stepped = true })
    app:settle()
    assert.is_true(app:ledger().transfer.bytes + app:ledger().request.bytes < 1000000)
    stream:take()
    assert.are.equal(2000000, #stream:finish().body)
  end)

  it("may be a function", function()
    llm:answers(function(request)
      return { text = request.path .. "!" }
    end)
    assert.are.equal("/v1/chat?a=1!", app:get("/ask").body)
    llm:answers(nil)
  end)

  it("that nothing was said of fails the test", function()
    local good, message = pcall(app.get, app, "/ask")
    assert.is_false(good)
    assert.is_truthy(message:find "upstream llm is asked POST /v1/chat%?a=1, and the spec does not say what it answers")
  end)

  it("that is asked again after a failure says so, and wants the time that it waits", function()
    local stubborn = app:upstream "stubborn"
    stubborn:fail "refused"
    local _, message = pcall(app.get, app, "/stubborn")
    assert.is_truthy(message:find("upstream stubborn has failed (refused) and may be asked again after a wait", 1, true),
      message)
    stubborn:reply { status = 503 }
    app:open "/stubborn"
    _, message = pcall(app.advance, app, "10s")
    assert.is_truthy(tostring(message):find("and the spec does not say what it answers (perhaps again, for it has failed " ..
      "before: 503;", 1, true), message)
    stubborn:fail("refused", 2)
    local stream = app:open "/stubborn"
    app:advance "10s"
    assert.are.equal("refused", stream:finish().body)
  end)

  it("may lead elsewhere", function()
    local fetch = app:upstream "fetch"
    fetch:reply { status = 302, headers = { Location = "/other" } }
    fetch:reply { text = "there" }
    assert.are.equal("there", app:get("/fetched").body)
    assert.are.equal("https://example.com/other", fetch.requests[2].url)
  end)

  it("may be any address", function()
    app:upstream("fetch"):reply { text = "a page" }
    assert.are.equal("a page", app:get("/fetched").body)
    assert.are.equal("https://example.com/page?x=1", app:upstream("fetch").requests[1].url)
  end)
end)
