-- POST /chat/completions with stream = true. Its events are taken apart in C (core/upstream); what comes here is one piece of text at
-- a time. The upstream is called "llm": deadlines, connections and limits are keys of upstreams.llm, its url is llm_url.

local client = require "fitnessally.client"
local thinking = require "fitnessally.thinking"

local extra = client.members(config.extra, "plugins.llm-openai.extra")
client.need("llm", "llm_url")
local up = fitnessally.upstream("llm", {
  token_env = config.key_env,
  token_file = config.key_file,
  -- Somebody waits for the answer, and there is another way to make it.
  connect_timeout = "2s",
  first_byte_timeout = "8s",
  idle_timeout = "8s",
  total_timeout = "1min",
  event_max = "256KB",
  retries = 0,
})

local told, rests = client.pauses()

local function request(messages)
  local body = { model = config.model, messages = messages, stream = true, temperature = config.temperature }
  body[config.max_tokens_field] = config.max_tokens
  for key, value in pairs(extra) do
    body[key] = value
  end
  return body
end

-- The text of one event: "" when it has none; or nil and a problem. over: whether the model has said that it is through.
local function read_event(event, state)
  local chunk = event:json()
  if type(chunk) ~= "table" then
    state.over = event.data == "[DONE]"
    return state.over and "" or nil, { code = "garbage", message = "An event of the service is no JSON." }
  elseif type(chunk.error) == "table" then
    return nil, { code = "service_error", message = "The service broke off with an error." }
  end
  local choice = type(chunk.choices) == "table" and chunk.choices[1]
  if type(choice) ~= "table" then
    return "" -- figures of use
  end
  state.finished = state.finished or type(choice.finish_reason) == "string"
  local delta = type(choice.delta) == "table" and choice.delta.content
  return type(delta) == "string" and delta or ""
end

-- The next text that is one, nil at the end, or nil and a problem.
local function next_text(stream, state)
  while not state.over do
    local event, problem = stream:next()
    if not event then
      state.over = true
      if problem then
        return nil, told(problem)
      elseif not state.finished then
        return nil, { code = "cut", message = "The service stopped before the answer was whole." }
      end
      return state.filter:finish()
    end
    local text
    text, problem = read_event(event, state)
    if not text then
      state.over = true
      stream:close()
      return nil, problem
    end
    text = state.filter:add(text) .. (state.over and state.filter:finish() or "")
    if text ~= "" then
      return text
    end
  end
end

-- At most so many bytes, and no part of a character.
local function shortened(text, limit)
  while limit > 0 and (text:byte(limit + 1) or 0) >= 0x80 and text:byte(limit + 1) < 0xC0 do
    limit = limit - 1
  end
  return text:sub(1, limit)
end

return {
  ---plugin["llm-openai"].chat{messages=}: see lua/fitnessally/llm.lua
  chat = function(arguments)
    local pause = rests()
    if pause then
      return nil, pause
    end
    local stream, problem = up:stream {
      path = "/chat/completions",
      json = request(arguments.messages),
      headers = { Accept = "text/event-stream" },
    }
    if not stream then
      return nil, told(problem)
    end
    local state = { filter = thinking.filter(), over = false, finished = false }
    local room = config.max_text
    return {
      next = function()
        if room == 0 then
          return nil
        end
        local text, why = next_text(stream, state)
        if text and #text >= room then
          text = shortened(text, room)
          room = 0
          stream:close()
          log.info("an answer of the language model was ended at max_text")
        elseif text then
          room = room - #text
        end
        return text, why
      end,
      close = function()
        stream:close()
      end,
    }
  end,
}
