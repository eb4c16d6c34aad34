-- Saying an answer in a turn: in words and, piece by piece, in speech.

local chunker = require "fitnessally.chunker"

local flow = {}

-- An event that could not be added would be a hole in the answer: better the turn fails.
local function must(_, problem)
  if problem then
    error("the answer cannot be sent: " .. problem, 0)
  end
end

-- What has failed is told, so that chunkIndex has no hole.
local function tell_failure(turn, problem, piece, is_final, continues)
  log.warn(("a piece of an answer could not be spoken (%s): %s"):format(problem.code, problem.message))
  must(turn:audio(nil, { text = piece, isFinal = is_final, fields = { error = problem.code, continues = continues } }))
end

-- One piece of text as an audioChunk, or as several: those behind the first continue it, without text.
local function speak(turn, piece, is_final, speaker)
  turn:room()
  local made, problem = speaker(piece)
  if not made then
    return tell_failure(turn, problem, piece, is_final)
  end
  local continues
  while made do
    must(turn:audio(made.audio, {
      text = continues and "" or piece,
      isFinal = is_final and not made.more,
      durationMs = made.duration_ms,
      fields = {
        mime = made.mime,
        durationMs = made.duration_ms,
        sampleRate = made.sample_rate,
        samples = made.samples,
        voice = made.voice,
        adaptive = true,
        continues = continues,
        fallback = made.fallback, -- another voice than the one that was to speak, and why
      },
    }))
    if not made.more then
      return
    end
    continues = true
    turn:room() -- nobody reads what nobody takes: the service waits
    made, problem = made.more()
  end
  tell_failure(turn, problem, "", is_final, true)
end

---Says a whole text: each piece as a textChunk, then, with a speaker, as an audioChunk, or as several of which those behind the first bear
---`continues` and no text. The pieces together are the text. Yields: yes. Copies: no audio.
---@param turn fitnessally.turn
---@param text string
---@param speaker? fun(text: string): table?, {code: string, message: string}? from tts.speaker; nil: words only
function flow.say(turn, text, speaker)
  local pieces = chunker.split(text)
  for i, piece in ipairs(pieces) do
    must(turn:push("textChunk", { role = "assistant", text = piece }))
    turn:said(piece)
    if speaker then
      speak(turn, piece, i == #pieces, speaker)
    end
  end
end

-- ---- an answer that is still being made ------------------------------------------------------------------------------

---@class fitnessally.flow.teller
local teller = {}
teller.__index = teller

---Says an answer that comes bit by bit: words as soon as a piece of it is whole, speech piece by piece behind them, in order, by tasks of
---the turn, while the next words come. Yields: no. Copies: no.
---@param turn fitnessally.turn
---@param speaker? fun(text: string): table?, {code: string, message: string}?
---@return fitnessally.flow.teller
function flow.teller(turn, speaker)
  return setmetatable({ turn = turn, speaker = speaker, cutter = chunker.stream(), spoken = nil, bytes = 0 }, teller)
end

local function tell(self, pieces, over)
  local turn, speaker = self.turn, self.speaker
  for i, piece in ipairs(pieces) do
    must(turn:push("textChunk", { role = "assistant", text = piece }))
    turn:said(piece)
    if speaker then
      local before, is_final = self.spoken, over and i == #pieces
      self.spoken = fitnessally.spawn(function()
        if before then
          before:join()
        end
        speak(turn, piece, is_final, speaker)
      end)
    end
  end
end

---Adds to the answer. Yields: yes. Copies: the text.
---@param text string
function teller:add(text)
  self.bytes = self.bytes + #text
  tell(self, self.cutter:add(text), false)
end

---The answer is over; waits until all of it is spoken. Yields: yes. Copies: the text.
function teller:finish()
  tell(self, self.cutter:finish(), true)
  if self.spoken then
    self.spoken:join()
  end
end

return flow
