-- POST /audio/speech. The bytes of speech are gathered in C, in one buffer that the turn owns, and go to the listeners as they came:
-- none of them becomes a Lua string. The upstream is called "tts": deadlines, connections and limits are keys of upstreams.tts, its url is tts_url.

local LONGEST_REST = 60 -- seconds that a Retry-After is honoured for
local SLOWEST, FASTEST = 0.25, 4

local extra = {}
if config.extra and config.extra ~= "" then
  extra = json.decode(config.extra)
  if type(extra) ~= "table" then
    error("plugins.tts-openai.extra is no JSON object", 0)
  end
end
if not upstream.tts then
  error("tts_url is not set: the address of the service, as http://127.0.0.1:8080/v1", 0)
end

local up = fitnessally.upstream("tts", {
  token_env = config.key_env,
  token_file = config.key_file,
  -- Somebody waits for the next sentence, and there is another voice to say it.
  connect_timeout = "2s",
  first_byte_timeout = "6s",
  idle_timeout = "4s",
  total_timeout = "15s",
  retries = 0,
})

local known, any = {}, false
for _, name in ipairs(config.voices or {}) do
  known[name] = true
  any = any or name == "any"
end

local rests_until = 0

local function failed(problem)
  if problem.status == 429 and problem.retry_after then
    rests_until = fitnessally.now() + 1000 * math.min(problem.retry_after, LONGEST_REST)
  end
  return nil, { code = problem.kind, message = problem.message, status = problem.status }
end

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

-- What came, by its bytes and not by what the service calls it: an error page with status 200 is no speech.
local function sound_of(body)
  if config.response_format ~= "pcm" then
    return body:sound()
  elseif #body == 0 or #body % 2 ~= 0 then
    return nil
  end
  local samples = #body / 2
  return {
    mime = ("audio/pcm;rate=%d;channels=1;bits=16"):format(config.pcm_rate),
    sample_rate = config.pcm_rate,
    samples = samples,
    duration_ms = samples * 1000 / config.pcm_rate,
  }
end

return {
  ---plugin["tts-openai"].synthesize{text=, voice=, speed=}: see lua/fitnessally/tts.lua
  synthesize = function(arguments)
    local voice = arguments.voice or config.voice
    if arguments.voice and not any and not known[arguments.voice] then
      return nil, { code = "unknown_voice", message = "The service is not known to have that voice." }
    elseif fitnessally.now() < rests_until then
      return nil, { code = "busy", message = "The service has asked for a pause." }
    end
    local answer, problem = up:post {
      path = "/audio/speech",
      json = request(arguments.text, voice, arguments.speed),
      max = config.max_audio,
      expect = "2xx",
      idempotent = true,
    }
    if not answer then
      return failed(problem)
    end
    local sound = sound_of(answer.body)
    if not sound then
      answer.body:release()
      return nil, { code = "garbage", message = "What the service sent is no speech." }
    end
    return {
      audio = answer.body,
      mime = sound.mime,
      duration_ms = sound.duration_ms,
      samples = sound.samples,
      sample_rate = sound.sample_rate,
      voice = voice,
    }
  end,
}
