-- The voice routes: ask, listen, interrupt, end. The wire is described in docs/dialogue.md.

local body = require "fitnessally.body"
local answer_turn = require "lib.flow"
local validate = require "fitnessally.validate"
local wish = require "lib.wish"

local RETRY_AFTER = "5" -- seconds
local LONGEST_PLAYED = 24 * 60 * 60 * 1000 -- ms

local refusals = {
  unknown_dialogue = { 404 },
  too_many_dialogues = { 503, { ["Retry-After"] = RETRY_AFTER } },
  over_budget = { 503, { ["Retry-After"] = RETRY_AFTER } },
}

local function fail_unknown(req)
  req:fail(404, "unknown_dialogue", "There is no such dialogue.")
end

-- The recording among the files of a multipart body. It stays a handle.
local function audio_of(files)
  for _, part in ipairs(files) do
    if part.name == "audio" and part.body:len() > 0 then
      return part
    end
  end
  return nil
end

local function is_blank(text)
  return type(text) ~= "string" or not text:find("%S")
end

-- JSON or multipart: the fields, and the files of the latter.
local function read_question(req)
  if not body.is_multipart(req) then
    return body.json(req), {}
  end
  local data, files = body.fields(req)
  if data then
    data.speed = tonumber(data.speed) or data.speed -- in a form all is text
  end
  return data, files
end

local function converse(req)
  local data, files = read_question(req)
  if not data then
    return
  end
  local audio = audio_of(files)
  if audio and is_blank(data.text) and is_blank(data.userInput) then
    return req:fail(501, "speech_not_understood", "This server does not understand speech: send the words as text.")
  end
  local question, problem = validate.read(function()
    return wish.read(data)
  end)
  if not question then
    return req:fail(400, "invalid_field", problem.message .. ".")
  end
  question.wish.audio = audio

  local asked, code, message = voice.ask(req, {
    text = question.text,
    dialogueId = question.dialogueId,
    flow = answer_turn,
    context = question.wish,
    buffers = audio and { audio.body }, -- the turn's from now on
  })
  if not asked then
    local status, headers = unpack(refusals[code] or { 500 })
    return req:fail(status, code, message or code, headers)
  end
  req:reply { json = { success = true, dialogueId = asked.dialogueId, thinkingIndicator = { type = "sound" } } }
end

local function open_stream(req)
  local id = req:query("dialogueId")
  if not id or id == "" then
    return req:fail(400, "missing_dialogue_id", "The parameter dialogueId is missing.")
  end
  local follow = req:query("follow")
  voice.listen(req, id, { follow = follow == "1" or follow == "true" })
end

local function delete_dialogue(req)
  if voice.delete(req.params.id) then
    req:reply { status = 204 }
  else
    fail_unknown(req)
  end
end

local function interrupt(req)
  local data = body.optional_json(req)
  if not data then
    return
  end
  local played, problem = validate.read(function()
    return { ms = validate.number(data, "playedMs", 0, LONGEST_PLAYED) }
  end)
  if not played then
    return req:fail(400, "invalid_field", problem.message .. ".")
  end
  local result = voice.interrupt(req.params.id, played.ms)
  if not result then
    return fail_unknown(req)
  end
  req:reply { json = { dropped = result.dropped, heard = result.heard } }
end

-- The original system served its voice under both names.
for _, base in ipairs { "/api/voice", "/api/alfred" } do
  app:group(base, function(api)
    api:post("/converse", { max_body = settings.max_upload }, converse)
    api:get("/open-stream", open_stream)
    api:delete("/dialogues/:id", delete_dialogue)
    api:post("/dialogues/:id/interrupt", interrupt)
  end)
end
