-- Runs busted in this state. Called with a list of its arguments; returns the exit status.

local EXIT = {} -- thrown in the place of an exit: the process is not busted's

return function(arguments)
  local status = 0
  -- luacheck: ignore 122
  os.exit = function(code)
    status = (code == nil or code == true or code == 0) and 0 or 1
    error(EXIT, 0)
  end
  package.loaded["fitnessally.testing"] = nil
  arguments[0] = "fitnessally spec"
  _G.arg = arguments
  local main = assert(loadstring("require 'busted.runner' { standalone = false }", "@fitnessally spec"))
  local good, problem = xpcall(main, function(message)
    return (message == nil or message == EXIT) and message or debug.traceback(message, 2)
  end)
  local testing = package.loaded["fitnessally.testing"]
  if testing then
    testing.runner.close_all()
  end
  require("fitnessally.testing.coverage").write()
  if good or problem == EXIT then
    if status == 0 and not (testing and testing.runner.tests) then -- a wrong --filter must not pass for a success
      io.stderr:write "fitnessally: no test has run: no file *_spec.lua has one whose name matches\n"
      return 1
    end
    return status
  end
  if problem ~= nil then -- with nothing busted says that specs have failed
    io.stderr:write(tostring(problem), "\n")
  end
  return 1
end
