-- `fitnessally spec` as a user sees it. What specs can do is in spec/support/testing/harness_spec.lua.

package.path = (os.getenv("FA_ROOT") or ".") .. "/?.lua;" .. package.path

local server = require "spec.support.server"

local function run(...)
  return server.command("spec", "--output", "TAP", ...)
end

local function file(name)
  return server.root .. "/spec/support/testing/" .. name
end

describe("fitnessally spec", function()
  local folder

  setup(function()
    folder = server.folder()
  end)
  teardown(function()
    server.remove(folder)
  end)

  local function write(text)
    server.write(folder .. "/one_spec.lua", text)
    return folder .. "/one_spec.lua"
  end

  it("runs what is right", function()
    local output, status = run(file "harness_spec.lua")
    assert.are.equal(0, status, output)
    assert.is_truthy(output:find("\nok 9 - ", 1, true), output)
    assert.is_nil(output:find "not ok")
  end)

  it("fails the test that leaves something behind, names the line, and blames no other", function()
    local output, status = run(file "leaking_spec.lua")
    assert.are.equal(1, status)
    assert.is_truthy(output:find "not ok 1 %- leaks\n", output)
    assert.is_truthy(output:find("leaking_spec.lua:5: the test leaves behind", 1, true), output)
    assert.is_truthy(output:find("'kept for no reason' of scripts, generation 1, made at app.lua:10", 1, true), output)
    assert.is_truthy(output:find("\nok 2 - is not to blame\n", 1, true), output)
  end)

  it("shows what the app has logged when a test fails", function()
    local path = write([[
      local app = require "fitnessally.testing".app { app = "]] .. file "" .. [[", plugins = {} }
      it("fails", function() assert.are.equal(200, app:get("/broken").status) end)
    ]])
    local output, status = run(path)
    assert.are.equal(1, status)
    assert.is_truthy(output:find("# log: .*this is broken"), output)
  end)

  it("says what is wrong with a file or an app", function()
    local output, status = run(write "it is no Lua")
    assert.are.equal(1, status)
    assert.is_truthy(output:find("one_spec.lua:1:", 1, true), output)
    output, status = run(write [[require "fitnessally.testing".app { app = "/nowhere" }]])
    assert.are.equal(1, status)
    assert.is_truthy(output:find("cannot open /nowhere/app.lua", 1, true), output)
  end)

  it("shows no test what the app has logged in another", function()
    local output = run(write([[
      local app = require "fitnessally.testing".app { app = "]] .. file "" .. [[", plugins = {} }
      it("is well", function() assert.are.equal(500, app:get("/broken").status) end)
      it("fails", function() assert.are.equal(500, app:get("/hello").status) end)
    ]]))
    assert.is_truthy(output:find("not ok 2 - fails", 1, true), output)
    assert.is_nil(output:find("# log:", 1, true), output)
  end)

  it("blames the line of the spec for what it is told wrongly", function()
    local output = run(write([[local spec = require "fitnessally.testing"
      local app = spec.app { app = "]] .. file "" .. [[", plugins = {} }
      it("one", function() app:get() end)
      it("two", function() app:advance "soon" end)
      it("three", function() spec.app { setings = { tts = "" } } end)
      it("four", function()
        local closed = spec.app { app = "]] .. file "" .. [[", plugins = {} }
        closed:close()
        closed:settle()
      end)
    ]]))
    for line, problem in pairs { [3] = 'a request has a method and a target', [4] = 'app:advance: "soon" is not a duration',
      [5] = "spec.app: there is no option setings", [9] = "the app is closed" } do
      assert.is_truthy(output:find(("one_spec.lua:%d: %s"):format(line, problem), 1, true), problem .. ":\n" .. output)
    end
  end)

  it("does not call it a success when no test has run", function()
    local path = write [[it("is here", function() end)]]
    local output, status = run("--filter", "is not here", path)
    assert.are.equal(1, status, output)
    assert.is_truthy(output:find("no test has run", 1, true), output)
    output, status = run("--filter", "is here", path)
    assert.are.equal(0, status, output)
    output, status = run(write [[pending "comes later"]])
    assert.are.equal(0, status, output)
  end)

  it("knows wrong usage", function()
    for _, wrong in ipairs { "/nowhere_spec.lua", "--nonsense" } do
      local output, status = run(wrong)
      assert.are.equal(2, status, output)
    end
  end)

  it("counts the lines that have run", function()
    local path = write([[
      local spec = require "fitnessally.testing"
      local app = spec.app { app = "]] .. server.shell("realpath " .. file ""):gsub("%s+$", "") .. [[", plugins = {} }
      it("says hello", function() assert.are.equal("hello", app:get("/hello").body) end)
    ]])
    local binary = server.shell("realpath " .. server.binary):gsub("%s+$", "")
    local output, status = server.shell(("cd '%s' && '%s' spec --coverage '%s'"):format(folder, binary, path))
    assert.are.equal(0, status, output)
    assert.is_truthy(output:find "coverage: [%d.]+%% of the lines of 1 files")
    local report = server.read(folder .. "/luacov.report.out")
    assert.is_truthy(report:find '\n   1   req:reply { text = "hello" }\n', report)
    assert.is_truthy(report:find '\n%*%*%*0   error%("this is broken"%)\n', report)
    assert.is_truthy(report:find '\n     end%)\n', report)
    assert.is_truthy(report:find "\nTotal +%d+ +%d+ +[%d.]+%%\n", report)
    assert.is_truthy(server.read(folder .. "/luacov.stats.out"):find("^%d+:[^\n]*/app.lua\n[%d ]+\n$"))
  end)

  it("runs again when a file is saved", function()
    local path = write 'it("fails", function() assert.is_true(false) end)'
    local log, pid = folder .. "/log", folder .. "/pid"
    os.execute(("( '%s' spec --output TAP --watch '%s' </dev/null >'%s' 2>&1 & echo $! >'%s' )"):format(
      server.binary, path, log, pid))
    local function said(text)
      return server.wait(10, function()
        return (server.read(log) or ""):find(text, 1, true)
      end)
    end
    local first = said "not ok 1 - fails" and said "watching for changes"
    write 'it("succeeds", function() assert.is_true(true) end)'
    local second = said "\nok 1 - succeeds"
    server.shell("kill " .. server.read(pid))
    assert.is_truthy(first and second, server.read(log))
  end)

  it("says which package is missing", function()
    local output, status = server.shell(("LUA_PATH=/?.lua '%s' spec '%s'"):format(server.binary,
      file "harness_spec.lua"))
    assert.are.equal(1, status)
    assert.is_truthy(output:find("specs need the Debian package lua-busted", 1, true), output)
  end)
end)
