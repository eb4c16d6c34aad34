-- Plugins with a Lua half, as applications and operators see them.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local http = require "spec.support.http"
local server = require "spec.support.server"

local folder

-- A plugin of these files below `folder`/plugins; a file that is nil is not written.
local function write_plugin(name, files)
  local path = folder .. "/plugins/" .. name
  server.shell("mkdir -p " .. path)
  for file, text in pairs(files) do
    server.write(path .. "/" .. file .. ".lua", text)
  end
end

local function write_app(text)
  server.shell("mkdir -p " .. folder .. "/app")
  server.write(folder .. "/app/app.lua", text)
end

local function start(settings)
  local all = { app = folder .. "/app", plugin_path = folder .. "/plugins", plugins_enabled = "", workers = "2",
    mode = "production" }
  for key, value in pairs(settings or {}) do
    all[key] = value
  end
  return server.start(all)
end

local function refused(part, settings)
  local ok, problem = pcall(start, settings)
  if ok then
    problem:stop()
  end
  assert.is_false(ok)
  assert.is_truthy(tostring(problem):find(part, 1, true), problem)
end

local SHOUT = {
  plugin = [[
    return {
      name = "tts-shout", version = "1.2.0", provides = { "tts", "noise" }, phases = { "init" },
      config = {
        mark = { type = "text", default = "!", doc = "what it ends in" },
        longest = { type = "size", default = "1KB" }, wait = { type = "duration", default = "5ms" },
        words = { type = "list", default = { "a", "b" } }, loud = { type = "flag", default = true },
        times = { type = "number", default = 1, min = 1, max = 3 }, none = { type = "text" },
      },
    }]],
  init = [[
    local louder = require "plugins.tts-shout.louder"
    local inits = 0
    return {
      synthesize = function(arguments)
        fitnessally.sleep(config.wait)
        return { text = louder(arguments.text), buffer = fitnessally.buffer():append("x"):seal() }
      end,
      config = function() return { config.longest, config.wait, #config.words, config.loud, config.times, config.none == nil } end,
      change = function() config.mark = "?" end,
      inits = function() return inits end,
      phases = { init = function() inits = inits + 1 end },
    }]],
  louder = "return function(text) return text:upper() .. config.mark end",
}

local APP = [[
  local tts, name = fitnessally.service "tts"
  app:get("/say/:text", function(req)
    local said, problem = tts.synthesize { text = req.params.text }
    req:reply { text = said and name .. " " .. said.text or problem.code .. ": " .. problem.message }
  end)
  app:get("/config", function(req) req:reply { json = plugin["tts-shout"].config() } end)
  app:get("/change", function(req) req:reply { text = select(2, pcall(plugin["tts-shout"].change)) } end)
  app:get("/set", function(req) req:reply { text = select(2, pcall(function() plugin["tts-shout"].x = 1 end)) } end)
  app:get("/inits", function(req) req:reply { json = plugin["tts-shout"].inits() } end)
  app:get("/plugins", function(req) req:reply { json = fitnessally.plugins() } end)
  app:get("/wrong", function(req) req:reply { json = { fitnessally.service("noise", "nobody") ,
    select(2, fitnessally.service("noise", "nobody")), select(2, fitnessally.service("llm", "tts-shout")),
    (fitnessally.service("llm", "") == nil) } } end)
]]

describe("a plugin in Lua", function()
  before_each(function() folder = server.folder() end)
  after_each(function() server.remove(folder) end)

  it("is found by what it is for, and has its configuration by type", function()
    write_plugin("tts-shout", SHOUT)
    write_app(APP)
    local app = start { tts = "shout", ["plugins.tts-shout.mark"] = "?!", ["plugins.tts-shout.times"] = 3 }
    assert.are.equal("tts-shout HI?!", http.get(app, "/say/hi").body)
    assert.are.same({ 1024, 5, 2, true, 3, true }, http.get(app, "/config").json)
    assert.is_truthy(http.get(app, "/change").body:find("config is read-only: config.mark cannot be set", 1, true))
    assert.is_truthy(http.get(app, "/set").body:find("plugin.tts-shout is read-only", 1, true))
    assert.are.equal("1", http.get(app, "/inits").body)
    assert.are.same({ { name = "tts-shout", version = "1.2.0", provides = { "tts", "noise" }, priority = 0,
      state = "ready" } }, http.get(app, "/plugins").json)
    local wrong = http.get(app, "/wrong").json
    assert.is_truthy(wrong[2]:find('noise = "nobody", but no plugin of that name is loaded', 1, true))
    assert.is_truthy(wrong[3]:find("the plugin tts-shout does not provide llm", 1, true))
    assert.is_true(wrong[4])
    app:stop()
  end)

  it("is reloaded with the application, and one that breaks then stays as it was", function()
    write_plugin("tts-shout", SHOUT)
    write_app(APP)
    local app = start { tts = "tts-shout" }
    local function reload()
      return server.command("reload", "--socket", ("%s/control/%d.sock"):format(app.folder, app.pid))
    end
    write_plugin("tts-shout", { louder = "return function(text) return text:lower() .. config.mark end" })
    local output, status = reload()
    assert.are.equal(0, status, output)
    assert.are.equal("tts-shout hi!", http.get(app, "/say/Hi").body)
    write_plugin("tts-shout", { louder = "return function(text)\n  return text:lower( .. config.mark\nend" })
    output, status = reload()
    assert.are.equal(1, status)
    assert.is_truthy(output:find("plugins/tts-shout/louder.lua:2: unexpected symbol near '..'", 1, true), output)
    assert.is_truthy(output:find(">    2 |   return text:lower( .. config.mark", 1, true), output)
    write_plugin("tts-shout", { louder = SHOUT.louder, init = "error('on purpose')" })
    output, status = reload()
    assert.are.equal(1, status)
    assert.is_truthy(output:find("plugins/tts-shout/init.lua:1: on purpose", 1, true), output)
    assert.are.equal("tts-shout hi!", http.get(app, "/say/Hi").body)
    app:stop()
  end)

  it("that cannot be loaded is left out, or keeps the server from starting when it is required", function()
    write_app [[
      app:get("/", function(req)
        local done, problem = plugin.broken.anything { x = 1 }
        req:reply { json = { done == nil, problem.code, problem.message, fitnessally.plugins()[1].problem } }
      end)]]
    local manifest = [[return { name = "broken", phases = %s }]]
    for _, case in ipairs {
      { "{}", "return {", "plugins/broken/init.lua:1: unexpected symbol" },
      { "{}", "\nerror('on purpose')", "plugins/broken/init.lua:2: on purpose" },
      { "{}", "\nlocal x = nil + 1", "plugins/broken/init.lua:2: attempt to perform arithmetic" },
      { "{}", "return 5", "plugins/broken/init.lua returns a number, not a table of functions" },
      { "{}", "return { print }", "returns a list" },
      { "{}", "return { x = 5 }", "x is a number: scripts can only call functions" },
      { "{}", "return { phases = { init = print } }", "the phase init is not declared" },
      { "{ 'init' }", "return {}", "plugin.lua declares the phase init, but phases.init is no function" },
      { "{ 'init' }", "return { phases = { init = function() return false, 'no key' end } }", "no key" },
      { "{ 'init' }", "return { phases = { init = function() fitnessally.sleep(1) end } }", "nothing can wait" },
      { "{ 'sing' }", "return {}", 'phases: there is no "sing"' },
      { "{}", "app:get('/x', print) return {}", "a plugin declares no routes" },
      { "{}", "return io.open('/etc/passwd')", "attempt to index global 'io'" },
      { "{}", "while true do end", "without waiting" },
    } do
      write_plugin("broken", { plugin = manifest:format(case[1]), init = case[2] })
      local settings = { plugins_enabled = "broken", script_load = "200ms" }
      local app = start(settings)
      local told = http.get(app, "/").json
      assert.are.same({ true, "unavailable", "The plugin broken is not available." }, { told[1], told[2], told[3] })
      assert.is_truthy(told[4]:find(case[3], 1, true), told[4])
      assert.is_true(app:logged "plugin broken is not available: ")
      app:stop()
      settings["plugins.broken.required"] = "true"
      refused(case[3], settings)
    end
  end)

  it("lets no server start whose configuration does not fit it", function()
    write_plugin("tts-shout", SHOUT)
    write_app(APP)
    refused('plugin tts-shout has no key "marc"', { tts = "shout", ["plugins.tts-shout.marc"] = "?" })
    refused("plugins.tts-shout.times: ", { tts = "shout", ["plugins.tts-shout.times"] = "4" })
    refused("plugin nobody: there is no ", { plugins_enabled = "nobody" })
  end)

  it("has tasks of its own, which end with their generation, and pays for what they make", function()
    write_plugin("own", { plugin = [[return { name = "own" }]], init = [[
      local made, problem = "nothing", nil
      app:on_start(function()
        local buffer = fitnessally.buffer():append(("x"):rep(30000)):seal()
        made = "something"
        local more, why = fitnessally.buffer():append(("x"):rep(90000))
        problem = more and "room" or why
        while true do fitnessally.sleep(1000) end
      end)
      return { made = function() return made .. " " .. tostring(problem) end }]] })
    write_app [[app:get("/", function(req) req:reply { text = plugin.own.made() } end)]]
    local app = start { plugins_enabled = "own", ["plugins.own.memory_budget"] = "100KB" }
    app.leaves = "tasks of the plugin"
    assert.is_truthy(server.wait(5, function() return http.get(app, "/").body:find("^something .*budget") end),
      http.get(app, "/").body)
    local before = app:memory "report".ledger.byKind.plugin
    assert.is_true(before.bytes >= 2 * 30000, before.bytes)
    for _ = 1, 3 do
      local output, status = server.command("reload", "--socket", ("%s/control/%d.sock"):format(app.folder, app.pid))
      assert.are.equal(0, status, output)
    end
    assert.is_truthy(server.wait(5, function()
      local now = app:memory "report".ledger.byKind.plugin
      return now.count == before.count and math.abs(now.bytes - before.bytes) < 1000
    end))
    app:stop()
  end)
end)
