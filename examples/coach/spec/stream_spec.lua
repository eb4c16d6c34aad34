-- Listening: pings, resuming, following, how long what is left lives, and what an interruption leaves.

local spec = require "fitnessally.testing"

local app

setup(function()
  app = spec.app { app = "examples/coach" }
end)

local function ask(text, id)
  local answer = app:post("/api/voice/converse", { json = { text = text or "Hello!", dialogueId = id } })
  assert.are.equal(200, answer.status, answer.body)
  return answer:json().dialogueId
end

local function path(id, more)
  return "/api/voice/open-stream?dialogueId=" .. id .. (more or "")
end

local function interrupt(id, body)
  return app:post("/api/voice/dialogues/" .. id .. "/interrupt", body)
end

local function names(events)
  local list = {}
  for i, event in ipairs(events) do
    list[i] = event.name
  end
  return table.concat(list, " ")
end

describe("a stream", function()
  it("without an id is 400", function()
    for _, query in ipairs { "", "?", "?dialogueId=", "?dialogueid=x", "?follow=1" } do
      local answer = app:get("/api/voice/open-stream" .. query)
      assert.are.equal(400, answer.status)
      assert.are.equal("missing_dialogue_id", answer:json().error.code)
    end
  end)

  it("begins with a ping, and is no cache's", function()
    local stream = app:open(path(ask()))
    assert.are.equal(200, stream:status())
    assert.are.equal("text/event-stream", stream:headers()["content-type"]:match "^[^;]+")
    assert.are.equal("ping", stream:events()[1].name)
    assert.is_truthy(stream:body():find("retry: 500", 1, true))
  end)

  it("opened late, within the grace, gets everything from the start", function()
    local id = ask()
    app:advance "9s"
    local events = app:get(path(id)):events()
    assert.are.equal("1.1", events[2].id)
    assert.are.equal("complete", events[#events].name)
  end)

  it("that nobody opens in time is of a dialogue that is over", function()
    local id = ask()
    app:advance "11s"
    assert.are.equal(204, app:get(path(id)).status)
    assert.no_leaks(app)
  end)

  it("goes on after the last event that its client had", function()
    local id = ask "How do I do a plank?"
    local stream = app:open(path(id), { stepped = true })
    stream:take(1000)
    local had = stream:events()
    stream:vanish()
    local rest = app:get(path(id), { ["Last-Event-ID"] = had[#had].id }):events()
    assert.are.equal(("1.%d"):format(#had), rest[2].id) -- the ping before them has none
    assert.are.equal("complete", rest[#rest].name)
  end)

  it("is over when the linger is", function()
    local id = ask()
    app:get(path(id))
    app:advance "9s"
    assert.are.equal(204, app:get(path(id)).status)
  end)

  it("survives its client for the grace, and not longer", function()
    local id = ask "How do I do a plank?"
    local stream = app:open(path(id), { stepped = true })
    stream:take(200)
    stream:vanish()
    app:advance "7s"
    local again = app:get(path(id), { ["Last-Event-ID"] = "1.1" })
    assert.are.equal("complete", again:events()[#again:events()].name)

    id = ask "How do I do a plank?"
    stream = app:open(path(id), { stepped = true })
    stream:take(200)
    stream:vanish()
    app:advance "9s"
    assert.are.equal(204, app:get(path(id), { ["Last-Event-ID"] = "1.1" }).status)
    assert.no_leaks(app)
  end)

  it("is one of eight at most", function()
    local id = ask()
    for _ = 1, 8 do
      assert.are.equal(200, app:open(path(id, "&follow=1")):status())
    end
    assert.are.equal(429, app:get(path(id, "&follow=1")).status)
    app:delete("/api/voice/dialogues/" .. id)
  end)
end)

describe("following", function()
  it("goes on to the next turn, with pings between", function()
    local id = ask()
    local stream = app:open(path(id, "&follow=1"))
    assert.are.equal(1, #stream:named "complete")
    local pings = #stream:named "ping"
    app:advance "1min"
    assert.is_true(#stream:named "ping" >= pings + 2)
    ask("which muscles?", id)
    local complete = stream:named "complete"
    assert.are.equal("2", complete[2].id:match "^%d+")
    assert.is_false(stream:ended())
    assert.are.equal(204, app:delete("/api/voice/dialogues/" .. id).status)
    app:settle()
    assert.is_true(stream:ended())
  end)
end)

describe("interrupting", function()
  it("ends the turn at once, says what was dropped, and the dialogue lives on", function()
    local id = ask "How do I do a plank?"
    local stream = app:open(path(id), { stepped = true })
    local answer = interrupt(id, { json = { playedMs = 250 } })
    assert.are.equal(200, answer.status, answer.body)
    local reply = answer:json()
    assert.are.same({ "number", "number", "number", "string" },
      { type(reply.dropped.events), type(reply.dropped.bytes), type(reply.heard.ms), type(reply.heard.text) })
    stream:take()
    assert.is_truthy(names(stream:events()):find "done complete$")
    assert.are.equal(id, ask("which muscles?", id))
    assert.are.equal(200, interrupt(id).status)
  end)

  it("is what a new question does to a turn that runs", function()
    local id = ask "How do I do a plank?"
    local stream = app:open(path(id, "&follow=1"), { stepped = true })
    ask("which muscles?", id)
    stream:take()
    local done = stream:named "done"
    assert.are.equal("completed", done[#done].data.status)
    assert.are.equal("2", done[#done].id:match "^%d+")
  end)

  it("wants playedMs to be a number", function()
    local id = ask()
    for _, played in ipairs { "long", true, { 1 }, -1 } do
      local answer = interrupt(id, { json = { playedMs = played } })
      assert.are.equal(400, answer.status)
      assert.is_truthy(answer:json().error.message:find "^playedMs")
    end
    assert.are.equal("invalid_json", interrupt(id, "{"):json().error.code)
  end)
end)
