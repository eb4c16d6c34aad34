-- Many writes in few requests. Their lines lie in a buffer in C; of each item Lua keeps where its lines are, until its
-- answer has come.

local problem = require "plugins.elasticsearch.problem"

local bulk = {}
bulk.__index = bulk
bulk.options = { index = true, refresh = true, max = true, most = true, retries = true, failures = true,
  timeout = true }

local FILTER = "took,items.*.status,items.*.error.type,items.*.error.reason,items.*._id"
local DEFAULT_RETRIES, DEFAULT_FAILURES = 3, 100
local FIRST_PAUSE, LONGEST_PAUSE = 200, 5000 -- ms

local function fresh_report()
  return { sent = 0, done = 0, failed_count = 0, failed = {}, requests = 0, took = 0 }
end

local function start_buffer(self)
  self.items, self.bytes, self.repeatable = {}, 0, true
end

---options: index, refresh, max (bytes of a request), most (items of one), retries (of rejected items), failures (that
---are told in full), timeout.
function bulk.new(client, options, refresh)
  local self = { client = client, index_name = options.index, refresh = refresh, timeout = options.timeout,
    max = options.max or client.bulk_max, most = options.most or client.bulk_items,
    retries = options.retries or DEFAULT_RETRIES, failures = options.failures or DEFAULT_FAILURES, position = 0,
    report = fresh_report() }
  start_buffer(self)
  return setmetatable(self, bulk)
end

-- ---- filling ----

local function append(self, text)
  local ok, message = self.buffer:append(text)
  if not ok then
    return nil, problem.new("memory", "elasticsearch: " .. message)
  end
  return true
end

local function open_buffer(self)
  if self.buffer then
    return true
  end
  local buffer, message = fitnessally.buffer { label = "bulk" }
  if not buffer then
    return nil, problem.new("memory", "elasticsearch: " .. tostring(message))
  end
  self.buffer = buffer
  return true
end

local function make_room(self, size)
  if size > self.max then
    local message = ("elasticsearch: an item of %d bytes is longer than a bulk request may be"):format(size)
    return nil, problem.new("too_large", message)
  end
  if #self.items >= self.most or self.bytes + size > self.max then
    local ok, err = self:flush()
    if not ok then
      return nil, err
    end
  end
  return open_buffer(self)
end

local function add(self, action, id, lines, options)
  if self.failure then
    return nil, self.failure
  end
  options = options or {}
  local head = { _index = options.index or self.index_name, _id = id, routing = options.routing,
    if_seq_no = options.if_seq_no, if_primary_term = options.if_primary_term }
  if type(head._index) ~= "string" then
    error("elasticsearch:bulk: neither the bulk request nor the item names an index", 3)
  end
  local text = json.encode { [action] = head } .. "\n" .. (lines and json.encode(lines) .. "\n" or "")
  local ok, err = make_room(self, #text)
  if ok then
    ok, err = append(self, text)
  end
  if not ok then
    return nil, err
  end
  self.position = self.position + 1
  self.items[#self.items + 1] = { action = action, id = id, position = self.position, from = self.bytes + 1,
    to = self.bytes + #text }
  self.bytes = self.bytes + #text
  self.repeatable = self.repeatable and id ~= nil and action ~= "create" and not (lines and lines.script)
  return true
end

---Each of these answers true, or nil and a problem: of the item, or of the request that had to be sent first to make
---room. Yields then.
function bulk:index(id, document, options)
  return add(self, "index", id, document, options)
end

function bulk:create(id, document, options)
  return add(self, "create", id, document, options)
end

---change: {doc=, upsert=, script=}
function bulk:update(id, change, options)
  return add(self, "update", id, change, options)
end

function bulk:delete(id, options)
  return add(self, "delete", id, nil, options)
end

-- ---- sending ----

local function fail(self, item, status, said)
  local report = self.report
  report.failed_count = report.failed_count + 1
  if #report.failed < self.failures then
    said = type(said) == "table" and said or {}
    report.failed[#report.failed + 1] = { position = item.position, id = item.id, action = item.action, status = status,
      kind = problem.kind_of(status, said.type), type = said.type, reason = problem.shorten(said.reason),
      retryable = status == 429 or status == 503 }
  end
end

-- The items that the service had no room for, when they may be tried again; the others are in the report.
local function judge(self, answer, round)
  local again = {}
  for i, item in ipairs(self.items) do
    local _, told = next(answer.items[i])
    local status = type(told) == "table" and tonumber(told.status) or 500
    local gone = item.action == "delete" and status == 404 -- it was to be gone
    if status < 300 or gone then
      self.report.done = self.report.done + 1
    elseif (status == 429 or status == 503) and round < self.retries then
      again[#again + 1] = item
    else
      fail(self, item, status, told.error)
    end
  end
  return again
end

-- The lines of these items become the next request.
local function keep_only(self, items)
  local old = self.buffer
  self.buffer = nil
  start_buffer(self)
  local ok, err = true, nil
  if #items > 0 then
    ok, err = open_buffer(self)
  end
  for _, item in ipairs(items) do
    local lines = ok and old:slice(item.from, item.to)
    if lines then
      ok, err = append(self, lines)
      lines:release()
      item.from, item.to = self.bytes + 1, self.bytes + item.to - item.from + 1
      self.bytes = item.to
      self.items[#self.items + 1] = item
    end
  end
  old:release()
  return ok, err
end

local function pause(round)
  local longest = math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ^ round)
  fitnessally.sleep(longest / 2 + math.random() * longest / 2)
end

local function ask(self)
  self.buffer:seal()
  local answer, err = self.client:ask { method = "POST", path = "/_bulk", body = self.buffer,
    type = "application/x-ndjson", idempotent = self.repeatable, timeout = self.timeout,
    query = { filter_path = FILTER, refresh = self.refresh } }
  if not answer then
    return nil, err
  end
  self.report.requests = self.report.requests + 1
  self.report.took = self.report.took + (tonumber(answer.took) or 0)
  if type(answer.items) ~= "table" or #answer.items ~= #self.items then
    return nil, problem.new("protocol", "elasticsearch: the answer to a bulk request does not tell of each item")
  end
  return answer
end

---Sends what is there. Yields.
function bulk:flush()
  local round, repeatable = 0, self.repeatable
  while #self.items > 0 do
    local answer, err = ask(self)
    if not answer then
      self.failure = err
      return nil, err
    end
    self.report.sent = self.report.sent + (round == 0 and #self.items or 0)
    local ok
    ok, err = keep_only(self, judge(self, answer, round))
    if not ok then
      self.failure = err
      return nil, err
    end
    self.repeatable = repeatable
    if #self.items > 0 then
      pause(round)
    end
    round = round + 1
  end
  self.failure, self.repeatable = nil, true
  return true
end

---Sends what is left and tells of all since the last send: {sent, done, failed_count, failed, requests, took}. nil, a
---problem and the report so far when a request failed as a whole: what it held is still there, and send() tries it
---again. Yields.
function bulk:send()
  local ok, err = self:flush()
  if not ok then
    return nil, err, self.report
  end
  local report = self.report
  self.report, self.position = fresh_report(), 0
  return report
end

---Items that wait to be sent, and their bytes.
function bulk:waiting()
  return #self.items, self.bytes
end

return bulk
