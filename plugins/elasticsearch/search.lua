-- Searching: one page, or page after page with never more than one of them in memory.

local problem = require "plugins.elasticsearch.problem"

local search = {}

search.options = { index = true, query = true, sort = true, size = true, from = true, source = true, aggs = true,
  after = true, total = true, highlight = true, body = true, routing = true, partial = true, timeout = true }
search.scan_options = { index = true, query = true, sort = true, size = true, source = true, after = true, body = true,
  routing = true, timeout = true, snapshot = true, most = true }

local MOST_HITS = 10000 -- the service allows no more in one page
local DEFAULT_SCAN = 100

-- Numbers in JSON have 14 digits here, and a sort value must come back as it was: as a text it does.
local function exact(values)
  local result = {}
  for i, value in ipairs(values) do
    if type(value) == "number" and tonumber(("%.14g"):format(value)) ~= value then
      value = value % 1 == 0 and ("%.0f"):format(value) or ("%.17g"):format(value)
    end
    result[i] = value
  end
  return result
end

local function body_of(options, pit)
  local body = {}
  for name, value in pairs(options.body or {}) do
    body[name] = value
  end
  body.query, body.sort, body.aggs = options.query, options.sort, options.aggs
  body.size, body.from, body.highlight = options.size, options.from, options.highlight
  body._source, body.track_total_hits, body.pit = options.source, options.total, pit
  body.search_after = options.after and exact(options.after)
  return body
end

local function hit_of(raw)
  return { id = raw._id, index = raw._index, score = raw._score, source = raw._source, sort = raw.sort,
    highlight = raw.highlight, fields = raw.fields }
end

local function page_of(answer)
  local found = type(answer.hits) == "table" and answer.hits or {}
  local hits = type(found.hits) == "table" and found.hits or {}
  for i = 1, #hits do
    hits[i] = hit_of(hits[i])
  end
  local last, total = hits[#hits], type(found.total) == "table" and found.total or {}
  return { hits = hits, total = total.value, total_is_exact = total.relation == "eq", after = last and last.sort,
    aggregations = answer.aggregations, took = answer.took, timed_out = answer.timed_out == true,
    failed_shards = answer._shards and answer._shards.failed or 0 }, answer.pit_id
end

local function ask(client, options, pit)
  if options.size and not (options.size >= 0 and options.size <= MOST_HITS) then
    error(("elasticsearch: size is 0 to %d"):format(MOST_HITS), 4)
  end
  local path = pit and "/_search" or client.path_of(options.index, "_search")
  local answer, err = client:ask { method = "POST", path = path, idempotent = true, timeout = options.timeout,
    json = body_of(options, pit), query = { routing = not pit and options.routing or nil,
      allow_partial_search_results = options.partial == true } }
  if not answer then
    return nil, err
  end
  return page_of(answer)
end

---@return table page {hits, total, total_is_exact, after, aggregations, took, timed_out, failed_shards}
function search.page(client, options)
  local page, err = ask(client, options)
  if page then
    return page
  end
  return nil, err
end

-- ---- scans ----

local scan = {}
scan.__index = scan

function search.scan(client, options)
  if type(options.sort) ~= "table" or next(options.sort) == nil then
    error("elasticsearch:scan needs sort, with a field in it that no two documents have in common", 3)
  end
  local self = { client = client, options = {}, at = 0, given = 0, most = options.most or math.huge,
    snapshot = options.snapshot }
  for name, value in pairs(options) do
    self.options[name] = value
  end
  self.options.size, self.options.total = options.size or DEFAULT_SCAN, false
  if self.options.size < 1 then
    error("elasticsearch:scan: size is at least 1", 3)
  end
  return setmetatable(self, scan)
end

-- What is found stays as it is now, however long the scan takes.
local function open_snapshot(self)
  local client = self.client
  local about, err = client:version()
  if not about then
    return nil, err
  end
  local opensearch = about.distribution == "opensearch"
  local path = client.path_of(self.options.index) .. (opensearch and "/_search/point_in_time" or "/_pit")
  local opened
  opened, err = client:ask { method = "POST", path = path, query = { keep_alive = self.snapshot }, idempotent = true }
  if not opened then
    return nil, err
  end
  self.pit = opensearch and opened.pit_id or opened.id
  return true
end

-- Nothing of the page before is held any more when the next one is asked for.
local function turn(self)
  self.page, self.at = nil, 0
  if self.snapshot and not self.pit then
    local ok, err = open_snapshot(self)
    if not ok then
      return nil, err
    end
  end
  local pit = self.pit and { id = self.pit, keep_alive = self.snapshot } or nil
  local page, more = ask(self.client, self.options, pit) -- and the id for the next one, or a problem
  if not page then
    return nil, more
  end
  self.pit = self.pit and (more or self.pit)
  if #page.hits > 0 and (type(page.after) ~= "table" or #page.after == 0) then
    return nil, problem.new("protocol", "elasticsearch: the hits have no sort values")
  end
  if #page.hits > 0 and self.options.after and json.encode(page.after) == json.encode(self.options.after) then
    return nil, problem.new("protocol", "elasticsearch: the scan does not get on: a page ends where the last one did")
  end
  self.last = #page.hits < self.options.size
  self.page, self.options.after = page.hits, page.after or self.options.after
  return true
end

---The next hit; nil at the end, nil and a problem after a failure. Yields when a page is over.
function scan:next()
  if self.closed or self.given >= self.most then
    self:close()
    return nil
  end
  while not self.page or self.at == #self.page do
    if self.last then
      self:close()
      return nil
    end
    local ok, err = turn(self)
    if not ok then
      self.failure = err
      return nil, err
    end
    self.failure = nil
  end
  self.at, self.given = self.at + 1, self.given + 1
  local hit = self.page[self.at]
  self.page[self.at] = false
  return hit
end

---for hit in scan:each() do: until the end or a failure; then ask problem(). After a failure it goes on where it stopped.
function scan:each()
  return self.next, self
end

---What it stopped with; nil when it ended well.
function scan:problem()
  return self.failure
end

---The sort values where the last page ended: `after` of a scan that goes on there. In a snapshot Elasticsearch adds one of
---its own, which means nothing elsewhere.
function scan:after()
  local after, count = self.options.after, #self.options.sort
  if not after or count == 0 then
    return after
  end
  local own = {}
  for i = 1, math.min(count, #after) do
    own[i] = after[i]
  end
  return own
end

---Ends it; a snapshot is given back to the service. Yields when there is one.
function scan:close()
  if self.closed then
    return
  end
  local pit = self.pit
  self.closed, self.page, self.pit = true, nil, nil
  if pit then
    local opensearch = self.client.about.distribution == "opensearch"
    self.client:ask { method = "DELETE", path = opensearch and "/_search/point_in_time" or "/_pit",
      json = opensearch and { pit_id = { pit } } or { id = pit } }
  end
end

return search
