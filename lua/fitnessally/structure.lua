-- What is left of fitnessally.scope, with, spawn, all and race when the core's part is done: protected calls. Runs
-- once when a state is made; not a module. native: core/script/lua_scope.c and lua_tasks.c; task: the methods of tasks;
-- host: the table fitnessally. Protected calls of LuaJIT may wait, and note keeps the traceback of an error that passes
-- through them.
local native, task, host = ...
local xpcall, error, unpack, type = xpcall, error, unpack, type
local MOST = 256 -- functions that all and race take

function host.scope(name, options, fn, ...)
  if type(fn) ~= "function" then
    error("fitnessally.scope(name, options, fn, ...): fn must be a function", 2)
  end
  local scope = native.open(name, options)
  return native.close(scope, xpcall(fn, native.note, scope, ...))
end

local function finish(thing, ok, ...)
  native.finish(thing)
  if not ok then
    error((...), 0)
  end
  return ...
end

host["with"] = function(thing, fn, ...)
  return finish(thing, xpcall(fn, native.note, thing, ...))
end

function task.join(self)
  native.await(self)
  return native.results(self)
end
task.cancel = native.cancel
task.ended = native.ended
host.spawn = native.spawn

local function cancel_all(tasks, why)
  for i = 1, #tasks do
    native.cancel(tasks[i], why)
  end
end

local function close_group(name, tasks, ok, ...)
  cancel_all(tasks, ok and name .. " is decided" or "another task of " .. name .. " failed")
  if not ok then
    error((...), 0)
  end
  return ...
end

-- Whatever happens, none of the functions runs on when this returns.
local function group(name, functions, decide)
  if type(functions) ~= "table" or #functions > MOST then
    error("fitnessally." .. name .. " takes a list of at most " .. MOST .. " functions", 3)
  end
  local tasks = {}
  return close_group(name, tasks, xpcall(function()
    for i = 1, #functions do
      tasks[i] = native.spawn(functions[i])
    end
    return decide(tasks)
  end, native.note))
end

local function wait_for_all(tasks)
  local running, values = {}, {}
  for i = 1, #tasks do
    running[i] = tasks[i]
  end
  while #running > 0 do
    native.await(unpack(running))
    for i = #running, 1, -1 do
      if native.ended(running[i]) == false then
        native.results(running[i]) -- raises
      elseif native.ended(running[i]) then
        table.remove(running, i)
      end
    end
  end
  for i = 1, #tasks do
    values[i] = native.results(tasks[i])
  end
  return unpack(values, 1, #tasks)
end

local function wait_for_one(tasks)
  native.await(unpack(tasks))
  for i = 1, #tasks do
    if native.ended(tasks[i]) ~= nil then
      return native.results(tasks[i])
    end
  end
end

function host.all(functions)
  return group("all", functions, wait_for_all)
end

function host.race(functions)
  if type(functions) == "table" and #functions == 0 then
    error("fitnessally.race takes at least one function", 2)
  end
  return group("race", functions, wait_for_one)
end
