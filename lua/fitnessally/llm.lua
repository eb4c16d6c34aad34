-- Language models for flows, whichever plugin asks them. A plugin for `llm` has
--
--     chat{messages=} -> reply, where reply.next() gives the next piece of text (waits), nil at the end, or nil and {code=, message=},
--                        and reply.close() ends it
--
-- messages are {role=, content=} as turn:history gives them. What a model thinks, and tools that it wants, are not text. Yields: no. Copies: no.

local llm = {}

---The service that `name` names; nil when the answers are made without one ("extract").
---@param name? string
---@return table?
function llm.connect(name)
  if name == nil or name == "" or name == "extract" then
    return nil
  end
  local service, problem = fitnessally.service("llm", name)
  if not service then
    error(problem, 0)
  elseif service.chat == nil then
    error(('llm = "%s", but that plugin has no chat'):format(name), 0)
  end
  return service
end

---Asks, and gives each piece of text to `take` as it comes. True, or nil and the problem: by then some text may have been taken.
---Yields: yes. Copies: no.
---@param service table
---@param messages {role: string, content: string}[]
---@param take fun(text: string)
---@return boolean? whole, {code: string, message: string}? problem
function llm.tell(service, messages, take)
  local reply, problem = service.chat { messages = messages }
  if not reply then
    return nil, problem
  end
  local some = false
  local text
  text, problem = reply.next()
  while text do
    some = some or text:find("%S") ~= nil
    take(text)
    text, problem = reply.next()
  end
  reply.close()
  if not problem and not some then
    problem = { code = "empty", message = "The model said nothing." }
  end
  return not problem or nil, problem
end

return llm
