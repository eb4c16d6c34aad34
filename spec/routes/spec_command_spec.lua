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

  it("knows wrong usage", function()
    for _, wrong in ipairs { "/nowhere_spec.lua", "--nonsense" } do
      local output, status = run(wrong)
      assert.are.equal(2, status, output)
    end
  end)

  it("says which package is missing", function()
    local output, status = server.shell(("LUA_PATH=/?.lua '%s' spec '%s'"):format(server.binary, file "harness_spec.lua"))
    assert.are.equal(1, status)
    assert.is_truthy(output:find("specs need the Debian package lua-busted", 1, true), output)
  end)
end)
