-- An upstream whose answers a spec says in advance: app:upstream(name).

local cjson = require "cjson"
local body_of = require "fitnessally.testing.content"

local scripted = {}

local Upstream = {}
Upstream.__index = Upstream

local units = { ms = 1, s = 1000, min = 60000, h = 3600000 }

-- "10ms" in milliseconds.
local function milliseconds(duration, level)
  if duration == nil then
    return 0
  end
  local number, unit = tostring(duration):match "^([%d.]+)(%a+)$"
  if not (tonumber(number) and units[unit]) then
    error(("%q is no duration: \"10ms\", \"2s\""):format(tostring(duration)), level + 1)
  end
  return tonumber(number) * units[unit]
end

local function head_text(headers, kind, length)
  local lines, given = {}, {}
  for name, value in pairs(headers or {}) do
    given[name:lower()] = true
    lines[#lines + 1] = name .. ": " .. tostring(value)
  end
  if kind and not given["content-type"] then
    lines[#lines + 1] = "Content-Type: " .. kind
  end
  if length and not given["content-length"] then
    lines[#lines + 1] = "Content-Length: " .. length
  end
  return table.concat(lines, "\n")
end

-- {status=, json=, text=, body=, type=, headers=, after=}
local function reply_of(reply, level)
  local body, kind = body_of((reply.json ~= nil or reply.text or reply.body) and reply or nil, level + 1)
  body = body or ""
  return {
    status = reply.status or 200,
    head = head_text(reply.headers, kind, #body),
    after = milliseconds(reply.after, level + 1),
    steps = { { data = body } },
  }
end

-- One piece: {after=, data=, json=, event=, cut=}; json and event frame a server-sent event.
local function piece_of(piece, level)
  piece = type(piece) == "string" and { data = piece } or piece
  local data = piece.data
  if piece.json ~= nil or piece.event then
    data = piece.json ~= nil and cjson.encode(piece.json) or data or ""
    data = (piece.event and "event: " .. piece.event .. "\n" or "") .. "data: " .. data .. "\n\n"
  end
  return { after = milliseconds(piece.after, level + 1), data = data, cut = piece.cut }
end

local function stream_of(stream, level)
  local steps = {}
  for i, piece in ipairs(stream) do
    steps[i] = piece_of(piece, level + 1)
  end
  return {
    status = stream.status or 200,
    head = head_text(stream.headers, stream.type or "text/event-stream"),
    after = milliseconds(stream.after, level + 1),
    steps = steps,
  }
end

local function add(upstream, answer, times)
  for _ = 1, times or 1 do
    upstream.script[#upstream.script + 1] = answer
  end
  return upstream
end

---The next request (the next `times`) gets this as a whole: {status=, json=, text=, body=, type=, headers=, after="10ms", times=}.
function Upstream:reply(reply)
  return add(self, reply_of(reply, 2), reply.times)
end

---The next request gets it in pieces: { {after="10ms", data="..."}, {json={...}}, {cut=true}, status=, headers=, type=, after=, times= }.
function Upstream:stream(stream)
  return add(self, stream_of(stream, 2), stream.times)
end

---The next request finds no service: "refused", "dns", "tls", "timeout" (while it connects), or "silent": connected, and no word.
function Upstream:fail(how, times)
  return add(self, how == "silent" and { silent = true } or { failure = how }, times)
end

---Every request that no line above is left for is answered by a function: it gets the request and returns what reply takes, or what stream
---takes. nil: the test fails, as without the function.
function Upstream:answers(fn)
  self.answer = fn
  return self
end

local function path_of(url)
  return url:match "^%a+://[^/?]*(.*)$" or url
end

-- What makes the core ask again: docs/upstreams.md, "Again, and elsewhere".
local repeated = { [429] = 429, [502] = 502, [503] = 503, [504] = 504 }

local function failure_of(answer)
  local last = answer.steps and answer.steps[#answer.steps]
  return answer.failure or answer.silent and "silent" or repeated[answer.status] or last and last.cut and "cut" or nil
end

local function find_answer(upstream, request)
  if #upstream.script > 0 then
    return table.remove(upstream.script, 1)
  end
  local said = upstream.answer and upstream.answer(request)
  if not said then
    error(("upstream %s is asked %s %s, and the spec does not say what it answers%s"):format(
      upstream.name, request.method, request.path, upstream.failed and
      (" (perhaps again, for it has failed before: %s; `times` answers several, `retries = 0` of an upstream asks once)")
      :format(upstream.failed) or ""), 0)
  end
  return said[1] and stream_of(said, 1) or reply_of(said, 1)
end

---What the spec says that this request gets; the request is noted.
function scripted.next_answer(upstream, request)
  request.path = path_of(request.url)
  upstream.requests[#upstream.requests + 1] = request
  local answer = find_answer(upstream, request)
  upstream.failed = failure_of(answer)
  return answer
end

function scripted.new(name)
  return setmetatable({ name = name, script = {}, requests = {} }, Upstream)
end

return scripted
