-- POST /audio/speech. The bytes of speech are cut in C, as they come, into buffers that the turn owns and that each play by themselves: none
-- of them becomes a Lua string. The upstream is called "tts": deadlines, connections and limits are keys of upstreams.tts, its url is tts_url.

local client = require "fitnessally.client"

local SLOWEST, FASTEST = 0.25, 4

local extra = client.members(config.extra, "plugins.tts-openai.extra")
client.need("tts", "tts_url")
local up = fitnessally.upstream("tts", {
  token_env = config.key_env,
  token_file = config.key_file,
  -- Somebody waits for the next sentence, and there is another voice to say it.
  connect_timeout = "2s",
  first_byte_timeout = "6s",
  idle_timeout = "4s",
  total_timeout = "1min", -- listeners that are slow make it wait
  window = "64KB",
  retries = 0,
})

local known, any = {}, false
for _, name in ipairs(config.voices or {}) do
  known[name] = true
  any = any or name == "any"
end

local told, rests = client.pauses()

local function request(text, voice, speed)
  local body = {
    model = config.model,
    input = text:match("^%s*(.-)%s*$"),
    voice = voice,
    instructions = config.instructions,
    response_format = config.response_format,
    speed = speed and math.max(SLOWEST, math.min(speed, FASTEST)),
  }
  for key, value in pairs(extra) do
    body[key] = value
  end
  return body
end

local function wrong(code, message)
  return nil, { code = code, message = message }
end

local function garbage()
  return wrong("garbage", "What the service sent is no speech.")
end

-- Samples have no header that would tell them from the text of an error.
local function is_text(headers)
  local kind = headers["content-type"] or ""
  return config.response_format == "pcm" and (kind:find("^text/") or kind:find("^application/json")) ~= nil
end

local reader = {}
reader.__index = reader

-- Takes what has come next: true, or nil and a problem. At the end it is over.
function reader:take()
  local bytes, problem = self.stream:next()
  if not bytes then
    self.over = true
    return not problem, problem and told(problem)
  end
  self.taken = self.taken + #bytes
  local added, message = nil, "full"
  if self.taken <= config.max_audio then
    added, message = self.cutter:add(bytes)
  end
  bytes:release()
  if not added then
    return wrong(message == "full" and "too_large" or "memory", "A piece of speech is too large: " .. message)
  end
  return true
end

function reader:close()
  self.stream:close()
  if self.cutter then
    self.cutter:close()
    self.cutter = nil
  end
end

function reader:result(audio, sound)
  if sound.last then
    self.cutter = nil
    self.stream:close()
  end
  self.some = true
  return {
    audio = audio,
    mime = sound.mime,
    duration_ms = sound.duration_ms,
    samples = sound.samples,
    sample_rate = sound.sample_rate,
    voice = self.voice,
    more = (not sound.last or self.problem) and function()
      return self:piece()
    end or nil,
  }
end

-- It breaks off: what came before is still heard, when something of it was heard already, and then the problem is told.
function reader:break_off(problem)
  self.problem = problem
  if self.some and self.cutter then
    local audio, sound = self.cutter:next(true)
    if audio then
      return self:result(audio, sound)
    end
  end
  self:close()
  return nil, problem
end

-- The next piece as synthesize gives it, or nil and a problem.
function reader:piece()
  if self.problem then
    self:close()
    return nil, self.problem
  end
  while true do
    local audio, sound = self.cutter:next(self.over)
    if audio then
      return self:result(audio, sound)
    elseif sound ~= "more" then
      return self:break_off(select(2, garbage()))
    end
    local taken, problem = self:take()
    if not taken then
      return self:break_off(problem)
    end
  end
end

-- How long a piece is: all of it for those who do not take pieces.
local function piece_ms(arguments)
  return arguments.pieces and config.piece or 0
end

return {
  ---plugin["tts-openai"].synthesize{text=, voice=, speed=, pieces=}: see lua/fitnessally/tts.lua
  synthesize = function(arguments)
    local voice = arguments.voice or config.voice
    if arguments.voice and not any and not known[arguments.voice] then
      return wrong("unknown_voice", "The service is not known to have that voice.")
    end
    local pause = rests()
    if pause then
      return nil, pause
    end
    local stream, problem = up:stream {
      path = "/audio/speech",
      json = request(arguments.text, voice, arguments.speed),
      format = "raw",
      expect = "2xx",
      idempotent = true,
    }
    if not stream then
      return nil, told(problem)
    elseif is_text(stream.headers) then
      stream:close()
      return garbage()
    elseif (tonumber(stream.headers["content-length"]) or 0) > config.max_audio then
      stream:close()
      return wrong("too_large", "The speech is longer than max_audio.")
    end
    local cutter, message = fitnessally.sound_cutter {
      piece_ms = piece_ms(arguments),
      max = config.max_audio,
      pcm_rate = config.response_format == "pcm" and config.pcm_rate or nil,
    }
    if not cutter then
      stream:close()
      return wrong("memory", message)
    end
    return setmetatable({ stream = stream, cutter = cutter, voice = voice, taken = 0, over = false }, reader):piece()
  end,
}
