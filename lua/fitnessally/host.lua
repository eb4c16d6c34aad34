-- A plugin in a state of its own, as its host has it: what a Lua half in this state would have returned. Runs once for each such
-- plugin; not a module. functions, phases: what the plugin has given, as functions that go over to its state
-- (core/script/lua_guest.c); the other side is lua/fitnessally/guest.lua. plugin: its name.
local functions, phases, native, plugin = ...
local error, format, ipairs, pairs, pcall, tostring, unpack = error, string.format, ipairs, pairs, pcall, tostring, unpack

-- What a phase may have done to a request.
local MAY = {
  set_header = true, add_header = true, set_cookie = true, download = true, reply = true, fail = true, redirect = true,
}

local function copy_of(req)
  return {
    method = req.method, path = req.path, id = req.id, remote = req.remote, params = req.params, trace_id = req.trace_id,
    traceparent = req.traceparent, headers = native.headers(req), query = native.query(req),
  }
end

local function perform(req, deeds)
  for _, deed in ipairs(deeds) do
    local name = deed[1]
    local ok, problem = pcall(MAY[name] and req[name], req, unpack(deed, 2, 6))
    if not ok then
      error(format("plugin %s: req:%s: %s", plugin, tostring(name), tostring(problem)), 0)
    end
  end
end

local given = { log = phases.log, shutdown = phases.shutdown }

given.request = phases.request and function(req)
  local deeds, problem = phases.request(copy_of(req))
  if not deeds then
    error(problem.detail or problem.message, 0)
  end
  perform(req, deeds)
end

given.response = phases.response and function(req, head)
  perform(req, phases.response(copy_of(req), head))
end

local returned = { phases = given }
for name, fn in pairs(functions) do
  if name ~= "phases" then
    returned[name] = fn
  end
end
return returned
