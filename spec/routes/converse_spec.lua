-- A dialogue from the question to the last sentence, as a client sees it.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"
local voice = require "spec.support.voice"

local PLANK = "How do I do a plank?"
local app

setup(function()
  app = server.start()
end)
teardown(function()
  app:stop()
end)

local function converse(body, headers)
  return http.post(app, "/api/voice/converse", body, headers)
end

local function delete(id, base)
  return http.request(app, "DELETE", (base or "/api/voice") .. "/dialogues/" .. id)
end

describe("an answer", function()
  it("is announced at once, without any sound", function()
    local answer = converse { text = PLANK }
    assert.are.equal(200, answer.status)
    local id = answer.json.dialogueId
    assert.are.same({ success = true, dialogueId = id, thinkingIndicator = { type = "sound" } }, answer.json)
    assert.is_string(id)
    assert.is_nil(answer.body:find("audio", 1, true))
    assert.are.equal(204, delete(id).status)
  end)

  it("is echo, sources, words and speech, done, complete", function()
    local events, answer = voice.answer(app, PLANK)
    assert.are.same({ role = "user", text = PLANK }, events[1].data)
    assert.are.equal("sources", events[2].name)
    assert.are.equal("textChunk", events[3].name)
    assert.are.same({ "done", "complete" }, { events[#events - 1].name, events[#events].name })
    assert.are.same(events[#events - 1].data, events[#events].data)
    assert.are.equal("completed", events[#events].data.status)
    for i, event in ipairs(events) do
      assert.are.equal("1." .. i, event.id)
    end
    assert.is_truthy(answer:find("^Here is how to do the Plank%. "))
    assert.is_truthy(answer:find("forearms", 1, true))
  end)

  it("is spoken in numbered pieces that are the answer", function()
    local events, answer = voice.answer(app, PLANK)
    local chunks, texts = voice.named(events, "audioChunk"), {}
    assert.is_true(#chunks >= 3)
    for i, chunk in ipairs(chunks) do
      local data = chunk.data
      texts[i] = data.text
      assert.are.equal(i, data.chunkIndex)
      assert.are.equal(i == #chunks, data.isFinal)
      assert.are.equal("audio/wav", data.mime)
      assert.are.equal(tonumber(chunk.id:match("%.(%d+)$")), data.seq)
      local samples = voice.wav_samples(voice.base64(data.audio))
      assert.are.equal(samples, data.samples)
      assert.is_true(math.abs(data.durationMs - samples * 1000 / data.sampleRate) <= 1)
    end
    assert.are.equal(answer, table.concat(texts))
    assert.is_true(#texts[1] <= 80)
  end)

  it("names its sources, and done says how the search went", function()
    local events = voice.answer(app, PLANK)
    local source = voice.named(events, "sources")[1].data.records[1]
    assert.are.same({ id = "plank", name = "Plank", media = "/media/plank.gif", level = "beginner",
      equipment = "body only",
      primaryMuscles = { "abdominals" } }, source)
    local done = voice.named(events, "done")[1].data
    assert.are.same({ source }, done.rag_metadata.sources)
    assert.is_true(done.rag_metadata.context_used)
    assert.is_number(done.search_ms)
    assert.is_table(done.processing_metrics)
  end)

  it("says plainly when nothing was found", function()
    local events, answer = voice.answer(app, "Who is the president of France?")
    assert.is_truthy(answer:find("I found nothing about president france", 1, true), answer)
    assert.is_truthy(voice.named(events, "sources")[1].text:find('{"records":[]}', 1, true))
    assert.are.equal("completed", events[#events].data.status)
  end)

  it("to a greeting has no sources", function()
    local events, answer = voice.answer(app, "Hello!")
    assert.are.same({}, voice.named(events, "sources"))
    assert.is_truthy(answer:find("^Hello!"))
  end)

  it("comes from the same server under /api/alfred", function()
    local id = http.post(app, "/api/alfred/converse", { text = PLANK }).json.dialogueId
    local stream = http.stream(app, "/api/alfred/open-stream?dialogueId=" .. id)
    assert.are.equal(200, stream.status)
    local last
    for event in stream.next, stream do
      last = event.name
    end
    stream:close()
    assert.are.equal("complete", last)
    assert.are.equal(204, delete(id, "/api/alfred").status)
  end)
end)

describe("a conversation", function()
  it("understands what refers to what was said before", function()
    local _, _, id = voice.answer(app, PLANK)
    local function go_on(text)
      assert.are.equal(id, voice.ask(app, { text = text, dialogueId = id }))
      return voice.said(voice.hear(app, id), "assistant")
    end
    assert.are.equal("The Plank mainly trains the abdominals, with help from the shoulders, glutes and lower back.",
      go_on "which muscles?")
    assert.is_truthy(go_on("next step"):find("^Step 1 of 5: "))
    assert.is_truthy(go_on("next step"):find("^Step 2 of 5: "))
    assert.is_truthy(go_on("And the squat?"):find("^Here is how to do the Squat%."))
    assert.is_truthy(go_on("what equipment do I need?"):find("You need no equipment for the Squat", 1, true))
    assert.are.equal(204, delete(id).status)
  end)

  it("may bring its history along", function()
    for _, history in ipairs {
      { { role = "user", content = PLANK }, { role = "assistant", content = "…" },
        { role = "user", content = "which muscles?" } },
      '[{"role":"user","text":"How do I do a plank?"}]', { role = "user", content = PLANK },
    } do
      local _, answer = voice.answer(app, { text = "which muscles?", conversationHistory = history })
      assert.is_truthy(answer:find("^The Plank mainly trains"), answer)
    end
  end)

  it("ends with DELETE, once", function()
    local _, _, id = voice.answer(app, PLANK)
    assert.are.equal(204, delete(id).status)
    assert.are.equal(404, delete(id).status)
    assert.are.equal(404, converse({ text = PLANK, dialogueId = id }).status)
    assert.are.equal(204, http.get(app, voice.path(id)).status)
  end)

  it("can be interrupted", function()
    local id = voice.ask(app, PLANK)
    local answer = http.post(app, "/api/voice/dialogues/" .. id .. "/interrupt", { playedMs = 250 })
    assert.are.equal(200, answer.status, answer.body)
    assert.is_number(answer.json.dropped.events)
    assert.is_number(answer.json.dropped.bytes)
    assert.is_number(answer.json.heard.ms)
    assert.is_string(answer.json.heard.text)
    assert.are.equal(200, http.request(app, "POST", "/api/voice/dialogues/" .. id .. "/interrupt").status)
    delete(id)
  end)
end)

describe("the voice", function()
  local function chunks_of(body)
    body.text = "Hello!"
    local events = voice.answer(app, body)
    assert.are.equal("completed", events[#events].data.status)
    return voice.named(events, "audioChunk")
  end

  it("is silent when it is not wanted", function()
    assert.are.same({}, chunks_of { voiceConfig = { enabled = false } })
    assert.are.same({}, chunks_of { voiceConfig = '{"enabled":false}' })
    assert.are.equal(1, #chunks_of { voiceConfig = '{"enabled":true,"engine":"espeak"}' })
  end)

  it("is the one that was asked for, wherever that was said", function()
    local usual = chunks_of({})[1].data
    for _, body in ipairs {
      { voice_id = "de" }, { voiceConfig = { voice_id = "de" } }, { voiceConfig = { voiceId = "de" } },
      { voiceConfig = { engine = "edge", edge = { selectedVoice = "de" } } },
      { voiceConfig = { engine = "edge_tts", edge = { selectedVoice = "de" }, voice_id = "fr" }, voice_id = "it" },
      { voiceConfig = '{"engine":"elevenlabs","elevenlabs":{"selectedVoice":"de"}}' },
    } do
      local data = chunks_of(body)[1].data
      assert.are.equal("gmw/de", data.voice)
      assert.are_not.equal(usual.samples, data.samples)
    end
  end)

  it("is the usual one when the other is not here", function()
    local usual = chunks_of({})[1].data
    for _, name in ipairs { "en-GB-RyanNeural", "female_1", "onwK4e9ZLuTAKqWW03F9", "../../../etc/passwd",
      "/etc/passwd", "" } do
      local data = chunks_of({ voice_id = name })[1].data
      assert.are.same({ usual.voice, usual.samples }, { data.voice, data.samples }, name)
    end
  end)

  it("speaks as fast as it was asked to", function()
    local usual, quick = chunks_of({})[1].data, chunks_of({ speed = 2 })[1].data
    local slow = chunks_of({ voiceConfig = { speed = 0.5 } })[1].data
    assert.is_true(quick.samples < usual.samples * 0.8 and slow.samples > usual.samples * 1.2)
  end)
end)

describe("a question that is refused", function()
  local long = ("plank "):rep(1400)
  for _, case in ipairs {
    { "no text", {}, "text" }, { "a blank text", { text = " \n\t" }, "text" }, { "text null", '{"text":null}', "text" },
    { "a list", "[]", "text" }, { "a list with a text", '["text"]', "text" },
    { "text 5", { text = 5 }, "text" }, { "text true", { text = true }, "text" },
    { "text an object", { text = { a = 1 } }, "text" },
    { "a long text", { text = long }, "text" }, { "text with a NUL", '{"text":"a\\u0000b"}', "text" },
    { "text that is not UTF-8", '{"text":"caf\233"}', "text" },
    { "userInput 5", { userInput = 5, text = "plank" }, "userInput" },
    { "dialogueId 7", { text = "plank", dialogueId = 7 }, "dialogueId" },
    { "dialogueId an object", { text = "plank", dialogueId = { a = 1 } }, "dialogueId" },
    { "voiceConfig 5", { text = "plank", voiceConfig = 5 }, "voiceConfig" },
    { "voiceConfig no JSON", { text = "plank", voiceConfig = "loud" }, "voiceConfig" },
    { "voiceConfig a JSON number", { text = "plank", voiceConfig = "5" }, "voiceConfig" },
    { "enabled as text", { text = "plank", voiceConfig = { enabled = "false" } }, "voiceConfig.enabled" },
    { "engine 5", { text = "plank", voiceConfig = { engine = 5 } }, "voiceConfig.engine" },
    { "an engine part that is none", { text = "plank", voiceConfig = { engine = "edge", edge = 5 } },
      "voiceConfig.edge" },
    { "speed as text", { text = "plank", speed = "1" }, "speed" },
    { "speed 0", { text = "plank", speed = 0 }, "speed" },
    { "speed 1000", { text = "plank", voiceConfig = { speed = 1000 } }, "voiceConfig.speed" },
    { "voice_id 5", { text = "plank", voice_id = 5 }, "voice_id" },
    { "model 5", { text = "plank", model = 5 }, "model" },
    { "processing_mode 5", { text = "plank", processing_mode = 5 }, "processing_mode" },
    { "conversationHistory 5", { text = "plank", conversationHistory = 5 }, "conversationHistory" },
    { "conversationHistory of texts", { text = "plank", conversationHistory = { "a" } }, "conversationHistory[0]" },
    { "a history with a wrong role", { text = "plank", conversationHistory = { { role = 1 } } },
      "conversationHistory[0].role" },
  } do
    it(("for %s names the field"):format(case[1]), function()
      local options = type(case[2]) == "table" and { json = case[2] } or { body = case[2] }
      if type(case[2]) == "table" and next(case[2]) == nil then
        options = { body = "{}" }
      end
      local answer = http.request(app, "POST", "/api/voice/converse", options)
      assert.are.equal(400, answer.status, answer.body)
      assert.are.equal("invalid_field", answer.json.error.code)
      assert.are.equal(case[3], answer.json.error.message:match("^[%w_.%[%]]+"))
    end)
  end

  it("for its JSON is 400 invalid_json", function()
    for _, body in ipairs { "", "{", "text=plank", "plank", "5", "null", '"plank"', '{"text":"a"} x', ("["):rep(1000),
      '{"text":"a"}\0' } do
      local answer = http.request(app, "POST", "/api/voice/converse", { body = body })
      assert.are.equal(400, answer.status, body:sub(1, 20))
      assert.are.equal("invalid_json", answer.json.error.code)
      assert.is_nil(answer.body:find("%.lua:%d"))
    end
  end)

  it("for another kind of body is 415, but JSON is taken whatever it is called", function()
    for _, content_type in ipairs { "application/x-www-form-urlencoded", "multipart/mixed; boundary=x", "text/plain",
      "audio/wav" } do
      local headers = { ["Content-Type"] = content_type }
      local answer = http.request(app, "POST", "/api/voice/converse", { body = "text=plank", headers = headers })
      assert.are.equal(415, answer.status, content_type)
      assert.are.equal("unsupported_media_type", answer.json.error.code)
    end
    local headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }
    local answer = http.request(app, "POST", "/api/voice/converse", { body = '{"text":"Hello!"}', headers = headers })
    assert.are.equal(200, answer.status)
    delete(answer.json.dialogueId)
  end)

  it("for an unknown dialogue is 404, and none comes into being", function()
    for _, id in ipairs { "voice-dialogue-1700000000000-abc", "x", ("x"):rep(150), "é" } do
      local answer = converse { text = PLANK, dialogueId = id }
      assert.are.equal(404, answer.status, answer.body)
      assert.are.equal("unknown_dialogue", answer.json.error.code)
    end
    assert.are.equal(404, delete("x").status)
    assert.are.equal(404, http.post(app, "/api/voice/dialogues/x/interrupt", { playedMs = 1 }).status)
    assert.are.equal(404, http.get(app, voice.path "x").status)
  end)

  it("for too many dialogues is 503 with Retry-After", function()
    local small = server.start { max_dialogues = "1" }
    local held = http.stream(small, voice.path(voice.ask(small, { text = PLANK }), "&follow=1"))
    local refused = server.wait(5, function()
      for i = 1, 30 do
        local answer = http.post(small, "/api/voice/converse", { text = ("Tell me about the squat (%d)"):format(i) })
        if answer.status == 503 then
          return answer
        end
      end
    end)
    assert.is_truthy(refused, "thirty turns at once were all taken")
    assert.are.equal("too_many_dialogues", refused.json.error.code)
    assert.is_truthy(tonumber(refused.headers["retry-after"]))
    held:close()
    small:stop()
  end)
end)

describe("listening", function()
  it("without an id is 400", function()
    for _, query in ipairs { "", "?", "?dialogueId=", "?dialogueid=x", "?follow=1" } do
      local answer = http.get(app, "/api/voice/open-stream" .. query)
      assert.are.equal(400, answer.status)
      assert.are.equal("missing_dialogue_id", answer.json.error.code)
    end
  end)

  it("again after the end is 204", function()
    local _, _, id = voice.answer(app, PLANK)
    local last = http.get(app, voice.path(id), { ["Last-Event-ID"] = "1.9999" })
    assert.is_true(last.status == 200 or last.status == 204)
    delete(id)
    assert.are.equal(204, http.get(app, voice.path(id)).status)
  end)

  it("with follow=1 goes on to the next turn", function()
    local id = voice.ask(app, PLANK)
    local stream = http.stream(app, voice.path(id, "&follow=1"))
    local function to_the_end()
      local event
      repeat
        event = stream:next()
      until event.name == "complete"
      return event
    end
    assert.are.equal("1", to_the_end().id:match("^%d+"))
    voice.ask(app, { text = "which muscles?", dialogueId = id })
    assert.are.equal("2", to_the_end().id:match("^%d+"))
    stream:close()
    delete(id)
  end)
end)

describe("interrupting", function()
  it("wants playedMs to be a number", function()
    local id = voice.ask(app, PLANK)
    for _, played in ipairs { "long", true, { 1 } } do
      local answer = http.post(app, "/api/voice/dialogues/" .. id .. "/interrupt", { playedMs = played })
      assert.are.equal(400, answer.status)
      assert.is_truthy(answer.json.error.message:find("^playedMs"))
    end
    assert.are.equal(400, http.post(app, "/api/voice/dialogues/" .. id .. "/interrupt", { playedMs = -1 }).status)
    local broken = http.request(app, "POST", "/api/voice/dialogues/" .. id .. "/interrupt", { body = "{" })
    assert.are.equal("invalid_json", broken.json.error.code)
    delete(id)
  end)
end)

describe("without a voice", function()
  it("the coach answers in words", function()
    local mute = server.start { tts = "" }
    local events = voice.answer(mute, PLANK)
    assert.are.same({}, voice.named(events, "audioChunk"))
    assert.is_truthy(voice.said(events, "assistant"):find("forearms", 1, true))
    mute:stop()
  end)
end)
