-- require. Runs once when a state is made; not a module. native: core/script/lua_loader.c. It is Lua, so that the
-- body of a module may wait. Another task that requires the module meanwhile waits for it.
local native = ...
local error, pcall, xpcall, concat, insert = error, pcall, xpcall, table.concat, table.insert
local loaded = {} -- name -> what it returned
local loading = {} -- name -> { name, task, chunk, above = the module that required it }
local innermost = {} -- task -> the module that it loads right now
local awaits = {} -- task -> the module that it waits for, which another task loads

-- A text when to load `name` would never end: this task loads it already, or waits for one that waits for it.
local function circle(name, task)
  local other = loading[name]
  while other and other.task ~= task do
    other = awaits[other.task]
  end
  if not other then
    return nil
  end
  local names, at = { name }, innermost[task]
  while at do
    insert(names, 1, at.name)
    if at.name == name then
      break
    end
    at = at.above
  end
  return "circular require: " .. concat(names, " requires ")
end

local function wait(name, task)
  awaits[task] = loading[name]
  local ok, problem = pcall(native.await)
  awaits[task] = nil
  if not ok then
    error(problem, 0)
  end
end

local function finish(record, ok, value)
  loading[record.name] = nil
  innermost[record.task] = record.above
  native.close(record.chunk)
  if ok then
    if value == nil then
      value = true
    end
    value = native.share(record.name, value)
    loaded[record.name] = value
  end
  native.wake()
  if not ok then
    error(value, 0)
  end
  return value
end

local function run(name, chunk, task)
  local record = { name = name, task = task, chunk = chunk, above = innermost[task] }
  loading[name], innermost[task] = record, record
  return finish(record, xpcall(chunk, native.note, name))
end

local function find(name, task)
  while loading[name] do
    local problem = circle(name, task)
    if problem then
      error(problem, 3)
    elseif not native.alive(loading[name].task) then
      loading[name] = nil -- dropped on its way
    else
      wait(name, task)
    end
  end
end

local function require(name)
  local value = loaded[name]
  if value ~= nil then
    return value
  end
  local task = native.begin()
  find(name, task)
  if loaded[name] ~= nil then
    return loaded[name]
  end
  local chunk, problem, kind = native.find(name)
  if not chunk then
    error(problem, kind == "broken" and 0 or 2) -- what is broken names its own line
  end
  return run(name, chunk, task)
end

-- For trusted modules: what is not ours may be the system's.
local function trusted(system)
  return function(name)
    if loaded[name] == nil and not loading[name] then
      local _, _, kind = native.find(name)
      if kind == "missing" then
        return system(name)
      end
    end
    return require(name)
  end
end

return require, trusted
