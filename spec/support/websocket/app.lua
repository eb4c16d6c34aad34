-- WebSockets for spec/conformance, spec/e2e and spec/unit: each path is one habit of a script.

-- The echo of the conformance run.
local function echo(ws)
  for message, kind in ws:messages() do
    if kind == "text" then
      ws:send { text = message }
    else
      ws:send(message)
    end
  end
end

app:websocket("/echo", { max_message = "16MB", send_queue = "16MB" }, echo)
app:websocket("/small", { max_message = "1KB" }, echo)
app:websocket("/chat", { protocols = { "chat.v2", "chat.v1" } }, function(ws)
  ws:send { text = ws.protocol or "none" }
end)
app:websocket("/pages", { origins = { "https://a.example", "http://localhost:8080" } }, echo)
app:websocket("/anybody", { origins = "*" }, echo)
app:websocket("/few", { max_concurrent = 2, queue = 0 }, echo)

-- Notes how it ends, for /notes.
local notes = {}
local function note(what)
  notes[#notes + 1] = what
end

app:websocket("/noted/:name", function(ws, req)
  local name = req.params.name
  local ok, problem = pcall(function()
    while true do
      local message, why, code, reason = ws:receive()
      if not message then
        note(("%s %s %d %s"):format(name, why, code, reason))
        return
      end
      ws:send { json = { name = name, length = message:len(), query = req:query("q") } }
    end
  end)
  if not ok then
    note(name .. " raised " .. problem)
    error(problem, 0)
  end
end)

app:get("/notes", function(req)
  req:reply { json = { notes = notes } }
end)

-- Commands, one a message.
local commands = {}

function commands.close(ws, words)
  ws:close(tonumber(words[2]) or 1000, words[3])
  ws:close(1011, "twice")
  note("sent after close: " .. tostring(select(2, ws:send("late"))))
end

function commands.fail()
  error("on purpose")
end

function commands.sleep(_, words)
  fitnessally.sleep(tonumber(words[2]))
end

function commands.flood(ws, words)
  local size, count = tonumber(words[2]), tonumber(words[3])
  local data = fitnessally.buffer { capacity = size }
  data:append(("x"):rep(size)):seal()
  for i = 1, count do
    local ok, why = ws:send(data)
    if not ok then
      return note("flood ended after " .. i .. ": " .. why)
    end
  end
  note("flood sent all")
end

function commands.say(ws, words)
  ws:send(words[2])
end

app:websocket("/commands", { ping = "30s" }, function(ws)
  for message in ws:messages() do
    local words = {}
    for word in message:copy({ max = "1KB" }):gmatch("%S+") do
      words[#words + 1] = word
    end
    commands[words[1]](ws, words)
  end
end)

app:get("/figures", function(req)
  req:reply { json = fitnessally.status() }
end)

-- Takes nothing until it is told.
app:websocket("/deaf", { max_message = "64KB", send_queue = "64KB", ping = "200ms", pong_timeout = "200ms" }, function(ws)
  fitnessally.sleep(1500)
  local count, bytes = 0, 0
  for message in ws:messages() do
    count, bytes = count + 1, bytes + message:len()
    if message:len() == 3 then
      ws:send { json = { count = count, bytes = bytes } }
    end
  end
end)

app:websocket("/pinged", { ping = "100ms", pong_timeout = "200ms" }, echo)
