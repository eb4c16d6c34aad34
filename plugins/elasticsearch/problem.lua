-- What went wrong, in the words of README.md: the error of the upstream, and what the service says about it.

local client = require "fitnessally.client"

local problem = {}

local LONGEST_REASON = 300

local OF_TYPE = {
  index_not_found_exception = "index_missing",
  resource_already_exists_exception = "exists",
  version_conflict_engine_exception = "conflict",
  document_missing_exception = "not_found",
}

local OF_STATUS = {
  [400] = "invalid", [401] = "denied", [403] = "denied", [404] = "not_found", [409] = "conflict", [413] = "too_large",
  [429] = "overloaded", [502] = "unavailable", [503] = "unavailable", [504] = "unavailable",
}

---A problem that was found here.
problem.new = client.problem

function problem.shorten(text)
  if type(text) ~= "string" or #text <= LONGEST_REASON then
    return text
  end
  return text:sub(1, LONGEST_REASON) .. "..."
end

-- The excerpt may end in the midst of the JSON: then the first type and reason are as good.
local function said_in(excerpt)
  local answer = json.decode(excerpt)
  local said = type(answer) == "table" and answer.error
  if type(said) == "table" then
    return said.type, said.reason
  elseif type(said) == "string" then
    return nil, said
  end
  return excerpt:match '"type"%s*:%s*"([%w_]+)"', excerpt:match '"reason"%s*:%s*"([^"\\]*)'
end

function problem.kind_of(status, named)
  return OF_TYPE[named] or OF_STATUS[status] or "status"
end

---The error of an upstream, made clearer: kind, message, type and reason.
function problem.explain(err)
  if err.kind ~= "status" then
    return err
  end
  local named, reason = said_in(err.excerpt or "")
  named = type(named) == "string" and named or nil
  err.type, err.reason = named, problem.shorten(type(reason) == "string" and reason or nil)
  err.kind = problem.kind_of(err.status, named)
  if err.reason then
    err.message = ("%s (%s)"):format(err.message, named and named .. ": " .. err.reason or err.reason)
  end
  return err
end

return problem
