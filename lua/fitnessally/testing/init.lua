-- What specs are written with: an application in this process, asked without sockets, by a clock of its own. `fitnessally spec` runs them;
-- docs/testing.md is the guide, meta.lua beside this file has the types.

local cjson = require "cjson"
local check_options = require "fitnessally.options"
local body_of = require "fitnessally.testing.content"
local native = require "fitnessally.testing.native"
local events = require "fitnessally.testing.events"
local scripted = require "fitnessally.testing.upstream"
local streams = require "fitnessally.testing.streams"

local testing = {}

-- What passes before something counts as left behind: longer than every grace of a dialogue.
local GRACES = "30s"

local open_apps = {} -- in the order in which they were opened

---The events of a text/event-stream, and those of one name.
function testing.events(text)
  return (events.parse(text, {}))
end

testing.named = events.named

-- ---- requests --------------------------------------------------------------------------------------------------------

local function header_list(headers, body, kind)
  local list, given = {}, {}
  for name, value in pairs(headers or {}) do
    given[name:lower()] = true
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      list[#list + 1] = name
      list[#list + 1] = tostring(one)
    end
  end
  local function add(name, value)
    if value and not given[name] then
      list[#list + 1] = name
      list[#list + 1] = value
    end
  end
  add("host", "127.0.0.1")
  add("content-type", kind)
  add("content-length", body and tostring(#body))
  return list
end

local App = {}
App.__index = App

local function native_of(app, level)
  return app.native or error("the app is closed", level + 1)
end

local function ask(app, method, target, content, options, level)
  if type(method) ~= "string" or type(target) ~= "string" then
    error(("a request has a method and a target, two texts as in app:get \"/hello\", not a %s and a %s"):format(type(method),
      type(target)), level + 1)
  elseif options.headers ~= nil and type(options.headers) ~= "table" then
    error(("headers are a table, not a %s"):format(type(options.headers)), level + 1)
  end
  local body, kind = body_of(content, level + 1)
  local headers = header_list(options.headers, body, kind)
  return native_of(app, level + 1):ask(method, target, headers, body, options.remote or "127.0.0.1", options.stepped or false)
end

-- "spec/x_spec.lua:12", of whoever called in.
local function caller(level)
  local info = debug.getinfo(level + 1, "Sl")
  return info and info.short_src .. ":" .. info.currentline or "?"
end

local function ask_and_wait(app, method, target, content, headers, level)
  local client = ask(app, method, target, content, { headers = headers }, level + 1)
  if not client:wait("end", streams.PATIENCE) then
    local waiting = streams.waits_for(app)
    client:release()
    error(("%s %s has not been answered, and nothing is on its way%s\n" ..
      "(what waits for time is opened with app:open, and gets it by app:advance)"):format(method, target, waiting),
      level + 1)
  end
  local answer = streams.answer(client)
  client:release()
  return answer
end

-- No tail calls: an error names the line of the spec by its level.

---One request and its whole answer.
function App:request(method, target, content, headers)
  local answer = ask_and_wait(self, method, target, content, headers, 2)
  return answer
end

for _, method in ipairs { "get", "head", "delete", "options" } do
  App[method] = function(self, target, headers)
    local answer = ask_and_wait(self, method:upper(), target, nil, headers, 2)
    return answer
  end
end

for _, method in ipairs { "post", "put", "patch" } do
  App[method] = function(self, target, content, headers)
    local answer = ask_and_wait(self, method:upper(), target, content, headers, 2)
    return answer
  end
end

-- ---- streams ---------------------------------------------------------------------------------------------------------

---Sends a request and returns when the head of its answer is there, or nothing is on its way that could bring it about. The client leaves when
---the test is over, if it has not left before.
function App:open(target, options)
  options = options or {}
  local client = ask(self, options.method or (options.body and "POST" or "GET"), target, options.body, options, 2)
  local stream = streams.new(client, self, caller(2))
  self.streams[stream] = true
  client:wait(0, streams.PATIENCE)
  return stream
end

-- ---- upstreams -------------------------------------------------------------------------------------------------------

function testing.json(text)
  return cjson.decode(text)
end

---Takes the place of an upstream: what it answers is said by the spec from now on, and nothing leaves the process. upstream.requests is what it
---has been asked: {method, url, path, headers, body, parts}.
function App:upstream(name)
  local upstream = self.upstreams[name]
  if not upstream then
    upstream = scripted.new(name)
    self.upstreams[name] = upstream
    self.native:stand_in(name, function(request)
      return scripted.next_answer(upstream, request)
    end)
  end
  return upstream
end

-- ---- the app ---------------------------------------------------------------------------------------------------------

function App:settle()
  native_of(self, 2):settle()
end

---Time passes: "10s", "250ms".
function App:advance(duration)
  local native_app = native_of(self, 2)
  local fine, problem = pcall(native_app.advance, native_app, duration)
  if not fine then
    error(("app:advance: %s"):format(problem), 2)
  end
end

---Seconds since 1970 by the app's clock.
function App:now()
  return self.native:now()
end

---The last lines that it has logged.
function App:log()
  return self.native:log()
end

function App:setting(name)
  return self.native:setting(name)
end

---{request = {bytes, count, inFlight}, dialogue = ..., ...}
function App:ledger()
  return self.native:ledger()
end

---How many copies of bytes scripts have made in this test, and of how many bytes.
function App:copies()
  local figures = self.native:figures()
  return figures.copies - self.copies_before, figures.copied_bytes - self.copied_before
end

local function counted(native_app)
  local items, more = native_app:left()
  local counts = {}
  for _, item in ipairs(items) do
    local at = item.what == "bytes" and item.key .. item.bytes or item.key
    counts[at] = (counts[at] or 0) + 1
  end
  return items, more, counts
end

-- What is there beyond what was there at the start.
local function beyond(app)
  local items, more = counted(app.native)
  local known, left = {}, {}
  for key, count in pairs(app.known) do
    known[key] = count
  end
  for _, item in ipairs(items) do
    local at = item.what == "bytes" and item.key .. item.bytes or item.key
    if (known[at] or 0) > 0 then
      known[at] = known[at] - 1
    elseif item.what ~= "bytes" or #left == 0 then -- bytes of a kind are those of the scopes that were named
      left[#left + 1] = item.text
    end
  end
  if more > 0 then
    left[#left + 1] = ("and %d more"):format(more)
  end
  return left
end

---What has not gone home, one line for each: {} when nothing is left. Time passes for it, as much as every grace may take.
function App:left()
  self.native:settle()
  local left = beyond(self)
  if #left > 0 then
    self.native:advance(self.graces)
    left = beyond(self)
  end
  return left
end

local function release_streams(app)
  for stream in pairs(app.streams) do
    stream.client:release()
    stream.client = nil
  end
  app.streams = {}
end

---Stops it. An error when something is left. Harmless twice.
function App:close()
  if not self.native then
    return
  end
  release_streams(self)
  local left = self.leaves and {} or self:left()
  self.native:close()
  self.native = nil
  for i, app in ipairs(open_apps) do
    if app == self then
      table.remove(open_apps, i)
      break
    end
  end
  if #left > 0 then
    error("left behind:\n  " .. table.concat(left, "\n  "), 2)
  end
end

-- Settings may be nested: {upstreams = {llm = {url = "..."}}} is upstreams.llm.url.
local function flatten(settings, prefix, into, given)
  for key, value in pairs(settings) do
    local name = prefix .. key
    if type(value) == "table" and #value == 0 and next(value) ~= nil then
      flatten(value, name .. ".", into, given)
    else
      given[name] = true
      if type(value) == "table" then
        value = table.concat(value, ",")
      end
      into[#into + 1] = name .. "=" .. tostring(value)
    end
  end
end

-- What a server in a spec does without, unless the spec says otherwise.
local own = {
  control = "false", tracker = "false", script_jit = "off", duplicate_window = "0s", memory_budget = "256MB",
}

local APP_OPTIONS = {
  app = "string", config = "string", settings = "table", plugins = "table", data = "string", clock = "string",
  graces = "string|number",
}

---Loads an application. options: app (a folder), config (a file), data, plugins (a list), settings, clock ("fake", or "real"), graces.
function testing.app(options)
  options = type(options) == "string" and { app = options } or options or {}
  check_options("spec.app", options, APP_OPTIONS)
  local overrides, given = {}, {}
  flatten(options.settings or {}, "", overrides, given)
  flatten({ app = options.app, data = options.data }, "", overrides, given)
  if options.plugins then
    overrides[#overrides + 1] = "plugins_enabled=" .. table.concat(options.plugins, ",")
  end
  for key, value in pairs(own) do
    if not given[key] then
      overrides[#overrides + 1] = key .. "=" .. value
    end
  end
  if not given.state_dir then
    testing.state_dirs = (testing.state_dirs or 0) + 1
    overrides[#overrides + 1] = ("state_dir=%s/%d"):format(native.state_dir, testing.state_dirs)
  end
  if not given.spool_dir then -- one for all: libh2o has one a process
    overrides[#overrides + 1] = ("spool_dir=%s/spool"):format(native.state_dir)
  end
  local clock = options.clock or "fake"
  if clock ~= "fake" and clock ~= "real" then
    error('clock is "fake" or "real"', 2)
  end
  local opened, message = native.open(options.config, overrides, clock == "real")
  if not opened then
    error(message, 2)
  end
  local figures = opened:figures()
  local self = setmetatable({
    native = opened,
    streams = {},
    graces = options.graces or (clock == "fake" and GRACES or "0s"),
    test = testing.current,
    copies_before = figures.copies,
    copied_before = figures.copied_bytes,
    logged = "",
    upstreams = {},
  }, App)
  local _, _, counts = counted(opened)
  self.known = counts
  open_apps[#open_apps + 1] = self
  return self
end

-- ---- for the runner --------------------------------------------------------------------------------------------------

testing.runner = {}

function testing.runner.last()
  return open_apps[#open_apps]
end

function testing.runner.is_app(value)
  return getmetatable(value) == App
end

---A test begins.
function testing.runner.begin(test)
  testing.current = test
  for _, app in ipairs(open_apps) do
    local figures = app.native:figures()
    app.copies_before, app.copied_before = figures.copies, figures.copied_bytes
    app.logged = app.native:log()
  end
end

---What its apps have logged meanwhile.
function testing.runner.logged()
  local parts = {}
  for _, app in ipairs(open_apps) do
    local text, before = app.native:log(), app.logged -- only the last lines are kept: the first of before may be gone
    parts[#parts + 1] = text:sub(1, #before) == before and text:sub(#before + 1) or text
  end
  return table.concat(parts)
end

---What it has left behind, in apps that it opened and in those that were there. Clients go first.
function testing.runner.left()
  local left = {}
  for _, app in ipairs(open_apps) do
    release_streams(app)
    if not app.leaves then
      for _, line in ipairs(app:left()) do
        left[#left + 1] = line
      end
    end
  end
  return left
end

---It is over, whatever came of it: its apps close, and what others still hold is not the next one's fault.
function testing.runner.over(test)
  testing.current = nil
  for i = #open_apps, 1, -1 do
    local app = open_apps[i]
    release_streams(app)
    for _, upstream in pairs(app.upstreams) do
      upstream.script, upstream.requests, upstream.failed = {}, {}, nil -- what answers() has been given stays
    end
    if test and app.test == test then
      app.native:close()
      app.native = nil
      table.remove(open_apps, i)
    else
      app.native:settle()
      local _, _, counts = counted(app.native)
      app.known = counts
    end
  end
end

---A file is over.
function testing.runner.close_all()
  for _, app in ipairs(open_apps) do
    release_streams(app)
    app.native:close()
    app.native = nil
  end
  open_apps = {}
end

return testing
