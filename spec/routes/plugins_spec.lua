-- Plugins with a Lua half, as applications and operators see them.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local cjson = require "cjson"
local http = require "spec.support.http"
local plugin_folder = require "spec.support.plugin_folder"
local server = require "spec.support.server"

local folder, here

local function make_folder()
  folder = server.folder()
  here = plugin_folder(folder, { plugins_enabled = "" })
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
      config = function()
        return { config.longest, config.wait, #config.words, config.loud, config.times, config.none == nil }
      end,
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
  before_each(make_folder)
  after_each(function() server.remove(folder) end)

  it("is found by what it is for, and has its configuration by type", function()
    here:write_plugin("tts-shout", SHOUT)
    here:write_app(APP)
    local app = here:start { tts = "shout", ["plugins.tts-shout.mark"] = "?!", ["plugins.tts-shout.times"] = 3 }
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
    here:write_plugin("tts-shout", SHOUT)
    here:write_app(APP)
    local app = here:start { tts = "tts-shout" }
    local function reload()
      return server.command("reload", "--socket", ("%s/control/%d.sock"):format(app.folder, app.pid))
    end
    here:write_plugin("tts-shout", { louder = "return function(text) return text:lower() .. config.mark end" })
    local output, status = reload()
    assert.are.equal(0, status, output)
    assert.are.equal("tts-shout hi!", http.get(app, "/say/Hi").body)
    here:write_plugin("tts-shout", { louder = "return function(text)\n  return text:lower( .. config.mark\nend" })
    output, status = reload()
    assert.are.equal(1, status)
    assert.is_truthy(output:find("plugins/tts-shout/louder.lua:2: unexpected symbol near '..'", 1, true), output)
    assert.is_truthy(output:find(">    2 |   return text:lower( .. config.mark", 1, true), output)
    here:write_plugin("tts-shout", { louder = SHOUT.louder, init = "error('on purpose')" })
    output, status = reload()
    assert.are.equal(1, status)
    assert.is_truthy(output:find("plugins/tts-shout/init.lua:1: on purpose", 1, true), output)
    assert.are.equal("tts-shout hi!", http.get(app, "/say/Hi").body)
    app:stop()
  end)

  it("that cannot be loaded is left out, or keeps the server from starting when it is required", function()
    here:write_app [[
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
      here:write_plugin("broken", { plugin = manifest:format(case[1]), init = case[2] })
      local settings = { plugins_enabled = "broken", script_load = "200ms", script_hard = "200ms" }
      local app = here:start(settings)
      local told = http.get(app, "/").json
      assert.are.same({ true, "unavailable", "The plugin broken is not available." }, { told[1], told[2], told[3] })
      assert.is_truthy(told[4]:find(case[3], 1, true), told[4])
      assert.is_true(app:logged "plugin broken is not available: ")
      app:stop()
      settings["plugins.broken.required"] = "true"
      here:refused(case[3], settings)
    end
  end)

  it("that was left out holds up no reload, and is there when it has been mended", function()
    here:write_app [[app:get("/", function(req)
      local done, problem = plugin.broken.anything()
      req:reply { text = done or problem.code }
    end)]]
    here:write_plugin("broken", { plugin = [[return { name = "broken" }]], init = "error('on purpose')" })
    local app = here:start { plugins_enabled = "broken" }
    for _, case in ipairs { { "error('again')", "unavailable" },
      { "return { anything = function() return 'mended' end }", "mended" } } do
      here:write_plugin("broken", { init = case[1] })
      local output, status = server.command("reload", "--socket", ("%s/control/%d.sock"):format(app.folder, app.pid))
      assert.are.equal(0, status, output)
      assert.are.equal(case[2], http.get(app, "/").body)
    end
    app:stop()
  end)

  it("is a finding of check and doctor", function()
    here:write_app ""
    here:write_plugin("broken", { plugin = [[return { name = "broken" }]], init = "error('on purpose')" })
    local options = { "--set", "app=" .. folder .. "/app", "--set", "plugin_path=" .. folder .. "/plugins", "--set",
      "plugins_enabled=broken", "--set", "tts=", "--set", "state_dir=" .. folder .. "/state" }
    local output, status = server.command("check", unpack(options))
    assert.are.equal(1, status)
    local left_out = "broken would be left out: plugins/broken/init.lua:1: on purpose"
    assert.is_truthy(output:find("plugin " .. left_out, 1, true), output)
    output = server.command("doctor", unpack(options))
    assert.is_truthy(output:find("note   plugin        " .. left_out, 1, true), output)
    assert.is_nil(output:find("broken loads", 1, true))
  end)

  it("is left out when its C half is none, is of another ABI or lacks what would be called", function()
    here:write_app ""
    here:write_plugin("broken", { plugin = [[return { name = "broken", native = true }]], init = "return {}" })
    server.write(folder .. "/broken.c", [[
      #include <fitnessally/plugin.h>
      static fa_result open_it(fa_plugin_host *host, const fa_host_api *api, void **state, fa_error *error)
      {
          (void)host, (void)api, (void)state, (void)error;
          return FA_OK;
      }
      static const fa_plugin_function functions[] = {{"nothing", 0}};
      FA_PLUGIN_EXPORT NAME = {.magic = FA_PLUGIN_MAGIC, .abi = FA_PLUGIN_ABI, .size = sizeof(fa_plugin), .name = "broken",
                               .version = "1", .open = open_it, OTHERWISE};]])
    local options = { "--set", "app=" .. folder .. "/app", "--set", "plugin_path=" .. folder .. "/plugins", "--set",
      "plugins_enabled=broken", "--set", "tts=", "--set", "state_dir=" .. folder .. "/state" }
    for otherwise, problem in pairs {
      [".magic = 1"] = "is not a fitnessally plugin",
      [".abi = FA_PLUGIN_ABI + 1"] = ": compile it again",
      [".size = 8"] = "its fa_plugin has 8 bytes, this server's has ",
      [".name = 0"] = "has no name",
      [".name = \"other\""] = "calls itself other",
      [".open = 0"] = "has no open",
      [".function_count = 1"] = "has no functions",
      [".functions = functions, .function_count = 1"] = "has no name or function in its table of functions",
      ["NAME=fa_other"] = "exports no fa_plugin_entry",
      [""] = false,
    } do
      local name, otherwise_of = otherwise:match "^NAME=(.*)$", otherwise:match "^NAME=" and "" or otherwise
      local made, failed = server.shell(("cc -w -std=c11 -shared -fPIC -I'%s/core/include' -DNAME=%s '-DOTHERWISE=%s' " ..
        "-o '%s/plugins/broken/broken.so' '%s/broken.c' 2>&1"):format(server.root, name or "fa_plugin_entry", otherwise_of,
        folder, folder))
      assert.are.equal(0, failed, made)
      local output, status = server.command("check", "--no-types", unpack(options))
      assert.are.equal(problem and 1 or 0, status, otherwise .. ": " .. output)
      assert.is_truthy(not problem or output:find(problem, 1, true), output)
    end
  end)

  it("lets no server start whose configuration does not fit it", function()
    here:write_plugin("tts-shout", SHOUT)
    here:write_app(APP)
    here:refused('plugin tts-shout has no key "marc"', { tts = "shout", ["plugins.tts-shout.marc"] = "?" })
    here:refused("plugins.tts-shout.times: ", { tts = "shout", ["plugins.tts-shout.times"] = "4" })
    here:refused("plugin nobody: there is no ", { plugins_enabled = "nobody" })
    here:refused(", nor such a folder in plugin_path (" .. folder, { plugins_enabled = "nobody" })
  end)

  it("has tasks of its own, which end with their generation, and pays for what they make", function()
    here:write_plugin("own", { plugin = [[return { name = "own" }]], init = [[
      local made, problem = "nothing", nil
      app:on_start(function()
        local buffer = fitnessally.buffer():append(("x"):rep(30000)):seal()
        made = "something"
        local more, why = fitnessally.buffer():append(("x"):rep(90000))
        problem = more and "room" or why
        while true do fitnessally.sleep(1000) end
      end)
      return { made = function() return made .. " " .. tostring(problem) end }]] })
    here:write_app [[app:get("/", function(req) req:reply { text = plugin.own.made() } end)]]
    local app = here:start { plugins_enabled = "own", ["plugins.own.memory_budget"] = "100KB" }
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

describe("the phases of plugins", function()
  before_each(make_folder)
  after_each(function() server.remove(folder) end)

  local PHASES = [[
    local seen = {}
    return {
      seen = function() return seen end,
      phases = {
        request = function(req)
          seen[#seen + 1] = "NAME request " .. req.path
          if req.path == "/refused" and "NAME" == "outer" then
            req:fail(403, "refused", "NAME says no.")
          elseif req.path == "/broken" then
            error("NAME breaks")
          end
        end,
        response = function(req, answer)
          req:add_header("X-NAME", answer.status .. " " .. #seen)
          if req.path == "/late" then
            req:reply { text = "instead" }
          end
        end,
        log = function(entry)
          seen[#seen + 1] = ("NAME log %s %s %s %d %d %s"):format(entry.method, entry.path, entry.route, entry.status,
            entry.bytes, tostring(entry.complete and entry.ms >= 0))
        end,
        shutdown = function() log.info("NAME is shut down") end,
      },
    }]]
  local MANIFEST = [[return { name = "NAME", priority = %d, phases = { "request", "response", "log", "shutdown" } }]]

  it("stand around every route, in the order of their priority, and back", function()
    for name, priority in pairs { outer = 20, inner = -1 } do
      here:write_plugin(name, { plugin = MANIFEST:format(priority):gsub("NAME", name), init = (PHASES:gsub("NAME", name)) })
    end
    here:write_app [[
      app:use(function(req, next)
        if req.path == "/stopped" then req:fail(401, "stopped", "Stopped.") else next(req) end
      end)
      app:get("/seen", { use = false }, function(req)
        req:reply { json = { outer = plugin.outer.seen(), inner = plugin.inner.seen() } }
      end)
      for _, path in ipairs { "/", "/refused", "/broken", "/late" } do
        app:get(path, function(req) req:reply { text = "hello" } end)
      end
      app:get("/stopped", print)
      app:get("/pieces", function(req)
        local out = req:start {}
        out:write("a")
        fitnessally.sleep(5)
        out:write("b")
      end)
      app:static("/files", { root = settings.app })]]
    local app = here:start { plugins_enabled = "inner,outer", workers = "1", log_level = "info" }
    local function answers(path, status, body)
      local answer = http.get(app, path)
      assert.are.equal(status, answer.status, answer.body)
      for _, name in ipairs { "x-inner", "x-outer" } do
        assert.are.equal(status, tonumber(answer.headers[name]:match("^%d+")))
      end
      if body then
        assert.are.equal(body, answer.body)
      end
    end
    answers("/", 200, "hello")
    answers("/refused", 403)
    answers("/stopped", 401)
    answers("/broken", 500)
    answers("/late", 200, "hello")
    answers("/pieces", 200, "ab")
    answers("/files/app.lua", 200)
    answers("/files/none", 404)
    assert.is_nil(http.get(app, "/nothing").headers["x-outer"])
    assert.is_true(app:logged "plugin inner: response: plugins/inner/init.lua:16: this request has been answered")
    local seen = http.get(app, "/seen").json
    assert.are.same({ "inner request /", "inner log GET / / 200 5 true", "inner log GET /refused /refused 403 " }, {
      seen.inner[1], seen.inner[2], (seen.inner[3]:gsub("%d+ true$", "")) })
    assert.are.same({ "outer request /", "outer log GET / / 200 5 true", "outer request /refused" },
      { seen.outer[1], seen.outer[2], seen.outer[3] })
    assert.is_truthy(table.concat(seen.inner, "\n"):find("inner log GET /pieces /pieces 200 2 true", 1, true))
    assert.is_truthy(table.concat(seen.inner, "\n"):find("inner log GET /files/app.lua /files/*file 200", 1, true))
    local output, status = server.command("reload", "--socket", ("%s/control/%d.sock"):format(app.folder, app.pid))
    assert.are.equal(0, status, output)
    assert.is_true(app:logged "inner is shut down")
    assert.are.equal(1, #http.get(app, "/seen").json.outer)
    output = server.command("routes", "--json", "--set", "app=" .. folder .. "/app", "--set",
      "plugin_path=" .. folder .. "/plugins", "--set", "plugins_enabled=inner,outer", "--set", "state_dir=" .. folder .. "/state")
    assert.are.same({ "outer", "inner" }, cjson.decode(output).routes[1].plugins)
    app:stop()
  end)

  it("are asked in a server that ends", function()
    here:write_plugin("outer", { plugin = (MANIFEST:format(0):gsub("NAME", "outer")), init = [[
      local void = function() end
      return { phases = { request = void, response = void, log = void, shutdown = function()
        fitnessally.store("kept"):put("x", "shut down")
        log.warn("the last word")
        error("too late")
      end } }]] })
    here:write_app "app:get('/', function(req) req:reply { text = 'x' } end)"
    local app = here:start { plugins_enabled = "outer", workers = "1" }
    assert.are.equal("x", http.get(app, "/").body)
    local log = app.folder .. "/log"
    server.shell("ln " .. log .. " " .. folder .. "/kept")
    app:stop()
    local text = server.read(folder .. "/kept")
    assert.is_truthy(text:find("the last word", 1, true), text)
    assert.is_truthy(text:find("plugin outer: shutdown: plugins/outer/init.lua:5: too late", 1, true), text)
  end)
end)

describe("fitnessally plugin new", function()
  before_each(make_folder)
  after_each(function() server.remove(folder) end)

  it("makes a plugin that loads, answers and has a spec that succeeds", function()
    local parent = folder .. "/made/here"
    local output, status = server.command("plugin", "new", "my-own_1", "--dir", parent)
    assert.are.equal(0, status, output)
    local config = { "-c", server.root .. "/fitnessally.conf.lua", "--set", "state_dir=" .. folder .. "/state",
      "--set", "tts=" }
    output, status = server.command("spec", parent .. "/my-own_1/spec", unpack(config))
    assert.are.equal(0, status, output)
    assert.is_truthy(output:find("2 successes / 0 failures", 1, true), output)
    local app = here:start { app = parent .. "/my-own_1/spec/app", plugin_path = parent, plugins_enabled = "my-own_1" }
    local answer = http.get(app, "/greet/Ada")
    assert.are.equal("Hello, Ada!", answer.body)
    assert.are.equal("my-own_1", answer.headers["x-plugin"])
    app:stop()
    output, status = server.command("routes", "--set", "app=" .. parent .. "/my-own_1/spec/app", "--set",
      "plugin_path=" .. parent, "--set", "plugins_enabled=my-own_1", unpack(config))
    assert.are.equal(0, status, output)
    assert.is_truthy(output:find("GET%s+/greet/:name .* my%-own_1\nplugins loaded: my%-own_1\n"), output)
    local said, left = server.command("plugin", "new", "my-own_1", "--dir", parent)
    assert.are.equal(1, left, said)
    for _, name in ipairs { "Big", "../up", "a.b", "", ("x"):rep(40) } do
      assert.are.equal(2, select(2, server.command("plugin", "new", name, "--dir", parent)))
    end
    assert.are.equal(2, select(2, server.command("plugin", "old")))
  end)
end)
