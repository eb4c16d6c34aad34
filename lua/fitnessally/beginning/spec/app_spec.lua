-- fitnessally spec: the real core without sockets, by a clock that the spec moves. docs/testing.md
local spec = require "fitnessally.testing"

local app

setup(function()
  app = spec.app {} -- as fitnessally.conf.lua here says
end)

it("says hello", function()
  assert.are.equal("Hello, Ada!\n", app:get("/hello/Ada").body)
end)

it("wants a question", function()
  local answer = app:post("/api/ask", { json = { text = "" } })
  assert.are.equal(400, answer.status)
  assert.are.equal("invalid_field", answer:json().error.code)
end)

local function ask(text, dialogue)
  local id = app:post("/api/ask", { json = { text = text, dialogueId = dialogue } }):json().dialogueId
  local stream = app:open("/api/listen?dialogueId=" .. id)
  stream:finish()
  return stream, id
end

it("answers in words and in speech, and remembers", function()
  local stream, id = ask "one two three"
  local words, sound = stream:named "textChunk", stream:named "audioChunk"
  assert.are.equal("You said: one two three", words[2].data.text)
  assert.are.equal("completed", stream:named("done")[1].data.status)
  for _, event in ipairs(sound) do
    assert.is_string(event.data.audio) -- a WAV in base64
  end
  stream = ask("four", id)
  assert.are.equal("And now you said: four", stream:named("textChunk")[2].data.text)
end)
