-- One turn of the coach: echo the question, find exercises, say where the answer comes from, then speak it.

local coach = require "lib.coach"
local exercise = require "lib.exercise"
local flow = require "fitnessally.flow"
local library = require "lib.library"
local tts = require "fitnessally.tts"

if settings.llm and settings.llm ~= "extract" then
  error(('llm = "%s": the coach can only quote its records so far, llm = "extract"'):format(settings.llm), 0)
end
local voice = tts.connect(settings.tts)

local MOST_SOURCES = 3

local function push_sources(turn, found)
  local sources = {}
  for i = 1, math.min(#found, MOST_SOURCES) do
    sources[i] = exercise.source(found[i])
  end
  turn:push("sources", { records = #sources > 0 and sources or json.empty_array })
  return #sources > 0 and sources or nil
end

---@class coach.wish What the client asked for beside the question.
---@field speak boolean false: words only
---@field voice? string
---@field speed? number
---@field audio? fitnessally.part what was said, as it was recorded: for whoever can listen; the bytes are the turn's
---@field history? {role: string, content: string}[] what the client says was said before; used in a new dialogue

---The flow that POST /api/voice/converse starts. What it returns becomes part of the `done` event.
---@param turn fitnessally.turn
---@param wish coach.wish
---@return table
return function(turn, wish)
  turn:push("textChunk", { role = "user", text = turn.text })
  local history = turn:history()
  if #history == 0 and wish.history then
    history = wish.history
  end
  local search, spent = library.searcher()
  local reply = coach.reply(turn.text, history, search)
  local sources = reply.searched and push_sources(turn, reply.sources) or nil
  flow.say(turn, reply.text, wish.speak and tts.speaker(voice, wish) or nil)
  return {
    rag_metadata = { sources = sources, search_results_count = spent.records, context_used = sources ~= nil },
    search_ms = spent.ms,
  }
end
