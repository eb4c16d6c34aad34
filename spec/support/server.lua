-- Starts servers for a spec file and holds them to a clean end: after each test, of this file or of any describe in it, the ledger of
-- every server that runs is at zero, or the test fails with the names and lines of what is left; the same before a server is
-- stopped; and SIGTERM must lead to exit status 0. A server that is to be stopped in the midst of something says so:
-- `app.leaves = "a turn that runs"`.
--
--   FA_BIN   the binary (default build-dev/fitnessally)     FA_ROOT  the repository
--   FA_SLOW  multiplies every deadline, for sanitizers

local busted = require "busted"
local cjson = require "cjson"
local socket = require "socket"
local unix = require "socket.unix"

local server = {}
server.__index = server

server.root = os.getenv("FA_ROOT") or "."
server.binary = os.getenv("FA_BIN") or server.root .. "/build-dev/fitnessally"
local SLOW = tonumber(os.getenv("FA_SLOW") or "1")
local running = {}

local function quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

---Runs a shell command to its end.
---@return string output standard output and error together
---@return integer status
function server.shell(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1; echo \"status $?\""))
  local output, status = pipe:read("*a"):match("^(.*)status (%d+)\n$")
  pipe:close()
  return output, tonumber(status)
end

---Runs the server's binary with these arguments to its end.
function server.command(...)
  local words = { quote(server.binary) }
  for _, word in ipairs { ... } do
    words[#words + 1] = quote(word)
  end
  return server.shell(table.concat(words, " "))
end

---A new folder, which server.remove takes away.
function server.folder()
  return (server.shell("mktemp -d /tmp/fitnessally-spec.XXXXXX"):gsub("%s+$", ""))
end

function server.remove(folder)
  assert(folder:find("^/tmp/fitnessally%-spec%."))
  server.shell("rm -rf " .. quote(folder))
end

function server.read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then
    file:close()
  end
  return text
end

function server.write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

---Calls `look` until it gives something, at most `seconds` long; nil then.
function server.wait(seconds, look)
  local deadline = socket.gettime() + seconds * SLOW
  repeat
    local found = look()
    if found then
      return found
    end
    socket.sleep(0.02)
  until socket.gettime() > deadline
  return nil
end

-- Short graces, so that a spec need not wait for them; and no question is taken for the double of another.
local short = { first_listener_grace = "1s", reconnect_grace = "500ms", linger = "500ms", duplicate_window = "0s" }

---Starts a server. settings: keys for --set; data: a folder for --data.
function server.start(settings, data)
  local self = setmetatable({ folder = server.folder() }, server)
  local words = { quote(server.binary), "serve", "-c", quote(server.root .. "/fitnessally.conf.lua"), "--listen",
    "127.0.0.1:0" }
  local function set(key, value)
    words[#words + 1] = "--set " .. quote(key .. "=" .. value)
  end
  set("state_dir", self.folder .. "/state")
  set("control_dir", self.folder .. "/control")
  for key, value in pairs(short) do
    if not (settings and settings[key]) then
      set(key, value)
    end
  end
  for key, value in pairs(settings or {}) do
    set(key, value)
  end
  if data then
    words[#words + 1] = "--data " .. quote(data)
  end
  local log, pid, status = self.folder .. "/log", self.folder .. "/pid", self.folder .. "/status"
  local run = "( %s </dev/null >/dev/null 2>%s & echo $! >%s; wait $!; echo $? >%s ) >/dev/null 2>&1 </dev/null &"
  os.execute(run:format(table.concat(words, " "), quote(log), quote(pid), quote(status)))
  server.wait(20, function()
    self.host, self.port = (server.read(log) or ""):match("listening on http://([%d.]+):(%d+)")
    return self.port or server.read(status)
  end)
  self.port = tonumber(self.port)
  if not self.port then
    error("the server does not listen; its log:\n" .. self:log(), 2)
  end
  self.pid = assert(tonumber((server.read(pid))))
  self.sockets = self:count_sockets()
  self.connection_bytes = self:memory("report").ledger.byKind.connection.bytes
  running[self] = true
  return self
end

---Whether the log has this text, or comes to have it within 5 s: lines are written by a thread of their own.
function server:logged(text)
  return server.wait(5, function()
    return self:log():find(text, 1, true)
  end) ~= nil
end

function server:log()
  return server.read(self.folder .. "/log") or ""
end

---Ends it; an error unless nothing is left in its ledger and it ends by itself with status 0. May be called twice.
function server:stop()
  if self.stopped then
    return
  end
  local clean, left = pcall(self.settle, self)
  self.stopped = true
  running[self] = nil
  local status_file = self.folder .. "/status"
  server.shell("kill -TERM " .. self.pid)
  local status = server.wait(20, function()
    return (server.read(status_file) or ""):match("%d+")
  end)
  local log = self:log()
  if not status then
    server.shell("kill -KILL " .. self.pid)
  end
  server.remove(self.folder)
  if status ~= "0" then
    error(("the server ended with %s after SIGTERM; its log:\n%s"):format(status or "SIGKILL", log:sub(-4000)), 2)
  end
  if not clean then
    error(left, 2)
  end
end

---What the server says of its memory, by its control socket: that takes no request, and works with every app.
---@param what "report"|"analysis"|"full"
function server:memory(what)
  local client = unix.stream()
  client:settimeout(10 * SLOW)
  assert(client:connect(("%s/control/%d.sock"):format(self.folder, self.pid)))
  assert(client:send("memory " .. what .. "\n"))
  local text = assert(client:receive("*a"))
  client:close()
  return cjson.decode(text)
end

---How many sockets it has open.
function server:count_sockets()
  return tonumber((server.shell(("ls -l /proc/%d/fd | grep -c socket:"):format(self.pid)):match("%d+")))
end

-- One line for each thing that lives: "scope 'tts' (script): 376 bytes, made at routes/voice.lua:31".
local function describe_living(analysis)
  local lines = {}
  for _, item in ipairs(analysis.living) do
    lines[#lines + 1] = ("%s %s (%s): %d bytes, %s"):format(item.what, item.name, item.kind, item.bytes,
      item.madeAt and "made at " .. item.madeAt or "waits at " .. tostring(item.waitsAt))
  end
  if analysis.livingCount > #analysis.living then
    lines[#lines + 1] = ("and %d more"):format(analysis.livingCount - #analysis.living)
  end
  return lines
end

---What has not gone home, one line for each; {} when the ledger is at zero. Everything is looked at that does not last as long as the
---server does: dialogues, turns, requests, listeners, transfers, what is in flight, scopes of scripts, handles, tasks, timers, jobs.
---@return string[]
function server:left()
  local full = self:memory "full"
  local ledger, left = full.report.ledger, describe_living(full.analysis)
  for _, kind in ipairs { "dialogue", "turn", "request", "listener", "transfer", "job", "script", "connection" } do
    local figures = ledger.byKind[kind]
    -- Each worker's edge has an account for its connections, which lasts.
    if figures.count ~= 0 or figures.bytes ~= (kind == "connection" and self.connection_bytes or 0) then
      left[#left + 1] = ("%s: %d bytes, %d of them alive"):format(kind, figures.bytes, figures.count)
    end
  end
  for _, figure in ipairs { "inFlight", "handles", "spooled" } do
    if ledger[figure] ~= 0 then
      left[#left + 1] = ("%s: %d"):format(figure, ledger[figure])
    end
  end
  if full.report.scripts.tasks ~= 0 then
    left[#left + 1] = ("tasks: %d"):format(full.report.scripts.tasks)
  end
  local sockets = #left == 0 and self:count_sockets() or self.sockets
  if sockets > self.sockets then
    left[#left + 1] = ("sockets: %d, %d when it started"):format(sockets, self.sockets)
  end
  return left
end

---An error unless the ledger is at zero when the graces are over. Called after each test and by stop.
---@param patience? number seconds, 10
function server:settle(patience)
  if self.leaves or self.stopped then
    return
  end
  local left
  collectgarbage() -- sockets of clients that a test has left
  local clean = server.wait(patience or 10, function()
    left = self:left()
    return #left == 0
  end)
  if not clean then
    error("the ledger does not come to zero:\n  " .. table.concat(left, "\n  "), 2)
  end
end

busted.after_each(function()
  for app in pairs(running) do
    app:settle()
  end
end)

return server
