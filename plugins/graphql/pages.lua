-- The edges of a connection (edges, cursors, pageInfo.hasNextPage), with never more than one page of them in memory.

local pages = {}
pages.__index = pages

local OPTIONS = { query = true, variables = true, operation = true, at = true, after = true, most = true,
  timeout = true }

local meta = {
  __tostring = function(err)
    return err.message
  end,
}

function pages.new(client, options)
  if type(options) ~= "table" or type(options.query) ~= "string" or type(options.at) ~= "string" then
    error("graphql:pages takes a table with query and at, the name of the connection in the data", 3)
  end
  for name in pairs(options) do
    if not OPTIONS[name] then
      error(("graphql:pages: there is no option %s"):format(tostring(name)), 3)
    end
  end
  local variables = {}
  for name, value in pairs(options.variables or {}) do
    variables[name] = value
  end
  return setmetatable({ client = client, query = options.query, operation = options.operation,
    timeout = options.timeout, variables = variables, at = options.at, after = options.after or "after",
    most = options.most or math.huge,
    given = 0, place = 0, page_count = 0 }, pages)
end

local function protocol(message)
  return setmetatable({ kind = "protocol", message = "graphql: " .. message, retryable = false }, meta)
end

local function connection_in(data, at)
  for name in at:gmatch "[^.]+" do
    data = type(data) == "table" and data[name] or nil
  end
  return type(data) == "table" and type(data.edges) == "table" and data or nil
end

-- Where the next page begins; nil: there is none. The page must get on: a service that says the same cursor again would be
-- asked for ever.
local function next_cursor(self, connection)
  local info = type(connection.pageInfo) == "table" and connection.pageInfo or {}
  if info.hasNextPage ~= true then
    return nil
  end
  local last = connection.edges[#connection.edges]
  local cursor = info.endCursor
  if type(cursor) ~= "string" then
    cursor = type(last) == "table" and last.cursor or nil
  end
  if type(cursor) ~= "string" or cursor == self.variables[self.after] then
    return nil, protocol "there is said to be a next page, but no cursor that leads to it"
  end
  return cursor
end

-- Nothing of the page before is held any more when the next one is asked for.
local function turn(self)
  self.edges, self.place = nil, 0
  self.variables[self.after] = self.coming or self.variables[self.after]
  local data, problem = self.client:query { query = self.query, operation = self.operation, variables = self.variables,
    timeout = self.timeout }
  if problem then
    return nil, problem
  end
  local connection = connection_in(data, self.at)
  if not connection then
    return nil, protocol(("the data has no connection %s with edges"):format(self.at))
  end
  local cursor, stuck = next_cursor(self, connection)
  if stuck then
    return nil, stuck
  end
  self.coming, self.last = cursor, cursor == nil
  self.edges, self.page_count = connection.edges, self.page_count + 1
  return true
end

---The next edge ({cursor, node}); nil at the end, nil and a problem after a failure. Yields when a page is over.
function pages:next()
  if self.given >= self.most then
    self.edges = nil
    return nil
  end
  while not self.edges or self.place == #self.edges do
    if self.last then
      self.edges = nil
      return nil
    end
    local ok, problem = turn(self)
    if not ok then
      self.failure = problem
      return nil, problem
    end
    self.failure = nil
  end
  self.place, self.given = self.place + 1, self.given + 1
  local edge = self.edges[self.place]
  self.edges[self.place] = false
  self.cursor = type(edge) == "table" and edge.cursor or self.cursor
  return edge
end

---for edge in pages:each() do: until the end or a failure; then ask problem(). After a failure it goes on with the page
---that failed.
function pages:each()
  return self.next, self
end

---What it stopped with; nil when it ended well. Partial data stops it, too: a page with holes would be taken for a whole
---one.
function pages:problem()
  return self.failure
end

return pages
