-- Asking and hearing, for specs.

local http = require "spec.support.http"

local voice = {}

---POST converse; the answer must be 200.
---@param question string|table
---@return string dialogueId
function voice.ask(server, question, headers)
  local body = type(question) == "table" and question or { text = question }
  local answer = http.post(server, "/api/voice/converse", body, headers)
  assert(answer.status == 200, answer.body)
  return answer.json.dialogueId
end

function voice.path(id, more)
  return "/api/voice/open-stream?dialogueId=" .. id .. (more or "")
end

---All events of the current turn but pings.
function voice.hear(server, id, headers)
  local stream = http.stream(server, voice.path(id), headers)
  assert(stream.status == 200, "open-stream: " .. stream.status)
  local events = {}
  for _, event in ipairs(stream:all()) do
    if event.name ~= "ping" and event.data then
      events[#events + 1] = event
    end
  end
  return events
end

function voice.named(events, name)
  local found = {}
  for _, event in ipairs(events) do
    if event.name == name then
      found[#found + 1] = event
    end
  end
  return found
end

---What one role said, in one piece.
function voice.said(events, role)
  local parts = {}
  for _, event in ipairs(voice.named(events, "textChunk")) do
    if event.data.role == role then
      parts[#parts + 1] = event.data.text
    end
  end
  return table.concat(parts)
end

---Asks and hears.
---@return table[] events
---@return string answer
---@return string dialogueId
function voice.answer(server, question)
  local id = voice.ask(server, question)
  local events = voice.hear(server, id)
  return events, voice.said(events, "assistant"), id
end

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

---Bytes of a base64 text.
function voice.base64(text)
  local digits = {}
  for i = 1, #alphabet do
    digits[alphabet:byte(i)] = i - 1
  end
  local parts = {}
  for quad in text:gmatch("....") do
    local a, b, c, d = quad:byte(1, 4)
    local bits = digits[a] * 262144 + digits[b] * 4096 + (digits[c] or 0) * 64 + (digits[d] or 0)
    local bytes = string.char(math.floor(bits / 65536), math.floor(bits / 256) % 256, bits % 256)
    parts[#parts + 1] = bytes:sub(1, digits[d] and 3 or digits[c] and 2 or 1)
  end
  return table.concat(parts)
end

---How many samples a 16-bit mono WAV holds; an error when it is none, or its sizes are wrong.
function voice.wav_samples(wav)
  local function number(at)
    local a, b, c, d = wav:byte(at, at + 3)
    return a + b * 256 + c * 65536 + d * 16777216
  end
  assert(wav:sub(1, 4) == "RIFF" and wav:sub(9, 16) == "WAVEfmt " and wav:sub(37, 40) == "data", "no WAV")
  assert(number(5) == #wav - 8, "RIFF size")
  assert(number(41) == #wav - 44, "data size")
  return (#wav - 44) / 2
end

return voice
