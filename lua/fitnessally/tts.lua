-- Speech for flows, whichever plugin makes it. A plugin that speaks has
--
--     synthesize{text=, voice=, speed=, pieces=} -> {audio=buffer, duration_ms=, mime=, sample_rate=, samples=, voice=, more=}
--
-- and fails with the code "unknown_voice" for a voice that it does not have. With pieces = true it may give the beginning as soon as that is
-- there, playable by itself: then `more` is a function that waits for the next piece and gives it as synthesize does, or nil and
-- {code, message} when there will be none. A result without `more` is the end. Yields: no. Copies: no.

local tts = {}

---@class fitnessally.tts.service

---The service that settings.tts names (fitnessally.service); nil when none is named: then nothing is spoken. An error when
---there is no such plugin.
---@param name? string
---@return fitnessally.tts.service?
function tts.connect(name)
  if name == nil or name == "" then
    return nil
  end
  local service, problem = fitnessally.service("tts", name)
  if not service then
    error(problem, 0)
  elseif service.synthesize == nil then
    error(('tts = "%s", but that plugin has no synthesize'):format(name), 0)
  end
  return service
end

---The same for the voice that speaks when the other one fails; nil when it is not there.
---@param name? string
---@return fitnessally.tts.service?
function tts.spare(name)
  local service = name ~= nil and name ~= "" and fitnessally.service("tts", name) or nil
  return service and service.synthesize and service
end

---A voice for one turn: speak(text) gives the result of synthesize, perhaps with `more`, or nil and {code, message}. Clients of other
---servers name voices that are not here ("en-GB-RyanNeural"); then the default voice speaks, and is not asked again.
---nil without a service.
---@param service fitnessally.tts.service?
---@param wish {voice?: string, speed?: number}
---@return (fun(text: string): table?, {code: string, message: string}?)?
function tts.speaker(service, wish)
  if not service then
    return nil
  end
  local voice, speed = wish.voice, wish.speed
  return function(text)
    local made, problem = service.synthesize { text = text, voice = voice, speed = speed, pieces = true }
    if not made and voice and problem.code == "unknown_voice" then
      log.debug("the voice that was asked for is not here; the default one speaks")
      voice = nil
      made, problem = service.synthesize { text = text, speed = speed, pieces = true }
    end
    return made, problem
  end
end

-- A piece whose `more` notes when there is none: what has begun cannot be spoken by another voice any more.
local function watched(made, report)
  local more = made and made.more
  if more then
    made.more = function()
      local another, problem = more()
      report.failed = report.failed or problem
      return watched(another, report), problem
    end
  end
  return made
end

---A voice that speaks as the first does until that fails, then, for the rest of the turn, as the second: a voice that changes from
---sentence to sentence is worse than a plain one. A sentence that the first has begun ends where it failed; the second speaks what comes
---after it. What the second makes bears `fallback = {code}`. report: filled with what happened: pieces (of text), replaced, and failed, the
---problem of the first.
---@param first fun(text: string): table?, {code: string, message: string}?
---@param second? fun(text: string): table?, {code: string, message: string}?
---@param report table
---@return fun(text: string): table?, {code: string, message: string}?
function tts.either(first, second, report)
  report.pieces, report.replaced = 0, 0
  return function(text)
    local problem, made = second and report.failed, nil
    report.pieces = report.pieces + 1
    if not problem then
      made, problem = first(text)
    end
    if made or not second then
      report.failed = report.failed or problem
      return watched(made, report), problem
    elseif not report.failed then
      report.failed = problem
      log.warn(("the voice fails (%s): %s Another one goes on"):format(problem.code, problem.message))
    end
    made, problem = second(text)
    if made then
      report.replaced = report.replaced + 1
      made.fallback = { code = report.failed.code }
    end
    return made, problem
  end
end

return tts
