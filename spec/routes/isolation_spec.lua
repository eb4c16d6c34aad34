-- Plugins with a Lua state of their own, as applications and operators see them.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local plugin_folder = require "spec.support.plugin_folder"
local server = require "spec.support.server"

local folder, here

local function make_folder()
  folder = server.folder()
  here = plugin_folder(folder, { plugins_enabled = "stranger", script_slice = "1min", ["plugins.stranger.state_slice"] = "1min" })
end

local STRANGER = {
  plugin = [[return { name = "stranger", isolation = "state",
    config = { mark = { type = "text", default = "!" } } }]],
  louder = [[return function(text) return text:upper() .. config.mark end]],
  init = [[
    local louder = require "plugins.stranger.louder"
    local started, calls = false, 0
    local from_file = tostring(select(2, pcall(require("fitnessally.template").load, "secret.html")))
    app:on_start(function() fitnessally.sleep(1) started = true while true do fitnessally.sleep(1000) end end)
    return {
      shout = function(arguments)
        fitnessally.sleep(1)
        calls = calls + 1
        arguments.text = "mine"
        return { text = louder(arguments.said) , calls = calls, started = started }
      end,
      forever = function()
        while true do end
      end,
      protected = function() while true do pcall(function() while true do end end) end end,
      bomb = function()
        local all = {}
        for i = 1, 1e9 do all[i] = { i } end
      end,
      object = function() return { run = function() end } end,
      sound = function(sound) return { length = sound:len(), made = fitnessally.buffer():append("abc"):seal() } end,
      template = function() return nil, from_file end,
      change = function() json.encode = nil end,
      reach = function(name)
        local ok, problem = pcall(require, name)
        return ok, tostring(problem)
      end,
      globals = function()
        local all = {}
        for _, name in ipairs { "voice", "upstream", "io", "load", "debug", "getfenv" } do all[name] = _G[name] ~= nil end
        for _, name in ipairs { "store", "publish", "fetch", "memory", "reload", "service" } do
          all[name] = fitnessally[name] ~= nil
        end
        all.settings = next(getmetatable(settings) and {} or settings) ~= nil or settings.llm ~= nil
        return all
      end,
    }]],
}

local APP = [[
  local function tell(req, value, problem)
    req:reply { json = { value = value, problem = problem } }
  end
  app:get("/shout", function(req)
    local arguments = { said = "hi" }
    local said = plugin.stranger.shout(arguments)
    said.kept = arguments.text == nil
    tell(req, said)
  end)
  app:get("/call/:name", function(req) tell(req, plugin.stranger[req.params.name]()) end)
  app:get("/reach/:name", function(req)
    local ok, problem = plugin.stranger.reach(req.params.name)
    req:reply { text = tostring(ok) .. " " .. tostring(problem) }
  end)
  app:get("/sound", function(req)
    local sound = fitnessally.buffer():append("12345"):seal()
    local got = plugin.stranger.sound(sound)
    req:reply { text = got.length .. " " .. got.made:copy { max = 10 } .. " " .. sound:len() }
  end)
  app:get("/wrong", function(req)
    req:reply { text = select(2, pcall(plugin.stranger.shout, { said = "x", progress = print })) }
  end)
  app:get("/plugins", function(req) req:reply { json = fitnessally.plugins() } end)
  app:get("/plain", function(req) req:reply { text = "plain" } end)
]]

describe("a plugin with a state of its own", function()
  before_each(make_folder)
  after_each(function() server.remove(folder) end)

  local function begin(settings)
    here:write_plugin("stranger", STRANGER)
    here:write_app(APP)
    local app = here:start(settings)
    app.leaves = "the task of the plugin"
    return app
  end

  it("is called as any other, and shares nothing with the application", function()
    local app = begin()
    local said = http.get(app, "/shout").json.value
    assert.are.equal("HI!", said.text)
    assert.is_true(said.kept)
    assert.is_truthy(server.wait(10, function() return http.get(app, "/shout").json.value.started end))
    assert.is_true(http.get(app, "/plugins").json[1].isolated)
    for name, seen in pairs(http.get(app, "/call/globals").json.value) do
      assert.is_false(seen, name)
    end
    assert.are.equal("5 abc 5", http.get(app, "/sound").body)
    assert.is_truthy(http.get(app, "/call/change").json.problem.detail:find("json is read-only", 1, true))
    assert.is_truthy(http.get(app, "/reach/app").body:find('require "app": no such file below the plugin\'s folder', 1, true))
    for _, name in ipairs { "template", "time", "jwt", "url", "validate", "utf8", "schema", "body", "boundaries", "auth" } do
      assert.is_truthy(http.get(app, "/reach/fitnessally." .. name).body:find("^true "), name)
    end
    assert.is_truthy(http.get(app, "/call/template").json.problem:find("reads no files", 1, true))
    assert.is_truthy(http.get(app, "/wrong").body:find(
      "plugin.stranger.shout: argument 1.progress is a function: only plain values and buffers cross", 1, true))
    assert.is_truthy(http.get(app, "/call/object").json.problem.detail:find(
      "result 1.run is a function: only plain values and buffers cross", 1, true))
    app:stop()
  end)

  it("pays for what it does: the call fails, with its line, and everybody else goes on", function()
    local app = begin { ["plugins.stranger.state_slice"] = "100ms", ["plugins.stranger.state_heap"] = "8MB" }
    for name, part in pairs {
      forever = "plugins/stranger/init.lua:13: the script ran for more than 100 ms without waiting",
      protected = "the script ran for more than 100 ms without waiting",
      bomb = "plugins/stranger/init.lua:18: not enough memory",
    } do
      local got = http.get(app, "/call/" .. name)
      assert.are.equal(200, got.status)
      assert.are.equal("failed", got.json.problem.code)
      assert.are.equal("The plugin stranger failed.", got.json.problem.message)
      assert.is_truthy(got.json.problem.detail:find(part, 1, true), got.json.problem.detail)
      assert.is_true(app:logged("plugin.stranger." .. name .. ": plugins/stranger/init.lua"))
      assert.are.equal("plain", http.get(app, "/plain").body)
      assert.are.equal("HI!", http.get(app, "/shout").json.value.text)
    end
    app:stop()
  end)

  it("may be one by configuration alone, or be taken in by it", function()
    here:write_plugin("stranger", { plugin = [[return { name = "stranger" }]], init = [[
      return { sees = function() return voice ~= nil end }]] })
    here:write_app [[app:get("/", function(req) req:reply { text = tostring(plugin.stranger.sees()) } end)]]
    for isolation, sees in pairs { none = "true", state = "false" } do
      local app = here:start { ["plugins.stranger.isolation"] = isolation }
      assert.are.equal(sees, http.get(app, "/").body)
      app:stop()
    end
    here:write_plugin("stranger", { plugin = [[return { name = "stranger", isolation = "state" }]] })
    local app = here:start { ["plugins.stranger.isolation"] = "none" }
    assert.are.equal("true", http.get(app, "/").body)
    app:stop()
    here:refused("plugins.stranger.isolation: \"wall\" is none of none|state", { ["plugins.stranger.isolation"] = "wall" })
    here:refused("plugins.stranger.state_heap: ", { ["plugins.stranger.state_heap"] = "1KB" })
  end)

  it("that does not load is left out, unless it is required", function()
    here:write_app [[app:get("/", function(req)
      local _, problem = plugin.stranger.anything {}
      req:reply { json = { problem.code, fitnessally.plugins()[1].problem } }
    end)]]
    for _, case in ipairs {
      { "", "return {", "plugins/stranger/init.lua:1: unexpected symbol" },
      { "", "\nwhile true do end", "plugins/stranger/init.lua:2: the script ran for more than" },
      { "", "local t = {}\nfor i = 1, 1e9 do t[i] = { i } end", "plugins/stranger/init.lua:2: not enough memory" },
      { "", "app:get('/x', print)", "a plugin declares no routes" },
      { "", "return { x = 5 }", "x is a number: scripts can only call functions" },
      { "phases = { 'init' }", "return { phases = { init = function() error('no') end } }", "plugins/stranger/init.lua:1: no" },
      { "native = true", "return {}", "isolation = \"state\" is for plugins in Lua alone" },
    } do
      here:write_plugin("stranger", { init = case[2],
        plugin = ("return { name = 'stranger', isolation = 'state', %s }"):format(case[1]) })
      local settings = { script_load = case[2]:find("while", 1, true) and "300ms" or "1min" }
      local app = here:start(settings)
      local got = http.get(app, "/").json
      assert.are.equal("unavailable", got[1])
      assert.is_truthy(got[2]:find(case[3], 1, true), got[2])
      app:stop()
      settings["plugins.stranger.required"] = "true"
      here:refused(case[3], settings)
    end
  end)

  it("ends with its generation, and leaves nothing", function()
    local app = begin { workers = "1" }
    local function reload()
      return server.command("reload", "--socket", ("%s/control/%d.sock"):format(app.folder, app.pid))
    end
    local function plugins()
      return app:memory "report".ledger.byKind.plugin
    end
    http.get(app, "/shout")
    local before
    assert.is_truthy(server.wait(10, function()
      before = plugins()
      return http.get(app, "/shout").json.value.started
    end))
    for i = 1, 4 do
      here:write_plugin("stranger", { louder = ("return function(text) return text .. %d end"):format(i) })
      local output, status = reload()
      assert.are.equal(0, status, output)
      assert.are.equal("hi" .. i, http.get(app, "/shout").json.value.text)
    end
    here:write_plugin("stranger", { louder = "return function(text)\n  return text .. .. end" })
    local output, status = reload()
    assert.are.equal(1, status)
    assert.is_truthy(output:find("plugins/stranger/louder.lua:2: unexpected symbol", 1, true), output)
    assert.is_truthy(output:find(">    2 |   return text .. .. end", 1, true), output)
    assert.are.equal("hi4", http.get(app, "/shout").json.value.text)
    assert.is_truthy(server.wait(10, function()
      local now = plugins()
      return now.count == before.count and math.abs(now.bytes - before.bytes) < 1000
    end))
    app:stop()
  end)
end)

describe("the phases of a plugin with a state of its own", function()
  before_each(make_folder)
  after_each(function() server.remove(folder) end)

  local PHASES = { plugin = [[return { name = "stranger", isolation = "state", priority = 5,
    phases = { "init", "request", "response", "log", "shutdown" } }]], init = [[
    local ready, entries = false, 0
    return {
      entries = function() return entries end,
      phases = {
        init = function() ready = true end,
        request = function(req)
          fitnessally.sleep(1)
          req:add_header("X-Seen", table.concat({ req.method, req.path, req.params.name or "-", req:query "a" or "-",
            req:header "X-Ask" or "-", tostring(ready) }, " "))
          if req:query "refuse" then
            req:fail(403, "refused", "Not here.")
          elseif req:query "reply" then
            req:set_cookie("seen", "yes")
            req:reply { json = { by = "stranger" } }
          elseif req:query "loop" then
            while true do end
          elseif req:query "wrong" then
            req:set_header("X-Wrong", "two\nlines")
          elseif req:query "body" then
            return req.body
          end
        end,
        response = function(req, head)
          req:set_header("X-Status", tostring(head.status))
          while req:query "late" do end
        end,
        log = function(entry)
          entries = entries + (entry.path:find "^/things" and 1 or 0)
          while entry.path == "/things/slow" do end
        end,
        shutdown = function() log.info("the stranger has gone") end,
      },
    }]] }

  it("see a copy of the request, and do to it what they may", function()
    here:write_plugin("stranger", PHASES)
    here:write_plugin("outer", { plugin = [[return { name = "outer", priority = 9, phases = { "request", "response" } }]],
      init = [[return { phases = { request = function(req) req:set_header("X-Outer", "1") end,
        response = function(req) req:add_header("X-Order", "outer") end } }]] })
    here:write_app [[
      app:get("/things/:name", function(req) req:reply { text = "thing " .. req.params.name } end)
      app:get("/entries", function(req) req:reply { text = tostring(plugin.stranger.entries()) } end)]]
    local app = here:start { plugins_enabled = "stranger,outer", workers = "1", ["plugins.stranger.state_slice"] = "200ms" }
    local got = http.get(app, "/things/a?a=b%20c", { ["X-Ask"] = "please" })
    assert.are.equal("thing a", got.body)
    assert.are.equal("GET /things/a a b c please true", got.headers["x-seen"])
    assert.are.equal("200", got.headers["x-status"])
    assert.are.equal("1", got.headers["x-outer"])
    assert.are.equal("outer", got.headers["x-order"])
    got = http.get(app, "/things/a?refuse=1")
    assert.are.equal(403, got.status)
    assert.are.equal("refused", got.json.error.code)
    assert.are.equal("403", got.headers["x-status"])
    got = http.get(app, "/things/a?reply=1")
    assert.are.same({ by = "stranger" }, got.json)
    assert.is_truthy(got.headers["set-cookie"]:find("seen=yes", 1, true))
    got = http.get(app, "/things/a?loop=1")
    assert.are.equal(500, got.status)
    assert.is_true(app:logged "plugins/stranger/init.lua:16: the script ran for more than 200 ms without waiting")
    got = http.get(app, "/things/a?body=1")
    assert.are.equal(500, got.status)
    assert.is_true(app:logged "a plugin in a state of its own has no req.body")
    got = http.get(app, "/things/a?wrong=1")
    assert.are.equal(500, got.status)
    assert.is_true(app:logged "plugin stranger: req:set_header: a response header has a name")
    got = http.get(app, "/things/a?late=1")
    assert.are.equal(200, got.status)
    assert.are.equal("thing a", got.body)
    assert.is_true(app:logged "plugin stranger: response: plugins/stranger/init.lua:25: the script ran for more than 200 ms")
    assert.are.equal("thing slow", http.get(app, "/things/slow").body)
    assert.is_true(app:logged "plugin stranger: log: plugins/stranger/init.lua:29: the script ran for more than 200 ms")
    assert.are.equal("thing a", http.get(app, "/things/a").body)
    assert.is_truthy(server.wait(10, function() return http.get(app, "/entries").body == "9" end))
    server.shell("ln " .. app.folder .. "/log " .. folder .. "/kept")
    app:stop()
    assert.is_truthy(server.read(folder .. "/kept"):find("the stranger has gone", 1, true))
  end)
end)
