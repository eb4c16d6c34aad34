-- A dialogue from the question to the last sentence, and how long what is left of it lives.

local spec = require "fitnessally.testing"

local PLANK = "How do I do a plank?"
local app

setup(function()
  app = spec.app { app = "examples/coach" }
end)

local function ask(question)
  local answer = app:post("/api/voice/converse", { json = { text = question } })
  assert.are.equal(200, answer.status)
  return answer:json().dialogueId
end

describe("an answer", function()
  it("is announced at once, without any sound", function()
    local answer = app:post("/api/voice/converse", { json = { text = PLANK } })
    local id = answer:json().dialogueId
    assert.are.same({ success = true, dialogueId = id, thinkingIndicator = { type = "sound" } }, answer:json())
    assert.is_nil(answer.body:find("audio", 1, true))
  end)

  it("is echo, sources, words and speech, done, complete", function()
    local events = app:open("/api/voice/open-stream?dialogueId=" .. ask(PLANK)):finish():events()
    assert.are.equal("ping", events[1].name)
    assert.are.same({ role = "user", text = PLANK }, events[2].data)
    assert.are.equal("sources", events[3].name)
    assert.are.same({ "done", "complete" }, { events[#events - 1].name, events[#events].name })
    assert.are.equal("completed", events[#events].data.status)
  end)
end)
