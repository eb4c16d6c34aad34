-- A dialogue from the question to the last sentence, as a client sees it.

local spec = require "fitnessally.testing"

local PLANK = "How do I do a plank?"
local app

setup(function()
  app = spec.app { app = "examples/coach" }
end)

local function converse(body, headers)
  return app:post("/api/voice/converse", type(body) == "table" and { json = body } or body, headers)
end

local function ask(question)
  local answer = converse(type(question) == "table" and question or { text = question })
  assert.are.equal(200, answer.status, answer.body)
  return answer:json().dialogueId
end

local function path(id, more)
  return "/api/voice/open-stream?dialogueId=" .. id .. (more or "")
end

local function delete(id, base)
  return app:delete((base or "/api/voice") .. "/dialogues/" .. id)
end

-- All events of the current turn but pings.
local function hear(id)
  local events = {}
  for _, event in ipairs(app:open(path(id)):finish():events()) do
    if event.name ~= "ping" then
      events[#events + 1] = event
    end
  end
  return events
end

local function said(events)
  local parts = {}
  for _, event in ipairs(spec.named(events, "textChunk")) do
    if event.data.role == "assistant" then
      parts[#parts + 1] = event.data.text
    end
  end
  return table.concat(parts)
end

local function answer_to(question)
  local id = ask(question)
  local events = hear(id)
  return events, said(events), id
end

describe("an answer", function()
  it("is announced at once, without any sound", function()
    local answer = converse { text = PLANK }
    local id = answer:json().dialogueId
    assert.are.equal(200, answer.status)
    assert.are.same({ success = true, dialogueId = id, thinkingIndicator = { type = "sound" } }, answer:json())
    assert.is_nil(answer.body:find("audio", 1, true))
    assert.are.equal(204, delete(id).status)
  end)

  it("is echo, sources, words and speech, done, complete", function()
    local events, answer = answer_to(PLANK)
    assert.are.same({ role = "user", text = PLANK }, events[1].data)
    assert.are.equal("sources", events[2].name)
    assert.are.equal("textChunk", events[3].name)
    assert.are.same({ "done", "complete" }, { events[#events - 1].name, events[#events].name })
    assert.are.same(events[#events - 1].data, events[#events].data)
    assert.are.equal("completed", events[#events].data.status)
    for i, event in ipairs(events) do
      assert.are.equal("1." .. i, event.id)
    end
    assert.is_truthy(answer:find "^Here is how to do the Plank%. ")
    assert.is_truthy(answer:find("forearms", 1, true))
  end)

  it("is spoken in numbered pieces that are the answer", function()
    local events, answer = answer_to(PLANK)
    local chunks, texts = spec.named(events, "audioChunk"), {}
    assert.is_true(#chunks >= 3)
    for i, chunk in ipairs(chunks) do
      texts[i] = chunk.data.text
      assert.are.equal(i, chunk.data.chunkIndex)
      assert.are.equal(i == #chunks, chunk.data.isFinal)
      assert.are.equal("audio/wav", chunk.data.mime)
      assert.are.equal("UklGR", chunk.data.audio:sub(1, 5)) -- "RIFF"
      assert.are.equal(tonumber(chunk.id:match "%.(%d+)$"), chunk.data.seq)
    end
    assert.are.equal(answer, table.concat(texts))
  end)

  it("is made of words alone: no sound becomes a Lua string", function()
    local sound = 0
    for _, chunk in ipairs(spec.named(answer_to(PLANK), "audioChunk")) do
      sound = sound + #chunk.data.audio * 3 / 4
    end
    local _, bytes = app:copies()
    assert.is_true(sound > 100000)
    assert.is_true(bytes < sound / 4, bytes .. " bytes of words, " .. sound .. " of sound")
  end)

  it("names its sources, and done says how the search went", function()
    local events = answer_to(PLANK)
    local source = spec.named(events, "sources")[1].data.records[1]
    assert.are.same({ "plank", "/media/plank.gif" }, { source.id, source.media })
    local done = spec.named(events, "done")[1].data
    assert.are.same({ source }, done.rag_metadata.sources)
    assert.is_table(done.processing_metrics)
  end)

  it("says plainly when nothing was found", function()
    local events, answer = answer_to "Who is the president of France?"
    assert.is_truthy(answer:find("I found nothing about president france", 1, true), answer)
    assert.are.equal("completed", events[#events].data.status)
  end)

  it("to a greeting has no sources", function()
    local events, answer = answer_to "Hello!"
    assert.are.same({}, spec.named(events, "sources"))
    assert.is_truthy(answer:find "^Hello!")
  end)

  it("comes from the same server under /api/alfred", function()
    local id = app:post("/api/alfred/converse", { json = { text = "Hello!" } }):json().dialogueId
    local events = app:open("/api/alfred/open-stream?dialogueId=" .. id):finish():events()
    assert.are.equal("complete", events[#events].name)
    assert.are.equal(204, delete(id, "/api/alfred").status)
  end)
end)

describe("a conversation", function()
  it("understands what refers to what was said before", function()
    local _, _, id = answer_to { text = PLANK, voiceConfig = { enabled = false } }
    local function go_on(text)
      assert.are.equal(id, ask { text = text, dialogueId = id, voiceConfig = { enabled = false } })
      return said(hear(id))
    end
    assert.are.equal("The Plank mainly trains the abdominals, with help from the shoulders, glutes and lower back.",
      go_on "which muscles?")
    assert.is_truthy(go_on("next step"):find "^Step 1 of 5: ")
    assert.is_truthy(go_on("next step"):find "^Step 2 of 5: ")
    assert.is_truthy(go_on("And the squat?"):find "^Here is how to do the Squat%.")
    assert.are.equal(204, delete(id).status)
  end)

  it("may bring its history along", function()
    local history = { { role = "user", content = PLANK }, { role = "assistant", content = "…" } }
    local _, answer = answer_to { text = "which muscles?", conversationHistory = history }
    assert.is_truthy(answer:find "^The Plank mainly trains", answer)
  end)

  it("is forgotten half an hour after its last turn", function()
    local _, _, id = answer_to "Hello!"
    app:advance "29min"
    assert.are.equal(200, converse({ text = "Hello!", dialogueId = id }).status)
    hear(id)
    app:advance "31min"
    assert.are.equal(404, converse({ text = "Hello!", dialogueId = id }).status)
  end)

  it("ends with DELETE, once", function()
    local _, _, id = answer_to "Hello!"
    assert.are.equal(204, delete(id).status)
    assert.are.equal(404, delete(id).status)
    assert.are.equal(404, converse({ text = PLANK, dialogueId = id }).status)
    assert.are.equal(204, app:get(path(id)).status)
    app:advance "61s"
    assert.are.equal(404, app:get(path(id)).status)
  end)
end)

describe("the voice", function()
  local function chunks_of(body)
    body.text = "Hello!"
    local events = answer_to(body)
    assert.are.equal("completed", events[#events].data.status)
    return spec.named(events, "audioChunk")
  end

  it("is silent when it is not wanted", function()
    assert.are.same({}, chunks_of { voiceConfig = { enabled = false } })
    assert.are.same({}, chunks_of { voiceConfig = '{"enabled":false}' })
    assert.are.equal(1, #chunks_of { voiceConfig = '{"enabled":true,"engine":"espeak"}' })
  end)

  it("is the one that was asked for, and the usual one when it is not here", function()
    local usual, german = chunks_of({})[1].data, chunks_of({ voice_id = "de" })[1].data
    assert.are.equal("gmw/de", german.voice)
    assert.are_not.equal(usual.samples, german.samples)
    local unknown = chunks_of({ voice_id = "../../../etc/passwd" })[1].data
    assert.are.same({ usual.voice, usual.samples }, { unknown.voice, unknown.samples })
  end)

  it("speaks as fast as it was asked to", function()
    local usual, quick = chunks_of({})[1].data, chunks_of({ speed = 2 })[1].data
    assert.is_true(quick.samples < usual.samples * 0.8)
  end)
end)

describe("a question that is refused", function()
  for _, case in ipairs {
    { "no text", "{}", "text" }, { "a blank text", { text = " \n\t" }, "text" },
    { "text null", '{"text":null}', "text" },
    { "a list", "[]", "text" }, { "text 5", { text = 5 }, "text" },
    { "a long text", { text = ("plank "):rep(1400) }, "text" }, { "text with a NUL", '{"text":"a\\u0000b"}', "text" },
    { "text that is not UTF-8", '{"text":"caf\233"}', "text" },
    { "userInput 5", { userInput = 5, text = "plank" }, "userInput" },
    { "dialogueId 7", { text = "plank", dialogueId = 7 }, "dialogueId" },
    { "voiceConfig no JSON", { text = "plank", voiceConfig = "loud" }, "voiceConfig" },
    { "enabled as text", { text = "plank", voiceConfig = { enabled = "false" } }, "voiceConfig.enabled" },
    { "speed 1000", { text = "plank", voiceConfig = { speed = 1000 } }, "voiceConfig.speed" },
    { "a history with a wrong role", { text = "plank", conversationHistory = { { role = 1 } } },
      "conversationHistory[0].role" },
  } do
    it(("for %s names the field"):format(case[1]), function()
      local answer = converse(case[2])
      assert.are.equal(400, answer.status, answer.body)
      assert.are.equal("invalid_field", answer:json().error.code)
      assert.are.equal(case[3], answer:json().error.message:match "^[%w_.%[%]]+")
    end)
  end

  it("for its JSON is 400 invalid_json", function()
    for _, body in ipairs { "", "{", "text=plank", "5", "null", '{"text":"a"} x', ("["):rep(1000) } do
      local answer = converse(body)
      assert.are.equal(400, answer.status, body:sub(1, 20))
      assert.are.equal("invalid_json", answer:json().error.code)
    end
  end)

  it("for another kind of body is 415", function()
    for _, kind in ipairs { "application/x-www-form-urlencoded", "text/plain", "audio/wav" } do
      assert.are.equal(415, converse("text=plank", { ["Content-Type"] = kind }).status, kind)
    end
  end)

  it("for an unknown dialogue is 404, and none comes into being", function()
    for _, id in ipairs { "voice-dialogue-1700000000000-abc", "x", ("x"):rep(150), "é" } do
      assert.are.equal(404, converse({ text = PLANK, dialogueId = id }).status)
    end
    assert.are.equal(404, delete("x").status)
    assert.are.equal(404, app:post("/api/voice/dialogues/x/interrupt", { json = { playedMs = 1 } }).status)
    assert.are.equal(404, app:get(path "x").status)
  end)

  it("for too many dialogues is 503 with Retry-After", function()
    local small = spec.app { app = "examples/coach", settings = { max_dialogues = 1 } }
    local function question()
      return small:post("/api/voice/converse", { json = { text = "Hello!" } })
    end
    small:open("/api/voice/open-stream?follow=1&dialogueId=" .. question():json().dialogueId)
    local refused
    for _ = 1, 30 do
      refused = question()
      if refused.status ~= 200 then
        break
      end
    end
    assert.are.equal(503, refused.status)
    assert.are.equal("too_many_dialogues", refused:json().error.code)
    assert.is_truthy(tonumber(refused.headers["retry-after"]))
  end)
end)

describe("without a voice", function()
  it("the coach answers in words", function()
    local mute = spec.app { app = "examples/coach", settings = { tts = "" } }
    local id = mute:post("/api/voice/converse", { json = { text = PLANK } }):json().dialogueId
    local events = mute:open(path(id)):finish():events()
    assert.are.same({}, spec.named(events, "audioChunk"))
    assert.is_truthy(said(events):find("forearms", 1, true))
  end)
end)
