-- A plugin in a state of its own, as that state has it: what calls from the host find. Runs once, when the Lua half has been
-- loaded; not a module. functions, phases: what the half has given.
--
-- Requests stay in the host. A phase gets a copy of what can be read of one; what it does to it is noted here, and done by
-- the host (lua/fitnessally/host.lua) when the phase has come back.
local functions, phases = ...
local error, ipairs, require, setmetatable, tostring, type = error, ipairs, require, setmetatable, tostring, type
local format = string.format

local copies = setmetatable({}, { __mode = "k" }) -- by request: what the host has told of it
local deeds = setmetatable({}, { __mode = "k" }) -- by request: what is to be done to it

local methods = {}

for _, name in ipairs { "set_header", "add_header", "set_cookie", "download" } do
  methods[name] = function(req, ...)
    deeds[req][#deeds[req] + 1] = { name, ... }
  end
end

for _, name in ipairs { "reply", "fail", "redirect" } do
  methods[name] = function(req, ...)
    if copies[req].answered then
      error("the request has been answered already", 2)
    end
    copies[req].answered = true
    deeds[req][#deeds[req] + 1] = { name, ... }
  end
end

function methods.header(req, name)
  if type(name) ~= "string" then
    error("req:header(name): name is a text", 2)
  end
  return copies[req].headers[name:lower()]
end

function methods.query(req, name)
  local copy = copies[req]
  copy.values = copy.values or require("fitnessally.url").parse_query(copy.query) or {}
  local value = copy.values[name]
  return type(value) == "table" and value[1] or value
end

local READABLE = {
  method = true, path = true, id = true, remote = true, params = true, trace_id = true, traceparent = true,
}

local Request = { __metatable = false }

function Request:__index(name)
  if READABLE[name] then
    return copies[self][name]
  elseif not methods[name] then
    error(format("a plugin in a state of its own has no req.%s: docs/plugins.md says what there is", tostring(name)), 2)
  end
  return methods[name]
end

function Request.__newindex()
  error("a request is read-only", 2)
end

-- A phase that gets a request: what it has done to it.
local function noting(phase)
  return phase and function(copy, ...)
    local req = setmetatable({}, Request)
    copies[req], deeds[req] = copy, {}
    phase(req, ...)
    return deeds[req]
  end
end

return {
  functions = functions,
  phases = {
    request = noting(phases.request), response = noting(phases.response), log = phases.log, shutdown = phases.shutdown,
  },
}
