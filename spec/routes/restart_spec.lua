-- Editing a route takes effect with the next start; an app that is wrong does not start.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"

local function edit(path, from, to)
  local text = assert(server.read(path))
  local at, last = text:find(from, 1, true)
  assert(at, from)
  server.write(path, text:sub(1, at - 1) .. to .. text:sub(last + 1))
end

describe("an app", function()
  local folder

  before_each(function()
    folder = server.folder()
    server.shell(("cp -r '%s/examples/coach/.' '%s'"):format(server.root, folder))
  end)
  after_each(function()
    server.remove(folder)
  end)

  it("answers as it is written", function()
    local first = server.start { app = folder }
    assert.are.equal("OK", http.get(first, "/api/health").json.status)
    first:stop()

    edit(folder .. "/routes/health.lua", '"OK"', '"very well"')
    local second = server.start { app = folder }
    assert.are.equal("very well", http.get(second, "/api/health").json.status)
    second:stop()
  end)

  it("can speak through a flow of its own", function()
    edit(folder .. "/lib/answer.lua", "Hello! Ask me how to do an exercise", "Good day! Ask me how to do an exercise")
    local app = server.start { app = folder }
    local voice = require "spec.support.voice"
    assert.is_truthy(select(2, voice.answer(app, "Hello")):find("^Good day!"))
    app:stop()
  end)

  local function refuses(what, settings)
    local output, status = server.command("serve", "-c", server.root .. "/fitnessally.conf.lua", "--listen",
      "127.0.0.1:0",
      "--set", "state_dir=" .. folder .. "/state", "--set", "app=" .. folder, unpack(settings or {}))
    assert.are.equal(1, status, output)
    assert.is_truthy(output:find(what, 1, true), output)
  end

  it("that is no Lua does not start, and file and line are named", function()
    edit(folder .. "/routes/health.lua", "app:get(", "app:get((")
    refuses("routes/health.lua:")
  end)

  it("that declares a route twice does not start, and both places are named", function()
    edit(folder .. "/routes/records.lua", "local validate", 'app:get("/api/health", print)\nlocal validate')
    refuses("routes/records.lua:")
    refuses("routes/health.lua:")
  end)

  it("that wants a plugin that is not there does not start", function()
    refuses('tts = "nobody", but no plugin of that name is loaded', { "--set", "tts=nobody" })
    refuses('records = "records", but no plugin of that name is loaded', { "--set", "plugins_enabled=espeak" })
    refuses('llm = "oracle"', { "--set", "llm=oracle" })
  end)
end)

describe("a handler that fails", function()
  it("costs one request, and tells the client nothing", function()
    local folder = server.folder()
    server.write(folder .. "/app.lua", [[
      app:get("/bad", function() error("the secret is 42") end)
      app:get("/silent", function() end)
      app:get("/good", function(req) req:reply { text = "fine" } end)
    ]])
    local app = server.start { app = folder }
    for _, path in ipairs { "/bad", "/silent" } do
      local answer = http.get(app, path)
      assert.are.equal(500, answer.status)
      assert.is_nil(answer.body:find("secret", 1, true))
      assert.is_nil(answer.body:find(".lua", 1, true))
    end
    assert.is_true(app:logged "the secret is 42")
    assert.are.equal("fine", http.get(app, "/good").body)
    app:stop()
    server.remove(folder)
  end)
end)

describe("examples/hello", function()
  it("says hello", function()
    local app = server.start { app = server.root .. "/examples/hello" }
    assert.are.equal("Hello, Ada!\n", http.get(app, "/hello/Ada").body)
    assert.are.equal("Hello, Ada!\nHello, Ada!\n", http.get(app, "/hello/Ada?times=2").body)
    assert.are.equal("Hello, Zoë!\n", http.get(app, "/hello/Zo%C3%AB").body)
    assert.are.equal(400, http.get(app, "/hello/Ada?times=x").status)
    assert.are.equal(404, http.get(app, "/hello").status)
    app:stop()
  end)
end)
