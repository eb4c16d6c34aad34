-- What a language model is asked when it words the answers: who it is, what the records say, what was said before, the question.

local model = {}

-- Of the records found the best ones go along; a record has at most so much of its steps.
local MOST_RECORDS, LONGEST_STEPS = 4, 1500

local PROMPT = [[
You are a fitness coach. Your answer is heard, not read: plain spoken sentences, no lists, no headings, no markup,
no emoji. Answer in the language of the question, in at most six sentences. Say only what the records below say about
exercises; when they do not answer the question, say so and name what they do have. Do not judge pain, injuries or
illness: for these, send people to a professional.]]

local function line(name, value)
  value = type(value) == "table" and table.concat(value, ", ") or value
  return value and value ~= "" and ("%s: %s\n"):format(name, value) or ""
end

local function described(found)
  local steps = table.concat(found.steps, " ")
  if #steps > LONGEST_STEPS then
    steps = steps:sub(1, LONGEST_STEPS):match("^(.*)%s") or ""
  end
  return ("Exercise: %s\n"):format(found.name)
    .. line("Level", found.level) .. line("Equipment", found.equipment) .. line("Kind", found.category)
    .. line("Trains", found.primary) .. line("Helped by", found.secondary) .. line("Steps", steps)
end

---@param question string
---@param history {role: string, content: string}[] what was said before, oldest first
---@param found coach.exercise[] best first
---@return {role: string, content: string}[]
function model.messages(question, history, found)
  local records = {}
  for i = 1, math.min(MOST_RECORDS, #found) do
    records[i] = described(found[i])
  end
  local known = #records > 0 and table.concat(records, "\n") or "Nothing was found for this question."
  local prompt = settings.llm_prompt or PROMPT
  local messages = { { role = "system", content = prompt .. "\n\nRecords:\n\n" .. known } }
  for _, entry in ipairs(history) do
    messages[#messages + 1] = { role = entry.role, content = entry.content }
  end
  messages[#messages + 1] = { role = "user", content = question }
  return messages
end

return model
