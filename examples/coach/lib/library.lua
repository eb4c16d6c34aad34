-- Finding exercises: the plugin that `records` chooses, seen as a function from a question to exercises.

local exercise = require "lib.exercise"

local library = {}

local records, problem = fitnessally.service "records"
if not records then
  error(problem or "the coach looks things up with a plugin that has records: set `records`", 0)
end
library.records = records

---A search that keeps its count of time and of records found, for one turn. Yields.
---@return coach.search search
---@return {ms: number, records: integer} spent
function library.searcher()
  local spent, known = { ms = 0, records = 0 }, {}
  local function search(query, limit)
    local key = limit .. " " .. query
    if known[key] then
      return known[key]
    end
    local started = fitnessally.now()
    local result, failure = records.search { query = query, recordType = "exercise", limit = limit }
    if not result then
      error(("the records cannot be searched (%s): %s"):format(failure.code, failure.message), 0)
    end
    local reply = result.json:json()
    result.json:release()
    local found = {}
    for _, record in ipairs(reply and reply.records or {}) do
      found[#found + 1] = exercise.of(record)
    end
    known[key] = found
    spent.ms = spent.ms + (fitnessally.now() - started)
    spent.records = spent.records + #found
    return found
  end
  return search, spent
end

return library
