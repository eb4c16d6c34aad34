-- The harness itself (spec/support/server.lua): what a test leaves is found, named with its line, and fails the test.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"
local socket = require "socket"

describe("a server that a test leaves in the midst of something", function()
  local app, folder

  setup(function()
    folder = server.folder()
    server.write(folder .. "/app.lua", [[
app:get("/wait", function(req)
  fitnessally.scope("what it works with", {}, function()
    fitnessally.sleep(60000)
  end)
  req:reply { text = "done" }
end)
app:get("/quick", function(req) req:reply { text = "done" } end)
]])
    app = server.start { app = folder, plugins_enabled = "", workers = "2" }
  end)
  teardown(function()
    app:stop()
    server.remove(folder)
  end)

  local function ask(path)
    local client = assert(socket.tcp())
    assert(client:connect(app.host, app.port))
    assert(client:send(("GET %s HTTP/1.1\r\nHost: x\r\n\r\n"):format(path)))
    return client
  end

  it("is told what is left, with the lines that made it", function()
    local client = ask "/wait"
    assert.is_truthy(server.wait(5, function()
      return table.concat(app:left(), "\n"):find("what it works with", 1, true)
    end))
    local fine, problem = pcall(app.settle, app, 0.1)
    client:close()
    assert.is_false(fine)
    assert.is_truthy(problem:find("the ledger does not come to zero", 1, true), problem)
    assert.is_truthy(problem:find("scope 'what it works with' (script): ", 1, true), problem)
    assert.is_truthy(problem:find("app.lua:2", 1, true), problem)
    assert.is_truthy(problem:find("app.lua:3", 1, true), problem) -- where the task waits
    assert.is_truthy(problem:find("request: ", 1, true), problem)
  end)

  it("is told of a connection that is kept open", function()
    local client = ask "/quick"
    assert.is_truthy(client:receive("*l"))
    local fine, problem = pcall(app.settle, app, 0.1)
    client:close()
    assert.is_false(fine)
    assert.is_truthy(problem:find("connection: ", 1, true), problem)
  end)

  it("is at zero with nothing going on", function()
    assert.are.equal(200, http.get(app, "/quick").status)
    app:settle()
    assert.are.same({}, app:left())
  end)
end)
