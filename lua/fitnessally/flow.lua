-- Saying an answer in a turn: in words and, piece by piece, in speech.

local chunker = require "fitnessally.chunker"

local flow = {}

-- An event that could not be added would be a hole in the answer: better the turn fails.
local function must(_, problem)
  if problem then
    error("the answer cannot be sent: " .. problem, 0)
  end
end

-- One piece as an audioChunk. A piece that cannot be spoken is told with its error, so that chunkIndex has no hole.
local function speak(turn, piece, is_final, speaker)
  turn:room()
  local made, problem = speaker(piece)
  if not made then
    log.warn(("a piece of an answer could not be spoken (%s): %s"):format(problem.code, problem.message))
    return must(turn:audio(nil, { text = piece, isFinal = is_final, fields = { error = problem.code } }))
  end
  must(turn:audio(made.audio, {
    text = piece,
    isFinal = is_final,
    durationMs = made.duration_ms,
    fields = {
      mime = made.mime,
      durationMs = made.duration_ms,
      sampleRate = made.sample_rate,
      samples = made.samples,
      voice = made.voice,
      adaptive = true,
    },
  }))
end

---Says a whole text: each piece as a textChunk, then, with a speaker, as an audioChunk. The pieces together are the
---text. Yields: yes. Copies: no audio.
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

return flow
