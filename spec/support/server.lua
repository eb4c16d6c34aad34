-- Starts a server for a spec file and holds it to a clean end: SIGTERM must lead to exit status 0.
--
--   FA_BIN   the binary (default build-dev/fitnessally)     FA_ROOT  the repository
--   FA_SLOW  multiplies every deadline, for sanitizers

local cjson = require "cjson"
local http = require "spec.support.http"
local socket = require "socket"

local server = {}
server.__index = server

server.root = os.getenv("FA_ROOT") or "."
server.binary = os.getenv("FA_BIN") or server.root .. "/build-dev/fitnessally"
local SLOW = tonumber(os.getenv("FA_SLOW") or "1")

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
  return self
end

function server:log()
  return server.read(self.folder .. "/log") or ""
end

---Ends it; an error unless it ends by itself with status 0. May be called twice.
function server:stop()
  if self.stopped then
    return
  end
  self.stopped = true
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
end

---What is left of dialogues and requests in the ledger, as text; "" when nothing is.
function server:left()
  local ledger = http.get(self, "/api/health/memory").json.ledger
  local left = {}
  for _, kind in ipairs { "dialogue", "turn", "request", "listener", "transfer" } do
    local figures = ledger.byKind[kind]
    if figures.bytes ~= 0 or figures.count ~= 0 then
      left[#left + 1] = kind .. " " .. cjson.encode(figures)
    end
  end
  if ledger.inFlight ~= 0 then
    left[#left + 1] = "in flight " .. cjson.encode(ledger.inFlight)
  end
  return table.concat(left, ", ")
end

---An error unless the ledger is at zero when the graces are over.
function server:settle()
  local left
  local clean = server.wait(10, function()
    left = self:left()
    return left == ""
  end)
  if not clean then
    error("the ledger does not come to zero: " .. left, 2)
  end
end

return server
