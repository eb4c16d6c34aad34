-- What a spec has of an answer: the whole of it, or a stream that comes while the spec looks on.

local cjson = require "cjson"
local events = require "fitnessally.testing.events"

local streams = {}

-- Real time that an answer may take where time is real.
streams.PATIENCE = 10000

local Answer = {}
Answer.__index = Answer

function Answer:json()
  local good, value = pcall(cjson.decode, self.body)
  if not good then
    error(("the answer is no JSON (status %d): %s"):format(self.status, self.body:sub(1, 200)), 2)
  end
  return value
end

function Answer:events()
  return (events.parse(self.body, {}))
end

---What a client has got by now.
function streams.answer(client)
  local status, _, complete = client:state()
  return setmetatable({
    status = status,
    headers = client:headers(),
    body = client:body(),
    complete = complete,
  }, Answer)
end

-- ---- why nothing comes -----------------------------------------------------------------------------------------------

local function tasks_of(app)
  local lines = {}
  for _, item in ipairs((app.native:left())) do
    if item.what == "task" then
      lines[#lines + 1] = "\n  " .. item.text
    end
  end
  return #lines > 0 and table.concat(lines) or "\n  no task of a script waits"
end

-- An upstream waits before it asks again, which looks as if nothing was left to be done.
local function retries(app)
  local lines = {}
  for name, upstream in pairs(app.upstreams) do
    if upstream.failed then
      lines[#lines + 1] = ("\n  upstream %s has failed (%s) and may be asked again after a wait (its `retries`)"):format(name,
        upstream.failed)
    end
  end
  table.sort(lines)
  return table.concat(lines)
end

---The lines at which tasks of the application wait, and what else may come later.
function streams.waits_for(app)
  return tasks_of(app) .. retries(app)
end

-- ---- streams ---------------------------------------------------------------------------------------------------------

local Stream = {}
Stream.__index = Stream

---at: the line of the spec that has opened it.
function streams.new(client, app, at)
  return setmetatable({ client = client, app = app, parsed = {}, used = 0, at = at }, Stream)
end

local function client_of(stream, level)
  return stream.client or error("this stream is over: its test has ended, or its app is closed", level + 1)
end

---0 until the head is there.
function Stream:status()
  return (client_of(self, 2):state())
end

function Stream:headers()
  return client_of(self, 2):headers()
end

---Whether nothing more will come.
function Stream:ended()
  local _, ended = client_of(self, 2):state()
  return ended
end

---Whether it ended as the application meant it to, and was not cut.
function Stream:complete()
  local _, _, complete = client_of(self, 2):state()
  return complete
end

---What has come so far.
function Stream:body()
  local client = client_of(self, 2)
  self.app.native:settle()
  return client:body()
end

---The events that have come so far, all of them.
function Stream:events()
  local client = client_of(self, 2)
  self.app.native:settle()
  local _, used = events.parse(client:body(self.used), self.parsed)
  self.used = self.used + used
  return self.parsed
end

---Those of one name.
function Stream:named(name)
  return events.named(self:events(), name)
end

---Waits for the end of the answer and returns it.
function Stream:finish()
  local client = client_of(self, 2)
  if not client:wait("end", streams.PATIENCE) then
    error(("the stream that was opened at %s has not ended, and nothing is on its way%s"):format(self.at,
      streams.waits_for(self.app)), 2)
  end
  return streams.answer(client)
end

---A client that was opened with `stepped` takes so many more bytes, all there will be without a number.
function Stream:take(bytes)
  client_of(self, 2):take(bytes)
  self.app.native:settle()
end

---Bytes that have been sent and not been taken.
function Stream:waiting()
  local _, _, _, _, waiting = client_of(self, 2):state()
  return waiting
end

---Says something after an upgrade.
function Stream:feed(bytes)
  client_of(self, 2):feed(bytes)
  self.app.native:settle()
end

---The client leaves.
function Stream:vanish()
  client_of(self, 2):vanish()
  self.app.native:settle()
end

return streams
