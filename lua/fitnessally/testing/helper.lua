-- What `fitnessally spec` adds to busted: every test ends with nothing left behind, and assertions about memory.

local assert = require "luassert"
local busted = require "busted"
local say = require "say"
local testing = require "fitnessally.testing"

local runner = testing.runner

-- ---- each test -------------------------------------------------------------------------------------------------------

local function look_after(element)
  local run, trace = element.run, element.trace
  element.run = function(...)
    run(...)
    local left = runner.left()
    if #left > 0 then
      local where = trace and ("%s:%d: "):format(trace.short_src, trace.currentline) or ""
      busted.fail(where .. "the test leaves behind\n  " .. table.concat(left, "\n  "), 0)
    end
  end
end

local looked_after = setmetatable({}, { __mode = "k" })

busted.subscribe({ "test", "start" }, function(element)
  if element.descriptor == "it" and not looked_after[element] then
    looked_after[element] = true
    look_after(element)
  end
  runner.begin(element)
  runner.tests = (runner.tests or 0) + 1
  return nil, true
end)

busted.subscribe({ "test", "end" }, function(element)
  runner.over(element)
  return nil, true
end)

-- Why it has failed may be known there.
local function show_log(element)
  local text = element.descriptor == "it" and runner.logged() or ""
  for line in text:gmatch "[^\n]+" do
    if line:find "^warn" or line:find "^error" then
      io.stderr:write("# log: ", line, "\n")
    end
  end
  return nil, true
end
busted.subscribe({ "failure" }, show_log)
busted.subscribe({ "error" }, show_log)

-- A file that cannot be read has no line, which some of busted's outputs want.
busted.subscribe({ "error", "file" }, function(element)
  element.trace = element.trace or { short_src = element.name, currentline = 0 }
  return nil, true
end)

busted.subscribe({ "file", "end" }, function()
  runner.close_all()
  return nil, true
end)

-- ---- assertions ------------------------------------------------------------------------------------------------------

local function app_of(arguments)
  if runner.is_app(arguments[1]) then
    return arguments[1], 2
  end
  return runner.last() or error("no app is open", 3), 1
end

say:set_namespace "en"

say:set("assertion.no_leaks.positive", "Expected nothing to be left behind, but there is:\n  %s")
say:set("assertion.no_leaks.negative", "Expected something to be left behind, but nothing is.")
assert:register("assertion", "no_leaks", function(_, arguments)
  local left = app_of(arguments):left()
  arguments[1] = table.concat(left, "\n  ")
  arguments.n = 1
  arguments.nofmt = { true }
  return #left == 0
end, "assertion.no_leaks.positive", "assertion.no_leaks.negative")

say:set("assertion.copies.positive", "Expected scripts to have made %s copies of bytes in this test, but it was %s.")
say:set("assertion.copies.negative", "Expected scripts to have made any number of copies in this test but %s.")
assert:register("assertion", "copies", function(_, arguments)
  local app, at = app_of(arguments)
  local expected, copies = arguments[at], (app:copies())
  arguments[1], arguments[2], arguments.n = tostring(expected), tostring(copies), 2
  arguments.nofmt = { true, true }
  return copies == expected
end, "assertion.copies.positive", "assertion.copies.negative")
