-- What scripts see of plugins: plugin.NAME.FUNCTION, from the C half, the Lua half or both. Runs once when a state is made,
-- before anything is loaded; not a module. list: what the manifests say, in the order of plugins_enabled; plugin: the
-- global of that name, with the functions of C halves; host: the table fitnessally.
local list, plugin, host = ...
local error, ipairs, pairs, pcall, setmetatable, sort, tostring, type =
  error, ipairs, pairs, pcall, setmetatable, table.sort, tostring, type
local format = string.format

local by_name = {}
local names = {} -- by plugin: what its files have beside what every script has
local library = {} -- for the core

local function copied(map)
  local copy = {}
  for key, value in pairs(map) do
    copy[key] = value
  end
  return copy
end

for _, it in ipairs(list) do
  by_name[it.name] = it
  it.functions = plugin[it.name] or {} -- the table itself: scripts get a face of it
  plugin[it.name] = it.functions
  it.native = copied(it.functions)
  names[it.name] = { config = it.config, native = it.native }
end

-- ---- loading -------------------------------------------------------------------------------------------------------

-- A problem, or nil: every phase that the manifest declares is there, and no other.
local function check_phases(it, phases)
  if phases ~= nil and type(phases) ~= "table" then
    return "phases is a table of functions, as in phases = { request = function(req) end }"
  end
  phases = phases or {}
  for name in pairs(phases) do
    if not it.phases[name] then
      local said = tostring(name)
      return format("the phase %s is not declared: say phases = { \"%s\" } in plugin.lua", said, said)
    end
  end
  for name in pairs(it.phases) do
    if type(phases[name]) ~= "function" then
      return format("plugin.lua declares the phase %s, but phases.%s is no function", name, name)
    end
  end
  it.phases = phases
end

---What the Lua half returned: nil when it is taken, or what is wrong with it.
function library.take(name, returned)
  local it = by_name[name]
  if type(returned) ~= "table" then
    return format("%s returns a %s, not a table of functions", it.file, type(returned))
  end
  local problem = check_phases(it, returned.phases)
  if problem then
    return it.file .. ": " .. problem
  end
  for key, value in pairs(returned) do
    if type(key) ~= "string" then
      return format("%s returns a list, not a table of functions with names", it.file)
    elseif key ~= "phases" and type(value) ~= "function" then
      return format("%s: %s is a %s: scripts can only call functions", it.file, key, type(value))
    elseif key ~= "phases" then
      it.functions[key] = value
    end
  end
end

---Every half is loaded: the phase `init`.
function library.begin(name)
  local init = by_name[name].phases.init
  if type(init) == "function" then
    local ok, problem = init()
    if ok == false or (ok == nil and problem ~= nil) then
      return tostring(problem or "its init says no")
    end
  end
end

---Of a state that is for one plugin alone: what that one has given.
function library.parts()
  return list[1].functions, list[1].phases
end

---It cannot be used: whoever calls it is told so.
function library.fail(name, problem)
  local it = by_name[name]
  it.problem, it.phases = problem, {}
  for key in pairs(it.functions) do
    it.functions[key] = nil
  end
  local function unavailable()
    return nil, { code = "unavailable", message = format("The plugin %s is not available.", name) }
  end
  setmetatable(it.functions, { __index = function() return unavailable end })
end

-- ---- phases ----------------------------------------------------------------------------------------------------------

-- Those with higher priority first; of the same priority as in plugins_enabled.
local order = {}
for i, it in ipairs(list) do
  it.place, order[i] = i, it
end
sort(order, function(a, b)
  if a.priority ~= b.priority then
    return a.priority > b.priority
  end
  return a.place < b.place
end)

-- The plugins that have a phase, in their order.
local function with(phase)
  local found = {}
  for _, it in ipairs(order) do
    if type(it.phases[phase]) == "function" then
      found[#found + 1] = { name = it.name, fn = it.phases[phase] }
    end
  end
  return found
end

local phases = {} -- once everything is loaded: name of the phase -> those who have it

local function having(phase)
  phases[phase] = phases[phase] or with(phase)
  return phases[phase]
end

---The functions of the phase `request`, in their order.
function library.requests()
  local all = {}
  for i, it in ipairs(having "request") do
    all[i] = it.fn
  end
  return all
end

---The names of those who take part in requests, in their order.
function library.partakers()
  local all = {}
  for _, it in ipairs(order) do
    if it.phases.request or it.phases.response or it.phases.log then
      all[#all + 1] = it.name
    end
  end
  return all
end

-- Those who came first in the request come last here. What fails does so for itself.
local function backwards(phase, ...)
  local all = having(phase)
  for i = #all, 1, -1 do
    local ok, problem = pcall(all[i].fn, ...)
    if not ok then
      log.error(format("plugin %s: %s: %s", all[i].name, phase, tostring(problem)))
    end
  end
end

function library.response(req, status)
  backwards("response", req, { status = status })
end

function library.log(entry)
  backwards("log", entry)
end

function library.shutdown()
  backwards "shutdown"
end

-- ---- for scripts ---------------------------------------------------------------------------------------------------

---Every plugin that is enabled, in that order.
function host.plugins()
  local all = {}
  for i, it in ipairs(list) do
    all[i] = {
      name = it.name, version = it.version, provides = copied(it.provides), priority = it.priority,
      state = it.problem and "failed" or "ready", problem = it.problem, isolated = it.isolated or nil,
    }
  end
  return all
end

local function provides(it, kind)
  for _, one in ipairs(it.provides) do
    if one == kind then
      return true
    end
  end
  return false
end

---The functions of the plugin that does `kind` ("tts", "llm"): the one that settings.KIND names, or `name`. X names the
---plugin KIND-X, or X. nil when none is named; nil and a message when there is no such plugin, or it does something else.
function host.service(kind, name)
  if type(kind) ~= "string" then
    error("fitnessally.service(kind[, name]): kind is a text such as \"tts\"", 2)
  end
  if name == nil then
    name = settings[kind]
  end
  if name == nil or name == "" then
    return nil
  end
  local it = by_name[kind .. "-" .. name] or by_name[name]
  if not it then
    return nil, format("%s = \"%s\", but no plugin of that name is loaded: add it to plugins_enabled", kind, name)
  elseif not provides(it, kind) then
    return nil, format("%s = \"%s\", but the plugin %s does not provide %s", kind, name, it.name, kind)
  end
  return plugin[it.name], it.name
end

return library, names
