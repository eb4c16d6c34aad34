-- plugin.elasticsearch.search: what the plugin `records` gives, from an index whose documents are records as GET /api/records shows them
-- ({data = {basic = {...}, ...}, oip = {...}}). For `records = "elasticsearch"`.

local client = require "plugins.elasticsearch.client"

local records = {}
local MOST_HITS = 10000 -- pages beyond are for scans
local FIELDS = { "data.basic.name^5", "data.basic.description^2", "data.basic.tagItems", "data.*.primaryMuscles",
  "data.*.instructions" }

-- They are in every question, and in every instruction.
local SAY_NOTHING = {}
local WORDS = "a an and are can do does for how i in is it me my of on or please show tell that the this to what with you"
for word in WORDS:gmatch "%a+" do
  SAY_NOTHING[word] = true
end

local function meant(query)
  local words = {}
  for word in query:lower():gmatch "[%w\128-\255]+" do
    if not SAY_NOTHING[word] then
      words[#words + 1] = word
    end
  end
  return table.concat(words, " ")
end

local function query_of(asked)
  local filter, must = {}, nil
  if (asked.recordType or "") ~= "" then
    filter[1] = { match = { ["oip.recordType"] = { query = asked.recordType, operator = "and" } } }
  end
  if (asked.query or "") ~= "" then
    must = { { multi_match = { query = meant(asked.query), fields = FIELDS, fuzziness = "AUTO", prefix_length = 1 } } }
  end
  return { bool = { must = must, filter = #filter > 0 and filter or nil } }
end

-- Lists that are empty came as [] and would go as {}.
local function with_lists(value)
  for key, item in pairs(value) do
    if type(item) == "table" then
      value[key] = next(item) == nil and json.empty_array or with_lists(item)
    end
  end
  return value
end

local function reply_of(asked, page, limit)
  local found = json.empty_array
  for i, hit in ipairs(page.hits) do
    found = i == 1 and {} or found
    found[i] = with_lists(hit.source)
  end
  local text = json.encode { message = "Records retrieved successfully", totalRecords = page.total,
    searchResults = page.total, pageSize = limit, currentPage = asked.page or 1,
    totalPages = math.ceil(page.total / limit), records = found }
  local buffer = fitnessally.buffer { label = "records" }
  if not buffer or not buffer:append(text) then
    return nil, { code = "no_memory", message = "There is no room for the records." }
  end
  return { json = buffer:seal(), count = page.total }
end

local known -- the client, once there is something to ask

---plugin.elasticsearch.search{query=, recordType=, limit=, page=}: `json`, the reply of GET /api/records, and `count`. Yields.
function records.search(asked)
  local limit, page = asked.limit or 20, asked.page or 1
  if page * limit > MOST_HITS then
    return nil, { code = "invalid", message = ("Only the first %d records can be asked for."):format(MOST_HITS) }
  end
  known = known or client.new()
  local found, problem = known:search { index = config.index, query = query_of(asked), size = limit,
    from = (page - 1) * limit, total = true, source = { "data", "oip" } }
  if not found then
    return nil, { code = problem.kind, message = problem.message }
  end
  return reply_of(asked, found, limit)
end

return records
