-- One GraphQL service: queries, what came of them, and connections read page by page.

local pages = require "plugins.graphql.pages"
local services = require "fitnessally.client"

local client = {}
client.__index = client

local EXCERPT, LONGEST_MESSAGE, MOST_ERRORS = 4096, 500, 20
local OPTIONS = { upstream = true, path = true, response_max = true, persisted = true, headers = true }
local QUERY = { query = true, variables = true, operation = true, timeout = true, mutation = true }

---options: upstream (a name or an upstream), path (behind its url), response_max, persisted (send hashes first), headers.
function client.new(options)
  options = options or {}
  services.check_options(options, OPTIONS, "plugin.graphql.client")
  local name = services.upstream_name(options.upstream or config.upstream, "plugin.graphql.client")
  return setmetatable({ name = name, path = options.path, persisted = options.persisted == true, hashes = {},
    headers = options.headers, response_max = options.response_max or config.response_max }, client)
end

-- ---- answers ----

-- The errors of an answer, as many and as long as can be kept.
local function errors_of(answer)
  local errors = {}
  for i, raw in ipairs(type(answer.errors) == "table" and answer.errors or {}) do
    if i > MOST_ERRORS then
      break
    end
    raw = type(raw) == "table" and raw or {}
    local extensions = type(raw.extensions) == "table" and raw.extensions or {}
    errors[i] = { message = tostring(raw.message):sub(1, LONGEST_MESSAGE), code = extensions.code,
      path = type(raw.path) == "table" and raw.path or nil }
  end
  return errors
end

local function excerpt_of(body)
  local part = body:slice(1, EXCERPT)
  local text = part and part:copy { max = EXCERPT }
  if part then
    part:release()
  end
  return text
end

-- What an answer with a status other than 2xx is called when it is no GraphQL.
local function status_problem(res)
  local problem = services.problem("status", ("graphql: the answer is an error: status %d"):format(res.status), res.status)
  problem.retryable = res.status == 429 or (res.status >= 502 and res.status <= 504)
  problem.retry_after = tonumber(res.headers["retry-after"])
  problem.excerpt = excerpt_of(res.body)
  return problem
end

-- The answer as a table with data or errors; gives its bytes back.
local function read(res)
  local answer = res.body:json()
  local problem
  local is_one = type(answer) == "table" and (answer.data ~= nil or type(answer.errors) == "table")
  if is_one then
    res.body:release()
    return answer
  elseif res.status < 200 or res.status > 299 then
    problem = status_problem(res)
  else
    problem = services.problem("protocol", "graphql: the answer is no GraphQL answer", res.status)
    problem.excerpt = excerpt_of(res.body)
  end
  res.body:release()
  return nil, problem
end

local function send(self, request, repeatable, timeout)
  local res, err = upstream[self.name]:post { path = self.path, json = request, headers = self.headers,
    max = self.response_max, timeout = timeout, idempotent = repeatable }
  if not res then
    return nil, err
  end
  return read(res)
end

local function is_unknown_hash(answer)
  for _, one in ipairs(errors_of(answer)) do
    if one.code == "PERSISTED_QUERY_NOT_FOUND" or one.message == "PersistedQueryNotFound" then
      return true
    end
  end
  return false
end

-- The service is told the hash alone, and the text only when it does not know it yet.
local function send_persisted(self, request, repeatable, timeout)
  local query = request.query
  request.extensions = { persistedQuery = { version = 1, sha256Hash = fitnessally.crypto.sha256(query) } }
  request.query = nil
  local answer, err = send(self, request, repeatable, timeout)
  if not answer or not is_unknown_hash(answer) then
    return answer, err
  end
  request.query = query
  return send(self, request, repeatable, timeout)
end

local function judge(answer)
  local data = answer.data
  if data == json.null then
    data = nil
  end
  local errors = errors_of(answer)
  if #errors == 0 then
    if data == nil then
      return nil, services.problem("protocol", "graphql: the answer has neither data nor errors")
    end
    return data, nil
  end
  local problem = services.problem(data and "partial" or "graphql", "graphql: " .. errors[1].message)
  problem.errors = errors
  return data, problem
end

---Asks: {query=, variables?=, operation?=, timeout?=, mutation?=}, or the text of a query and its variables. A mutation is not sent
---twice. Yields.
---@return table? data
---@return table? problem of kind "partial" beside data; of another kind without
---@return table? extensions
function client:query(options, variables)
  if type(options) == "string" then
    options = { query = options, variables = variables }
  end
  services.check_options(options, QUERY, "graphql:query")
  if type(options.query) ~= "string" then
    error("graphql:query: query is a text", 2)
  end
  local mutation = options.mutation or options.query:find "^%s*mutation%f[%W]" ~= nil
  local request = { query = options.query, variables = options.variables, operationName = options.operation }
  local answer, err = (self.persisted and send_persisted or send)(self, request, not mutation, options.timeout)
  if not answer then
    return nil, err
  end
  local data, problem = judge(answer)
  return data, problem, answer.extensions
end

---The edges of a connection, a page at a time: pages.lua. options: query, variables, at ("transactions", or "a.b"), after (the
---name of the variable that takes the cursor, "after"), most (edges), timeout.
function client:pages(options)
  return pages.new(self, options)
end

return client
