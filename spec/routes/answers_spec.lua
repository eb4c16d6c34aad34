-- Answers that scripts make piece by piece, events, files and cookies, as clients on real sockets see them.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"
local socket = require "socket"

local QUEUE = 128 * 1024

describe("answers in pieces", function()
  local app
  setup(function()
    app = server.start { app = server.root .. "/spec/support/answers", answer_queue = "128KB", workers = "1" }
  end)
  teardown(function() app:stop() end)

  local function request(bytes)
    local client = assert(socket.tcp())
    client:settimeout(30)
    client:setoption("tcp-nodelay", true)
    assert(client:connect(app.host, app.port))
    assert(client:send(bytes))
    return client
  end

  it("are chunked for HTTP/1.1 and end with the connection for HTTP/1.0 and other statuses", function()
    local answer = http.get(app, "/lines")
    assert.are.equal("chunked", answer.headers["transfer-encoding"])
    assert.are.equal("line 1\nline 2\nline 3\n", answer.body)
    answer = http.raw(app, "GET /lines HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert.is_nil(answer.headers["transfer-encoding"])
    assert.are.equal("line 1\nline 2\nline 3\n", answer.body)
    answer = http.raw(app, "GET /lines?status=202 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.are.equal(202, answer.status)
    assert.are.equal("line 1\nline 2\nline 3\n", answer.body)
  end)

  it("keep the connection, and a declared length", function()
    local client = request("GET /length HTTP/1.1\r\nHost: a\r\n\r\nGET /lines HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    local text = client:receive("*a")
    client:close()
    assert.is_truthy(text:lower():find("content-length: 6\r\n", 1, true))
    assert.is_truthy(text:find("\r\n\r\nabcdefHTTP/1.1 200", 1, true), text)
    assert.is_truthy(text:find("line 3\n\r\n0\r\n\r\n$"), text)
  end)

  it("have no body for HEAD, and for 204", function()
    local head = http.request(app, "HEAD", "/lines")
    assert.are.equal(200, head.status)
    assert.are.equal("", head.body)
    assert.are.equal("", http.get(app, "/lines?status=204").body)
  end)

  it("are cut when the handler fails: no end that looks like one", function()
    local client = request("GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
    local text, _, rest = client:receive("*a")
    client:close()
    assert.is_truthy((text or rest):find("half", 1, true))
    assert.is_nil((text or rest):find("0\r\n\r\n", 1, true))
    assert.is_true(app:logged "on purpose")
  end)

  -- The kernel takes some megabytes by itself; what the server holds is what counts.
  it("wait for a client that does not read, and hold no more than the queue meanwhile", function()
    local client = request("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
    local last = -1
    local stopped = server.wait(20, function()
      local made = http.get(app, "/made").json.made
      local same = made == last
      last = made
      if not same then socket.sleep(0.2) end
      return same and made > 0
    end)
    assert.is_truthy(stopped)
    local held = http.get(app, "/api/health/memory").json.ledger.byKind.request.bytes
    assert.is_true(held >= 65536 and held < QUEUE + 65536 + 32 * 1024, held .. " bytes are held")
    assert(client:receive(4 * 1024 * 1024))
    assert.is_truthy(server.wait(10, function() return http.get(app, "/made").json.made > last end))
    client:close() -- settle: all of it goes
  end)

  it("end at once when the client leaves in the middle", function()
    local client = request("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
    assert(client:receive(100000))
    client:close()
    app:settle()
  end)
end)

describe("events of a script", function()
  local app
  before_each(function() app = server.start { app = server.root .. "/spec/support/answers", workers = "1" } end)
  after_each(function() app:stop() end)

  it("go on behind Last-Event-ID", function()
    local stream = http.stream(app, "/count", { ["Last-Event-ID"] = "7" })
    assert.are.equal("text/event-stream", stream.headers["content-type"])
    local ids = {}
    for _, event in ipairs(stream:all { tick = true }) do
      ids[#ids + 1] = event.id
      assert.are.equal(tonumber(event.id), event.data.n)
    end
    assert.are.same({ "8", "9", "10" }, ids)
  end)

  it("beat while nothing is said", function()
    local stream = http.stream(app, "/quiet")
    stream.client:settimeout(15)
    local text = ""
    while not text:find("retry: 1000\n\n:\n\n:\n\n", 1, true) do
      text = text .. assert(stream:read_more())
    end
    stream:close()
  end)

  it("end when the server drains, and tell the client to come again", function()
    local stream = http.stream(app, "/quiet")
    assert.is_truthy(stream:read_more())
    app.leaves = "nothing that can be asked for: it ends"
    server.shell("kill -TERM " .. app.pid)
    local text = ""
    for part in stream.read_more, stream do
      text = text .. part
    end
    assert.is_truthy(text:find("retry: 1000\n\n$"), text)
    stream:close()
    assert.is_truthy(server.wait(10, function() return app:log():find("quiet: draining", 1, true) end))
  end)
end)

describe("heads that a script writes", function()
  local app
  setup(function() app = server.start { app = server.root .. "/spec/support/answers", workers = "1" } end)
  teardown(function() app:stop() end)

  it("bear several cookies, one line each", function()
    local answer = http.get(app, "/both", { Cookie = "other=1; sent=\"yes\"" })
    assert.are.equal("yes", answer.body)
    local _, count = answer.head:lower():gsub("\r\nset%-cookie: ", "")
    assert.are.equal(2, count)
    assert.is_truthy(answer.head:find("b=2; Path=/both; SameSite=Lax; HttpOnly", 1, true))
  end)

  it("send browsers elsewhere", function()
    local answer = http.get(app, "/away")
    assert.are.equal(302, answer.status)
    assert.are.equal("/lines", answer.headers.location)
    assert.are.equal("0", answer.headers["content-length"])
  end)

  it("name a file from disk, which the client's copy spares", function()
    local answer = http.get(app, "/file/app.lua?as=x.lua")
    assert.are.equal(server.read(server.root .. "/spec/support/answers/app.lua"), answer.body)
    assert.are.equal('attachment; filename="x.lua"', answer.headers["content-disposition"])
    assert.are.equal(304, http.get(app, "/file/app.lua", { ["If-None-Match"] = answer.headers.etag }).status)
    assert.are.equal(404, http.get(app, "/file/none").status)
    assert.are.equal(404, http.get(app, "/file//etc/passwd").status)
  end)
end)
