-- Clients that read slowly or not at all, over real sockets with small windows: whom they hold up, for how long, and
-- their end.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"
local socket = require "socket"
local voice = require "spec.support.voice"

local SLOW = tonumber(os.getenv("FA_SLOW") or "1")
local CHUNKS = 8

-- The coach, whose every sentence is `bytes` of the same tone, and whose one record makes CHUNKS of them.
local function talker(bytes, settings)
  local all = { plugin_path = "spec/support/plugins", plugins_enabled = "tone,records", tts = "tone",
    data = "spec/support/measured", ["plugins.tone.bytes"] = bytes }
  for key, value in pairs(settings or {}) do
    all[key] = value
  end
  return server.start(all)
end

-- A client whose kernel takes a few kilobytes and no more. It reads only when it is told to.
local function small_window(app, path)
  local client = assert(socket.tcp4())
  assert(client:setoption("recv-buffer-size", 4096))
  client:settimeout(15 * SLOW)
  assert(client:connect(app.host, app.port))
  assert(client:send(("GET %s HTTP/1.1\r\nHost: %s:%d\r\n\r\n"):format(path, app.host, app.port)))
  assert(client:receive("*l"):find("^HTTP/1.1 200"))
  return client
end

-- Reads what the kernel still has, until the end; how many bytes, and "closed" when that was the end.
local function drain(client)
  local bytes = 0
  client:settimeout(15 * SLOW)
  while true do
    local data, problem, rest = client:receive(65536)
    bytes = bytes + #(data or rest)
    if problem then
      client:close()
      return bytes, problem
    end
  end
end

local function ask(app)
  return voice.ask(app, "How do I do the measured walk?")
end


-- Reads a stream to its end as fast as it comes, and meanwhile lets `sip` be done once a second.
---@return string text
---@return number longest the longest time without a byte, in seconds
local function read_fast(client, sip)
  local parts, longest, last, next_sip, tail = {}, 0, socket.gettime(), 0, ""
  while true do
    if socket.gettime() >= next_sip then
      next_sip = socket.gettime() + 1
      sip()
    end
    socket.select({ client }, nil, 0.1)
    client:settimeout(0)
    local data, problem, rest = client:receive(1024 * 1024)
    data = data or rest
    if #data > 0 then
      local now = socket.gettime()
      longest, last = math.max(longest, now - last), now
      parts[#parts + 1] = data
    end
    tail = (tail .. data):sub(-7)
    if problem == "closed" or tail == "\r\n0\r\n\r\n" then
      return table.concat(parts), longest
    end
  end
end

describe("a listener that reads 1 KB a second", function()
  it("makes the producer wait at its allowance, once, and loses its place; the other one has all of it", function()
    local app = talker("320KB", { slow_listener_wait = "2s" })
    local id = ask(app)
    local slow = small_window(app, voice.path(id))
    local fast = http.stream(app, voice.path(id))
    slow:settimeout(0)
    local text, longest = read_fast(fast.client, function() slow:receive(1024) end)
    local _, chunks = text:gsub("event: audioChunk", "")
    assert.are.equal(CHUNKS, chunks)
    assert.is_truthy(text:find('"status":"completed"', 1, true))
    assert.is_true(longest > 1.5, "nobody waited for the slow one: " .. longest)
    assert.is_true(longest < 2 + 8 * SLOW, "waited too long for it: " .. longest)
    assert.is_true(app:logged "was dropped: too slow")
    local kinds = http.get(app, "/api/health/memory").json.ledger.byKind
    assert.is_true(kinds.dialogue.peakBytes <= 2 * 1024 * 1024, "above the budget: " .. kinds.dialogue.peakBytes)
    local heard = drain(slow)
    assert.is_true(heard < 1024 * 1024, "it had most of it after all: " .. heard)
    fast:close()
    app:stop()
  end)
end)

describe("a client that reads nothing", function()
  it("is dropped after listener_stall, though nobody waits for it", function()
    local app = talker("60KB", { listener_stall = "1s" })
    local id = ask(app)
    local stalled = small_window(app, voice.path(id, "&follow=1"))
    local events = voice.hear(app, id)
    assert.are.equal("completed", voice.named(events, "done")[1].data.status)
    app:settle() -- which no listener that still holds its events would let it
    local _, problem = drain(stalled)
    assert.are.equal("closed", problem)
    app:stop()
  end)

  it("of a large file is cut after send_stall, and what it held is free", function()
    local data = server.folder()
    server.shell(("mkdir %s/media; cp %s/examples/coach/data/exercises.json %s"):format(data, server.root, data))
    server.write(data .. "/media/big.gif", ("x"):rep(30000000))
    local app = server.start({ send_stall = "1s" }, data)
    local stalled = small_window(app, "/media/big.gif")
    assert.is_true(http.get(app, "/api/health/memory").json.ledger.byKind.request.count > 0)
    app:settle()
    assert.are.equal(200, http.get(app, "/media/big.gif").status)
    assert.is_true(drain(stalled) < 30000000)
    app:stop()
    server.remove(data)
  end)
end)
