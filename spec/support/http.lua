-- A small HTTP client on plain sockets, so that a spec sees the bytes as they are and can misbehave on purpose.

local cjson = require "cjson"
local socket = require "socket"

local http = {}

local SLOW = tonumber(os.getenv("FA_SLOW") or "1")
local DEADLINE = 15 * SLOW -- seconds, for one answer

local function connect(server)
  local client = assert(socket.tcp())
  client:settimeout(DEADLINE)
  assert(client:connect(server.host, server.port))
  client:setoption("tcp-nodelay", true)
  return client
end

-- Everything until the server closes.
local function read_all(client)
  local parts, deadline = {}, socket.gettime() + DEADLINE
  while true do
    local data, problem, rest = client:receive(65536)
    parts[#parts + 1] = data or rest
    if problem == "closed" then
      return table.concat(parts)
    elseif not data then
      error(("no end of the answer (%s) after: %s"):format(problem, table.concat(parts):sub(1, 500)), 2)
    elseif socket.gettime() > deadline then
      error("the answer does not end", 2)
    end
  end
end

local function decode_chunked(text)
  local parts, at = {}, 1
  while true do
    local size, behind = text:match("^(%x+)[^\r\n]*\r\n()", at)
    assert(size, "malformed chunk")
    size = tonumber(size, 16)
    if size == 0 then
      return table.concat(parts)
    end
    parts[#parts + 1] = text:sub(behind, behind + size - 1)
    at = behind + size + 2
  end
end

local function parse_head(text)
  local status, rest = text:match("^HTTP/1%.%d (%d%d%d)[^\r\n]*\r\n(.*)$")
  assert(status, "no HTTP answer: " .. text:sub(1, 200))
  local headers = {}
  for name, value in rest:gmatch("([^:\r\n]+):[ \t]*([^\r\n]*)\r\n") do
    headers[name:lower()] = value
  end
  return tonumber(status), headers
end

local function parse(text, method)
  local head, body = text:match("^(.-\r\n)\r\n(.*)$")
  assert(head, "no complete head: " .. text:sub(1, 200))
  local status, headers = parse_head(head)
  local answer = { status = status, headers = headers, head = head, body = body }
  if headers["transfer-encoding"] == "chunked" and method ~= "HEAD" then
    answer.body = decode_chunked(body)
  end
  local is_json = (headers["content-type"] or ""):find("^application/json") and not headers["content-encoding"]
  if is_json and #answer.body > 0 then
    answer.json = cjson.decode(answer.body)
  end
  return answer
end

local function request_text(server, method, path, options)
  local lines = { ("%s %s HTTP/1.1"):format(method, path), ("Host: %s:%d"):format(server.host, server.port) }
  for name, value in pairs(options.headers or {}) do
    lines[#lines + 1] = ("%s: %s"):format(name, value)
  end
  if options.body then
    lines[#lines + 1] = "Content-Length: " .. #options.body
  end
  lines[#lines + 1] = "\r\n"
  return table.concat(lines, "\r\n") .. (options.body or "")
end

---Sends bytes as they are; the answer is what comes until the server closes.
function http.raw(server, bytes)
  local client = connect(server)
  client:send(bytes)
  local text = read_all(client)
  client:close()
  return parse(text)
end

---One request on a connection of its own. json: a table for the body.
---@return {status: integer, headers: table<string, string>, body: string, json: table?}
function http.request(server, method, path, options)
  options = options or {}
  local headers = { Connection = "close" }
  if options.json then
    options.body = cjson.encode(options.json)
  end
  if options.body then
    headers["Content-Type"] = "application/json"
  end
  for name, value in pairs(options.headers or {}) do
    headers[name] = value
  end
  local client = connect(server)
  assert(client:send(request_text(server, method, path, { headers = headers, body = options.body })))
  local text = read_all(client)
  client:close()
  return parse(text, method)
end

function http.get(server, path, headers)
  return http.request(server, "GET", path, { headers = headers })
end

function http.post(server, path, json, headers)
  return http.request(server, "POST", path, { json = json, headers = headers })
end

----------------------------------------------------------------------------------------------------------------------
-- event streams

local stream = {}
stream.__index = stream

local function parse_event(block)
  local event = { name = "message" }
  for line in block:gmatch("[^\n]+") do
    local field, value = line:match("^(%w+): ?(.*)$")
    if field == "event" then
      event.name = value
    elseif field == "data" then
      event.text = value
    elseif field then
      event[field] = value
    end
  end
  event.data = event.text and cjson.decode(event.text) or nil
  return event
end

---Opens an event stream. When the answer is none, status and body tell.
---@return table stream status, headers; next(), all(), close()
function http.stream(server, path, headers)
  local client = connect(server)
  assert(client:send(request_text(server, "GET", path, { headers = headers or {} })))
  local lines = {}
  repeat
    local line = assert(client:receive("*l"))
    lines[#lines + 1] = line
  until line == ""
  local status, received = parse_head(table.concat(lines, "\r\n") .. "\r\n")
  local opened = { client = client, status = status, headers = received, rest = "", chunk_left = 0 }
  opened.chunked = received["transfer-encoding"] == "chunked"
  return setmetatable(opened, stream)
end

-- More bytes of the body; nil at its end.
function stream:read_more()
  if self.chunked and self.chunk_left == 0 then
    local size = tonumber((assert(self.client:receive("*l")):match("^%x+")), 16)
    if size == 0 then
      return nil
    end
    self.chunk_left = size
  end
  local want = self.chunked and self.chunk_left or 4096
  if not self.chunked then
    self.client:settimeout(DEADLINE)
    local data, problem, part = self.client:receive(1)
    if not data and problem == "closed" then
      return part ~= "" and part or nil
    end
    assert(data, problem)
    self.client:settimeout(0)
    local whole, _, rest = self.client:receive(want)
    self.client:settimeout(DEADLINE)
    return data .. (whole or rest or "")
  end
  local data = assert(self.client:receive(want))
  self.chunk_left = 0
  assert(self.client:receive(2))
  return data
end

---The next event, nil when the stream has ended.
function stream:next()
  while true do
    local block, rest = self.rest:match("^(.-)\n\n(.*)$")
    if block then
      self.rest = rest
      return parse_event(block)
    end
    local more = self:read_more()
    if not more then
      return nil
    end
    self.rest = self.rest .. more
  end
end

---All events to the end of the stream; only: names to keep, nil for all.
function stream:all(only)
  local events = {}
  for event in self.next, self do
    if not only or only[event.name] then
      events[#events + 1] = event
    end
  end
  self:close()
  return events
end

function stream:close()
  self.client:close()
end

return http
