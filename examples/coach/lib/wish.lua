-- What a client asks for with a question: the text, and how it wants to hear the answer. All the shapes that the
-- clients of the original system send are understood (docs/dialogue.md).

local validate = require "fitnessally.validate"

local wish = {}

local LONGEST_TEXT, LONGEST_NAME = 8000, 200
local SLOWEST, FASTEST = 0.1, 10
-- Of a history that a client sends, the newest entries are used.
local MOST_HISTORY, LONGEST_HISTORY = 12, 2000

-- The part of voiceConfig named by its engine; "edge_tts" has the part "edge".
local function engine_part(config, engine)
  local name = engine and (config[engine] ~= nil and engine or engine:match("^(.-)_tts$"))
  return name and name ~= "" and validate.object(config, name, "voiceConfig." .. name) or {}
end

local function voice_name(object, path)
  local found
  for _, field in ipairs { "voice_id", "voiceId", "selectedVoice" } do
    found = validate.text(object, field, LONGEST_NAME, path .. field) or found
  end
  return found ~= "" and found or nil
end

local function voice_wish(body)
  local config = validate.object(body, "voiceConfig") or {}
  local engine = validate.text(config, "engine", LONGEST_NAME, "voiceConfig.engine")
  local part = engine_part(config, engine)
  local part_path = ("voiceConfig.%s."):format(engine or "")
  local enabled = validate.flag(config, "enabled", "voiceConfig.enabled")
  -- The closer to the engine the stronger; what is overruled is looked at all the same.
  local wanted = { speak = enabled ~= false }
  for _, place in ipairs { { body, "" }, { config, "voiceConfig." }, { part, part_path } } do
    local object, path = place[1], place[2]
    wanted.voice = voice_name(object, path) or wanted.voice
    wanted.speed = validate.number(object, "speed", SLOWEST, FASTEST, path .. "speed") or wanted.speed
  end
  return wanted
end

-- A list of {role, content | text}, one such entry, or either as JSON text. Clients append the question itself: it is
-- left out.
local function history_wish(body, text)
  local given = validate.object(body, "conversationHistory")
  if not given then
    return nil
  end
  if #given == 0 and next(given) ~= nil then
    given = { given }
  end
  local entries = {}
  for i = math.max(1, #given - MOST_HISTORY + 1), #given do
    local path = ("conversationHistory[%d]"):format(i - 1)
    if type(given[i]) ~= "table" then
      validate.fail(path, "must be an object with role and content")
    end
    local role = validate.text(given[i], "role", LONGEST_NAME, path .. ".role")
    local content = validate.text(given[i], "content", nil, path .. ".content")
      or validate.text(given[i], "text", nil, path .. ".text")
    if content and #content <= LONGEST_HISTORY then
      entries[#entries + 1] = { role = role == "assistant" and "assistant" or "user", content = content }
    end
  end
  local last = entries[#entries]
  if last and last.role == "user" and last.content == text then
    entries[#entries] = nil
  end
  return entries
end

---Reads the body of POST converse. Inside validate.read.
---@param body table
---@return {text: string, dialogueId: string?, wish: coach.wish}
function wish.read(body)
  local input = validate.text(body, "userInput", LONGEST_TEXT)
  local plain = validate.text(body, "text", LONGEST_TEXT)
  local text = input and input:find("%S") and input or plain
  if not text or not text:find("%S") then
    validate.fail("text", "is missing")
  elseif text:find("%z") then
    validate.fail(text == input and "userInput" or "text", "must not hold a NUL")
  end
  for _, field in ipairs { "processing_mode", "model", "engine" } do
    validate.text(body, field, LONGEST_NAME) -- accepted, and of no effect so far
  end
  local wanted = voice_wish(body)
  wanted.history = history_wish(body, text)
  local dialogue = validate.text(body, "dialogueId", LONGEST_NAME)
  return { text = text, dialogueId = dialogue ~= "" and dialogue or nil, wish = wanted }
end

return wish
