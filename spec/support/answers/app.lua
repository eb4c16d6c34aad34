-- An app that answers in every way that there is: for specs.
local made, subscriber = 0, nil
local kilobytes64 = ("x"):rep(65536)

app:get("/lines", function(req)
  local out = req:start { type = "text/plain; charset=utf-8", status = tonumber(req:query("status") or "200") }
  for i = 1, 3 do
    out:write("line " .. i .. "\n")
    fitnessally.sleep(1)
  end
  out:finish()
end)

app:get("/length", function(req)
  local out = req:start { length = 6 }
  out:write("abc")
  out:write("def")
end)

app:get("/broken", function(req)
  req:start { type = "text/plain" }:write("half")
  fitnessally.sleep(1)
  error("on purpose")
end)

-- Without end; what was taken is in /made.
app:get("/flood", function(req)
  local out = req:start()
  made = 0
  while true do
    out:write(kilobytes64)
    made = made + #kilobytes64
  end
end)
app:get("/made", function(req) req:reply { json = { made = made } } end)

app:get("/count", function(req)
  local events = req:events { retry = 50, heartbeat = "100ms" }
  for i = tonumber(events.last_id or 0) + 1, 1000 do
    local ok = events:send { event = "tick", id = i, data = { n = i } }
    if not ok or i % 5 == 0 then
      return -- breaks off, so that the client comes again
    end
  end
end)

app:get("/quiet", function(req)
  subscriber = req:events { retry = "1s", heartbeat = "50ms" }
  log.info("quiet: " .. subscriber:wait())
end)

app:get("/file/*path", function(req)
  req:file { root = settings.app, path = req.params.path, download = req:query("as") or nil }
end)

app:get("/both", function(req)
  req:set_cookie("a", "1")
  req:set_cookie("b", "2", { path = "/both" })
  req:reply { text = req:cookie("sent") or "none" }
end)

app:get("/away", function(req) req:redirect("/lines") end)
app:get("/api/health/memory", function(req)
  req:reply { type = "application/json", text = assert(fitnessally.memory("report", "json")) }
end)
