-- One turn of the coach: echo the question, find exercises, say where the answer comes from, then word it and speak it. A language model
-- and a speaking service may fail: then the answer is quoted from the records, and spoken by the voice of the house.

local coach = require "lib.coach"
local exercise = require "lib.exercise"
local flow = require "fitnessally.flow"
local library = require "lib.library"
local llm = require "fitnessally.llm"
local model = require "lib.model"
local tts = require "fitnessally.tts"

local wording = llm.connect(settings.llm)
local voice = tts.connect(settings.tts)
local spare = settings.tts_fallback ~= settings.tts and tts.spare(settings.tts_fallback) or nil

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

-- The voice of this turn, nil when nothing is to be heard. report: how it went, for the end of the turn.
local function speaker_of(wish, report)
  if not wish.speak or not voice then
    return nil
  end
  local speaker = tts.speaker(voice, wish)
  return tts.either(speaker, tts.speaker(spare, { speed = wish.speed }), report)
end

-- Says what the model says; when it fails, what the records say. Returns how it went.
local function word(turn, messages, quoted, speaker)
  local teller = flow.teller(turn, speaker)
  local whole, problem = llm.tell(wording, messages, function(text)
    teller:add(text)
  end)
  if not whole then
    log.warn(("the language model fails (%s): %s The records are quoted instead"):format(problem.code, problem.message))
    teller:add(teller.bytes > 0 and "\n" .. quoted or quoted)
  end
  teller:finish()
  return { asked = settings.llm, by = whole and settings.llm or "extract", failed = problem and problem.code }
end

local function spoken_by(heard)
  return heard.pieces and {
    asked = settings.tts,
    pieces = heard.pieces,
    by_fallback = heard.replaced,
    fallback = heard.replaced > 0 and settings.tts_fallback or nil,
    failed = heard.failed and heard.failed.code,
  } or nil
end

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
  local heard, worded = {}, { asked = "extract", by = "extract" }
  local speaker = speaker_of(wish, heard)
  if wording then
    worded = word(turn, model.messages(turn.text, history, reply.sources), reply.text, speaker)
  else
    flow.say(turn, reply.text, speaker)
  end
  return {
    rag_metadata = { sources = sources, search_results_count = spent.records, context_used = sources ~= nil },
    search_ms = spent.ms,
    services = {
      llm = worded,
      tts = spoken_by(heard),
    },
  }
end
