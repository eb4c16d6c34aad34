-- What the guides show, done as they say it: whoever copies from them gets what they promise.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"

local folder

-- The first fenced block of a page that has this text in it.
local function block(page, part)
  for text in server.read(server.root .. "/docs/" .. page .. ".md"):gmatch("\n```%a+\n(.-\n)```") do
    if text:find(part, 1, true) then
      return text
    end
  end
  error(page .. ".md has no block with: " .. part)
end

local function write(file, text)
  server.shell("mkdir -p " .. folder .. "/" .. (file:match "^(.*)/" or "."))
  server.write(folder .. "/" .. file, text)
end

-- A command in the folder, as somebody types it: with `fitnessally` and CHECKOUT for what they stand for.
local function run(command)
  local root = server.shell("cd " .. server.root .. " && pwd"):gsub("%s+$", "")
  local binary = server.shell("realpath " .. server.binary):gsub("%s+$", "")
  command = command:gsub("CHECKOUT/build", (binary:match "^(.*)/")):gsub("CHECKOUT", root)
  return server.shell(("cd %s && PATH=%s:$PATH && %s"):format(folder, binary:match "^(.*)/", command))
end

local function succeeds(command)
  local output, status = run(command)
  assert.are.equal(0, status, output)
  return output
end

before_each(function() folder = server.folder() end)
after_each(function() server.remove(folder) end)

describe("fitnessally new", function()
  it("makes an application that is right, and that its own specs hold for", function()
    local made = succeeds "fitnessally new talk"
    assert.is_truthy(made:find("talk/app.lua\n", 1, true), made)
    succeeds "cd talk && fitnessally check --no-types --set state_dir=../state"
    local output = succeeds "cd talk && fitnessally spec"
    assert.is_truthy(output:find("3 successes / 0 failures / 0 errors", 1, true), output)
    assert.is_nil(server.read(folder .. "/talk/.luarc.json"):find "HOME")
  end)

  it("is of use in the folder one is in, and writes over nothing", function()
    write("fitnessally.conf.lua", "listen = {}\n")
    local output, status = run "fitnessally new ."
    assert.are.equal(1, status)
    assert.is_truthy(output:find("./fitnessally.conf.lua: File exists", 1, true), output)
    assert.is_truthy(run("ls"):find "^fitnessally.conf.lua\n$") -- not half of it, either
    succeeds "rm fitnessally.conf.lua && fitnessally new . && fitnessally check --no-types"
    assert.are.equal(2, select(2, run "fitnessally new"))
  end)
end)

describe("writing-routes.md", function()
  it("begins with a folder that every command goes by", function()
    write("app.lua", block("writing-routes", "-- app.lua"))
    write("fitnessally.conf.lua", block("writing-routes", "-- fitnessally.conf.lua"))
    write("spec/hello_spec.lua", block("writing-routes", "-- spec/hello_spec.lua"))
    assert.is_truthy(succeeds("fitnessally check"):find "configuration ok")
    assert.is_truthy(succeeds("fitnessally routes"):find "/hello/:name")
    assert.is_truthy(succeeds("fitnessally spec"):find "1 success ")
  end)

  it("has notes that all workers see", function()
    write("app.lua", block("writing-routes", 'fitnessally.store("notes"'))
    local app = server.start { app = folder, plugins_enabled = "", workers = "3" }
    for i = 1, 6 do
      local made = http.post(app, "/notes", { text = "note " .. i })
      assert.are.equal(201, made.status)
      assert.are.equal(i, made.json.id)
    end
    for i = 1, 6 do
      assert.are.equal("note " .. i, http.get(app, "/notes/" .. i).json.text)
    end
    assert.are.equal(404, http.get(app, "/notes/7").status)
    app:stop()
  end)
end)

describe("writing-routes.md, events", function()
  it("reach every reader once, and one that comes again hears what it missed", function()
    write("app.lua", block("writing-routes", 'fitnessally.store "news"'))
    write("spec/news_spec.lua", [[
      local spec = require "fitnessally.testing"
      it("reach", function()
        local app = spec.app { app = ".", plugins = {}, settings = { tts = "" } }
        local first, second = app:open "/news", app:open "/news"
        app:post("/news", { json = { head = "one" } })
        app:post("/news", { json = { head = "two" } })
        app:settle()
        for _, stream in ipairs { first, second } do
          local news = stream:named "news"
          assert.are.equal(2, #news)
          assert.are.equal("two", news[2].data.head)
          assert.are.equal("2", news[2].id)
        end
        local again = app:open("/news", { headers = { ["Last-Event-ID"] = "1" } })
        local current = app:open("/news", { headers = { ["Last-Event-ID"] = "2" } })
        app:settle()
        assert.are.equal("two", again:named("news")[1].data.head)
        assert.are.equal(0, #current:named "news")
      end)]])
    assert.is_truthy(succeeds("fitnessally spec spec"):find "1 success ")
  end)
end)

describe("middleware.md", function()
  it("has a plugin that tells how long it took", function()
    local init = block("middleware", "-- plugins/timing/init.lua:")
    write("plugins/timing/plugin.lua", init:match "%-%- plugins/timing/plugin.lua: ([^\n]*)")
    write("plugins/timing/init.lua", init)
    write("app/app.lua", 'app:get("/", function(req) fitnessally.sleep(30) req:fail(400, "no", "No.") end)')
    local app = server.start { app = folder .. "/app", plugin_path = folder .. "/plugins", plugins_enabled = "timing" }
    local answer = http.get(app, "/")
    assert.are.equal(400, answer.status)
    assert.is_true(tonumber(answer.headers["x-response-time"]:match "^(%d+)ms$") >= 29)
    app:stop()
  end)
end)

describe("plugins.md", function()
  it("has a plugin with two halves", function()
    write("plugins/shout/plugin.lua", block("plugins", 'name = "shout",  '))
    write("plugins/shout/init.lua", block("plugins", "-- plugins/shout/init.lua"))
    write("plugins/shout/shout.c", block("plugins", "fa_plugin_entry"))
    write("myapp/app.lua", block("plugins", '"/shout/:text"'))
    local check = "fitnessally check --set app=myapp --set plugin_path=plugins --set plugins_enabled=shout"
    local output, status = run(check)
    assert.are.equal(1, status)
    assert.is_truthy(output:find("plugins/shout/shout.so: cannot open", 1, true), output) -- where it is missed
    succeeds(block("plugins", "-shared"):match "^[^\n]+")
    succeeds(check)
    local app = server.start { app = folder .. "/myapp", plugin_path = folder .. "/plugins", plugins_enabled = "shout" }
    assert.are.equal("HELLO!", http.get(app, "/shout/hello").body)
    app:stop()
  end)
end)

describe("embedding.md", function()
  it("has a program with the server inside", function()
    write("mine.c", block("embedding", "int main"))
    succeeds(block("embedding", "pkg-config"):gsub("\n%./mine[^\n]*", ""))
    succeeds "mkfifo input"
    os.execute(("( cd %s && ./mine <input >output 2>problems; echo $? >status ) >/dev/null 2>&1 </dev/null &"):format(folder))
    local input = assert(io.open(folder .. "/input", "w"))
    local host, port
    server.wait(20, function()
      host, port = (server.read(folder .. "/output") or ""):match "http://([%d.]+):(%d+)\n"
      return port or server.read(folder .. "/status")
    end)
    assert.is_truthy(port, server.read(folder .. "/problems"))
    assert.are.equal("Hello!", http.get({ host = host, port = tonumber(port) }, "/").body)
    input:close()
    local status = server.wait(20, function()
      return (server.read(folder .. "/status") or ""):match "%d+"
    end)
    assert.are.equal("0", status, server.read(folder .. "/problems"))
  end)
end)

describe("commands that only look", function()
  it("leave nothing behind, so that root may check what another user serves", function()
    write("app/app.lua", 'app:get("/", function(req) req:reply {} end)')
    local settings = " --set app=app --set plugins_enabled=records --set tts="
    succeeds("fitnessally check --no-types" .. settings)
    succeeds("fitnessally routes" .. settings)
    succeeds("fitnessally doctor" .. settings)
    assert.are.equal("app\n", (run "ls -A"))
    local output = succeeds("fitnessally check --no-types --json" .. settings)
    assert.is_truthy(output:find('"state_dir":{"value":".fitnessally","from":"', 1, true), output)
    write("closed/state", "no folder")
    local told, status = run("fitnessally check --no-types --set state_dir=closed/state" .. settings)
    assert.are.equal(1, status)
    assert.is_truthy(told:find("closed/state", 1, true), told)
  end)
end)

describe("the command", function()
  it("names an application as it was written when there is none", function()
    local output, status = run "fitnessally check --set app=nowhere --set plugins_enabled="
    assert.are.equal(1, status)
    assert.is_truthy(output:find("cannot open nowhere/app.lua: No such file or directory", 1, true), output)
  end)
end)
