-- GET /api/records: the reply of the plugin that has the records, passed on without a copy.

local library = require "lib.library"
local validate = require "fitnessally.validate"

local MOST_RECORDS, LAST_PAGE = 100, 100000
local LONGEST_SEARCH, LONGEST_TYPE = 500, 64

app:get("/api/records", function(req)
  local wanted, problem = validate.read(function()
    return {
      query = validate.query_text(req, "search", LONGEST_SEARCH),
      recordType = validate.query_text(req, "recordType", LONGEST_TYPE),
      limit = validate.query_number(req, "limit", 1, MOST_RECORDS),
      page = validate.query_number(req, "page", 1, LAST_PAGE),
    }
  end)
  if not wanted then
    return req:fail(400, "invalid_parameter", problem.message .. ".")
  end

  local found, failure = library.records.search(wanted)
  if found then
    req:reply { type = "application/json", body = found.json }
  elseif failure.code == "invalid" then
    req:fail(400, failure.code, failure.message)
  else
    log.error(("records: %s: %s"):format(failure.code, failure.message))
    req:fail(503, "records_unavailable", "The records cannot be searched now.")
  end
end)
