-- One service that is asked: which it is, how requests are sent, and all that is one request and its answer.

local bulk = require "plugins.elasticsearch.bulk"
local check_options = require("fitnessally.client").check_options
local problem = require "plugins.elasticsearch.problem"
local search = require "plugins.elasticsearch.search"
local upstream_name = require("fitnessally.client").upstream_name

local client = {}
client.__index = client

local OLDEST = 7 -- of Elasticsearch; OpenSearch began after that
local OPTIONS = { upstream = true, response_max = true, distribution = true }
local REFRESH = { [true] = "true", [false] = "false", wait_for = "wait_for" }

-- ---- paths and options ----

local function encode(text)
  return (text:gsub("[^%w%-_%.~%*,]", function(char)
    return ("%%%02X"):format(char:byte())
  end))
end

local function check_text(value, what)
  if type(value) ~= "string" or value == "" then
    error(("elasticsearch: %s is a text, and not an empty one"):format(what), 3)
  end
  return value
end

---"/records/_doc/7" of its parts.
local function path_of(index, ...)
  local parts = { "", encode(check_text(index, "the name of an index")) }
  for _, part in ipairs { ... } do
    parts[#parts + 1] = encode(check_text(part, "id"))
  end
  return table.concat(parts, "/")
end

local function refresh_of(value)
  if value == nil then
    return nil
  end
  return REFRESH[value] or error("elasticsearch: refresh is true, false or \"wait_for\"", 3)
end

---A client of the service behind an upstream. Does not ask it anything yet.
function client.new(options)
  options = options or {}
  check_options(options, OPTIONS, "plugin.elasticsearch.client")
  local name = upstream_name(options.upstream or config.upstream, "plugin.elasticsearch.client")
  local self = { name = name, response_max = options.response_max or config.response_max,
    bulk_max = config.bulk_max, bulk_items = config.bulk_items }
  if options.distribution then
    self.about = { distribution = options.distribution }
  end
  return setmetatable(self, client)
end

-- ---- asking ----

local function send(self, request)
  request.expect, request.max = "2xx", request.max or self.response_max
  local res, err = upstream[self.name]:request(request)
  if not res then
    return nil, problem.explain(err)
  end
  return res
end

---The body decoded, its bytes given back.
local function decode(res)
  local value, message = res.body:json()
  res.body:release()
  if type(value) ~= "table" then
    return nil, problem.new("protocol", "elasticsearch: the answer is no JSON object: " .. tostring(message))
  end
  return value
end

local function judge(info)
  local version = type(info.version) == "table" and info.version or {}
  local number = type(version.number) == "string" and version.number or ""
  local major = tonumber(number:match "^(%d+)%.")
  local distribution = version.distribution or "elasticsearch"
  if not major or (distribution ~= "elasticsearch" and distribution ~= "opensearch") then
    return nil, problem.new("product", "what answers is neither Elasticsearch nor OpenSearch")
  end
  if distribution == "elasticsearch" and major < OLDEST then
    return nil, problem.new("version", ("Elasticsearch %s is too old: it must be %d or later"):format(number, OLDEST))
  end
  return { distribution = distribution, number = number, major = major, cluster = info.cluster_name }
end

---Which service it is: {distribution, number, major, cluster}. Asked once, before the first request. Yields.
function client:version()
  if self.about then
    return self.about
  end
  local res, err = send(self, { method = "GET", path = "/" })
  if not res then
    return nil, err
  end
  local info
  info, err = decode(res)
  if not info then
    return nil, err
  end
  self.about, err = judge(info)
  return self.about, err
end

---Sends a request once the service is known to be one that can be asked, and gives the decoded answer. Yields.
---@param request fitnessally.upstream_request
function client:ask(request)
  local about, err = self:version()
  if not about then
    return nil, err
  end
  local res
  res, err = send(self, request)
  if not res then
    return nil, err
  end
  return decode(res)
end

-- ---- indices ----

---Makes an index: client:create_index("records", {mappings=, settings=}). An error of kind "exists" when there is one. Yields.
function client:create_index(index, definition)
  local made, err = self:ask { method = "PUT", path = path_of(index), json = definition, idempotent = false }
  return made and true, err
end

---The same, content with one that is there already: true, and whether it was made. Yields.
function client:ensure_index(index, definition)
  local made, err = self:create_index(index, definition)
  if not made and err.kind ~= "exists" then
    return nil, err
  end
  return true, made == true
end

---Yields.
function client:delete_index(index)
  local gone, err = self:ask { method = "DELETE", path = path_of(index) }
  return gone and true, err
end

---true, false, or nil and a problem. Yields.
function client:index_exists(index)
  local about, err = self:version()
  if not about then
    return nil, err
  end
  local res
  res, err = send(self, { method = "HEAD", path = path_of(index) })
  if res then
    res.body:release()
    return true
  elseif err.status == 404 then
    return false
  end
  return nil, err
end

---Makes what was written visible to searches. Yields.
function client:refresh(index)
  local done, err = self:ask { method = "POST", path = path_of(index, "_refresh"), idempotent = true }
  return done and true, err
end

-- ---- documents ----

local WRITE = { index = true, id = true, document = true, refresh = true, routing = true, create = true,
  if_seq_no = true, if_primary_term = true, timeout = true }

local function outcome(answer, err)
  if not answer then
    return nil, err
  end
  return { id = answer._id, result = answer.result, version = answer._version, seq_no = answer._seq_no,
    primary_term = answer._primary_term }
end

---Writes a document: {index=, document=, id?=, create?=, refresh?=, routing?=, if_seq_no?=, if_primary_term?=}. With an
---id the request may be repeated, without one it is not. create: an error of kind "conflict" when it is there already.
---Yields.
function client:index(options)
  check_options(options, WRITE, "elasticsearch:index")
  local id = options.id
  local kind = options.create and "_create" or "_doc"
  local path = id and path_of(options.index, kind, id) or path_of(options.index, "_doc")
  return outcome(self:ask { method = id and "PUT" or "POST", path = path, json = options.document,
    timeout = options.timeout, idempotent = id ~= nil and not options.create,
    query = { refresh = refresh_of(options.refresh), routing = options.routing,
      if_seq_no = options.if_seq_no,
      if_primary_term = options.if_primary_term } })
end

local UPDATE = { index = true, id = true, doc = true, script = true, upsert = true, refresh = true, routing = true,
  timeout = true }

---Changes a part of a document: {index=, id=, doc= or script=, upsert?=}. Yields.
function client:update(options)
  check_options(options, UPDATE, "elasticsearch:update")
  return outcome(self:ask { method = "POST", path = path_of(options.index, "_update", options.id),
    timeout = options.timeout, json = { doc = options.doc, script = options.script, upsert = options.upsert },
    idempotent = options.script == nil, query = { refresh = refresh_of(options.refresh), routing = options.routing } })
end

local READ = { index = true, id = true, source = true, routing = true, timeout = true }

---A document: {id, source, version, seq_no, primary_term}; nil and a problem of kind "not_found". Yields.
function client:get(options)
  check_options(options, READ, "elasticsearch:get")
  local source = options.source
  if type(source) == "table" then
    source = table.concat(source, ",")
  end
  local found, err = self:ask { method = "GET", path = path_of(options.index, "_doc", options.id),
    timeout = options.timeout, query = { _source = source, routing = options.routing } }
  if not found then
    return nil, err
  end
  return { id = found._id, source = found._source, version = found._version, seq_no = found._seq_no,
    primary_term = found._primary_term }
end

local DELETE = { index = true, id = true, refresh = true, routing = true, if_seq_no = true, if_primary_term = true,
  timeout = true }

---Yields.
function client:delete(options)
  check_options(options, DELETE, "elasticsearch:delete")
  return outcome(self:ask { method = "DELETE", path = path_of(options.index, "_doc", options.id),
    timeout = options.timeout, query = { refresh = refresh_of(options.refresh),
    routing = options.routing, if_seq_no = options.if_seq_no,
      if_primary_term = options.if_primary_term } })
end

local DELETE_QUERY = { index = true, query = true, refresh = true, timeout = true }

---Deletes what a query finds: {deleted, total, conflicts}. Yields.
function client:delete_by_query(options)
  check_options(options, DELETE_QUERY, "elasticsearch:delete_by_query")
  local refresh = options.refresh
  if refresh ~= nil and type(refresh) ~= "boolean" then
    error("elasticsearch:delete_by_query: refresh is true or false", 2)
  end
  local done, err = self:ask { method = "POST", path = path_of(options.index, "_delete_by_query"), idempotent = false,
    json = { query = options.query }, timeout = options.timeout, query = { conflicts = "proceed", refresh = refresh } }
  if not done then
    return nil, err
  end
  return { deleted = done.deleted, total = done.total, conflicts = done.version_conflicts }
end

-- ---- many ----

---A bulk request to be filled: bulk.lua.
function client:bulk(options)
  options = options or {}
  check_options(options, bulk.options, "elasticsearch:bulk")
  return bulk.new(self, options, refresh_of(options.refresh))
end

---One page: search.lua. Yields.
function client:search(options)
  check_options(options, search.options, "elasticsearch:search")
  return search.page(self, options)
end

---All that a query finds, a page at a time: search.lua.
function client:scan(options)
  check_options(options, search.scan_options, "elasticsearch:scan")
  return search.scan(self, options)
end

---How many documents a query finds. Yields.
function client:count(index, query)
  local counted, err = self:ask { method = "POST", path = path_of(index, "_count"), json = { query = query },
    idempotent = true }
  return counted and counted.count, err
end

---Aggregations only, no hits: {index=, aggs=, query?=}. Yields.
function client:aggregate(options)
  local page, err = self:search { index = options.index, query = options.query, aggs = options.aggs, size = 0,
    total = false, timeout = options.timeout }
  return page and page.aggregations, err
end

client.path_of = path_of

return client
