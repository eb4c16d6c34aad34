-- Bodies of requests over a real server: as they are, as JSON, as forms, as multipart; limits of routes; large ones; queues.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"
local socket = require "socket"

local KB, MB = 1024, 1024 * 1024
local APP = server.root .. "/spec/support/bodies"

local function post(app, path, body, content_type)
  return http.request(app, "POST", path, { body = body, headers = { ["Content-Type"] = content_type } })
end

local function assert_refused(answer, status, code)
  assert.are.equal(status, answer.status, answer.body)
  assert.are.equal(code, answer.json.error.code)
  assert.are.equal(answer.headers["x-request-id"], answer.json.error.requestId)
  assert.is_nil(answer.body:find("%.lua:%d"))
end

local function multipart(parts)
  local lines = {}
  for _, part in ipairs(parts) do
    lines[#lines + 1] = "--limit"
    lines[#lines + 1] = ('Content-Disposition: form-data; name="%s"%s'):format(part[1],
      part.filename and ('; filename="%s"'):format(part.filename) or "")
    if part.type then lines[#lines + 1] = "Content-Type: " .. part.type end
    lines[#lines + 1] = ""
    lines[#lines + 1] = part[2]
  end
  lines[#lines + 1] = "--limit--\r\n"
  return table.concat(lines, "\r\n"), "multipart/form-data; boundary=limit"
end

-- Different in every place, so that a page in the wrong place is seen.
local function bytes(size)
  local lines = {}
  for i = 1, math.ceil(size / 16) do
    lines[i] = ("%015d\n"):format(i)
  end
  return table.concat(lines):sub(1, size)
end

describe("a body", function()
  local app
  setup(function() app = server.start { app = APP, workers = "2" } end)
  teardown(function() app:stop() end)

  it("of 20 MB reaches the script without being copied, and is gone afterwards", function()
    local body = bytes(20 * MB)
    local answer = post(app, "/raw", body, "application/octet-stream").json
    assert.are.equal(20 * MB, answer.length)
    assert.are.equal(body:sub(1, 8), answer.first)
    assert.are.equal(body:sub(-8), answer.last)
    local during = answer.ledger
    assert.is_true(during.spooled >= 20 * MB, "it is not on disk")
    assert.is_true(during.cachedAndMapped >= during.spooled)
    local before_ours = http.get(app, "/api/health/memory").json.ledger.ours
    assert.is_true(during.ours - before_ours < 2 * MB, "it is in memory: " .. during.ours .. " against " .. before_ours)
    assert.is_truthy(server.wait(10, function()
      return http.get(app, "/api/health/memory").json.ledger.spooled == 0
    end))
  end)

  it("below the threshold lies in memory, of any size it is whole", function()
    for _, size in ipairs { 0, 1, 100 * KB, 200 * KB, 256 * KB - 1, 256 * KB, 300 * KB, MB } do
      local body = bytes(size)
      local answer = post(app, "/raw", body, "application/octet-stream").json
      assert.are.equal(size, answer.length)
      if size > 0 then
        assert.are.equal(body:sub(1, 8), answer.first)
        assert.are.equal(body:sub(-8), answer.last)
      end
    end
  end)

  it("over the limit of its route is 413, whatever other routes take", function()
    assert.are.equal(2048, post(app, "/small", ("x"):rep(2048), "text/plain").json.length)
    assert_refused(post(app, "/small", ("x"):rep(2049), "text/plain"), 413, "body_too_large")
    assert_refused(post(app, "/small", ("x"):rep(300 * KB), "text/plain"), 413, "body_too_large")
    assert_refused(post(app, "/json", ("x"):rep(MB + 1), "text/plain"), 413, "body_too_large") -- max_body
    assert_refused(post(app, "/raw", ("x"):rep(25 * MB + 1), "text/plain"), 413, "body_too_large")
  end)

  it("of JSON has a size and a depth", function()
    assert.are.same({ a = { { 1 } } }, post(app, "/json", '{"a":[[1]]}').json)
    assert_refused(post(app, "/json", '{"a":[[[1]]]}'), 400, "invalid_json")
    assert_refused(post(app, "/json", '{"a":"' .. ("x"):rep(1100) .. '"}'), 413, "body_too_large")
    assert_refused(post(app, "/json", "a=1", "application/x-www-form-urlencoded"), 415, "unsupported_media_type")
  end)

  it("that is a form becomes a table", function()
    local form = "application/x-www-form-urlencoded; charset=UTF-8"
    local answer = post(app, "/form", "a=1&b=two+words&a=%C3%A9&c&a=3", form)
    assert.are.same({ a = { "1", "\195\169", "3" }, b = "two words", c = "" }, answer.json)
    assert.are.same({}, post(app, "/form", "", form).json)
    assert_refused(post(app, "/form", "a=%zz", form), 400, "invalid_body")
    assert_refused(post(app, "/form", "a=1&b=2&c=3&d=4&e=5&f=6", form), 413, "body_too_large")
    assert_refused(post(app, "/form", "a=" .. ("x"):rep(21), form), 413, "body_too_large")
    assert_refused(post(app, "/form", "a=1", "text/plain"), 415, "unsupported_media_type")
  end)

  it("of parts gives each as a buffer", function()
    local file = bytes(3 * MB)
    local answer = post(app, "/upload", multipart {
      { "text", "How do I do a plank?" },
      { "audio", file, filename = "q.webm", type = "audio/webm;codecs=opus" },
      { "empty", "", filename = "" },
    }).json
    assert.are.equal(3, #answer.parts)
    local text, audio, empty = unpack(answer.parts)
    assert.are.equal("text", text.name)
    assert.are.equal(20, text.length)
    assert.is_nil(text.filename)
    assert.are.equal(3 * MB, audio.length)
    assert.are.equal(file:sub(1, 8), audio.first)
    assert.are.equal(file:sub(-8), audio.last)
    assert.are.equal("q.webm", audio.filename)
    assert.are.equal("audio/webm;codecs=opus", audio.type)
    assert.are.equal("audio/webm;codecs=opus", audio.headers["content-type"])
    assert.are.equal("", empty.filename)
    assert.are.equal(0, empty.length)
    assert.is_true(answer.ledger.spooled >= 3 * MB)
    assert.is_true(answer.ledger.byKind.request.bytes < 256 * KB)
  end)

  it("of parts that is wrong is refused in our words", function()
    local body, content_type = multipart { { "a", "1" } }
    assert_refused(post(app, "/upload", body:sub(1, -6), content_type), 400, "invalid_body")
    assert_refused(post(app, "/upload", body, "multipart/form-data"), 400, "invalid_body")
    assert_refused(post(app, "/upload", body, "application/json"), 415, "unsupported_media_type")
    assert_refused(post(app, "/upload", "", content_type), 400, "invalid_body")
    body = multipart { { "a", "1" }, { "b", "1" }, { "c", "1" }, { "d", "1" }, { "e", "1" } }
    assert_refused(post(app, "/upload", body, content_type), 413, "body_too_large")
    body = multipart { { "a", ("x"):rep(64 * KB + 1) } }
    assert_refused(post(app, "/upload", body, content_type), 413, "body_too_large")
    body = multipart { { "a", bytes(24 * MB + 1), filename = "a" } }
    assert_refused(post(app, "/upload", body, content_type), 413, "body_too_large")
    body = multipart { { "a", "1", type = "multipart/mixed; boundary=x" } }
    assert_refused(post(app, "/upload", body, content_type), 415, "unsupported_media_type")
  end)

  it("comes back byte for byte", function()
    local file = bytes(2 * MB + 3)
    local body, content_type = multipart { { "f", "1" }, { "file", file, filename = "x", type = "audio/wav" } }
    local answer = post(app, "/mirror", body, content_type)
    assert.are.equal(200, answer.status)
    assert.are.equal("audio/wav", answer.headers["content-type"])
    assert.are.equal('{"f":"1"}', answer.headers["x-fields"])
    assert.is_true(answer.body == file, "it is not the same")
  end)
end)

-- A request that has been sent, whose answer is read later.
local function begin(app, path)
  local client = assert(socket.tcp())
  client:settimeout(30)
  assert(client:connect(app.host, app.port))
  assert(client:send(("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"):format(path)))
  return client
end

local function finish(client)
  local text = assert(client:receive("*a"))
  client:close()
  return tonumber(text:match("^HTTP/1.1 (%d+)")), text
end

local function figures(app, route)
  for _, each in ipairs(http.get(app, "/status").json) do
    if each.route == route then return each end
  end
end

local function wait_for(app, route, name, count)
  assert.is_truthy(server.wait(15, function() return figures(app, route)[name] == count end), name)
end

describe("a route for so many at once", function()
  local app
  setup(function() app = server.start { app = APP, workers = "2" } end)
  teardown(function() app:stop() end)

  it("lets the others wait, over all workers, and refuses those that are too many", function()
    local route, clients = "POST /slow", {}
    for i = 1, 5 do clients[i] = begin(app, "/slow?ms=3000") end
    wait_for(app, route, "waiting", 3)
    assert.are.equal(2, figures(app, route).running)
    local status, text = finish(begin(app, "/slow"))
    assert.are.equal(503, status)
    assert.is_truthy(text:find('"route_busy"', 1, true))
    assert.is_truthy(text:lower():find("retry-after: 20", 1, true))
    for i = 1, 5 do assert.are.equal(200, (finish(clients[i]))) end
    wait_for(app, route, "running", 0)
    local after = figures(app, route)
    assert.are.same({ 5, 1, 0 }, { after.admitted, after.refused, after.waiting })
  end)

  it("forgets those that leave the queue", function()
    local route = "POST /slow"
    local clients = { begin(app, "/slow?ms=3000"), begin(app, "/slow?ms=3000") }
    wait_for(app, route, "running", 2)
    local impatient = begin(app, "/slow")
    wait_for(app, route, "waiting", 1)
    impatient:close()
    wait_for(app, route, "waiting", 0)
    for _, client in ipairs(clients) do assert.are.equal(200, (finish(client))) end
    wait_for(app, route, "running", 0)
  end)

  it("answers 503 to those that have waited too long", function()
    local first = begin(app, "/impatient")
    wait_for(app, "POST /impatient", "running", 1)
    local status, text = finish(begin(app, "/impatient"))
    assert.are.equal(503, status)
    assert.is_truthy(text:find('"route_busy"', 1, true))
    assert.are.equal(204, (finish(first)))
    assert.are.equal(1, figures(app, "POST /impatient").timedOut)
  end)
end)

describe("the disk for bodies", function()
  it("has an end: then it is 503", function()
    local app = server.start { app = APP, spool_budget = "1MB" }
    assert.are.equal(200, post(app, "/raw", bytes(300 * KB), "text/plain").status)
    local answer = post(app, "/raw", bytes(3 * MB), "text/plain")
    assert.are.equal(503, answer.status)
    assert.are.equal("1", answer.headers["retry-after"])
    app:stop()
  end)
end)
