-- app:every and app:cron, and what receives messages of topics. Runs once when a state is made; not a module. tasks:
-- core/script/lua_tasks.c; topics: lua_topics.c; subscription: the methods of subscriptions; app, host: the globals app
-- and fitnessally.
local tasks, topics, subscription, app, host = ...
local error, pcall, type = error, pcall, type
local LONGEST = 60 * 60 * 1000 -- between two looks at the clock: it may be set meanwhile
local OPTIONS = { each_worker = "boolean", name = "string", at_start = "boolean" }

function subscription.receive(self)
  while true do
    local message, missed = topics.take(self)
    if message then
      return message, missed
    elseif message == false then
      return nil
    end
    topics.await(self)
  end
end
subscription.close = topics.close

function subscription.messages(self)
  return subscription.receive, self
end

local function read(what, options, fn)
  if fn == nil and type(options) == "function" then
    options, fn = {}, options
  end
  if type(options) ~= "table" or type(fn) ~= "function" then
    error(what .. "(when, options, fn): fn must be a function", 3)
  end
  return require("fitnessally.options")(what, options, OPTIONS, 3), fn
end

-- Runs fn at each time that due gives. Every run is a task with a scope of its own; it is left out while the one before
-- still runs.
local function schedule(name, options, fn, due)
  if host.worker ~= 0 and not options.each_worker then
    return
  end
  local running
  local next_ms = options.at_start and host.now() or due(host.now())
  while next_ms do
    local left = next_ms - host.now()
    if left > 0 then
      host.sleep(left < LONGEST and left or LONGEST)
    elseif running and tasks.ended(running) == nil then
      log.warn(name .. " is left out: the run before has not ended")
      next_ms = due(host.now())
    else
      running = tasks.spawn(host.scope, name, nil, fn)
      next_ms = due(host.now())
    end
  end
end

function app.every(self, interval, options, fn)
  options, fn = read("app:every", options, fn)
  local known, ms = pcall(topics.milliseconds, interval)
  if not known then
    error("app:every: " .. ms, 2)
  elseif ms < 1 then
    error("app:every: an interval is at least 1ms", 2)
  end
  local last
  self:on_start(function()
    schedule(options.name or ("every " .. interval), options, fn, function(now)
      -- Keeps the beat, and does not make up for what was missed.
      last = last and last + ms > now and last + ms or now + ms
      return last
    end)
  end)
end

function app.cron(self, specification, options, fn)
  options, fn = read("app:cron", options, fn)
  local due, problem = require("fitnessally.cron").parse(specification)
  if not due then
    error(("app:cron: %s"):format(problem), 2)
  elseif not due(host.now()) then
    error(("app:cron: \"%s\" never comes"):format(specification), 2)
  end
  self:on_start(function()
    schedule(options.name or ("cron " .. specification), options, fn, due)
  end)
end
